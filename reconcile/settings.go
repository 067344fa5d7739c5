package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"reconciler/schema"
)

// setting is one setting by its name in a Cluster object.
type setting struct {
	name string
	git  func(*schema.ClusterSpec) string // as the object has it; "" if it does not
	show func(*Settings) string           // as it is in force; nil if nothing obeys it yet
	set  func(*Settings, *schema.ClusterSpec)
}

// settings are all of them. A Cluster object was checked when it was loaded, so that its networks parse.
var settings = []setting{
	{"portalNet", func(c *schema.ClusterSpec) string { return c.PortalNet }, func(s *Settings) string { return s.PortalNet.String() },
		func(s *Settings, c *schema.ClusterSpec) { s.PortalNet = network(c.PortalNet, s.PortalNet) }},
	{"podNet", func(c *schema.ClusterSpec) string { return c.PodNet }, func(s *Settings) string { return s.PodNet.String() },
		func(s *Settings, c *schema.ClusterSpec) { s.PodNet = network(c.PodNet, s.PodNet) }},
	{"publicNets", func(c *schema.ClusterSpec) string { return strings.Join(c.PublicNets, ", ") }, showNets,
		func(s *Settings, c *schema.ClusterSpec) {
			s.PublicNets = nil
			for _, n := range c.PublicNets {
				s.PublicNets = append(s.PublicNets, network(n, netip.Prefix{}))
			}
		}},
	{"fuse.share", func(c *schema.ClusterSpec) string { return showShare(c.Fuse.Share) }, func(s *Settings) string { return showShare(&s.FuseShare) },
		func(s *Settings, c *schema.ClusterSpec) { s.FuseShare = *c.Fuse.Share }},
	{"fuse.count", func(c *schema.ClusterSpec) string { return showNumber(c.Fuse.Count) }, func(s *Settings) string { return strconv.Itoa(s.FuseCount) },
		func(s *Settings, c *schema.ClusterSpec) { s.FuseCount = *c.Fuse.Count }},
	{"drainTimeoutSeconds", func(c *schema.ClusterSpec) string { return showNumber(c.DrainTimeoutSeconds) }, func(s *Settings) string { return showSeconds(s.DrainTimeout) },
		func(s *Settings, c *schema.ClusterSpec) { s.DrainTimeout = seconds(c.DrainTimeoutSeconds) }},
	{"lostAfterSeconds", func(c *schema.ClusterSpec) string { return showNumber(c.LostAfterSeconds) }, func(s *Settings) string { return showSeconds(s.LostAfter) },
		func(s *Settings, c *schema.ClusterSpec) { s.LostAfter = seconds(c.LostAfterSeconds) }},
	{"restSeconds", func(c *schema.ClusterSpec) string { return showNumber(c.RestSeconds) }, func(s *Settings) string { return showSeconds(s.Rest) },
		func(s *Settings, c *schema.ClusterSpec) { s.Rest = seconds(c.RestSeconds) }},
	{"update.minReadySeconds", func(c *schema.ClusterSpec) string { return showNumber(c.Update.MinReadySeconds) }, func(s *Settings) string { return showSeconds(s.MinReady) },
		func(s *Settings, c *schema.ClusterSpec) { s.MinReady = seconds(c.Update.MinReadySeconds) }},
	{"update.maxUnavailable", func(c *schema.ClusterSpec) string { return string(c.Update.MaxUnavailable) }, func(s *Settings) string { return cmp.Or(s.MaxUnavailable, defaultUnavailable) },
		func(s *Settings, c *schema.ClusterSpec) { s.MaxUnavailable = string(c.Update.MaxUnavailable) }},
	{"update.maxSurge", func(c *schema.ClusterSpec) string { return string(c.Update.MaxSurge) }, func(s *Settings) string { return cmp.Or(s.MaxSurge, defaultSurge) },
		func(s *Settings, c *schema.ClusterSpec) { s.MaxSurge = string(c.Update.MaxSurge) }},
	{"update.rollback", func(c *schema.ClusterSpec) string { return c.Update.Rollback }, showRollback,
		func(s *Settings, c *schema.ClusterSpec) { s.NoRollback = c.Update.Rollback == rollbackOff }},
	{"update.progressSeconds", func(c *schema.ClusterSpec) string { return showNumber(c.Update.ProgressSeconds) }, func(s *Settings) string { return showSeconds(cmp.Or(s.Progress, defaultProgress)) },
		func(s *Settings, c *schema.ClusterSpec) { s.Progress = seconds(c.Update.ProgressSeconds) }},
	{"apply", func(c *schema.ClusterSpec) string { return c.Apply }, showApply, func(s *Settings, c *schema.ClusterSpec) { s.Manual = c.Apply == applyManual }},

	{"domain", func(c *schema.ClusterSpec) string { return c.Domain }, nil, nil},
}

func network(text string, otherwise netip.Prefix) netip.Prefix {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return otherwise
	}
	return p.Masked()
}

func seconds(n *int64) time.Duration { return time.Duration(*n) * time.Second }

func showNumber[T int | int64](n *T) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

func showShare(f *float64) string {
	if f == nil {
		return ""
	}
	return strconv.FormatFloat(*f, 'g', -1, 64)
}

func showSeconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) }

func showRollback(s *Settings) string {
	if s.NoRollback {
		return rollbackOff
	}
	return "on"
}

// applyManual has new revisions wait.
const applyManual = "manual"

func showApply(s *Settings) string {
	if s.Manual {
		return applyManual
	}
	return "auto"
}

func showNets(s *Settings) string {
	var nets []string
	for _, n := range s.PublicNets {
		nets = append(nets, n.String())
	}
	return strings.Join(nets, ", ")
}

// With is the settings with what a Cluster object sets in their place, but for those that are fixed. nil sets nothing.
func (s Settings) With(c *schema.Cluster) Settings {
	if c == nil {
		return s
	}
	for _, x := range settings {
		if x.set != nil && x.git(&c.Spec) != "" && s.Fixed[x.name] == "" {
			x.set(&s, &c.Spec)
		}
	}
	return s
}

// nets says why the networks cannot become those of next; "" if they can. Addresses that are in use stay what they are, so
// a network may not leave one out.
func (c *step) nets(next Settings) string {
	refuse := func(format string, args ...any) string {
		return fmt.Sprintf("revision %.12s is stalled: %s", c.in.Revision.Hash, fmt.Sprintf(format, args...))
	}
	now := c.in.Settings
	if next.PortalNet == now.PortalNet && next.PodNet == now.PodNet {
		return ""
	}
	if next.PortalNet.Overlaps(next.PodNet) {
		return refuse("the portalNet %s and the podNet %s overlap", next.PortalNet, next.PodNet)
	}
	if next.PortalNet != now.PortalNet {
		for _, k := range slices.Sorted(maps.Keys(c.st.Objects)) {
			if a := c.st.Objects[k].Portal; a.IsValid() && !next.PortalNet.Contains(a) {
				return refuse("the portalNet cannot change from %s to %s while %s has the portal IP %s. Delete the services in a commit before", now.PortalNet, next.PortalNet, k, a)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.st.Minions)) {
		n := c.st.Minions[name]
		switch {
		case next.PodNet != now.PodNet && n.Network.IsValid() && !(next.PodNet.Contains(n.Network.Addr()) && next.PodNet.Bits() <= n.Network.Bits()):
			return refuse("the podNet cannot change from %s to %s while minion %s has the network %s. Choose one that holds both, or start the server with --pod-net before a minion joins", now.PodNet, next.PodNet, name, n.Network)
		case n.Address.IsValid() && (next.PortalNet.Contains(n.Address) || next.PodNet.Contains(n.Address)):
			return refuse("minion %s has the address %s, which is in the portalNet %s or the podNet %s", name, n.Address, next.PortalNet, next.PodNet)
		}
	}
	return ""
}

// changeSettings takes the settings of an accepted set into force, and says what that changes.
func (c *step) changeSettings(next Settings) {
	was, is := c.st.Accepted.Cluster(), c.in.Set.Cluster()
	about := is
	reason := "the settings change"
	switch {
	case is == nil && was == nil:
		return
	case is == nil:
		about, reason = was, "not in Git any more: the settings are those of the server again"
	case was == nil:
		reason = "new in Git"
	}
	var details []Detail
	for _, x := range settings {
		from, to := gitText(x, was), gitText(x, is)
		if x.show != nil {
			from, to = x.show(&c.in.Settings), x.show(&next)
		}
		if from != to {
			details = append(details, Detail{Path: "spec." + x.name, From: from, To: to})
		}
	}
	c.in.Settings = next
	if len(details) > 0 {
		c.change(Change{Verb: Update, Object: about.Key(), Reason: reason, Details: details})
	}
}

func gitText(x setting, c *schema.Cluster) string {
	if c == nil {
		return ""
	}
	return x.git(&c.Spec)
}

// warnSettings says which settings of the set in force are not obeyed.
func (c *step) warnSettings() {
	k := c.set.Cluster()
	if k == nil {
		return
	}
	for _, x := range settings {
		text := x.git(&k.Spec)
		switch {
		case text == "":
		case x.show == nil:
			c.warn("%s: spec.%s is not obeyed yet: %s", k.Key(), x.name, unobeyed[x.name])
		case c.base.Fixed[x.name] != "":
			told := c.base
			x.set(&told, &k.Spec)
			if now := x.show(&c.in.Settings); now != x.show(&told) {
				c.warn("%s: spec.%s %s is not obeyed: the server was started with %s %s", k.Key(), x.name, text, c.base.Fixed[x.name], now)
			}
		}
	}
}

// unobeyed is what is done instead of what a setting asks for.
var unobeyed = map[string]string{
	"domain": "there is no DNS server of the fleet",
}
