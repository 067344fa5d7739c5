package load

import (
	"slices"
	"strings"

	"reconciler/schema"
	"reconciler/schema/v1beta1"
)

// The apiVersions that are read.
const (
	versionV1      = "v1"
	versionV1beta1 = "v1beta1"
	versionV1beta2 = "v1beta2"
	versionOwn     = "reconciler/v1"
)

// definitionKey names a definition: of a kind, or of what has none, as kindManifest.
type definitionKey struct {
	version string
	kind    schema.Kind
}

// kindManifest is a container manifest without a pod around it, as the agents of 2014 read them. It becomes a Pod.
const kindManifest schema.Kind = "ContainerManifest"

// kindMinion is what 2014 called a Node.
const kindMinion schema.Kind = "Minion"

// canonicalKind is the kind of the object that a document of a kind becomes.
func canonicalKind(k schema.Kind) schema.Kind {
	switch k {
	case kindManifest:
		return schema.KindPod
	case kindMinion:
		return schema.KindNode
	}
	return k
}

// apiVersion is the definitions of one version and how what has passed them is decoded.
type apiVersion struct {
	name     string
	cue      string
	decoders map[schema.Kind]decoder
}

var apiVersions = []apiVersion{
	{versionV1, schema.V1CUE, v1Decoders},
	{versionV1beta1, v1beta1.CUE, v1beta1Decoders},
	{versionV1beta2, v1beta1.V1beta2CUE(), v1beta1Decoders},
	{versionOwn, schema.ReconcilerCUE, ownDecoders},
}

// Version is the source of the definitions of one apiVersion, and for which kinds documents are read.
type Version struct {
	Name  string
	CUE   string
	Kinds []string // of definitions: # and this
}

// Versions is the apiVersions that are read, those that are preferred first.
func Versions() []Version {
	var out []Version
	for _, v := range apiVersions {
		l := Version{Name: v.name, CUE: v.cue}
		for k := range v.decoders {
			l.Kinds = append(l.Kinds, string(k))
		}
		slices.Sort(l.Kinds)
		out = append(out, l)
	}
	return out
}

var ownDecoders = map[schema.Kind]decoder{
	schema.KindCluster: plain[schema.Cluster],
	schema.KindPolicy:  plain[schema.Policy],
}

var v1beta1Decoders = map[schema.Kind]decoder{
	schema.KindPod:                   decodeOld(v1beta1.DecodePod),
	schema.KindService:               decodeOld(v1beta1.DecodeService),
	schema.KindReplicationController: decodeOld(v1beta1.DecodeReplicationController),
	schema.KindEndpoints:             decodeOld(v1beta1.DecodeEndpoints),
	schema.KindNamespace:             decodeOld(v1beta1.DecodeNamespace),
	kindMinion:                       decodeOld(v1beta1.DecodeMinion),
	kindManifest:                     decodeOld(v1beta1.DecodeManifest),
}

func decodeOld[T schema.Object](f func([]byte) (T, []schema.Problem, error)) decoder {
	return func(b []byte) (schema.Object, []schema.Problem, error) { return f(b) }
}

// decoderOf is how a definition's documents are decoded, nil if it is not known.
func decoderOf(k definitionKey) decoder {
	for _, v := range apiVersions {
		if v.name == k.version {
			return v.decoders[k.kind]
		}
	}
	return nil
}

// old tells whether a version has the form of 2014.
func old(version string) bool { return version == versionV1beta1 || version == versionV1beta2 }

// kinds is the kinds that may be written in a version, the most common first.
func kinds(version string) []string {
	var out []string
	if version != versionOwn {
		out = []string{"Pod", "Service", "ReplicationController"}
	}
	for _, v := range apiVersions {
		if v.name != version {
			continue
		}
		var more []string
		for k := range v.decoders {
			if !slices.Contains(out, string(k)) && k != kindManifest {
				more = append(more, string(k))
			}
		}
		slices.Sort(more)
		out = append(out, more...)
	}
	return out
}

// anyVersionHas tells whether some version has the kind.
func anyVersionHas(kind string) bool {
	return slices.ContainsFunc(apiVersions, func(v apiVersion) bool { return v.decoders[schema.Kind(kind)] != nil })
}

// listItem is the kind that the items of a list have unless they say otherwise: "" of a List. ok is false if kind is no list of a version.
func listItem(version, kind string) (item string, ok bool) {
	item, ok = strings.CutSuffix(kind, "List")
	if !ok || item != "" && decoderOf(definitionKey{version, schema.Kind(item)}) == nil || item == string(kindManifest) {
		return "", false
	}
	return item, slices.ContainsFunc(apiVersions, func(v apiVersion) bool { return v.name == version })
}

// otherVersions is the versions of core that were or will be.
var otherVersions = []string{"v1beta3"}

// otherKinds is kinds of Kubernetes that are not read yet, or never will be because this project has no place for them.
var otherKinds = strings.Fields(`
	Binding Event LimitRange PersistentVolume PersistentVolumeClaim PodTemplate
	ResourceQuota ServiceAccount Deployment DaemonSet ReplicaSet StatefulSet ControllerRevision Job CronJob
	HorizontalPodAutoscaler PodDisruptionBudget PodSecurityPolicy NetworkPolicy Ingress IngressClass EndpointSlice Lease Role RoleBinding
	ClusterRole ClusterRoleBinding StorageClass VolumeAttachment CSIDriver CSINode PriorityClass RuntimeClass
	CustomResourceDefinition APIService MutatingWebhookConfiguration ValidatingWebhookConfiguration
	ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding CertificateSigningRequest PetSet EventList`)
