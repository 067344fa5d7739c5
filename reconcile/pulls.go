package reconcile

import (
	"cmp"
	"slices"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Pull is an image that a minion has to fetch for what a plan puts there.
type Pull struct {
	Minion    string `json:"minion"`
	Image     string `json:"image"`          // as declared
	Size      int64  `json:"size,omitempty"` // bytes, if all of it has to be fetched; 0: no minion has it, so it is not known
	Instances int    `json:"instances"`      // of the plan that need it
}

// Pulls are the images that minions are going to fetch for the instances that the plan binds anew, by minion, then image.
// What a minion has is not fetched, though imagePullPolicy Always asks its registry whether it is still the same; what it has
// is not known of one that does not say, and then nothing is told of it. Sizes are those that other minions report of images of
// the same name.
func Pulls(in Input, p Plan) []Pull {
	has := map[string]map[string]bool{} // by minion that says what it has
	var size map[string]int64           // by image; laid out when it is needed
	at := map[[2]string]*Pull{}
	for b := range p.State.Bindings.All() {
		r := in.Minions[b.Minion].Report
		if r == nil || r.Images == nil || leaving(b) || in.State.Bindings.Get(b.ID) != nil {
			continue
		}
		if has[b.Minion] == nil {
			has[b.Minion] = namesOf(r.Images)
		}
		needs := map[string]string{} // whole name to the first declared one
		for c := range b.Spec.AllContainers() {
			if name := wholeName(c.Image); c.Image != "" && c.PullPolicy() != schema.PullNever && !has[b.Minion][name] && needs[name] == "" {
				needs[name] = c.Image
			}
		}
		for name, declared := range needs {
			k := [2]string{b.Minion, name}
			if at[k] == nil {
				if size == nil {
					size = sizes(in)
				}
				at[k] = &Pull{Minion: b.Minion, Image: declared, Size: size[name]}
			}
			at[k].Instances++
			at[k].Image = min(at[k].Image, declared)
		}
	}
	var out []Pull
	for _, x := range at {
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b Pull) int { return cmp.Or(cmp.Compare(a.Minion, b.Minion), cmp.Compare(a.Image, b.Image)) })
	return out
}

// sizes are those of all images that any minion reports: the largest, where they differ.
func sizes(in Input) map[string]int64 {
	out := map[string]int64{}
	for _, m := range in.Minions {
		if m.Report == nil {
			continue
		}
		for _, i := range m.Report.Images {
			name := wholeName(i.Name)
			out[name] = max(out[name], i.Size)
		}
	}
	return out
}

func namesOf(images []assignment.Image) map[string]bool {
	out := make(map[string]bool, len(images))
	for _, i := range images {
		out[wholeName(i.Name)] = true
	}
	return out
}

// wholeName is an image's name with registry and tag, as Docker completes it; with a digest a tag means nothing.
func wholeName(image string) string {
	whole := schema.WholeImage(image)
	name, digest, pinned := strings.Cut(whole, "@")
	tag := strings.LastIndexByte(name, ':')
	tagged := tag > strings.LastIndexByte(name, '/')
	switch {
	case pinned && tagged:
		return name[:tag] + "@" + digest
	case pinned || tagged:
		return whole
	}
	return whole + ":latest"
}
