package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf16"
)

// TestValidateStdin: - is a file of its own.
func TestValidateStdin(t *testing.T) {
	web := pod("web", "app: web", "")
	for _, c := range []struct {
		name, args, in string
		code           int
		want           string // in what is printed
	}{
		{"YAML", "-", web, 0, "-: valid: 1 pod"},
		{"several documents", "-", web + "---\n" + pod("db", "", ""), 0, "-: valid: 2 pods"},
		{"JSON", "-", `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}`, 0, "-: valid: 1 pod"},
		{"JSON that is none", "-", ` {"apiVersion": "v1",`, exitInvalid, "<stdin>:1:22: not JSON"},
		{"an error", "-", strings.Replace(web, "image:", "imge:", 1), exitInvalid, "<stdin>:7:5: Pod/web: spec.containers[0].imge: unknown field"},
		{"an object twice", "-", web + "---\n" + web, exitInvalid, "is declared twice; first at <stdin>:1:1"},
		{"with a name", "- --stdin-name fleets/web.json", `{"kind": `, exitInvalid, "fleets/web.json:1:"},
		{"CUE", "- --stdin-name web.cue --tag name=web", "package web\n#n: string @tag(name)\nweb: {apiVersion: \"v1\", kind: \"Pod\", metadata: name: #n, spec: containers: [{name: \"c\", image: \"i:1\"}]}\n", 0, "-: valid: 1 pod"},
		{"CUE with an error", "- --stdin-name web.cue", "package web\nweb: {apiVersion: \"v1\", kind: \"Pod\", metadata: name: \"web\", spec: containers: [{nme: \"c\", image: \"i:1\"}]}\n", exitInvalid, "web.cue:2:"},
		{"an unknown tag", "- --tag site=eu", web, exitInvalid, `tag "site" has a value, and no CUE package has the tag`},
		{"a tag without value", "- --tag site", web, exitError, `tag "site" is not name=value`},
		{"a name of another sort", "- --stdin-name a.txt", web, exitError, "is no manifest"},
		{"nothing", "-", "", 0, "-: valid: it declares nothing"},
		{"too much", "-", strings.Repeat("# more\n", 3<<20), exitInvalid, "more than 4194304"},
		{"beside a folder", "nosuch -", "a: b\n", exitError, "<stdin>:1:1: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			code := run(append([]string{"reconciler", "validate"}, strings.Fields(c.args)...), strings.NewReader(c.in), &out, &out)
			if code != c.code || !strings.Contains(out.String(), c.want) {
				t.Errorf("exit %d, want %d: %.500s", code, c.code, &out)
			}
		})
	}
}

// encoded is text as UTF-16, little-endian, with a byte order mark.
func encoded(text string) string {
	var b bytes.Buffer
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		b.Write([]byte{byte(u), byte(u >> 8)})
	}
	return b.String()
}

// TestValidateOddTrees: outside of Git, whatever lies in a folder has an answer in clear words.
func TestValidateOddTrees(t *testing.T) {
	web := pod("web", "app: web", "")
	for _, c := range []struct {
		name string
		tree files
		make func(dir string) error
		code int
		want string
	}{
		{"CRLF", files{"a.yaml": strings.ReplaceAll(web, "\n", "\r\n")}, nil, 0, "valid: 1 pod"},
		{"CRLF in CUE", files{"a.cue": "package a\r\na: {apiVersion: \"v1\", kind: \"Pod\", metadata: name: \"a\", spec: containers: [{name: \"c\", image: \"i:1\"}]}\r\n"}, nil, 0, "valid: 1 pod"},
		{"CRLF in an ignore file", files{"a.yaml": web, "b.yaml": "no", ".reconcilerignore": "b.yaml\r\n"}, nil, 0, "valid: 1 pod"},
		{"a byte order mark", files{"a.yaml": "\ufeff" + web}, nil, 0, "valid: 1 pod"},
		{"a byte order mark in JSON", files{"a.json": "\ufeff[]"}, nil, 0, "it declares nothing"},
		{"a byte order mark in CUE", files{"a.cue": "\ufeffpackage a\n"}, nil, 0, "it declares nothing"},
		{"UTF-16", files{"a.yaml": encoded(web)}, nil, exitInvalid, "a.yaml: the file is UTF-16 text (save it as UTF-8)"},
		{"UTF-16 in CUE", files{"a.cue": encoded("package a\n")}, nil, exitInvalid, "a.cue: the file is UTF-16 text"},
		{"an ignore file in UTF-16", files{".reconcilerignore": encoded("a\n")}, nil, exitInvalid, ".reconcilerignore: the file is UTF-16 text"},
		{"Latin-1", files{"a.yaml": "a: \xe4\n"}, nil, exitInvalid, "a.yaml:1:4: the file is not UTF-8 text"},
		{"a binary file", files{"a.yaml": "\x7fELF\x02\x01\x01\x00\x00"}, nil, exitInvalid, "a.yaml: the file holds zero bytes"},
		{"an empty file", files{"a.yaml": "", "b.json": ""}, nil, 0, "it declares nothing"},
		{"a directory with a file's name", files{"x.yaml/a.yaml": web}, nil, 0, "valid: 1 pod"},
		{"an ignore file that is a directory", files{".reconcilerignore/a": ""}, nil, exitInvalid, ".reconcilerignore: is no regular file"},
		{"a broken symbolic link", files{"a.yaml": web}, func(d string) error { return os.Symlink("nosuch", filepath.Join(d, "b.yaml")) }, 0, "warning: b.yaml: is a symbolic link, which is not followed"},
		{"a symbolic link in a circle", files{"a.yaml": web}, func(d string) error { return os.Symlink(".", filepath.Join(d, "x")) }, 0, "valid: 1 pod"},
		{"a link that is ignored", files{"a.yaml": web, ".reconcilerignore": "b.yaml\n"}, func(d string) error { return os.Symlink("/etc/passwd", filepath.Join(d, "b.yaml")) }, 0, ": valid: 1 pod"},
		{"a pipe", files{"a.yaml": web}, func(d string) error { return syscall.Mkfifo(filepath.Join(d, "b.yaml"), 0o600) }, 0, "warning: b.yaml: is no regular file"},
		{"a file of 100 MB", files{"a.yaml": web}, func(d string) error {
			if err := os.WriteFile(filepath.Join(d, "b.yaml"), nil, 0o600); err != nil {
				return err
			}
			return os.Truncate(filepath.Join(d, "b.yaml"), 100<<20)
		}, exitInvalid, "b.yaml: the file has 104857600 bytes, more than 4194304 (split it)"},
		{"an ignore file of 100 MB", files{".reconcilerignore": ""}, func(d string) error { return os.Truncate(filepath.Join(d, ".reconcilerignore"), 100<<20) }, exitInvalid, "more than 65536"},
		{"an ignore file with many patterns", files{".reconcilerignore": strings.Repeat("a\n", 600), "x/.reconcilerignore": strings.Repeat("a\n", 600)}, nil, exitInvalid, "have more than 1000 patterns"},
		{"a bomb", files{"a.yaml": bomb()}, nil, exitInvalid, "a.yaml:1: not YAML: aliases expand"},
		{"10,000 brackets", files{"a.yaml": "a: " + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + "\n"}, nil, exitInvalid, "brackets are nested too deep"},
		{"10,000 brackets in JSON", files{"a.json": strings.Repeat("[", 10000)}, nil, exitInvalid, "brackets are nested too deep"},
		{"10,000 levels of maps", files{"a.yaml": deep(2000)}, nil, exitInvalid, "a.yaml:"},
		{"a list of a million", files{"a.json": "[" + strings.Repeat("1,", 1000000) + "1]"}, nil, exitInvalid, "a.json:1:200: and 999902 more errors"},
		{"an unreadable folder", files{"a.yaml": web}, func(d string) error {
			if os.Geteuid() == 0 {
				return os.Symlink("/proc/self/mem", filepath.Join(d, "skip.yaml")) // root reads everything
			}
			return os.WriteFile(filepath.Join(d, "b.yaml"), nil, 0)
		}, map[bool]int{true: 0, false: exitError}[os.Geteuid() == 0], ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			repository{work: dir}.put(t, c.tree)
			if c.make != nil {
				if err := c.make(dir); err != nil {
					t.Fatal(err)
				}
			}
			out, errs, code := offline(t, dir, "validate")
			if all := out + errs; code != c.code || !strings.Contains(all, c.want) || len(all) > 64<<10 {
				t.Errorf("exit %d, want %d: %d bytes: %.500s", code, c.code, len(all), all)
			}
		})
	}
}

// bomb is YAML whose aliases expand to a thousand million words.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 8 {
		fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	return b.String()
}

// deep is YAML that nests by indentation alone.
func deep(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// TestValidateSubmodule: what is in a submodule is no part of a revision, and that it is there is no error.
func TestValidateSubmodule(t *testing.T) {
	r := newRepository(t).put(t, files{"a.yaml": pod("web", "", "")})
	h := r.push(t)
	r.git(t, "update-index", "--add", "--cacheinfo", "160000,"+h+",sub", "--cacheinfo", "160000,"+h+",sub.yaml")
	r.git(t, "commit", "-q", "-m", "Submodules")
	out, errs, code := offline(t, r.work, "validate", "main")
	if code != 0 || !strings.Contains(out, "valid: 1 pod") || !strings.Contains(errs, "warning: sub.yaml: is no regular file") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// TestValidateHelp: the exit codes are where people look for them.
func TestValidateHelp(t *testing.T) {
	out, _, _ := offline(t, t.TempDir(), "validate", "--help")
	if !strings.Contains(out, "Exit codes: 0 valid; 1 invalid; 2 could not be checked.") {
		t.Error(out)
	}
}

// TestValidateSince: what a revision declares immutable is held against a folder, a file, the working tree and another
// revision; what the revision did not have, or did not declare well, is held against nobody.
func TestValidateSince(t *testing.T) {
	config := func(value string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\nimmutable: true\ndata:\n  a: x\n  b: " + value + "\n"
	}
	r := newRepository(t).put(t, files{"fleets/prod/conf.yaml": config("old"), "fleets/bad/conf.yaml": "a: b\n", ".hidden/conf.yaml": config("old")})
	r.push(t)
	r.git(t, "tag", "v1")
	r.put(t, files{"fleets/prod/conf.yaml": config("new"), "fleets/bad/conf.yaml": config("new"), "fleets/late/conf.yaml": config("new"), ".hidden/conf.yaml": config("new")})
	r.push(t)
	const changed = `conf.yaml:7:6: ConfigMap/conf: data.b: was declared immutable, and data has another "b" (put it back, and declare what is new under another name)`
	for _, c := range []struct {
		args string
		code int
		want string // in what is printed
	}{
		{"--since v1 fleets/prod", exitInvalid, "fleets/prod/" + changed},
		{"--since v1 fleets/prod/conf.yaml", exitInvalid, "fleets/prod/" + changed},
		{"--since v1 --path fleets/prod main", exitInvalid, "fleets/prod/" + changed},
		{"--since v1 --path . main", exitInvalid, "fleets/bad/conf.yaml:1:1"}, // as without --path
		{"--since v1 .hidden", exitInvalid, ".hidden/" + changed},
		{"--since v1 --path .hidden main", exitInvalid, ".hidden/" + changed},
		{"--since main fleets/prod", 0, "fleets/prod: valid: 1 ConfigMap"},
		{"--since v1 fleets/late", 0, "fleets/late: valid: 1 ConfigMap"},
		{"--since v1 fleets/late/conf.yaml", 0, "fleets/late/conf.yaml: valid: 1 ConfigMap"},
		{"--since v1 fleets/bad", 0, "warning: nothing is compared with v1, which does not load: fleets/bad/conf.yaml:1:1"},
		{"--since v9 fleets/prod", exitError, "name a branch, a tag or a commit"},
		{"--since v1 -", exitError, "name the folder or the file"},
		{"--since v1 nosuch", exitError, "neither a path nor a revision"},
		{"--since v1", exitInvalid, "fleets/bad/conf.yaml:1:1"}, // three objects of one name
	} {
		out, errs, code := offline(t, r.work, append([]string{"validate"}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("%s: exit %d, want %d: %s%s", c.args, code, c.code, out, errs)
		}
	}
	if out, errs, code := offline(t, t.TempDir(), "validate", "--since", "v1"); code != exitError {
		t.Errorf("outside of a repository: exit %d: %s%s", code, out, errs)
	}
}
