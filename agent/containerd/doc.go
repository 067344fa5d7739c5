// Package containerd runs pods on containerd: it implements agent.Runtime.
//
// A pod is an instance with an id. Its network, ipc and uts namespaces are pinned in files by [Runtime.Sandbox]; there is no
// pause container. Each start of a container is an attempt: a fresh containerd container and snapshot named
// "<instance>.<container>.<attempt>", whose labels (prefix "reconciler/") say what it is and how the attempt before it ended,
// so that a new agent reads everything back from containerd. Containers without our label are never listed or changed.
//
// Three processes. The agent, which may end and come back at any time. The daemon, containerd with the plugins that are
// needed and no CRI, which is a re-executed child of the agent in a session of its own and outlives it ([Daemon]); a flock
// on daemon.lock, which holds its pid, keeps a second one out, and [Runtime.Run] starts it again within a second of its
// end. And shims ([Shim], package shim), one for some pods, which hold the containers and bound their logs.
//
// Everything is below Config.Dir: root and state of the daemon, runc's state, the shim's program, and pods/<instance> with
// namespace pins, hosts, resolv.conf, hostname, empty directories, logs, and what must be known of ended containers when
// the daemon forgot them (a stopped task does not survive a daemon's restart, so its exit status is read from its bundle
// before the daemon starts). In the kernel: mounts below Dir, and cgroups below Config.CgroupParent. [Purge] removes all of it
// without a daemon.
//
// Logs are plain files that the shim writes, stdout and stderr together without time stamps, and cuts at a fixed size. A
// logger process per container would cost a process each, and cutting by the agent would not bound a log while the agent
// is away.
//
// BUG: /dev/shm is each container's own, although the ipc namespace is the pod's; /etc/resolv.conf names no server.
// BUG: with an external daemon (Config.Socket) its own shim is used, which does not bound logs and is not shared.
package containerd
