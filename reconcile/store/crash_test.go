package store

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crashDir tells a re-executed test binary to save states in this directory until it is killed.
const crashDir = "RECONCILER_STORE_TEST_DIR"

// TestSavesUntilKilled is the child of TestKilledServer.
func TestSavesUntilKilled(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("is run by TestKilledServer")
	}
	s := openStore(t, dir)
	old, _ := load(t, s)
	for n := int(old.Sequence) + 1; ; n++ {
		fmt.Printf("saving %d\n", n)
		save(t, s, example(300, n))
		fmt.Printf("saved %d\n", n)
	}
}

// A server is killed in the middle of saves, again and again: what is loaded afterwards is a state that was saved as a
// whole, and not an older one than the last that was acknowledged.
func TestKilledServer(t *testing.T) {
	dir := t.TempDir()
	last := 0
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSavesUntilKilled$")
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		watchdog := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		tried, count := last, 0
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			verb, number, _ := strings.Cut(lines.Text(), " ")
			n, err := strconv.Atoi(number)
			switch {
			case err != nil:
				t.Errorf("child said %q", lines.Text())
			case verb == "saving":
				tried = n
				if count++; count == 3+round {
					// Each round lets it get a little further into this save.
					time.AfterFunc(time.Duration(round)*4*time.Millisecond, func() { cmd.Process.Kill() })
				}
			case verb == "saved":
				last = n
			}
		}
		watchdog.Stop()
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		s := openStore(t, dir)
		got, ok := load(t, s)
		n := int(got.Sequence)
		if !ok || n < last || n > tried {
			t.Fatalf("round %d: state %d was loaded, %d was acknowledged, %d was tried", round, n, last, tried)
		}
		if text(t, got) != text(t, example(300, n)) {
			t.Fatalf("round %d: the loaded state %d is none that was saved", round, n)
		}
		if count < 3 {
			t.Fatalf("round %d: the child made %d saves", round, count)
		}
		last = n
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s.lock = nil
	}
}
