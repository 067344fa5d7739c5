package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// instanceStatus says of one instance what was observed. Either desired or observed may be nil; progress is what its pull
// says, if one is under way.
func instanceStatus(desired *Desired, observed *Observed, m Memory, progress string, now time.Time) assignment.InstanceStatus {
	var s assignment.InstanceStatus
	switch {
	case desired != nil:
		s = assignment.InstanceStatus{ID: desired.ID, UID: desired.UID, Namespace: desired.Namespace, Pod: desired.Pod,
			Controller: desired.Controller, Hash: desired.Hash, Address: desired.Address, Fence: desired.Fence}
	default:
		s = assignment.InstanceStatus{ID: observed.ID, UID: observed.UID, Namespace: observed.Namespace, Pod: observed.Name,
			Controller: observed.Controller, Hash: observed.Hash, Address: observed.Address}
	}
	policy := schema.RestartAlways
	var names []string
	images := map[string]string{}
	if desired != nil && desired.Refused == "" {
		policy = desired.PodSpec.Restart()
		if desired.Phase == assignment.Drain || desired.Phase == assignment.Stop {
			policy = schema.RestartNever
		}
		for i := range desired.PodSpec.Containers {
			names = append(names, desired.PodSpec.Containers[i].Name)
			images[desired.PodSpec.Containers[i].Name] = desired.PodSpec.Containers[i].Image
		}
	}
	if observed != nil {
		for i := range observed.Containers {
			if !slices.Contains(names, observed.Containers[i].Name) {
				names = append(names, observed.Containers[i].Name)
			}
		}
	}
	running, ended := 0, 0
	for _, name := range names {
		c, over := containerStatus(name, images[name], observed.container(name), policy, m, now)
		if c.State == "running" {
			running++
			if c.StartedAt.After(s.Up) {
				s.Up = c.StartedAt
			}
		}
		if over {
			ended++
		}
		if s.Reason == "" && c.State == "waiting" {
			s.Reason, s.Message = c.Reason, prefixed(name, len(names), c.Message)
		}
		if s.Reason == "" && c.State == "terminated" && c.ExitCode != 0 {
			s.Reason, s.Message = c.Reason, prefixed(name, len(names), fmt.Sprintf("exit code %d", c.ExitCode))
		}
		s.Containers = append(s.Containers, c)
	}
	if len(names) > 0 && running == len(names) {
		s.UpFor = max(now.Sub(s.Up), 0)
	} else {
		s.Up = time.Time{}
	}
	started := observed != nil && len(observed.Containers) > 0
	switch {
	case len(names) > 0 && ended == len(names):
		s.State = assignment.Ended
	case started:
		s.State = assignment.Running
	default:
		s.State = assignment.Waiting
		if prepared(desired, m) {
			s.State, s.Reason, s.Message = assignment.Prepared, "", ""
		}
	}
	switch {
	case desired != nil && desired.Held && desired.Phase != assignment.Prepare && desired.Phase != assignment.Stop && ended < max(len(names), 1):
		s.Reason, s.Message = assignment.Fenced, "not running: without contact with the server for longer than its lease"
		if s.State == assignment.Running && !anyRunning(observed) {
			s.State = assignment.Waiting
		} else if s.State == assignment.Running {
			s.Message = "ending: without contact with the server for longer than its lease"
		}
	case desired == nil:
		s.Reason, s.Message = "Unassigned", "found on the minion, and not in its assignment"
	case desired.Refused != "":
		s.Reason, s.Message = "SpecRefused", desired.Refused
	case m.Reason != "" && (s.State == assignment.Waiting || s.Reason == "ContainerCreating"):
		s.Reason, s.Message = m.Reason, m.Message
	case progress != "" && s.State == assignment.Waiting:
		s.Reason, s.Message = "PullingImage", progress
	}
	return s
}

// prepared tells whether an instance in Prepare has its images.
func prepared(desired *Desired, m Memory) bool {
	if desired == nil || desired.Phase != assignment.Prepare || desired.Refused != "" {
		return false
	}
	for i := range desired.PodSpec.Containers {
		if !m.Images[desired.PodSpec.Containers[i].Image] {
			return false
		}
	}
	return true
}

// containerStatus says of one container what was observed, and whether it ended for good.
func containerStatus(name, image string, c *ObservedContainer, policy schema.RestartPolicy, m Memory, now time.Time) (s assignment.ContainerStatus, over bool) {
	s = assignment.ContainerStatus{Name: name, Image: image, State: "waiting", Reason: "ContainerCreating"}
	if c == nil {
		return s, false
	}
	if c.Image != "" {
		s.Image = c.Image
	}
	s.ID, s.Restarts, s.Last, s.StartedAt, s.Message = "containerd://"+c.ID, c.Attempt, c.Last, c.StartedAt, c.Message
	switch c.State {
	case Running:
		s.State, s.Reason = "running", ""
	case Exited:
		s.ExitCode, s.FinishedAt = c.ExitCode, c.FinishedAt
		if !restarts(policy, c) {
			s.State, s.Reason = "terminated", c.Reason
			return s, true
		}
		s.State, s.Reason = "waiting", "CrashLoopBackOff"
		s.Last = &assignment.LastExit{Reason: c.Reason, ExitCode: c.ExitCode, StartedAt: c.StartedAt, FinishedAt: c.FinishedAt}
		if restartAt(c).Sub(c.FinishedAt) <= backoffFirst {
			s.Reason = "Restarting"
		}
		s.Message = strings.TrimSpace(fmt.Sprintf("ended with %s (exit code %d); next restart at %s. %s",
			c.Reason, c.ExitCode, restartAt(c).UTC().Format(time.TimeOnly), c.Message))
		if c.Reason == assignment.Fenced {
			s.Reason, s.Message = c.Reason, "ended because the lease of its minion was over"
		}
		if m.Reason != "" && waits(m.Next, now) {
			s.Reason, s.Message = m.Reason, m.Message
		}
	}
	return s, false
}

// prefixed says which container a message is about, where there are several.
func prefixed(name string, of int, message string) string {
	if of > 1 && message != "" {
		return name + ": " + message
	}
	return message
}

// sameReport tells whether two reports say the same, the passing of time aside.
func sameReport(a, b []assignment.InstanceStatus) bool {
	return slices.EqualFunc(a, b, func(x, y assignment.InstanceStatus) bool {
		x.UpFor, y.UpFor = 0, 0
		cx, cy := x.Containers, y.Containers
		x.Containers, y.Containers = nil, nil
		return fmt.Sprint(x) == fmt.Sprint(y) && slices.EqualFunc(cx, cy, sameContainer)
	})
}

// sameContainer compares two container states with what they point to.
func sameContainer(x, y assignment.ContainerStatus) bool {
	lx, ly := x.Last, y.Last
	x.Last, y.Last = nil, nil
	return x == y && (lx == nil) == (ly == nil) && (lx == nil || *lx == *ly)
}
