package containerd

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/identifiers"

	"reconciler/agent"
	"reconciler/reconcile/assignment"
)

// The labels of our containers. What has no labelInstance is not ours.
const (
	labelInstance   = "reconciler/instance"
	labelUID        = "reconciler/uid"
	labelNamespace  = "reconciler/namespace"
	labelPod        = "reconciler/pod"
	labelController = "reconciler/controller"
	labelHash       = "reconciler/hash"
	labelAddress    = "reconciler/address"
	labelContainer  = "reconciler/container"
	labelAttempt    = "reconciler/attempt"
	labelGroup      = "reconciler/group"       // slot of the shim
	labelStopSignal = "reconciler/stop-signal" // the image's
	labelLast       = "reconciler/last"        // JSON of the assignment.LastExit of the attempt before
)

const ours = `labels."` + labelInstance + `"`

// containerID is "<instance>.<container>.<attempt>" if containerd takes that as an id, else begins with its hash.
func containerID(instance, container string, attempt int) string {
	id := fmt.Sprintf("%s.%s.%d", instance, container, attempt)
	if identifiers.Validate(id) == nil {
		return id
	}
	h := sha256.Sum256([]byte(instance + "\x00" + container))
	return fmt.Sprintf("%s.%d", hex.EncodeToString(h[:16]), attempt)
}

func podLabels(p agent.Pod, container string, attempt, slot int, stopSignal string, last *assignment.LastExit) (map[string]string, error) {
	l := map[string]string{
		labelInstance: p.ID, labelUID: p.UID, labelNamespace: p.Namespace, labelPod: p.Name, labelController: p.Controller,
		labelHash: p.Hash, labelAddress: addrString(p), labelContainer: container, labelAttempt: strconv.Itoa(attempt),
		labelGroup: strconv.Itoa(slot),
	}
	if stopSignal != "" {
		l[labelStopSignal] = stopSignal
	}
	if last != nil {
		b, err := json.Marshal(last)
		if err != nil {
			return nil, fmt.Errorf("encode last exit: %w", err)
		}
		l[labelLast] = string(b)
	}
	return l, nil
}

// attemptOf reads a container's labels; what cannot be read is zero.
func attemptOf(c containers.Container) (attempt int, last *assignment.LastExit) {
	attempt, _ = strconv.Atoi(c.Labels[labelAttempt])
	if s := c.Labels[labelLast]; s != "" {
		last = new(assignment.LastExit)
		if json.Unmarshal([]byte(s), last) != nil {
			last = nil
		}
	}
	return attempt, last
}

func (i identity) observed() agent.Observed {
	addr, _ := netip.ParseAddr(i.Address)
	return agent.Observed{ID: i.ID, UID: i.UID, Namespace: i.Namespace, Name: i.Name, Controller: i.Controller, Hash: i.Hash, Address: addr}
}

func labelled(c containers.Container) identity {
	l := c.Labels
	return identity{l[labelInstance], l[labelUID], l[labelNamespace], l[labelPod], l[labelController], l[labelHash], l[labelAddress]}
}
