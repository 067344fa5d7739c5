package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"reconciler/reconcile/assignment"
)

// kept is what the agent goes on with while the server is away. It is one file, replaced as a whole: a crash leaves either
// the old or the new one.
type kept struct {
	Fleet      string                 `json:"fleet"` // of the first assignment ever taken; others are refused
	Assignment *assignment.Assignment `json:"assignment,omitempty"`
	Table      *assignment.Table      `json:"table,omitempty"`
}

// loadKept reads what is on the disk; nothing is an empty kept.
func loadKept(d Disk) (kept, error) {
	var k kept
	b, err := d.Load()
	if err != nil || b == nil {
		return k, err
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return kept{}, fmt.Errorf("read kept assignment: %w", err)
	}
	return k, nil
}

// save replaces what is on the disk durably.
func (k kept) save(d Disk) error {
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep assignment: %w", err)
	}
	return d.Save(b)
}

// folder is a Disk of one file in a directory.
type folder struct {
	dir, name string
	volatile  bool // what is saved needs not outlive the boot
}

// Load is the interface's.
func (d folder) Load() ([]byte, error) {
	b, err := os.ReadFile(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.name, err)
	}
	return b, nil
}

// Save is the interface's.
func (d folder) Save(b []byte) error {
	if err := d.replace(b); err != nil {
		return fmt.Errorf("write %s: %w", d.name, err)
	}
	return nil
}

func (d folder) replace(b []byte) error {
	f, err := os.CreateTemp(d.dir, "."+d.name+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already when all went well
	_, err = f.Write(b)
	if !d.volatile {
		err = errors.Join(err, f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), d.file()); err != nil || d.volatile {
		return err
	}
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (d folder) file() string { return filepath.Join(d.dir, d.name) }

// takeAssignment decides whether a received assignment replaces the kept one: only of the same fleet, for this minion, and
// not older. why is empty if it does.
func (k *kept) takeAssignment(a *assignment.Assignment, minion string) (why string) {
	switch {
	case k.Fleet != "" && a.Fleet != k.Fleet:
		return fmt.Sprintf("assignment of fleet %q refused: this minion belongs to fleet %q", a.Fleet, k.Fleet)
	case a.Minion != minion:
		return fmt.Sprintf("assignment for minion %q refused: this is %q", a.Minion, minion)
	case k.Assignment != nil && a.Generation.Compare(k.Assignment.Generation) < 0:
		return fmt.Sprintf("assignment of generation %s refused: %s is in force; was the server's store restored from an old copy?", a.Generation, k.Assignment.Generation)
	}
	k.Fleet, k.Assignment = a.Fleet, a
	return ""
}

// takeTable is takeAssignment for the table.
func (k *kept) takeTable(t *assignment.Table) (why string) {
	switch {
	case k.Fleet != "" && t.Fleet != k.Fleet:
		return fmt.Sprintf("routes of fleet %q refused: this minion belongs to fleet %q", t.Fleet, k.Fleet)
	case k.Table != nil && t.Generation.Compare(k.Table.Generation) < 0:
		return fmt.Sprintf("routes of generation %s refused: %s is in force; was the server's store restored from an old copy?", t.Generation, k.Table.Generation)
	}
	k.Fleet, k.Table = t.Fleet, t
	return ""
}
