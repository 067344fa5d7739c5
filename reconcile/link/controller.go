package link

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
)

// received is what the server sent.
type received struct {
	work      *assignment.Assignment
	table     *assignment.Table
	workHash  [sha256.Size]byte // of the bytes of work; zero while it is nil
	tableHash [sha256.Size]byte
	workErr   string // why the newest was not taken over
	tableErr  string
	contact   assignment.Contact // the newest
}

// said is what the agent has to say. The counters rise with each change, so that a sender sees what it has not sent.
type said struct {
	table, work assignment.Generation
	err         string
	acks        uint64
	report      *linkpb.Report // nil until there is one; without images
	reports     uint64
	images      *linkpb.Images // nil until they are known
	listed      []assignment.Image
	lists       uint64
}

// Latest is the newest assignment and table received, nil until there is one.
func (c *Client) Latest() (*assignment.Assignment, *assignment.Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received.work, c.received.table
}

// Contact is the newest contact; the zero value before the first, and if the server does not answer beats.
func (c *Client) Contact() assignment.Contact {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received.contact
}

// Changed receives after Latest or the number of the contact changed; it has room for one.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// Ack says which generations are in force; a zero one says nothing. It is sent at once if the link is up, repeated with
// every heartbeat and said again on every new stream.
func (c *Client) Ack(table, work assignment.Generation, err string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.said
	if !table.IsZero() {
		c.said.table = table
	}
	if !work.IsZero() {
		c.said.work = work
	}
	c.said.err = err
	if c.said.table != before.table || c.said.work != before.work || c.said.err != before.err {
		c.said.acks++
		poke(c.wake)
	}
}

// Report replaces the last report. It is sent at once if the link is up, and again on every new stream. The list of images is
// sent on its own, before it, and only when it is another one.
func (c *Client) Report(r assignment.Report) {
	images := r.Images
	r.Images = nil
	report, packed := new(linkpb.Report), new(linkpb.Images)
	var err error
	if report.Encoding, report.Payload, err = encode(r); err != nil {
		c.log.Error("report was not encoded", "minion", c.config.Minion, "err", err)
		return
	}
	c.mu.Lock()
	same := images == nil || c.said.images != nil && slices.Equal(images, c.said.listed)
	c.mu.Unlock()
	if !same {
		if packed.Encoding, packed.Payload, err = encode(images); err != nil {
			c.log.Error("list of images was not encoded", "minion", c.config.Minion, "err", err)
			same = true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !same {
		c.said.images, c.said.listed = packed, images
		c.said.lists++
	}
	c.said.report = report
	c.said.reports++
	poke(c.wake)
}

// encode is v as JSON, packed, small enough for a message.
func encode(v any) (encoding uint32, payload []byte, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return 0, nil, err
	}
	encoding, payload = pack(b)
	if len(b) > maxWhole || len(payload) > maxMessage-1024 {
		return 0, nil, fmt.Errorf("%d bytes are too many", len(b))
	}
	return encoding, payload, nil
}

// take takes the content of a table over.
func (c *Client) takeTable(content []byte, g assignment.Generation) error {
	t := new(assignment.Table)
	// Fields that this agent does not know are passed over: an older agent goes on routing.
	if err := json.Unmarshal(content, t); err != nil {
		return fmt.Errorf("read table: %w", err)
	}
	if t.Generation != g {
		return fmt.Errorf("read table: it is generation %v and was sent as %v", t.Generation, g)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received.table, c.received.tableHash = t, sha256.Sum256(content)
	return nil
}

// takeWork takes the content of an assignment over.
func (c *Client) takeWork(content []byte, g assignment.Generation) error {
	a := new(assignment.Assignment)
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields() // what is to run is understood as a whole or not at all
	if err := d.Decode(a); err != nil {
		return fmt.Errorf("read assignment: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("read assignment: something follows it")
	}
	if a.Generation != g || a.Minion != c.config.Minion {
		return fmt.Errorf("read assignment: it is generation %v of minion %q and was sent as %v to %q", a.Generation, a.Minion, g, c.config.Minion)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received.work, c.received.workHash = a, sha256.Sum256(content)
	return nil
}

// took notes how taking over went, nil if well, in the field that where points to.
func (c *Client) took(where *string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	if *where != text {
		*where = text
		c.said.acks++
		poke(c.wake)
	}
	if err == nil {
		poke(c.changed)
	}
}

// lease is how long fenced instances may run without contact, 0 if there are none.
func (c *Client) lease() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.received.work == nil {
		return 0
	}
	return c.received.work.Lease
}

// met takes a contact over, unless a later one is known.
func (c *Client) met(m assignment.Contact) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.received.contact
	if m.Sent <= old.Sent {
		return
	}
	c.received.contact = m
	if m.Epoch != old.Epoch || m.Number != old.Number {
		poke(c.changed)
	}
}

// ack is the present acknowledgement; c.mu is held.
func (c *Client) ack() *linkpb.Ack {
	a := &linkpb.Ack{Table: toGeneration(c.said.table), Work: toGeneration(c.said.work)}
	for _, e := range []string{c.said.err, c.received.tableErr, c.received.workErr} {
		if e != "" && a.Error != "" {
			a.Error += "; "
		}
		a.Error += e
	}
	const longest = 64 << 10
	if len(a.Error) > longest {
		a.Error = a.Error[:longest]
	}
	a.Error = strings.ToValidUTF8(a.Error, "?") // or protobuf would refuse the message
	return a
}
