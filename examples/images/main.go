package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images", flag.ExitOnError)
	out := flags.String("out", "dist/images", "directory of the OCI layouts")
	examples := flags.String("examples", "", "directory with the sources of the examples (default: the parent of the current one)")
	force := flags.Bool("force", false, "build also what is up to date, for newer packages")
	flags.Usage = func() {
		fmt.Fprintf(os.Stderr, "Usage: images [flags] [NAME...]\n\nBuilds the named images, or all: %v.\n\n", names())
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *examples == "" {
		*examples = ".."
	}
	root, err := filepath.Abs(*examples)
	if err != nil {
		return fmt.Errorf("find examples: %w", err)
	}
	dir, err := filepath.Abs(*out)
	if err != nil {
		return fmt.Errorf("find output: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make output: %w", err)
	}
	release, err := lock(dir)
	if err != nil {
		return err
	}
	defer release()
	want := flags.Args()
	for _, name := range want {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("find image %q: the images are %v", name, names())
		}
	}
	for _, r := range recipes() {
		if len(want) > 0 && !slices.Contains(want, r.name) {
			continue
		}
		start := time.Now()
		built, err := r.ensure(ctx, root, dir, *force)
		if err != nil {
			return fmt.Errorf("build image %q: %w", r.name, err)
		}
		if built {
			fmt.Fprintf(os.Stderr, "image %-9s built in %.1f s\n", r.name, time.Since(start).Seconds())
		} else {
			fmt.Fprintf(os.Stderr, "image %-9s is up to date\n", r.name)
		}
	}
	return nil
}

// lock lets one build at a time work in dir and removes what an interrupted one left.
func lock(dir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock output: %w", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".build-*"))
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("list output: %w", err)
	}
	for _, l := range left {
		if err := os.RemoveAll(l); err != nil {
			f.Close()
			return nil, fmt.Errorf("remove interrupted build: %w", err)
		}
	}
	return func() { f.Close() }, nil
}
