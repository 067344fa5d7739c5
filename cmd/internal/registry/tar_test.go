package registry_test

import (
	"archive/tar"
	"io"
	"os"
)

// tarDir writes dir as an archive.
func tarDir(w io.Writer, dir string) error {
	t := tar.NewWriter(w)
	if err := t.AddFS(os.DirFS(dir)); err != nil {
		return err
	}
	return t.Close()
}
