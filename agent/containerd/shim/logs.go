package shim

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What a log is called and how long it gets.
const (
	LogMax = 5 << 20 // bytes in the file and in the one before it
	Ext    = ".log"  // the end of a log's name
	Old    = ".1"    // is appended to the name of the part before

	interval = 200 * time.Millisecond // a container can write tens of MB in it
)

// boundLogs looks after the logs that this process has open, until ctx ends. fds is where its descriptors are listed.
func boundLogs(ctx context.Context, fds string, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, path := range openLogs(fds) {
			// There is nobody to tell; the next round tries again.
			_ = cut(path, LogMax)
		}
	}
}

// openLogs lists the regular files named *.log that are open.
func openLogs(fds string) []string {
	dir, err := os.Open(fds)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var logs []string
	for _, n := range names {
		if path, err := os.Readlink(filepath.Join(fds, n)); err == nil && strings.HasSuffix(path, Ext) && filepath.IsAbs(path) {
			logs = append(logs, path)
		}
	}
	return logs
}

// cut moves the end of a log that is longer than limit aside and empties it.
func cut(path string, limit int64) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() <= limit || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := copyEnd(f, info.Size(), limit, path+Old); err != nil {
		// The disk may be full: then the bound matters more than the old part.
		os.Remove(path + Old)
	}
	return f.Truncate(0)
}

func copyEnd(f *os.File, size, limit int64, to string) error {
	out, err := os.OpenFile(to+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	if _, err := io.Copy(out, io.NewSectionReader(f, size-limit, limit)); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}
