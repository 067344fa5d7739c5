package containerd

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/plugin/registry"

	"reconciler/agent/containerd/shim"
)

// ShimName is the name under which a program is to call [Shim].
const ShimName = "containerd-shim-reconciler-v2"

// Shim is the shim's main for a program that holds the daemon too; it ends the process on error.
func Shim() {
	registry.Reset() // the daemon's plugins register themselves when they are imported
	shim.Main()
}

func (c *Config) shim() string { return c.path("bin", ShimName) }

// linkOrCopy makes to be the file from, at once and whole. It does nothing if it is already.
func linkOrCopy(from, to string) error {
	src, err := os.Stat(from)
	if err != nil {
		return err
	}
	if dst, err := os.Stat(to); err == nil && (os.SameFile(src, dst) || src.Size() == dst.Size() && src.ModTime().Equal(dst.ModTime())) {
		return nil
	}
	tmp := to + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Link(from, tmp); err != nil { // an other file system
		if err := copyFile(from, tmp, src); err != nil {
			return err
		}
	}
	return os.Rename(tmp, to)
}

func copyFile(from, to string, info os.FileInfo) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Chtimes(to, info.ModTime(), info.ModTime()))
}

// fileHash is the beginning of the SHA-256 of a file.
func fileHash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %q: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}
