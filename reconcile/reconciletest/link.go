package reconciletest

import (
	"fmt"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// message is what travels down to an agent: one of these.
type message struct {
	table *assignment.Table
	work  *assignment.Assignment
	heard *assignment.Contact
}

func (m message) String() string {
	if m.table != nil {
		return "table " + m.table.Generation.String()
	}
	if m.heard != nil {
		return fmt.Sprintf("contact %d, sent at %s", m.heard.Number, m.heard.Sent)
	}
	return "assignment " + m.work.Generation.String()
}

// answer is what travels up: an acknowledgement, and sometimes a report.
type answer struct {
	table, work assignment.Generation
	err         string
	sent        time.Duration // by the minion's uptime
	report      *assignment.Report
}

func (m *minion) send(x message) {
	m.down = append(m.down, x)
	m.sent = append(m.sent, x)
}

// said is what the running server knows of the minion.
func (m *minion) said() reconcile.Minion {
	if m.sim.server == nil {
		return reconcile.Minion{}
	}
	return m.sim.server.minions[m.name]
}

// hear lets the server know something of the minion; a stream that it takes for live is.
func (m *minion) hear(a answer) {
	k := m.said()
	if k.Contact == 0 || m.sim.serverTime().Sub(k.LastSeen) >= assignment.MinLease {
		k.Contact++
	}
	k.Connected, k.LastSeen = true, m.sim.serverTime()
	m.heard = m.sim.now
	if !a.table.IsZero() {
		k.Table = a.table
	}
	if !a.work.IsZero() {
		k.Work = a.work
	}
	k.Error = a.err
	if a.report != nil {
		k.Report, k.Reported = a.report, k.LastSeen
	}
	m.sim.server.minions[m.name] = k
	if m.linked {
		m.down = append(m.down, message{heard: &assignment.Contact{Epoch: m.sim.server.epoch, Number: k.Contact, Sent: a.sent}})
	}
}

// connect makes a stream if there is a way: the agent says what it has in force, and is sent the newest.
func (m *minion) connect() {
	if m.linked || m.cut || m.proc == nil || m.sim.server == nil {
		return
	}
	m.linked = true
	m.hear(answer{table: m.proc.acked.table, work: m.proc.acked.work, sent: m.uptime()})
	if m.proc.report != nil {
		m.up = append(m.up, answer{report: m.proc.report, sent: m.uptime()})
	}
	if t := m.sim.server.table; t != nil {
		m.send(message{table: t})
	}
	if w := m.sim.server.work[m.name]; w != nil {
		m.send(message{work: w})
	}
	m.sim.say("%s: connects", m.name)
}

// mend ends a partition, or makes a stream.
func (m *minion) mend() {
	if m.cut {
		m.cut = false
		m.sim.say("%s: is reached again", m.name)
		return
	}
	m.connect()
}

// unlink ends the stream: what was on its way is lost. The server notices when it notices.
func (m *minion) unlink() { m.linked, m.down, m.up, m.parted = false, nil, nil, m.sim.now }

func (m *minion) cutOff() {
	m.cut = true
	m.unlink()
	m.sim.say("%s: is cut off", m.name)
}

// notice lets the server see that a stream is dead.
func (m *minion) notice() {
	if m.sim.server == nil || m.linked {
		return
	}
	k := m.said()
	k.Connected = false
	m.sim.server.minions[m.name] = k
	m.sim.say("%s: the server sees that it is away", m.name)
}

// deliver brings the agent the next message.
func (m *minion) deliver() {
	if len(m.down) == 0 {
		m.connect()
		return
	}
	x := m.down[0]
	m.down = m.down[1:]
	m.take(x)
	m.sim.say("%s: gets %s", m.name, x)
}

func (m *minion) take(x message) {
	switch {
	case x.table != nil:
		m.proc.table = x.table
	case x.work != nil:
		m.proc.assigned = x.work
	case x.heard.Sent > m.proc.contact.Sent:
		m.proc.contact = *x.heard
	}
}

// doubled lets the agent get a message again that it had, or that was lost.
func (m *minion) doubled() {
	if m.proc == nil || !m.linked || len(m.down) == 0 {
		return
	}
	m.down = append([]message{m.down[0]}, m.down...)
	m.sim.say("%s: %s is doubled", m.name, m.down[0])
}

// stale lets the agent get any message that was ever sent to it, as by a server that should be dead; that stream ends.
func (m *minion) stale() {
	if m.proc == nil || len(m.sent) == 0 {
		return
	}
	x := pick(m.sim, m.sent)
	m.unlink()
	m.take(x)
	m.sim.say("%s: gets %s from an old server", m.name, x)
	m.step()
	m.route()
}

// receive brings the server the minion's next answer; sometimes it comes twice.
func (m *minion) receive() {
	if len(m.up) == 0 || m.sim.server == nil {
		return
	}
	a := m.up[0]
	if !m.sim.one(8) {
		m.up = m.up[1:]
	}
	m.hear(a)
	m.sim.say("%s: %s", m.name, a)
}

func (a answer) String() string {
	if a.report == nil {
		return fmt.Sprintf("acknowledges table %s, work %s %s", a.table, a.work, a.err)
	}
	what := "reports"
	for _, i := range a.report.Instances {
		what += fmt.Sprintf(" %s=%s", i.ID, i.State)
	}
	return what
}
