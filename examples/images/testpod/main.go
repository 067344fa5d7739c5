// Testpod is the program of the image that tests and measurements run. Without flags it waits for SIGTERM and ends at once.
//
//	-http :8080          answers /hostname, /env/NAME, /env, /name, /client (the address it sees) and anything else with its name
//	-tcp :9000           answers each line with "NAME HOSTNAME LINE"
//	-name NAME           its own name (default: the hostname)
//	-dial HOST:PORT      connects every -every, sends a line, writes the answer or the error to standard output
//	-write TEXT          writes TEXT once at start; -lines N writes N numbered lines; -tick DURATION writes one line each
//	-exit CODE -after D  ends with CODE after D
//	-ignore-term         ignores SIGTERM
//	-grace DURATION      ends this long after SIGTERM and serves meanwhile
//	-syslog TEXT         writes TEXT to /dev/log
//	-memory BYTES        touches that much memory
//
// $VAR and ${VAR} in -dial and -write are expanded, so that service variables can be named.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"log/syslog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"
)

func main() {
	host, _ := os.Hostname()
	var (
		httpAddr = flag.String("http", "", "")
		tcpAddr  = flag.String("tcp", "", "")
		name     = flag.String("name", host, "")
		dial     = flag.String("dial", "", "")
		every    = flag.Duration("every", time.Second, "")
		write    = flag.String("write", "", "")
		lines    = flag.Int("lines", 0, "")
		tick     = flag.Duration("tick", 0, "")
		exit     = flag.Int("exit", 0, "")
		after    = flag.Duration("after", -1, "")
		ignore   = flag.Bool("ignore-term", false, "")
		grace    = flag.Duration("grace", 0, "")
		toSyslog = flag.String("syslog", "", "")
		memory   = flag.Int("memory", 0, "")
	)
	flag.Parse()
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	failed := make(chan error, 4)

	if *write != "" {
		fmt.Println(os.ExpandEnv(*write))
	}
	for i := range *lines {
		fmt.Println("line", i+1)
	}
	if *memory > 0 {
		ballast := make([]byte, *memory)
		for i := 0; i < len(ballast); i += 4096 {
			ballast[i] = 1
		}
		defer func() { _ = ballast[0] }()
	}
	if *toSyslog != "" {
		w, err := syslog.New(syslog.LOG_INFO|syslog.LOG_DAEMON, "testpod")
		if err == nil {
			err = w.Info(*toSyslog)
		}
		if err != nil {
			fmt.Println("syslog:", err)
		}
	}
	if *tcpAddr != "" {
		l, err := net.Listen("tcp", *tcpAddr)
		fatal(err)
		go func() { failed <- serveTCP(l, *name, host) }()
	}
	if *httpAddr != "" {
		l, err := net.Listen("tcp", *httpAddr)
		fatal(err)
		go func() { failed <- http.Serve(l, handler(*name, host)) }()
	}
	if *dial != "" {
		go dialEvery(os.ExpandEnv(*dial), *name, *every)
	}
	if *tick > 0 {
		go func() {
			for i := 1; ; i++ {
				fmt.Println("tick", i)
				time.Sleep(*tick)
			}
		}()
	}
	var end <-chan time.Time
	if *after >= 0 {
		end = time.After(*after)
	}
	for {
		select {
		case <-end:
			os.Exit(*exit)
		case err := <-failed:
			fatal(err)
		case <-term:
			if *ignore {
				fmt.Println("ignored SIGTERM")
				continue
			}
			if *grace > 0 {
				fmt.Println("draining")
				time.Sleep(*grace)
			}
			os.Exit(0)
		}
	}
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "testpod:", err)
		os.Exit(1)
	}
}

func handler(name, host string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hostname", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, host) })
	mux.HandleFunc("/client", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.RemoteAddr) })
	mux.HandleFunc("/env/{name}", func(w http.ResponseWriter, r *http.Request) {
		v, ok := os.LookupEnv(r.PathValue("name"))
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, v)
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, _ *http.Request) {
		env := os.Environ()
		sort.Strings(env)
		fmt.Fprintln(w, strings.Join(env, "\n"))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
	return mux
}

func serveTCP(l net.Listener, name, host string) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			for scan := bufio.NewScanner(c); scan.Scan(); {
				if _, err := fmt.Fprintf(c, "%s %s %s\n", name, host, scan.Text()); err != nil {
					return
				}
			}
		}()
	}
}

func dialEvery(addr, name string, every time.Duration) {
	for {
		fmt.Println(dialOnce(addr, name))
		time.Sleep(every)
	}
}

func dialOnce(addr, name string) string {
	c, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return "error: " + err.Error()
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return "error: " + err.Error()
	}
	if _, err := fmt.Fprintf(c, "hello from %s\n", name); err != nil {
		return "error: " + err.Error()
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "error: " + err.Error()
	}
	return "answer: " + strings.TrimSpace(answer)
}
