package server

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// ErrNoRevision is wrapped by [Source.Head] when the repository answers and the ref is not there.
var ErrNoRevision = errors.New("the followed branch does not exist")

// Source is one ref of one repository, or several of them as one.
type Source interface {
	// Head resolves the ref. Trailers and commits are those of Head's commit and of all its ancestors that are not ancestors of the
	// commit of since (zero or unknown: trailers of the head commit alone, and no commits).
	Head(ctx context.Context, since reconcile.Revision) (reconcile.Revision, error)
	// Tree is the read-only file tree of the revision that Head named by hash, straight from the object database.
	Tree(ctx context.Context, hash string) (fs.FS, error)
	// Changed receives when the ref may have moved; it has room for one. It is a hint: Head decides.
	Changed() <-chan struct{}
}

// Store keeps decisions.
type Store interface {
	// Load returns what was saved last; ok is false if nothing ever was.
	Load(ctx context.Context) (state reconcile.State, ok bool, err error)
	// Save keeps state as a whole or not at all: all of it is durable when it returns nil. After an error the outcome is
	// unknown and the caller must Load before it saves again. A state that somebody else saved meanwhile is not
	// overwritten: that is an error too.
	Save(ctx context.Context, state reconcile.State) error
}

// History keeps what became of revisions, and their plans. It decides nothing: what it cannot keep is kept with a later step.
type History interface {
	// Outcomes are those that were kept, oldest first.
	Outcomes(ctx context.Context) ([]reconcile.Outcome, error)
	// PutOutcome replaces what is kept under the outcome's number.
	PutOutcome(ctx context.Context, o reconcile.Outcome) error
	// PutPlan keeps the document of a plan under the number of an outcome, and says in how many bytes.
	PutPlan(ctx context.Context, number uint64, document []byte) (size int, err error)
	// Plan is the document that was kept, nil if none was.
	Plan(ctx context.Context, number uint64) ([]byte, error)
	// DropOutcomes forgets outcomes with their plans.
	DropOutcomes(ctx context.Context, numbers []uint64) error
}

// Fleet is the link to the agents. Its methods may be called concurrently; none blocks on the network.
type Fleet interface {
	// Minions is every minion that ever joined, with what it last said.
	Minions() map[string]reconcile.Minion
	// Changed receives after Minions changed; it has room for one.
	Changed() <-chan struct{}
	// SetTable replaces the table that all minions are to have. It is encoded once.
	SetTable(assignment.Table)
	// SetAssignments replaces what each minion is to run. An assignment equal to the last one sent is not sent again.
	SetAssignments(map[string]assignment.Assignment)
	// Logs streams a container's log from the minion that has the instance.
	Logs(ctx context.Context, minion string, r assignment.LogRequest) (io.ReadCloser, error)

	tokens
}
