package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"reconciler/reconcile"
	"reconciler/schema"
)

// saved is the file that snapshot writes.
type saved struct {
	FormatVersion string          `json:"format_version"` // of this file
	Version       string          `json:"version"`        // of the program that wrote it
	Salt          string          `json:"salt"`           // that the values of secrets are masked with, in hex
	Input         reconcile.Input `json:"input"`
}

// snapshotVersion is that of the files that this program writes and reads.
const snapshotVersion = "1"

func newSnapshot() *cobra.Command {
	c := &cobra.Command{
		Use: "snapshot", Short: "Save what plans are computed of, for diff --snapshot and replay", Args: cobra.NoArgs,
		Long: `Save all that a plan depends on as one JSON document: the revision in force and the newest one, every decision, and
what the minions reported. "reconciler diff --snapshot FILE" plans against it without a server, for instance in CI.

The values of Secrets are masked: of each only a keyed hash stands in the file (HMAC-SHA256 with a salt that is new in each
file). diff --snapshot masks the secrets of its tree with the same salt, so that a changed value still shows. The salt is in
the file: whoever has it can try guesses of a short value. What a pod's env says literally is not masked.`,
		Example: "  reconciler snapshot -o fleet.json\n  reconciler snapshot | gzip > fleet.json.gz\n  reconciler diff --snapshot fleet.json main",
	}
	server := addServerFlag(c)
	file := c.Flags().StringP("output", "o", "", "file to write (default: standard output)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := connect(*server)
		if err != nil {
			return err
		}
		in, err := cl.Snapshot(cmd.Context())
		if err != nil {
			return noServer(err)
		}
		in.Now = time.Now().UTC()
		if *file != "" {
			return saveSnapshot(*file, in, nil)
		}
		b, err := encodeSnapshot(in, nil)
		if err == nil {
			_, err = cmd.OutOrStdout().Write(b)
		}
		return err
	}
	return c
}

func newReplay() *cobra.Command {
	c := &cobra.Command{
		Use: "replay FILE", Short: "Compute the plan of a saved input again", Args: cobra.ExactArgs(1),
		Long: `Compute the plan of what "reconciler snapshot" or "reconciler diff --save" saved, and print it with its hash. The same file
gives the same text and the same hash on every machine with the same version; another version of the program shows here what
it would do differently.

Exit codes: 0 success; 2 error.`,
		Example: "  reconciler replay fleet.json\n  reconciler replay -o json fleet.json | jq -r .hash",
	}
	output := c.Flags().StringP("output", "o", "", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *output != "" && *output != "json" {
			return fmt.Errorf("unknown output format %q: json", *output)
		}
		b, err := os.ReadFile(args[0])
		if err != nil {
			return fmt.Errorf("read snapshot: %w", err)
		}
		in, _, err := readSnapshot(b)
		if err != nil {
			return fmt.Errorf("read snapshot %q: %w", args[0], err)
		}
		_, err = printPlan(cmd, in, *output)
		return err
	}
	return c
}

// saveSnapshot writes an input to a file. salt is nil if its secrets are not masked yet.
func saveSnapshot(file string, in reconcile.Input, salt []byte) error {
	b, err := encodeSnapshot(in, salt)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

func encodeSnapshot(in reconcile.Input, salt []byte) ([]byte, error) {
	if salt == nil {
		salt = make([]byte, 32)
		if _, err := rand.Read(salt); err != nil {
			return nil, fmt.Errorf("make salt: %w", err)
		}
		in.Set, in.State.Accepted = masked(in.Set, salt), masked(in.State.Accepted, salt)
	}
	b, err := json.Marshal(saved{FormatVersion: snapshotVersion, Version: version(), Salt: hex.EncodeToString(salt), Input: in})
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	return append(b, '\n'), nil
}

// masked is a set with a keyed hash in place of each value of a secret. The key is of the salt and of where the value is, so
// that two secrets with one value do not show it.
func masked(s *schema.Set, salt []byte) *schema.Set {
	if s == nil || len(s.Secrets) == 0 {
		return s
	}
	out := *s
	out.Secrets = make([]*schema.Secret, len(s.Secrets))
	for i, secret := range s.Secrets {
		hidden := *secret
		hidden.Data = make(map[string][]byte, len(secret.Data))
		for k, v := range secret.Data {
			h := hmac.New(sha256.New, salt)
			fmt.Fprintf(h, "%q %q ", secret.Key(), k)
			_, _ = h.Write(v)
			hidden.Data[k] = []byte("masked:" + hex.EncodeToString(h.Sum(nil)))
		}
		out.Secrets[i] = &hidden
	}
	return &out
}

// readSnapshot reads what snapshot saved, or a bare input as the server sends it, of which the salt is nil. What a file may
// hold and no server writes is an error.
func readSnapshot(b []byte) (in reconcile.Input, salt []byte, err error) {
	var s saved
	if err := json.Unmarshal(b, &s); err != nil {
		return in, nil, err
	}
	switch {
	case s.FormatVersion == "":
		if err := json.Unmarshal(b, &s.Input); err != nil {
			return in, nil, err
		}
	case s.FormatVersion != snapshotVersion:
		return in, nil, fmt.Errorf("it is of format %q: this program reads %q", s.FormatVersion, snapshotVersion)
	default:
		if salt, err = hex.DecodeString(s.Salt); err != nil || len(salt) == 0 {
			return in, nil, errors.New("it is no snapshot: its salt cannot be read")
		}
	}
	in = s.Input
	if in.State.Fleet == "" || !in.Settings.PortalNet.Addr().Is4() || !in.Settings.PodNet.Addr().Is4() {
		return in, nil, errors.New("it is no snapshot: it names no fleet or no networks")
	}
	for _, s := range []*schema.Set{in.Set, in.State.Accepted} {
		if err := whole(s); err != nil {
			return in, nil, err
		}
	}
	return in, salt, nil
}

// whole is an error if an object of a set is null.
func whole(s *schema.Set) (err error) {
	defer func() {
		if recover() != nil { // by a key that is asked of no object
			err = errors.New("it is no snapshot: one of its objects is null")
		}
	}()
	for o := range s.Objects() {
		_ = o.Key()
	}
	return nil
}

// compute computes a plan and its forecast of an input that came from outside: what contradicts itself there is an error and
// not the end of the program.
func compute(in reconcile.Input) (p reconcile.Plan, d []reconcile.Disruption, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("compute plan: the input contradicts itself: %s", strings.TrimSpace(fmt.Sprint(x)))
		}
	}()
	of, p := reconcile.Preview(in) // what it would do if it were allowed is what one must know before one allows it
	return p, reconcile.Forecast(of, p), nil
}
