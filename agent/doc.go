// Package agent runs one minion: it makes the minion be as its assignment says, and reports what it then observes.
//
// Next, pure, compares an assigned instance with what was observed and gives the next action; the loop around it does it, one
// worker per instance, and observes again. Routes come before pods: a new table is applied and acknowledged before and
// independently of image pulls and starts. The assignment and the table are kept on disk, and the agent goes on with them
// when the server is away or when it was itself restarted; its own end touches no container and no route.
//
// Fenced instances run by a lease, see assignment.Contact: it is counted on CLOCK_BOOTTIME from what the server is known to have
// heard, kept on disk with the id of the boot, and looked at once a second. When it is over they are halted, by the kernel
// where containerd does not answer, stay assigned and are reported with the reason Fenced; they are started again only by an
// assignment that was decided after the server heard of the minion again. So none is started after a reboot without contact, and
// an agent that restarts goes on with the lease it had.
//
// BUG: only a running agent halts anything. An agent that dies and is not started again leaves its fenced instances running: it is
// to be started again at once by who starts it, as by systemd with Restart=always. A virtual machine that is paused and does not
// learn of it goes on with a lease that is over.
//
// The agent owns nothing but what carries its label: what is found without it is never touched, and an instance of ours
// that is not in the assignment is reported and left alone, because only the server's Stop stops.
package agent
