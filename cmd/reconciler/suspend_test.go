package main

import (
	"strings"
	"testing"
)

// wrong tells whether a verb printed or ended otherwise than it should.
func wrong(out, errs string, code int, wantOut, wantErrs string, wantCode int) bool {
	return code != wantCode || !strings.Contains(out, wantOut) || !strings.Contains(errs, wantErrs) || wantErrs == "" && errs != ""
}

func TestSuspendVerb(t *testing.T) {
	r := newRepository(t)
	r.put(t, files{"web.yaml": replicas(2, "web:1"), "db.yaml": pod("db", "app: db", "")}).push(t)
	_, socket := serve(t, "--repo", r.bare)
	t.Setenv("SUDO_USER", "")
	for _, c := range []struct {
		name, verb, args string
		code             int
		out, errs        string
	}{
		{"no reason", "suspend", "pod/db", 2, "", "--reason is missing"},
		{"a name that is nearly right", "suspend", "pod/dv --reason x", 2, "", "hint: did you mean Pod/db?"},
		{"two letters that changed places", "suspend", "rc/wbe --reason x", 2, "", "hint: did you mean ReplicationController/web?"},
		{"the wrong kind", "suspend", "pod/web --reason x", 2, "", "hint: did you mean ReplicationController/web?"},
		{"another namespace", "suspend", "pod/db -n team --reason x", 2, "", "hint: did you mean Pod/db?"},
		{"nothing like it", "suspend", "pod/elsewhere --reason x", 2, "", "list what is declared"},
		{"a service", "suspend", "svc/web --reason x", 2, "", "only pods and replication controllers can be suspended"},
		{"an unknown kind", "suspend", "pot/db --reason x", 2, "", `unknown kind "pot"`},
		{"no kind", "suspend", "db --reason x", 2, "", `"db" is not KIND/NAME`},
		{"an end that is none", "suspend", "pod/db --reason x --until noon", 2, "", "write it as 2014-12-15T19:18:36Z"},
		{"a duration that is none", "suspend", "pod/db --reason x --for -1h", 2, "", "is not above 0"},
		{"an end that is over", "suspend", "pod/db --reason x --until 2014-12-15T19:18:36Z", 2, "", "is over already"},
		{"two ends", "suspend", "pod/db --reason x --for 1h --until 2034-12-15T19:18:36Z", 2, "", "for until"},
		{"what is not suspended", "resume", "pod/db", 2, "", "it is not suspended"},
		{"with all", "suspend", "rc/web --reason INC-7 --until 2054-12-15T19:18:36Z --as ada", 0, "ReplicationController/web is suspended by ada (", ""},
		{"by its key", "suspend", "Pod/default/db --reason hold", 0, "Pod/db is suspended by ", ""},
		{"get shows it", "get", "rc", 0, "until 2054-12-15T19:18:36Z: INC-7)", ""},
		{"get shows it of a pod", "get", "pods", 0, "Pending (suspended by ", ""},
		{"status shows it", "status", "", 0, "until 2054-12-15T19:18:36Z: INC-7", "hint: "},
		{"diff shows it", "diff", "--live", 1, "blocked: suspended by ada (", ""},
		{"and the way out", "diff", "--live", 1, "blocked (suspended): `resume` it", ""},
		{"describe shows it", "describe", "rc web", 0, "INC-7 (by ada (", ""},
		{"resumed", "resume", "rc/web", 0, "ReplicationController/web is resumed", ""},
		{"resumed twice", "resume", "rc/web", 2, "", "it is not suspended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{c.verb, "--server", socket}, strings.Fields(c.args)...)
			if out, errs, code := offline(t, r.work, args...); wrong(out, errs, code, c.out, c.errs, c.code) {
				t.Errorf("exit %d, want %d\nstdout %s\nwant %q\nstderr %q, want %q", code, c.code, out, c.out, errs, c.errs)
			}
		})
	}
}
