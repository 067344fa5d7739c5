// Package agent runs one minion: it makes the minion be as its assignment says, and reports what it then observes.
//
// Next, pure, compares an assigned instance with what was observed and gives the next action; the loop around it does it, one
// worker per instance, and observes again. Routes come before pods: a new table is applied and acknowledged before and
// independently of image pulls and starts. The assignment and the table are kept on disk, and the agent goes on with them
// when the server is away or when it was itself restarted; its own end touches no container and no route.
//
// The agent owns nothing but what carries its label: what is found without it is never touched, and an instance of ours
// that is not in the assignment is reported and left alone, because only the server's Stop stops.
package agent
