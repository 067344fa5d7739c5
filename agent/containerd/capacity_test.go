package containerd

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Mutants: only pid_max counts; the limit of the cgroup above the pods' is not looked at; "max" is a number.
func TestPIDsThatPodsMayHave(t *testing.T) {
	sysctls, group := t.TempDir(), t.TempDir()
	write := func(file, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(sysctls, "pid_max"), "4194304\n")
	write(filepath.Join(sysctls, "threads-max"), "10000\n")
	c := Config{CgroupParent: "/none-of-this-name"}
	if n, err := c.pids(sysctls); n != 9500 || err != nil {
		t.Errorf("got %d, %v, want 9500", n, err)
	}
	for _, x := range []struct {
		name    string
		limits  map[string]string
		want    int64
		limited bool
	}{
		{"no limit", map[string]string{"a/pids.max": "max\n", "a/b/pids.max": "max\n"}, 0, false},
		{"its own", map[string]string{"a/pids.max": "max\n", "a/b/pids.max": "500\n"}, 500, true},
		{"the one above", map[string]string{"a/pids.max": "300\n", "a/b/pids.max": "500\n"}, 300, true},
		{"a cgroup that is not there yet", map[string]string{"a/pids.max": "400\n"}, 400, true},
	} {
		dir := filepath.Join(group, x.name)
		for file, text := range x.limits {
			write(filepath.Join(dir, file), text)
		}
		if n, limited := pidsMax([]string{group, dir}, "/a/b"); n != x.want || limited != x.limited {
			t.Errorf("%s: got %d, %v, want %d, %v", x.name, n, limited, x.want, x.limited)
		}
	}
	if err := os.WriteFile(filepath.Join(sysctls, "threads-max"), []byte("many"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.pids(sysctls); err == nil {
		t.Error("a setting that is no number was taken")
	}
}

func TestDiskOf(t *testing.T) {
	dir := t.TempDir()
	got, err := diskOf(dir)
	var st unix.Statfs_t
	if e := unix.Statfs(dir, &st); err != nil || e != nil {
		t.Fatal(err, e)
	}
	if all := int64(st.Blocks) * st.Bsize; got <= 0 || got > all*85/100 {
		t.Errorf("%d of %d bytes", got, all)
	}
	if _, err := diskOf(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there was measured")
	}
}

// What the embedded containerd's minion has is measured before it runs; an external one says where its snapshots are.
func TestCapacity(t *testing.T) {
	m := newMinion(t, nil)
	pids, storage, err := m.Capacity(t.Context())
	if err != nil || pids < 100 || storage < 1<<20 {
		t.Errorf("%d processes, %d bytes, %v", pids, storage, err)
	}
	c := m.cfg
	c.Socket = m.cfg.socket()
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer r.client.Close()
	if p, s, err := r.Capacity(t.Context()); err != nil || p != pids || s != storage {
		t.Errorf("as an external one: %d processes, %d bytes, %v", p, s, err)
	}
}
