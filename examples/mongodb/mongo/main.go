// Mongo is a small client of a MongoDB server for the examples: it reads a few of the shell's commands from standard input.
//
//	echo "show dbs" | mongo 10.245.2.2
//
// The commands are show dbs, use DB, show collections, db.COLL.count(), db.COLL.find(), db.COLL.insert({...}), and
// "tasks N WORKERS [MINUTES]", which waits until Celery's result collection holds N results of at least so many workers.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

func main() {
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "Usage: mongo HOST[:PORT][/DB] < COMMANDS") }
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(context.Background(), flag.Arg(0), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mongo:", err)
		os.Exit(1)
	}
}

// timeout is how long one command may take; the server may be starting.
const timeout = 20 * time.Second

type shell struct {
	client *mongo.Client
	db     string
	out    io.Writer
}

func run(ctx context.Context, address string, in io.Reader, out io.Writer) error {
	host, db, _ := strings.Cut(address, "/")
	if db == "" {
		db = "test"
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "27017")
	}
	opts := options.Client().ApplyURI("mongodb://" + host + "/").SetServerSelectionTimeout(timeout).SetDirect(true)
	client, err := mongo.Connect(ctx, opts)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", host, err)
	}
	defer func() { _ = client.Disconnect(ctx) }()
	s := shell{client: client, db: db, out: out}
	scan := bufio.NewScanner(in)
	for scan.Scan() {
		line := strings.TrimSuffix(strings.TrimSpace(scan.Text()), ";")
		if line == "" {
			continue
		}
		if line == "exit" || line == "quit()" {
			break
		}
		if err := s.do(ctx, line); err != nil {
			return fmt.Errorf("run %q: %w", line, err)
		}
	}
	return scan.Err()
}

var call = regexp.MustCompile(`^db\.([A-Za-z0-9_.]+)\.(count|find|insert)\((.*)\)$`)

func (s *shell) do(ctx context.Context, line string) error {
	words := strings.Fields(line)
	if words[0] == "tasks" {
		return s.tasks(ctx, words[1:])
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch {
	case line == "show dbs" || line == "show databases":
		r, err := s.client.ListDatabases(ctx, bson.D{})
		if err != nil {
			return err
		}
		for _, d := range r.Databases {
			fmt.Fprintf(s.out, "%-8s %.3fGB\n", d.Name, float64(d.SizeOnDisk)/(1<<30))
		}
		return nil
	case line == "show collections":
		names, err := s.client.Database(s.db).ListCollectionNames(ctx, bson.D{})
		sort.Strings(names)
		for _, n := range names {
			fmt.Fprintln(s.out, n)
		}
		return err
	case words[0] == "use" && len(words) == 2:
		s.db = words[1]
		fmt.Fprintln(s.out, "switched to db", s.db)
		return nil
	}
	m := call.FindStringSubmatch(line)
	if m == nil {
		return errors.New("unknown command")
	}
	coll := s.client.Database(s.db).Collection(m[1])
	var doc bson.D
	if arg := strings.TrimSpace(m[3]); arg != "" {
		if err := bson.UnmarshalExtJSON([]byte(arg), false, &doc); err != nil {
			return fmt.Errorf("read document: %w", err)
		}
	}
	if doc == nil {
		doc = bson.D{}
	}
	switch m[2] {
	case "count":
		n, err := coll.CountDocuments(ctx, doc)
		if err != nil {
			return err
		}
		fmt.Fprintln(s.out, n)
	case "insert":
		if _, err := coll.InsertOne(ctx, doc); err != nil {
			return err
		}
		fmt.Fprintln(s.out, `WriteResult({ "nInserted" : 1 })`)
	case "find":
		return s.find(ctx, coll, doc)
	}
	return nil
}

func (s *shell) find(ctx context.Context, coll *mongo.Collection, filter bson.D) error {
	cur, err := coll.Find(ctx, filter, options.Find().SetLimit(20))
	if err != nil {
		return err
	}
	defer func() { _ = cur.Close(ctx) }()
	for cur.Next(ctx) {
		b, err := bson.MarshalExtJSON(cur.Current, false, false)
		if err != nil {
			return err
		}
		fmt.Fprintln(s.out, string(b))
	}
	return cur.Err()
}

// result is a document that Celery's result backend writes.
type result struct {
	Status string `bson:"status"`
	Result string `bson:"result"` // JSON
}

var workerOf = regexp.MustCompile(`"worker":\s*"([^"]+)"`)

// tasks waits for N successful results by at least WORKERS workers and prints who did how many.
func (s *shell) tasks(ctx context.Context, args []string) error {
	var n [3]int
	n[2] = 3
	if len(args) < 2 || len(args) > 3 {
		return errors.New("usage: tasks N WORKERS [MINUTES]")
	}
	for i, a := range args {
		v, err := strconv.Atoi(a)
		if err != nil {
			return err
		}
		n[i] = v
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(n[2])*time.Minute)
	defer cancel()
	var last error
	for {
		by, total, err := s.results(ctx)
		if err == nil && total >= n[0] && len(by) >= n[1] {
			fmt.Fprintf(s.out, "%d tasks executed and their results read back from celery.celery_taskmeta:\n", total)
			var workers []string
			for w := range by {
				workers = append(workers, w)
			}
			sort.Strings(workers)
			for _, w := range workers {
				fmt.Fprintf(s.out, "%6d by %s\n", by[w], w)
			}
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%d results by %d workers", total, len(by))
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d results by %d workers: gave up after %d min: %w", n[0], n[1], n[2], last)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// results counts the successful results of each worker.
func (s *shell) results(ctx context.Context) (by map[string]int, total int, err error) {
	cur, err := s.client.Database("celery").Collection("celery_taskmeta").Find(ctx, bson.D{{Key: "status", Value: "SUCCESS"}})
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = cur.Close(ctx) }()
	by = map[string]int{}
	for cur.Next(ctx) {
		var r result
		if err := cur.Decode(&r); err != nil {
			return nil, 0, err
		}
		if m := workerOf.FindStringSubmatch(r.Result); m != nil {
			by[m[1]]++
			total++
		}
	}
	return by, total, cur.Err()
}
