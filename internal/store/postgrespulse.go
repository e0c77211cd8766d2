package store

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Times of a database that is there and says nothing: its kernel goes on to answer for
// it, so that nothing but time tells.
const (
	// silenceGrace is how long statements that run go on after a poll of the feed was
	// not answered, unless one is meanwhile.
	silenceGrace = 500 * time.Millisecond
	// silenceWait is how long a statement may take while no poll is answered.
	silenceWait = time.Second
	// callTimeout ends whatever else stands between a statement and its answer.
	callTimeout = 2 * statementTimeout
)

// pulse tells the statements of a pool what the feed hears of the database.
type pulse struct {
	mu      sync.Mutex
	silent  bool
	verdict *time.Timer
	lost    context.Context // ends when silence has lasted for its grace
	lose    context.CancelFunc
	server  string // the run of a server that is followed; "": none yet
}

func newPulse() *pulse {
	p := &pulse{}
	p.lost, p.lose = context.WithCancel(context.Background())
	return p
}

// heard notes that a poll was answered.
func (p *pulse) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.silent {
		return
	}
	p.silent = false
	p.verdict.Stop()
	if p.lost.Err() != nil {
		p.lost, p.lose = context.WithCancel(context.Background())
	}
}

// missed notes that one was not.
func (p *pulse) missed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent {
		return
	}
	p.silent = true
	p.verdict = time.AfterFunc(silenceGrace, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.silent {
			p.lose()
		}
	})
}

// follow notes which server's changes are known, and applied.
func (p *pulse) follow(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

// admit refuses a new connection to another server than the one that is followed: what
// has taken over may have forgotten who has no access any more, and nobody knows before
// the feed has asked it.
func (p *pulse) admit(ctx context.Context, conn *pgx.Conn) error {
	p.mu.Lock()
	followed := p.server
	p.mu.Unlock()
	if followed == "" {
		return nil
	}
	// A server may be reached by several addresses; when it was started tells enough.
	var started string
	if err := conn.QueryRow(ctx, `SELECT pg_postmaster_start_time()::text`).Scan(&started); err != nil {
		return err
	}
	if !strings.HasPrefix(followed, started+" ") {
		return unavailable(errors.New("another server has taken over, and is not followed yet"))
	}
	return nil
}

func (p *pulse) now() (silent bool, lost context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent, p.lost
}

// await bounds the waiting for a connection.
func (p *pulse) await(ctx context.Context) (context.Context, context.CancelFunc) {
	silent, lost := p.now()
	if silent {
		return context.WithTimeout(ctx, silenceWait)
	}
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	stop := context.AfterFunc(lost, cancel)
	return ctx, func() { stop(); cancel() }
}

// watch breaks off what waits on a connection for a database that is silent; release
// gives the connection back to the pool.
func (p *pulse) watch(conn *pgxpool.Conn) (release func()) {
	silent, lost := p.now()
	wire := conn.Conn().PgConn().Conn()
	limit := callTimeout
	if silent {
		limit = silenceWait
	}
	_ = wire.SetDeadline(time.Now().Add(limit))
	stop := func() bool { return true }
	if !silent {
		stop = context.AfterFunc(lost, func() { _ = wire.SetDeadline(time.Unix(1, 0)) })
	}
	return func() {
		if stop() {
			_ = wire.SetDeadline(time.Time{})
		} else {
			abandon(conn, wire) // what ended it may be on its way still
		}
		conn.Release()
	}
}

// abandon lets the pool throw a connection away.
func abandon(conn *pgxpool.Conn, wire net.Conn) {
	_ = wire.Close()
	_ = conn.Conn().Close(context.Background())
}
