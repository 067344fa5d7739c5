package schema_test

import (
	"net/netip"
	"strings"
	"testing"

	"reconciler/schema"
)

func service(name, selected, portal string, ports ...schema.ServicePort) schema.ServiceAddress {
	s := schema.ServiceAddress{Name: name, Ports: ports}
	if selected != "" {
		s.Selector = map[string]string{"name": selected}
	}
	if portal != "" {
		s.Portal = netip.MustParseAddr(portal)
	}
	return s
}

func lines(env []schema.EnvVar) string {
	var b strings.Builder
	for _, e := range env {
		b.WriteString(e.Name + "=" + e.Value + "\n")
	}
	return b.String()
}

func TestServiceVariables(t *testing.T) {
	for name, c := range map[string]struct {
		in   []schema.ServiceAddress
		want string
	}{
		"the db service of 2014": {
			[]schema.ServiceAddress{service("db", "db", "10.0.41.48", schema.ServicePort{Port: 27017, TargetPort: &schema.PortOrName{Number: 1}})},
			`DB_SERVICE_HOST=10.0.41.48
DB_SERVICE_PORT=27017
DB_PORT=tcp://10.0.41.48:27017
DB_PORT_27017_TCP=tcp://10.0.41.48:27017
DB_PORT_27017_TCP_PROTO=tcp
DB_PORT_27017_TCP_PORT=27017
DB_PORT_27017_TCP_ADDR=10.0.41.48
`},
		"UDP and a hyphen": {
			[]schema.ServiceAddress{service("abc-123", "", "1.2.3.4", schema.ServicePort{Port: 8081, Protocol: schema.UDP})},
			`ABC_123_SERVICE_HOST=1.2.3.4
ABC_123_SERVICE_PORT=8081
ABC_123_PORT=udp://1.2.3.4:8081
ABC_123_PORT_8081_UDP=udp://1.2.3.4:8081
ABC_123_PORT_8081_UDP_PROTO=udp
ABC_123_PORT_8081_UDP_PORT=8081
ABC_123_PORT_8081_UDP_ADDR=1.2.3.4
`},
		"several ports": {
			[]schema.ServiceAddress{service("web", "", "1.2.3.4", schema.ServicePort{Name: "http-in", Port: 80}, schema.ServicePort{Name: "s", Port: 443})},
			`WEB_SERVICE_HOST=1.2.3.4
WEB_SERVICE_PORT=80
WEB_SERVICE_PORT_HTTP_IN=80
WEB_SERVICE_PORT_S=443
WEB_PORT=tcp://1.2.3.4:80
WEB_PORT_80_TCP=tcp://1.2.3.4:80
WEB_PORT_80_TCP_PROTO=tcp
WEB_PORT_80_TCP_PORT=80
WEB_PORT_80_TCP_ADDR=1.2.3.4
WEB_PORT_443_TCP=tcp://1.2.3.4:443
WEB_PORT_443_TCP_PROTO=tcp
WEB_PORT_443_TCP_PORT=443
WEB_PORT_443_TCP_ADDR=1.2.3.4
`},
		"no address yet, no ports": {[]schema.ServiceAddress{service("a", "", "", schema.ServicePort{Port: 1}), service("b", "", "1.2.3.4")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lines(schema.ServiceVariables(c.in)); got != c.want {
				t.Errorf("got:\n%swant:\n%s", got, c.want)
			}
		})
	}
}

// TestServiceVariablesUnderTheSelectorsName: the article says that the prefix is the value of the selector's name.
func TestServiceVariablesUnderTheSelectorsName(t *testing.T) {
	port := schema.ServicePort{Port: 80}
	for name, c := range map[string]struct {
		in   []schema.ServiceAddress
		want string // the names that end in SERVICE_HOST, with their values
	}{
		"differs from the id":              {[]schema.ServiceAddress{service("pulp-db", "db", "1.0.0.1", port)}, "PULP_DB=1.0.0.1 DB=1.0.0.1"},
		"is the id":                        {[]schema.ServiceAddress{service("db", "db", "1.0.0.1", port)}, "DB=1.0.0.1"},
		"folds to the id":                  {[]schema.ServiceAddress{service("db-x", "db_x", "1.0.0.1", port)}, "DB_X=1.0.0.1"},
		"is another service's id":          {[]schema.ServiceAddress{service("a", "z", "1.0.0.1", port), service("z", "", "1.0.0.2", port)}, "A=1.0.0.1 Z=1.0.0.2"},
		"is another's id without address":  {[]schema.ServiceAddress{service("a", "z", "1.0.0.1", port), service("z", "", "", port)}, "A=1.0.0.1"},
		"is the same in two, first has it": {[]schema.ServiceAddress{service("b", "x", "1.0.0.2", port), service("a", "x", "1.0.0.1", port)}, "A=1.0.0.1 X=1.0.0.1 B=1.0.0.2"},
		"makes no variable":                {[]schema.ServiceAddress{service("a", "1.x", "1.0.0.1", port)}, "A=1.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range schema.ServiceVariables(c.in) {
				if p, ok := strings.CutSuffix(e.Name, "_SERVICE_HOST"); ok {
					got = append(got, p+"="+e.Value)
				}
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("got %s, want %s", g, c.want)
			}
		})
	}
}
