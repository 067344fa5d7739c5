package containerd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// record is what is kept of an attempt beside containerd, in pods/<instance>/state/<container id>.json: that it was
// started, and how it ended where containerd does not know (any more).
type record struct {
	Container  string    `json:"container"`
	StartedAt  time.Time `json:"startedAt"`
	FinishedAt time.Time `json:"finishedAt,omitzero"` // zero: not known to have ended
	ExitCode   int       `json:"exitCode,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Message    string    `json:"message,omitempty"`
}

// The reasons of ends.
const (
	completed  = "Completed"
	failed     = "Error"
	oomKilled  = "OOMKilled"
	lost       = "Lost"
	startError = "StartError"

	startErrorCode = 128 // as Kubernetes reports a process that never was
)

// reason names an end by its exit code and by whether memory ran out in its cgroup.
func reason(code int, oom bool) string {
	switch {
	case code == 0:
		return completed
	case oom:
		return oomKilled
	}
	return failed
}

func (c *Config) recordFile(instance, id string) string {
	return filepath.Join(c.podDir(instance), "state", id+".json")
}

func (c *Config) readRecord(instance, id string) (record, bool) {
	var rec record
	b, err := os.ReadFile(c.recordFile(instance, id))
	if err != nil || json.Unmarshal(b, &rec) != nil {
		return record{}, false
	}
	return rec, true
}

func (c *Config) writeRecord(instance, id string, rec record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return writeFile(c.recordFile(instance, id), b)
}

// keepExits takes over the exit status of every task that ended, from where the shim wrote it, because the daemon that is
// started next will throw ended tasks away.
func (c *Config) keepExits() error {
	files, err := filepath.Glob(filepath.Join(c.podsDir(), "*", "state", "*.json"))
	if err != nil {
		return fmt.Errorf("list records: %w", err)
	}
	for _, file := range files {
		instance := filepath.Base(filepath.Dir(filepath.Dir(file)))
		id := filepath.Base(file[:len(file)-len(".json")])
		rec, ok := c.readRecord(instance, id)
		if !ok || !rec.FinishedAt.IsZero() {
			continue
		}
		code, at, ok, err := c.exitStatus(id)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		rec.ExitCode, rec.FinishedAt = code, at
		rec.Reason = reason(code, oomKills(filepath.Join(c.CgroupParent, instance, rec.Container)) > 0)
		if err := c.writeRecord(instance, id, rec); err != nil {
			return err
		}
	}
	return nil
}

// exitStatus is what the shim wrote about a task that ended; ok is false if it wrote nothing, or only half before it was killed.
func (c *Config) exitStatus(id string) (code int, at time.Time, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(c.bundle(id), "exit.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, at, false, nil
	}
	if err != nil {
		return 0, at, false, fmt.Errorf("read exit status: %w", err)
	}
	var exit struct {
		Timestamp time.Time
		Status    int
	}
	if json.Unmarshal(b, &exit) != nil {
		return 0, at, false, nil
	}
	if exit.Timestamp.IsZero() {
		exit.Timestamp = time.Now()
	}
	return exit.Status, exit.Timestamp, true, nil
}
