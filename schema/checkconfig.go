package schema

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxConfig is the most that a ConfigMap or Secret may hold, in bytes: the limit of Kubernetes.
const maxConfig = 1 << 20

// configKey is how the keys of ConfigMaps and Secrets look: names of files.
var configKey = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)

// Check is as [Pod.Check].
func (m *ConfigMap) Check() []Problem {
	c := &checker{}
	c.meta(&m.Meta)
	size := 0
	for _, k := range sortedKeys(m.Data) {
		c.configKey([]string{"data"}, k)
		size += len(k) + len(m.Data[k])
	}
	for _, k := range sortedKeys(m.BinaryData) {
		c.configKey([]string{"binaryData"}, k)
		size += len(k) + len(m.BinaryData[k])
		if _, ok := m.Data[k]; ok {
			c.add([]string{"binaryData", k}, "remove one of the two", "%q is in data too", k)
		}
	}
	c.configSize(size, "binaryData")
	return c.problems
}

// Check is as [Pod.Check].
func (s *Secret) Check() []Problem {
	c := &checker{}
	c.meta(&s.Meta)
	size := 0
	for _, k := range sortedKeys(s.Data) {
		c.configKey([]string{"data"}, k)
		size += len(k) + len(s.Data[k])
	}
	c.configSize(size, "stringData")
	if s.Type == SecretDockerJSON {
		const key = ".dockerconfigjson"
		if b, ok := s.Data[key]; !ok {
			c.add([]string{"data"}, "", "a secret of type %s needs the key %s", s.Type, key).because([]string{"data", key}, []string{"stringData", key})
		} else if !json.Valid(b) {
			c.add([]string{"data", key}, "", "is not JSON").also([]string{"stringData", key})
		}
	}
	return c.problems
}

func (c *checker) configKey(path []string, k string) {
	if !configKey.MatchString(k) || k == "." || strings.HasPrefix(k, "..") {
		c.add(at(path, k), "at most 253 letters, digits, '-', '_' and '.'", "the key %q is not well-formed", k)
	}
}

// configSize checks the size of what is in data and in another field.
func (c *checker) configSize(n int, other string) {
	if n > maxConfig {
		c.add([]string{"data"}, "", "holds %d bytes, more than %d", n, maxConfig).also([]string{other})
	}
}

// Check is as [Pod.Check].
func (n *Namespace) Check() []Problem {
	c := &checker{}
	c.meta(&n.Meta)
	return c.problems
}

// Annotations that the plan obeys. Whoever reads them may rely on their values being well-formed.
const (
	AnnotationMinReady       = settingPrefix + "min-ready-seconds" // of pods and templates: replaces the fleet's
	AnnotationMaxUnavailable = settingPrefix + "max-unavailable"   // of controllers: a number or a percentage
	AnnotationMaxSurge       = settingPrefix + "max-surge"         // of controllers: a number or a percentage
	AnnotationRollback       = settingPrefix + "rollback"          // of pods and controllers, "on" or "off": whether a failed update is undone
	AnnotationSuspend        = settingPrefix + "suspend"           // of pods and controllers: why nothing is to be done for them
	AnnotationProtect        = settingPrefix + "protect"           // of every kind: why it is not to be deleted
	AnnotationSuspendUntil   = settingPrefix + "suspend-until"     // the time (RFC 3339) at which that ends
	AnnotationReportOnly     = settingPrefix + "report-only"       // of pods, controllers and services: why what differs is said and not done
	AnnotationWhenLost       = settingPrefix + "when-lost"         // of pods and controllers: what becomes of them when their minion is lost
	AnnotationMovedFrom      = settingPrefix + "moved-from"        // of pods, controllers and services: what it was before, see [MovedFrom]
)

// settingPrefix begins every annotation of ours, so that one that is not known can be told from other people's.
const settingPrefix = "reconciler/"

var (
	seconds       = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,3})?$`)
	amountOrShare = regexp.MustCompile(`^([0-9]{1,6}|[0-9]{1,3}%)$`)
	onOrOff       = regexp.MustCompile(`^(on|off)$`)
	reason        = regexp.MustCompile(`\S`)
	timeOfDay     = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[-+]([01]\d|2[0-3]):[0-5]\d)$`)

	whenLost  = regexp.MustCompile(`^(keep|move|fence)$`)
	movedPod  = regexp.MustCompile(`^(Pod|ReplicationController)/[-._A-Za-z0-9]+$`)
	movedFrom = regexp.MustCompile(`^Service/[-._A-Za-z0-9]+$`)

	templateSettings = map[string]*regexp.Regexp{AnnotationMinReady: seconds}
	podSettings      = merged(orderSettings, map[string]*regexp.Regexp{AnnotationMinReady: seconds, AnnotationProtect: reason, AnnotationRollback: onOrOff, AnnotationSuspend: reason, AnnotationSuspendUntil: timeOfDay,
		AnnotationReportOnly: reason, AnnotationWhenLost: whenLost, AnnotationMovedFrom: movedPod})
	serviceSettings    = map[string]*regexp.Regexp{AnnotationProtect: reason, AnnotationReportOnly: reason, AnnotationMovedFrom: movedFrom}
	controllerSettings = merged(orderSettings, map[string]*regexp.Regexp{
		AnnotationMaxUnavailable: amountOrShare, AnnotationMaxSurge: amountOrShare, AnnotationProtect: reason, AnnotationRollback: onOrOff, AnnotationSuspend: reason, AnnotationSuspendUntil: timeOfDay,
		AnnotationReportOnly: reason, AnnotationWhenLost: whenLost, AnnotationMovedFrom: movedPod,
	})
	settingWords = merged(orderWords, map[string]string{
		AnnotationMinReady: "a number of seconds", AnnotationMaxUnavailable: "a number, or a percentage as 25%", AnnotationMaxSurge: "a number, or a percentage as 25%",
		AnnotationProtect: "a reason", AnnotationRollback: `"on" or "off"`, AnnotationSuspend: "a reason", AnnotationSuspendUntil: "a time, as 2014-12-15T19:18:36Z",
		AnnotationReportOnly: "a reason", AnnotationWhenLost: "keep, move or fence", AnnotationMovedFrom: "what it was, as ReplicationController/web: in the same namespace, which is part of what an object is known by",
	})
)

// merged is both.
func merged[V any](a, b map[string]V) map[string]V {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// settings checks the annotations that are ours.
func (c *checker) settings(path []string, annotations map[string]string, known map[string]*regexp.Regexp) {
	for _, k := range sortedKeys(annotations) {
		if !strings.HasPrefix(k, settingPrefix) {
			continue
		}
		r := known[k]
		if r == nil {
			names := sortedKeys(known)
			hint := "one of " + strings.Join(names, ", ")
			_, ofPod := known[AnnotationMinReady]
			_, ofController := known[AnnotationMaxSurge]
			if settingWords[k] != "" && (ofPod || ofController) {
				hint = "it belongs to the controller"
				if slices.Contains(sortedKeys(templateSettings), k) {
					hint = "it belongs to the pod or the template"
				}
			}
			c.add(at(path, k), hint, "the setting %q is unknown here", k)
			continue
		}
		if !r.MatchString(annotations[k]) {
			c.add(at(path, k), "", "got %s, want %s", strconv.Quote(annotations[k]), settingWords[k])
		}
	}
}
