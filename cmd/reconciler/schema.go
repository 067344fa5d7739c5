package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"reconciler/schema"
	"reconciler/schema/load"
)

func newSchema() *cobra.Command {
	var vendor string
	c := &cobra.Command{
		Use: "schema", Short: "Print the CUE definitions of what can be written", Args: cobra.NoArgs,
		Long: `Print the CUE definitions of v1: #Pod, #Service and #ReplicationController. CUE packages import them as
"` + load.DefinitionsPath + `"; the server provides them. For cue vet and editors, --vendor writes them into the module of
a folder, where CUE finds them without a registry; what was written there before is replaced. They say what a manifest may look like;
validate says all that is wrong with it.`,
		Example: `  reconciler schema
  reconciler schema --vendor . && cue vet -c ./...`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if vendor == "" {
				_, err := fmt.Fprint(cmd.OutOrStdout(), load.Definitions())
				return err
			}
			return vendorSchema(vendor)
		},
	}
	c.Flags().StringVar(&vendor, "vendor", "", "folder with the cue.mod that the definitions are written into")
	return c
}

// vendorSchema writes the definitions into the module of a folder.
func vendorSchema(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "cue.mod", "module.cue")); err != nil {
		return hinted{fmt.Errorf("find CUE module: %w", err), "make one there with `cue mod init example.com/fleet`, or name the folder that has it"}
	}
	path := filepath.Join(dir, filepath.FromSlash(load.DefinitionsFile))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("vendor definitions: %w", err)
	}
	if err := os.WriteFile(path, []byte(load.Definitions()), 0o644); err != nil {
		return fmt.Errorf("vendor definitions: %w", err)
	}
	return nil
}

// newLoader is how every verb loads trees: CUE packages are evaluated by this binary again.
func newLoader(c load.Config) (*load.Loader, error) {
	c.Evaluate = func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/proc/self/exe", load.ChildArg) }
	return load.New(c)
}

// loadManifests loads one tree.
func loadManifests(tree fs.FS, c load.Config) (*schema.Set, []string, error) {
	r, err := loadTree(tree, c)
	if err != nil {
		return nil, nil, err
	}
	return r.Set, r.Warnings, nil
}

// loadTree is as loadManifests.
func loadTree(tree fs.FS, c load.Config) (*load.Result, error) {
	l, err := newLoader(c)
	if err != nil {
		return nil, err
	}
	return l.Tree(tree)
}
