package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"reconciler/reconcile"
	"reconciler/reconcile/git"
	"reconciler/reconcile/server"
	"reconciler/schema/load"
)

// followed is what the server follows: one source or several.
type followed interface {
	server.Source
	Run(context.Context) error
}

// follow opens what --repo, or each --source, names, and says how its trees are to be loaded.
func (o *serveOptions) follow(log *slog.Logger) (followed, load.Config, error) {
	config := func(repo, branch string) git.Config {
		return git.Config{Repository: repo, Branch: branch, Poll: o.poll, NoWatch: o.noWatch, Log: log}
	}
	if len(o.sources) == 0 {
		if o.repo == "" {
			return nil, load.Config{}, hinted{errors.New("--repo or --source is required"), "name a Git repository, for instance one made by `git init --bare -b main /srv/fleet.git`"}
		}
		s, err := git.New(config(o.repo, o.branch))
		return s, load.Config{Path: o.path, Tags: o.tags}, err
	}
	if o.repo != "" || o.path != "" {
		return nil, load.Config{}, hinted{errors.New("--source stands in place of --repo, --branch and --path"), "give each source its own: --source NAME=REPO#BRANCH:PATH"}
	}
	var named []git.Named
	of := load.Config{Tags: o.tags}
	for _, text := range o.sources {
		n, err := parseSource(text)
		if err != nil {
			return nil, load.Config{}, err
		}
		n.Config = config(n.Config.Repository, n.Config.Branch)
		named = append(named, n)
		of.Sources = append(of.Sources, load.Source{Name: n.Name, Path: n.Path})
	}
	m, err := git.NewMerged(named)
	return m, of, err
}

// parseSource reads NAME=REPO[#[BRANCH][:PATH]], as docker build writes repositories: a branch holds no colon.
func parseSource(text string) (git.Named, error) {
	name, rest, ok := strings.Cut(text, "=")
	repo, ref, _ := strings.Cut(rest, "#")
	branch, path, _ := strings.Cut(ref, ":")
	if !ok || name == "" || repo == "" {
		return git.Named{}, hinted{fmt.Errorf("--source %q is not NAME=REPO#BRANCH:PATH", text), "for instance --source web=/srv/web.git#main:fleets/prod; without #, branch main and all of the tree"}
	}
	if branch == "" {
		branch = "main"
	}
	return git.Named{Name: name, Path: strings.Trim(path, "/"), Config: git.Config{Repository: repo, Branch: branch}}, nil
}

// pick finds the source that the tree here is one of.
func pick(sources []reconcile.Part, name string) (reconcile.Part, error) {
	var names []string
	for _, p := range sources {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	switch {
	case len(names) == 0:
		return reconcile.Part{}, hinted{fmt.Errorf("the fleet has no source %q: it is of one repository", name), "leave --source out"}
	case name == "":
		return reconcile.Part{}, hinted{fmt.Errorf("the fleet is of several sources: %s", strings.Join(names, ", ")),
			"say which of them this tree is, with --source NAME or `git config reconciler.source NAME`"}
	}
	return reconcile.Part{}, hinted{fmt.Errorf("the fleet has no source %q", name), "it has " + strings.Join(names, ", ")}
}
