package store

import (
	"context"
	"time"
)

// Change says that the authority of one thing changed; what it is now must be
// read. Kind is "token", "user", "session", "membership" (ID is the user's),
// "service_account", "provider", "workspace", "tenant", "policy", "limit",
// "price", "exception" (ID is the tenant's, and once more its own when it ends for good)
// "connector", or "belief" and "extraction" (ID is the person's, a slash, and the belief's
// or the job's; without one it means all of that person's); "" means everything.
type Change struct {
	Seq  int64  `json:"-"`
	Kind string `json:"kind"`
	ID   string `json:"id"`
	// Ended tells that the change left the thing without any authority: revoked,
	// deactivated, deleted. It is told by PostgreSQL only.
	Ended bool      `json:"ended"`
	At    time.Time `json:"at,omitzero"` // by the database's clock; PostgreSQL only
}

// FeedPoll is how often whoever follows looks after what ends by itself.
const FeedPoll = 50 * time.Millisecond

// feedPage is how many changes are told singly at once.
const feedPage = 1000

// feedHeard is how many changes one poll reads, to tell of ends at least.
const feedHeard = 20_000

// Feed tails the changes of the database, whoever made them: this process,
// another one, or a hand at a shell. It is used by one goroutine.
type Feed struct {
	// Every is how often it should be polled, at least.
	Every time.Duration
	// Bell rings when there may be something to read; nil where nothing rings.
	Bell <-chan struct{}

	poll  func(ctx context.Context) (News, error)
	mark  func() Mark
	close func() error
}

// Mark is the newest change that a feed has told, and of which installation: a
// later start finds by it that the database is at an earlier state. The zero Mark
// is that of who has seen nothing.
type Mark struct {
	Install string    `json:"install"`
	Seq     int64     `json:"seq"`
	XID     string    `json:"xid,omitempty"`
	At      time.Time `json:"at,omitzero"`
	// Server tells one run of one server, and one life of the table in it, from every
	// other; PostgreSQL only.
	Server string `json:"server,omitempty"`
}

// News is what one Poll has found.
type News struct {
	Changes []Change
	// Lost tells that some changes cannot be known any more, because the table was
	// trimmed past them, or that they are too many to be told singly: whoever
	// follows must forget all that it holds. Changes has those that are known.
	Lost bool
	// Back tells that the database is at an earlier state than was seen before: a
	// backup was put back, or a standby took over without the last commits. Lost is
	// set too.
	Back bool
	// Moved tells that another server answers than before, or another run of it, or
	// that the table was made anew: it may lack commits of which the numbers do not tell.
	Moved bool
	// Unheard tells that there were ends of access which nobody here has heard singly:
	// ToldChanges has them and, where Since is not zero, EndedSince those of before.
	Unheard bool
	Since   time.Time
}

// Poll gives what is new since the last Poll. An error means that nothing is known
// to be fresh.
func (f *Feed) Poll(ctx context.Context) (News, error) { return f.poll(ctx) }

// Mark is where the feed stands.
func (f *Feed) Mark() Mark { return f.mark() }

// install is the id of the installation whose database this is.
const install = `SELECT value FROM meta WHERE key = 'install.id'`

// Close ends the feed's connection.
func (f *Feed) Close() error { return f.close() }

// Horizon tells what is visible in the database now, for TrimChanges later on; ""
// where changes are seen in the order of their times.
func (db *DB) Horizon(ctx context.Context) (string, error) { return db.engine.horizon(ctx) }

// TrimChanges drops changes that are older than age and, where horizon is not "", were
// visible in it: one that was made long ago may be committed, and first seen, only
// now. The newest one stays, so that whoever follows can tell that the database did
// not go back.
func (tx *Tx) TrimChanges(ctx context.Context, age time.Duration, horizon string) error {
	const old = `DELETE FROM changes WHERE at < $1 AND seq < (SELECT MAX(seq) FROM changes)`
	if horizon == "" {
		_, err := tx.exec(ctx, old, stamp(tx.now.Add(-age)))
		return err
	}
	_, err := tx.exec(ctx, old+` AND pg_visible_in_snapshot(xid, $2::text::pg_snapshot)`, stamp(tx.now.Add(-age)), horizon)
	return err
}
