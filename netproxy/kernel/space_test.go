package kernel

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// patience bounds every wait in the tests.
const patience = 10 * time.Second

// space is a network namespace without a name, and a thread in it. It ends with the test, whatever else happens.
type space struct {
	t    testing.TB
	name string
	fd   int
	jobs chan func()
}

func newSpace(t testing.TB, name string) *space {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s := &space{t: t, name: name, jobs: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- err
			return
		}
		fd, err := netns.Get()
		s.fd = int(fd)
		ready <- err
		for job := range s.jobs {
			job()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("make namespace %q: %v", name, err)
	}
	t.Cleanup(func() {
		close(s.jobs)
		_ = unix.Close(s.fd)
	})
	s.must("set up lo", func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	})
	return s
}

// do runs f on the namespace's thread.
func (s *space) do(f func()) {
	done := make(chan struct{})
	s.jobs <- func() { defer close(done); f() }
	<-done
}

func (s *space) must(what string, f func() error) {
	s.t.Helper()
	var err error
	s.do(func() { err = f() })
	if err != nil {
		s.t.Fatalf("%s in %s: %v", what, s.name, err)
	}
}

// nft runs the nft program in the namespace.
func (s *space) nft(args ...string) string {
	s.t.Helper()
	var out []byte
	s.must("nft "+strings.Join(args, " "), func() error {
		var err error
		if out, err = exec.Command("nft", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	return string(out)
}

func (s *space) write(path, value string) {
	s.t.Helper()
	s.must("write "+path, func() error { return os.WriteFile(path, []byte(value), 0) })
}

func (s *space) read(path string) string {
	s.t.Helper()
	var text []byte
	s.must("read "+path, func() (err error) {
		text, err = os.ReadFile(path)
		return err
	})
	return strings.TrimSpace(string(text))
}

// link joins two namespaces, as a minion and its pod: here has gateway's address and a route to there, and there has
// address and a default route.
func link(here, there *space, name string, gateway, address string) {
	here.t.Helper()
	here.must("link to "+there.name, func() error {
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "eth0",
			PeerNamespace: netlink.NsFd(there.fd)}); err != nil {
			return err
		}
		return up(name, gateway)
	})
	there.must("link to "+here.name, func() error { return up("eth0", address) })
	here.route(address+"/32", "", name)
	there.route("0.0.0.0/0", gateway, "eth0")
}

func up(name, address string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(address + "/32")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(l, a); err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

func (s *space) route(to, via, dev string) {
	s.t.Helper()
	s.must("route to "+to, func() error {
		l, err := netlink.LinkByName(dev)
		if err != nil {
			return err
		}
		_, dst, err := net.ParseCIDR(to)
		if err != nil {
			return err
		}
		r := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK}
		if via != "" {
			r.Gw, r.Scope, r.Flags = net.ParseIP(via), netlink.SCOPE_UNIVERSE, int(netlink.FLAG_ONLINK)
		}
		return netlink.RouteAdd(r)
	})
}

// serve answers on port: each connection gets one line, the namespace's name and the client's address, and its lines back.
func (s *space) serve(port int) {
	s.t.Helper()
	var l net.Listener
	s.must("listen", func() error {
		var err error
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		return err
	})
	s.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintf(c, "%s %s\n", s.name, c.RemoteAddr().(*net.TCPAddr).IP)
				lines := bufio.NewScanner(c)
				for lines.Scan() {
					fmt.Fprintf(c, "%s\n", lines.Bytes())
				}
			}()
		}
	}()
}

// dial connects from the namespace and reads the first line: who answered, and the address it saw.
func (s *space) dial(to string) (c net.Conn, who, from string, err error) {
	s.do(func() { c, err = net.DialTimeout("tcp4", to, patience) })
	if err != nil {
		return nil, "", "", err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		_ = c.Close()
		return nil, "", "", err
	}
	who, from, _ = strings.Cut(strings.TrimSpace(line), " ")
	return c, who, from, nil
}

// ask is one connection: who answered, and the address it saw.
func (s *space) ask(to string) (who, from string) {
	s.t.Helper()
	c, who, from, err := s.dial(to)
	if err != nil {
		s.t.Fatalf("connect from %s to %s: %v", s.name, to, err)
	}
	_ = c.Close()
	return who, from
}

// lab is two minions behind a router, a client outside, two pods on the first minion and one on the second. The router
// sends the portal network and 192.0.2.0/24 to the first minion.
type lab struct {
	router, client, m1, m2, a, b, c *space
}

var local1, local2 = netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("10.244.2.0/24")

const (
	podA, podB, podC = "10.244.1.2:8080", "10.244.1.3:8080", "10.244.2.2:8080"
	minion1, minion2 = "10.245.2.2", "10.245.2.3"
	outside          = "10.9.0.2"
)

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{router: newSpace(t, "router"), client: newSpace(t, "client"), m1: newSpace(t, "m1"), m2: newSpace(t, "m2"),
		a: newSpace(t, "a"), b: newSpace(t, "b"), c: newSpace(t, "c")}
	l.router.write(forwarding, "1")
	l.m2.write(forwarding, "1") // the first minion's Router does it by itself
	link(l.router, l.client, "client", "10.9.0.1", outside)
	link(l.router, l.m1, "m1", "10.245.2.1", minion1)
	link(l.router, l.m2, "m2", "10.245.2.1", minion2)
	link(l.m1, l.a, "a", "10.244.1.1", "10.244.1.2")
	link(l.m1, l.b, "b", "10.244.1.1", "10.244.1.3")
	link(l.m2, l.c, "c", "10.244.2.1", "10.244.2.2")
	l.router.route("10.244.1.0/24", minion1, "m1")
	l.router.route("10.244.2.0/24", minion2, "m2")
	l.router.route("10.0.0.0/16", minion1, "m1")
	l.router.route("192.0.2.0/24", minion1, "m1")
	for _, pod := range []*space{l.a, l.b, l.c} {
		pod.serve(8080)
	}
	return l
}

// newRouter makes a Router in the namespace.
func newRouter(s *space) *Router {
	s.t.Helper()
	var r *Router
	s.must("new router", func() error {
		var err error
		r, err = New(Config{})
		return err
	})
	return r
}

// eventually polls until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// without is a ruleset listing less the table of that name.
func without(ruleset, table string) string {
	var out bytes.Buffer
	skip := false
	for line := range strings.Lines(ruleset) {
		if strings.HasPrefix(line, "table ") {
			skip = strings.HasPrefix(line, "table ip "+table+" ")
		}
		if !skip {
			out.WriteString(line)
		}
	}
	return out.String()
}
