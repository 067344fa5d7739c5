// Command program is what the containers of the tests run.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(3)
	}
	args := os.Args[2:]
	switch os.Args[1] {
	case "serve": // until SIGTERM
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM, syscall.SIGUSR1)
		fmt.Println("serving")
		fmt.Println("signal:", <-c)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("serving")
		time.Sleep(time.Hour)
	case "show": // everything that the tests want to know of the inside
		name, _ := os.Hostname()
		fmt.Printf("hostname=%s\nargs=%q\nuid=%d\n", name, args, os.Getuid())
		wd, _ := os.Getwd()
		fmt.Println("cwd=" + wd)
		for _, e := range os.Environ() {
			fmt.Println("env " + e)
		}
		for _, f := range []string{"/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/proc/self/status"} {
			b, err := os.ReadFile(f)
			fmt.Printf("%s %v\n%s\n", f, err, b)
		}
		_, err := os.Stat("/run/kept")
		fmt.Println("run", err)
	case "exit":
		n, _ := strconv.Atoi(args[0])
		fmt.Println("exiting", n)
		os.Exit(n)
	case "append":
		f, err := os.OpenFile(args[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = f.WriteString("x")
		}
		b, _ := os.ReadFile(args[0])
		fmt.Printf("content=%s err=%v\n", b, err)
	case "dial": // network address
		var err error
		for range 100 {
			var c net.Conn
			if c, err = net.Dial(args[0], args[1]); err == nil {
				b, _ := io.ReadAll(c)
				fmt.Printf("got=%s\n", b)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Println(err)
		os.Exit(1)
	case "listen":
		l, err := net.Listen("tcp", args[0])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		for {
			if c, err := l.Accept(); err == nil {
				_, _ = c.Write([]byte("hello"))
				c.Close()
			}
		}
	case "eat":
		var all [][]byte
		for {
			all = append(all, bytes.Repeat([]byte{1}, 1<<20))
		}
	case "spam":
		line := bytes.Repeat(append(bytes.Repeat([]byte("y"), 99), '\n'), 100)
		for {
			_, _ = os.Stdout.Write(line)
		}
	case "lines":
		for i := range 10 {
			fmt.Println("line", i)
		}
		fmt.Fprintln(os.Stderr, "to stderr")
		time.Sleep(time.Hour)
	}
}
