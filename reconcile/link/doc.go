// Package link is the stream between the server and its agents: gRPC over mutual TLS, one bidirectional stream per agent,
// opened by the agent.
//
// [Server] implements the server's fleet and [Client] the agent's controller. The server tells each agent two things, each as
// a whole: the table, which is encoded once and is the same bytes for all, and the agent's own assignment. Both travel as
// the JSON of package assignment with its SHA-256, cut in parts of 256 KiB, compressed from a few KiB on. The agent answers
// with acknowledgements, which are cumulative and repeated in heartbeats, and with reports, of which only the newest counts.
// The images in a report travel by themselves, once a stream and when they changed: reports come often, and that list is long.
//
// Nothing is queued without bound. Each direction of a stream has one writing goroutine that looks, whenever it is free, at
// what is wanted now: an agent that was slow gets the message it was blocked on and then the newest, never what lay between.
// A table that changes often is sent at once and then at most every 50 ms. Logs have streams of their own, and flow control
// reaches from the reader at the server to the file on the minion.
//
// A stream is ended by the server when the agent has said nothing for 35 s, when a write to it has been blocked for 30 s or
// when it has made no progress with what it was sent for 60 s; the agent dials again after 0.1 to 5 s with full jitter. When
// a certificate is revoked or replaced its stream ends at once, when it expires with the next heartbeat.
//
// An agent numbers its hello, acknowledgements and heartbeats. The server notes that it saw the minion and answers with the
// newest number, so that the agent knows how old its contact is at most, see assignment.Contact. It does so without a lease too:
// an instance that becomes fenced while it runs is to find a contact. Of two servers of one fleet only the one that leads may
// serve the link: an answer of another would extend a lease that the leader does not know of.
//
// A server that lost its decisions asks the agents for what they keep, and takes certificates of its authority for good that its
// registry lost.
//
// The link orders nothing: fleet id and generation arrive as they were sent, and refusing another fleet's or an older one is
// the agent's decision. All is kept in memory, except for what package pki keeps: after a restart of the server the agents
// say again what is in force and report again, and are sent the current table and assignment; an agent that already received
// the very same bytes is not sent them again.
package link
