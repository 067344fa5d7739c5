package main

import (
	"debug/elf"
	"encoding/hex"
	"fmt"
	"log/slog"

	"reconciler/schema/load"
	"reconciler/schema/load/kept"
)

// openCache opens the server's cache of manifests. Without one the server works as well, and starts slower.
func openCache(file string, log *slog.Logger) load.Cache {
	id, err := buildID()
	if err != nil {
		log.Warn("manifests are not kept across restarts", "err", err)
		return nil
	}
	c, err := kept.Open(file, id, log)
	if err != nil {
		log.Warn("manifests are not kept across restarts", "err", err)
		return nil
	}
	return c
}

// buildID tells this program from every other, however little differs: what it judges is what its code does.
func buildID() (string, error) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("read build id: %w", err)
	}
	defer f.Close()
	s := f.Section(".note.go.buildid") // written by Go's linker
	if s == nil {
		return "", fmt.Errorf("read build id: the program has none")
	}
	b, err := s.Data()
	if err != nil {
		return "", fmt.Errorf("read build id: %w", err)
	}
	return hex.EncodeToString(b), nil
}
