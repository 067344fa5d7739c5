package lab

import (
	"errors"
	"io/fs"
	"os"
)

// Status is what of the lab is there.
type Status struct {
	Dir        string    `json:"dir"`
	Present    bool      `json:"present"`
	Repository string    `json:"repository,omitempty"`
	Registry   string    `json:"registry,omitempty"`
	Socket     string    `json:"socket,omitempty"`
	Minions    []string  `json:"minions,omitempty"`
	Processes  []Running `json:"processes,omitempty"`
}

// Running is one process of the lab.
type Running struct {
	Name string `json:"name"`
	PID  int    `json:"pid"` // 0: it does not run
	Log  string `json:"log"`
}

// Healthy tells whether the lab is there and all its processes run.
func (s Status) Healthy() bool {
	for _, p := range s.Processes {
		if p.PID == 0 {
			return false
		}
	}
	return s.Present
}

// Status looks at the lab and changes nothing. It needs no root.
func (l *Lab) Status() (Status, error) {
	s := Status{Dir: l.cfg.Dir}
	m, err := l.readMarker()
	if errors.Is(err, ErrAbsent) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.Present = true
	s.Repository, s.Registry, s.Socket, s.Minions = l.Repository(), RegistryAddress, l.Socket(), MinionNames(m.Minions)
	for _, name := range processes(m.Minions) {
		r := Running{Name: name, PID: l.PID(name), Log: l.Log(name)}
		if _, err := os.Stat(r.Log); errors.Is(err, fs.ErrNotExist) {
			r.Log = ""
		}
		s.Processes = append(s.Processes, r)
	}
	return s, nil
}
