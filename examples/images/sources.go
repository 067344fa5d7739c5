package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// sources are where this machine gets Debian's packages from.
type sources struct {
	Codename string   // of the machine's release
	Lines    []string // in the one-line format of sources.list(5)
	Options  []string // apt options that a download may need, such as a proxy
}

// machineSources reads the machine's apt configuration and keeps the entries of its own Debian release that hold the main
// component.
func machineSources() (sources, error) {
	codename, err := osCodename()
	if err != nil {
		return sources{}, err
	}
	s := sources{Codename: codename}
	files, err := filepath.Glob("/etc/apt/sources.list.d/*")
	if err != nil {
		return sources{}, fmt.Errorf("list apt sources: %w", err)
	}
	sort.Strings(files)
	for _, name := range append([]string{"/etc/apt/sources.list"}, files...) {
		b, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return sources{}, fmt.Errorf("read apt sources: %w", err)
		}
		switch filepath.Ext(name) {
		case ".list":
			s.Lines = append(s.Lines, oneLine(string(b), codename)...)
		case ".sources":
			s.Lines = append(s.Lines, deb822(string(b), codename)...)
		}
	}
	if len(s.Lines) == 0 {
		return sources{}, fmt.Errorf("find apt sources: /etc/apt names none of Debian %s's main component", codename)
	}
	out, err := exec.Command("apt-config", "dump", "--no-empty", "--format", "%f \"%v\"%n", "Acquire").Output()
	if err != nil {
		return sources{}, fmt.Errorf("read apt options: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		key, _, _ := strings.Cut(line, " ")
		if strings.HasSuffix(key, "::Proxy") || key == "Acquire::Check-Valid-Until" || strings.HasPrefix(key, "Acquire::http::Proxy::") {
			s.Options = append(s.Options, line)
		}
	}
	return s, nil
}

func osCodename() (string, error) {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", fmt.Errorf("read release: %w", err)
	}
	id, codename := "", ""
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch k {
		case "ID":
			id = strings.Trim(v, `"`)
		case "VERSION_CODENAME":
			codename = strings.Trim(v, `"`)
		}
	}
	if id != "debian" || codename == "" {
		return "", errors.New("read release: the images are built from Debian's packages, so this machine has to run Debian")
	}
	return codename, nil
}

// ofRelease tells whether suite is codename's own, its updates or its security updates.
func ofRelease(suite, codename string) bool {
	return suite == codename || suite == codename+"-updates" || suite == codename+"-security" || suite == codename+"/updates"
}

// oneLine keeps the fitting entries of a sources.list file.
func oneLine(text, codename string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !ok || !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "\t") {
			continue
		}
		rest = strings.TrimSpace(rest)
		option := ""
		if strings.HasPrefix(rest, "[") {
			end := strings.Index(rest, "]")
			if end < 0 {
				continue
			}
			option, rest = rest[:end+1]+" ", rest[end+1:]
		}
		f := strings.Fields(rest)
		if len(f) < 3 || !ofRelease(f[1], codename) || !slices.Contains(f[2:], "main") {
			continue
		}
		out = append(out, "deb "+option+f[0]+" "+f[1]+" main")
	}
	return out
}

// deb822 keeps the fitting entries of a .sources file, each suite as a line.
func deb822(text, codename string) []string {
	var out []string
	stanza, last := map[string]string{}, ""
	flush := func() {
		defer func() { stanza, last = map[string]string{}, "" }()
		if !slices.Contains(strings.Fields(stanza["types"]), "deb") || strings.EqualFold(strings.TrimSpace(stanza["enabled"]), "no") ||
			!slices.Contains(strings.Fields(stanza["components"]), "main") {
			return
		}
		option := ""
		if key := strings.TrimSpace(stanza["signed-by"]); strings.HasPrefix(key, "/") {
			option = "[signed-by=" + key + "] "
		}
		for _, uri := range strings.Fields(stanza["uris"]) {
			for _, suite := range strings.Fields(stanza["suites"]) {
				if ofRelease(suite, codename) {
					out = append(out, "deb "+option+uri+" "+suite+" main")
				}
			}
		}
	}
	for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
		line := scan.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			stanza[last] += "\n" + line
		default:
			k, v, _ := strings.Cut(line, ":")
			last = strings.ToLower(k)
			stanza[last] = v
		}
	}
	flush()
	return out
}
