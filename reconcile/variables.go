package reconcile

import (
	"maps"

	"reconciler/schema"
)

// variables are the service variables of a namespace.
type variables struct {
	list []schema.EnvVar
	size int // in bytes
}

// variables are those of a namespace as they are now.
func (c *step) variables(namespace string) variables {
	env, ok := c.env[namespace]
	if ok {
		return env
	}
	if env, ok = c.variablesBefore()[namespace]; !ok {
		env = c.makeVariables(namespace)
	}
	c.env[namespace] = env
	return env
}

// makeVariables makes those of a namespace anew.
func (c *step) makeVariables(namespace string) variables {
	var all []schema.ServiceAddress
	for _, o := range within(c.of.offers, namespace) {
		s := c.inForce(o.service)
		if s == nil {
			continue
		}
		if p := c.st.Objects[o.name].Portal; p.IsValid() {
			all = append(all, schema.ServiceAddress{Name: s.Name, Selector: s.Spec.Selector, Portal: p, Ports: s.Spec.Ports})
		}
	}
	env := variables{list: schema.ServiceVariables(all)}
	for _, e := range env.list {
		env.size += len(e.Name) + len(e.Value) + 2
	}
	return env
}

// variablesBefore are those of the step before that are so still, as nothing changed of any service.
func (c *step) variablesBefore() map[string]variables {
	if c.diff == nil || !c.recorded() || c.portalsToken != c.in.State.portals() || len(c.diff.offered)+len(c.diff.withdrawn) > 0 {
		return nil
	}
	return c.in.State.sight.env
}

// variablesKept are those that this step knows of.
func (c *step) variablesKept() map[string]variables {
	before := c.variablesBefore()
	for n := range c.env {
		if _, known := before[n]; !known {
			all := maps.Clone(c.env)
			maps.Copy(all, before)
			return all
		}
	}
	return before
}
