package reconcile

import (
	"slices"
	"strings"

	"reconciler/schema"
)

// Code is a reason in one stable word, for programs. More may come: a program takes one that it does not know for its verb.
type Code string

// Why a change is to be made.
const (
	CodeNew         Code = "new"            // Create: the object is new in Git
	CodeDeclared    Code = "declared"       // Create: it was declared before and does not run yet, or not any more
	CodeScaled      Code = "scaled"         // Create, Delete: the number of replicas changed
	CodeSpecChanged Code = "spec-changed"   // Replace
	CodeMinionLost  Code = "minion-lost"    // Move; also what a bare pod waits for
	CodeTainted     Code = "minion-tainted" // Move off a minion with a NoExecute taint
	CodeDisplaced   Code = "displaced"      // Delete: a pod of a higher priority takes its place
	CodeNotInGit    Code = "not-in-git"     // Delete
	CodeSuperseded  Code = "superseded"     // Delete: another instance stands in its place
	CodeRouted      Code = "routed"         // Route: its addresses or ports change
	CodeEndpoints   Code = "endpoints"      // Route: only which endpoints are ready
	CodeNotRouted   Code = "not-routed"     // Create of a service that this release cannot route
	CodeMeta        Code = "metadata"       // Update: labels or annotations
	CodeSettings    Code = "settings"       // Update of the Cluster object
	CodePortal      Code = "portal-ip"      // Update of a service that asks for another one
	CodeMoved       Code = "moved"          // Update: what another object had goes on as this one's
	CodeFound       Code = "found"          // Delete: drift, nobody decided to run it
	CodeDrift       Code = "drift"          // Restart
)

// What a change waits for.
const (
	CodeNoRoom       Code = "no-room"       // it fits on no minion
	CodeNeedsFeature Code = "needs-feature" // this release cannot do what it asks for
	CodeImageMissing Code = "image-missing" // its image cannot be pulled
	CodeFailing      Code = "failing"       // it starts and ends, or does not start
	CodeRefused      Code = "refused"       // it can never be done as declared
	CodeInTurn       Code = "in-turn"       // another change comes first
	CodeSuspended    Code = "suspended"     // people said so, in Git or by the command line
	CodeReportOnly   Code = "report-only"   // people want to be told, and nothing done
	CodeDependency   Code = "dependency"    // an object of a lower wave, or that it depends on, is not as declared or not well
)

// nameCodes gives every change its codes, where the place that made it gave none.
func (c *step) nameCodes() {
	for i := range c.plan.Changes {
		ch := &c.plan.Changes[i]
		if ch.Code == "" {
			ch.Code = c.code(ch)
		}
		if ch.Waiting != "" && ch.WaitingCode == "" {
			ch.WaitingCode = c.waitingCode(ch)
		}
	}
}

// code is why a change is to be made.
func (c *step) code(ch *Change) Code {
	switch ch.Verb {
	case Create:
		if ch.Object.Kind == schema.KindService {
			return CodeNotRouted
		}
		return c.createCode(ch.Object)
	case Replace:
		return CodeSpecChanged
	case Move:
		if !c.st.Minions[c.before(ch.Old).Minion].Lost.IsZero() {
			return CodeMinionLost
		}
		return CodeTainted
	case Delete:
		b := c.binding(ch.Instance)
		w := c.of.by.get(ch.Object)
		switch {
		case strings.HasPrefix(b.Reason, displacedBy):
			return CodeDisplaced
		case c.isWanted(&b):
			return CodeSuperseded
		case w != nil && w.controller != "":
			return CodeScaled
		}
		return CodeNotInGit
	case Update:
		switch ch.Object.Kind {
		case schema.KindCluster:
			return CodeSettings
		case schema.KindService:
			return CodePortal
		}
		return CodeMeta
	case Restart:
		return CodeDrift
	}
	return CodeRouted
}

// pullReasons are those for which an image is missing.
var pullReasons = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}

// createCode is why a pod of an object is to be made.
func (c *step) createCode(k schema.Key) Code {
	had, count := c.was.replicas(c.earlier(k)), c.of.replicas(k)
	if had > 0 && had < count {
		return CodeScaled
	}
	if _, known := c.in.State.Objects[k.String()]; known {
		return CodeDeclared
	}
	return CodeNew
}

// waitingCode is what a change waits for.
func (c *step) waitingCode(ch *Change) Code {
	old := c.in.State.Bindings.Get(ch.Old)
	o := c.observedOf(ch.Instance)
	switch {
	case !ch.Blocked:
		return CodeInTurn
	case ch.Verb == Update:
		return CodeRefused
	case ch.Object.Kind == schema.KindService:
		return CodeNeedsFeature
	case old != nil && old.Controller == "" && !c.st.Minions[old.Minion].Lost.IsZero():
		return CodeMinionLost
	case ch.Instance == "" && (strings.HasPrefix(ch.Waiting, "needs ") || !c.agentCan(ch.Object)):
		return CodeNeedsFeature
	case ch.Instance == "":
		return CodeNoRoom
	case o != nil && slices.Contains(pullReasons, o.Reason):
		return CodeImageMissing
	}
	return CodeFailing
}

// agentCan tells whether the agent of some minion can do all that the pods of an object need.
func (c *step) agentCan(k schema.Key) bool {
	w := c.of.by.get(k)
	if w == nil {
		return true
	}
	spec, _, _ := c.effective(w)
	needs := agentNeeds(spec)
	if w.onLoss == fence {
		needs = append(needs, schema.FeatureFence)
	}
	if len(needs) == 0 {
		return true
	}
	for _, m := range c.in.Minions {
		if m.Report != nil && !slices.ContainsFunc(needs, func(f schema.Feature) bool { return !slices.Contains(m.Report.Features, f) }) {
			return true
		}
	}
	return false
}
