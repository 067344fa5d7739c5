// Server speaks MongoDB's wire protocol on FerretDB's library, with SQLite below a directory. It logs to standard output and
// tells syslog, where /dev/log is mounted, that it started and ended.
package main

import (
	"context"
	"flag"
	"log/slog"
	"log/syslog"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	data := flag.String("data", "/data", "directory of the databases")
	listen := flag.String("listen", ":27017", "address to listen on")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, log, *data, *listen); err != nil {
		slog.Error("mongodb ended", "err", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, log *slog.Logger, data, listen string) error {
	db, err := ferretdb.New(&ferretdb.Config{
		Listener: ferretdb.ListenerConfig{TCP: listen}, Logger: log, Handler: "sqlite", SQLiteURL: "file:" + data + "/",
	})
	if err != nil {
		return err
	}
	say("waiting for connections on " + listen)
	defer say("shutting down")
	return db.Run(ctx)
}

// say writes text to standard output and to syslog, if there is one.
func say(text string) {
	slog.Info(text)
	if w, err := syslog.New(syslog.LOG_INFO|syslog.LOG_DAEMON, "mongodb"); err == nil {
		_ = w.Info(text)
		_ = w.Close()
	}
}
