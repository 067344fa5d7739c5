#!/bin/bash
# The demonstration: from nothing to a running cluster that proves that it works. Started by `make demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

reconciler=bin/reconciler
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

step() { printf '\n== %s\n' "$*"; }
show() {
    printf '\n$ %s\n' "$*"
    "$@"
}
mongo() { "$reconciler" local exec -- mongo 10.245.2.2; }

step "the local cluster"
"$reconciler" local up
repository=$("$reconciler" local status -o json | sed -n 's/^ *"repository": *"\(.*\)",\{0,1\}$/\1/p')

step "images into its registry"
for image in mongodb rabbitmq celery; do
    "$reconciler" local push "dist/images/$image"
done

step "git push of examples/pulp"
git clone --quiet "$repository" "$tmp/fleet" 2>/dev/null
git -C "$tmp/fleet" symbolic-ref HEAD refs/heads/main
# What was pushed by hand since the last time stays: only the example's own files are replaced.
mkdir -p "$tmp/fleet/pulp"
cp examples/pulp/*.json "$tmp/fleet/pulp/"
git -C "$tmp/fleet" add --all
if git -C "$tmp/fleet" diff --cached --quiet 2>/dev/null; then
    echo "nothing changed since the last push"
else
    git -C "$tmp/fleet" -c user.name=demo -c user.email=demo@localhost commit --quiet -m "Run Pulp's support services"
    git -C "$tmp/fleet" push --quiet origin HEAD:refs/heads/main
    git -C "$tmp/fleet" log --oneline -1
fi

step "the cluster converges"
"$reconciler" status --wait

step "proof: tasks went from beat over the broker to both workers and into the database, all through portal addresses"
echo 'tasks 10 2' | mongo

step "proof: a MongoDB client on the desktop asks the first minion, wherever the pod runs"
printf '\n$ echo "show dbs" | mongo 10.245.2.2\n'
dbs=$(echo 'show dbs' | mongo)
echo "$dbs"
grep -q '^celery' <<<"$dbs" || { echo "the database celery is not listed" >&2; exit 1; }

step "what is there"
show "$reconciler" status
show "$reconciler" get minions
show "$reconciler" get pods
show "$reconciler" get services

cat <<END

The cluster goes on running. Try:
  bin/reconciler get pods -o json
  bin/reconciler describe pod pulpdb
  bin/reconciler logs pulpmsg
  echo "show dbs" | bin/reconciler local exec -- mongo 10.245.2.2
  git clone $repository fleet     # change something, commit, push; then: bin/reconciler status --wait
  make demo-down
END
