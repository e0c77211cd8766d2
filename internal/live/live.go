// Package live knows every request in flight, and ends those whose authority
// has ended. It owns the register of flights, the following of the change feed,
// and the knowledge of how fresh this process's view of authority is.
//
// It decides nothing about authority: whether a credential still stands is asked
// of Recheck. It looks nothing up on the way of a request whose standing is fresh.
package live

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Live is the register of requests in flight. Its fields are set before first
// use and not changed afterwards.
type Live struct {
	DB *store.DB
	// Recheck reads the principal's credential anew, past every cache, and gives
	// the principal as it stands now, or an error when it does not any more.
	Recheck func(context.Context, tenure.Principal) (tenure.Principal, error)
	// Forget drops what caches hold about the thing that changed; a change of
	// kind "" means everything.
	Forget func(store.Change)
	// Check judges whether a principal may do what its request is about.
	Check func(tenure.Principal, tenure.Action) error
	// Allows judges whether a principal may ask a provider for a model.
	Allows func(p tenure.Principal, provider, model string) bool
	// Excepted reads anew until when its exception lets a provider be where it is, past
	// every cache. ErrProviderEnded: it does not any more.
	Excepted exceptedFunc
	// Note keeps how an end of access went; nil keeps nothing. It does not wait.
	Note func(tenure.TenantID, tenure.Revocation)
	// Spared is told of each stream that goes on past Options.StreamStaleness because
	// its workspace chose that, once an outage; nil is not. It does not wait.
	Spared func(*Flight)
	// EndAgain ends what has ended before the database went back to an earlier
	// state, and gives how many that was; it does nothing about what has ended there too.
	EndAgain func(context.Context, []store.Change) (int, error)
	// TellBack tells of a database that went back: how many ends were remembered, and
	// how many of them it had forgotten.
	TellBack func(ctx context.Context, remembered, again int) error
	Log      *slog.Logger
	Metrics  *Metrics
	Options  Options

	flights flights
	clock   freshness
	memory  memory
	// horizons are those of the last feedMemory, the oldest first; of one trim at a time.
	horizons []seenAt
	unknown  bool        // the follower could not know of some flight, and asks again
	keeping  atomic.Bool // what was seen is being kept
}

// Options are the limits of not knowing.
type Options struct {
	Now func() time.Time
	// MaxStaleness is how long credentials are admitted without news from the
	// database.
	MaxStaleness time.Duration
	// StreamStaleness is how long open streams go on without such news.
	StreamStaleness time.Duration
	// Seen is a file in which it is kept what was seen of the database, for the next
	// start; "" keeps nothing.
	Seen string
}

// freshness is what is known of the change feed.
type freshness struct {
	generation atomic.Uint64             // grows whenever something that is known may have changed
	heard      atomic.Pointer[time.Time] // when the database last answered; read by the monotonic clock
	begun      atomic.Uint64             // how many polls have begun
	applied    atomic.Uint64             // the last of them that was answered, and applied
	behind     atomic.Bool               // the database went back, or may have, and what it forgot is not written yet
	doubt      atomic.Bool               // it gives something as alive that has ended
	usual      atomic.Int64              // nanoseconds that the view is old at most while the feed is well
}

// Model is what a flight asks a provider for, by the name that the provider gets.
type Model struct {
	Provider, Name string
	// Excepted is the provider's id where an exception lets it be where it is, until
	// Until; "" where it needs none.
	Excepted tenure.ProviderID
	Until    time.Time
}

// ErrNoModel is why a flight does not stand whose model is not allowed any more.
var ErrNoModel = &tenure.Error{
	Kind: tenure.NotFound, Code: "model_not_found", Field: "model",
	Msg: "there is no such model",
}

// Flight is one request in flight.
type Flight struct {
	ID        string // of the request (X-Request-Id)
	Address   string // the client's; "" when it is not known
	Principal tenure.Principal
	Action    tenure.Action
	Started   time.Time
	// Listens tells that it is a page which waits for the end of its session, and
	// no stream: it is cut like one, and not counted.
	Listens bool

	limit      atomic.Int64                 // nanoseconds after Started by which something must move; 0: no limit
	late       atomic.Pointer[tenure.Error] // why it ends when it does not
	cancel     context.CancelCauseFunc
	unblock    func()
	expires    atomic.Int64          // Unix milliseconds; 0: never
	model      atomic.Pointer[Model] // nil as long as none is known
	excepted   atomic.Int64          // Unix milliseconds at which the exception of its provider ends; 0: it needs none
	prev, next *Flight
	in, cut    bool

	outage atomic.Pointer[tenure.Outage] // for how long it goes on without news, if that is longer than others do
	told   *time.Time                    // the last news before the outage of which it is told that it goes on by its grace
}

// Generation is the number of the change feed: take it before a look-up, and
// cache what was found only if it is still the same afterwards.
func (l *Live) Generation() uint64 { return l.clock.generation.Load() }

// Fresh answers Unavailable when this process has been without news from the
// database for longer than it may be.
func (l *Live) Fresh() error {
	return l.FreshFor(0)
}

// FreshFor is Fresh for whoever may go on for so long without news, if that is longer
// than others may.
func (l *Live) FreshFor(grace time.Duration) error {
	if l.Lag() > max(l.Options.MaxStaleness, grace) || l.clock.behind.Load() {
		return tenure.ErrStale
	}
	return nil
}

// Current reports whether news from the database is no older than the polls of the
// feed explain. Where it is, what is cached is asked for again.
func (l *Live) Current() bool { return l.Lag() <= time.Duration(l.clock.usual.Load()) }

// Lag is how long ago the database answered last; for ever, if it never did.
func (l *Live) Lag() time.Duration {
	heard := l.clock.heard.Load()
	if heard == nil {
		return math.MaxInt64
	}
	return max(0, l.Options.Now().Sub(*heard))
}

// Enter registers a request under its principal. The context that it returns
// ends when the request is cut, with the reason as its cause; leave must be
// called when the request is over. unblock frees the request's writer should it
// hang on a slow client; it may be nil. Enter answers an error when the
// principal's authority ended since it was looked up.
func (l *Live) Enter(ctx context.Context, p tenure.Principal, action tenure.Action, unblock func()) (context.Context, *Flight, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	origin := tenure.OriginOf(ctx)
	f := &Flight{
		ID: origin.RequestID, Address: origin.Address, Principal: p, Action: action, Started: l.Options.Now(),
		Listens: action == tenure.ViewPages, cancel: cancel, unblock: unblock,
	}
	f.endAt(p)
	if p.BestEffort() {
		f.told = l.clock.heard.Load()
	}
	l.flights.add(f)
	// What changed before this flight was in the list did not find it there: if
	// anything did since the look-up, look again.
	if l.Generation() != p.AsOf() {
		if err := l.again(ctx, f, l.Excepted); err != nil {
			l.Leave(f)
			return nil, nil, err
		}
	}
	return ctx, f, nil
}

// endAt notes when the principal's credential ends by itself, and for how long it goes on
// without news.
func (f *Flight) endAt(p tenure.Principal) {
	end := int64(0)
	if at := p.Standing().ExpiresAt; !at.IsZero() {
		end = at.UnixMilli()
	}
	f.expires.Store(end)
	f.outage.Store(&p.Standing().Outage)
}

// Asks notes which model a flight asks for, so that it ends when that is not
// allowed any more, or the exception of its provider ends. The caller has judged the model by the flight's principal; if
// anything changed since that was looked up, Asks looks again, and answers an
// error when the flight does not stand: ErrNoModel for the model alone. m is not
// modified afterwards.
func (l *Live) Asks(ctx context.Context, f *Flight, m *Model) error {
	if m.Excepted != "" {
		f.excepted.Store(m.Until.UnixMilli())
	}
	f.model.Store(m)
	if l.Generation() == f.Principal.AsOf() {
		return nil
	}
	return l.again(ctx, f, l.Excepted)
}

// endAgainTimeout is how long it may take to end again what a database forgot.
const endAgainTimeout = 30 * time.Second

// Leave takes the request out of the register and frees its context.
func (l *Live) Leave(f *Flight) {
	l.flights.remove(f)
	f.cancel(context.Canceled)
}

// Within ends the request with the cause late unless Within is called again
// within d. It costs two writes to memory, where a timer costs much more; the
// end comes up to store.FeedPoll late.
func (f *Flight) Within(d time.Duration, late *tenure.Error) {
	f.late.Store(late)
	f.limit.Store(int64(time.Since(f.Started) + d))
}

// Asked is the model that the flight asks for, as far as it is known by now.
func (f *Flight) Asked() Model {
	if m := f.model.Load(); m != nil {
		return *m
	}
	return Model{}
}

// Open is the number of streams: requests in flight to models.
func (l *Live) Open() int {
	l.flights.mu.Lock()
	defer l.flights.mu.Unlock()
	return l.flights.open
}

// Flights lists the requests in flight of a subject, of this process.
func (l *Live) Flights(who Subject) []*Flight { return l.flights.list(who) }

// Follows reports whether this process serves: it has followed the change feed,
// and knows its requests in flight.
func (l *Live) Follows() bool { return l.clock.heard.Load() != nil }

// Cut forgets what is cached of a change that this process has just committed,
// ends every flight of the subject with cause, and tells how many those were.
// It is called after the commit and before the answer.
func (l *Live) Cut(c store.Change, who Subject, cause error) int {
	l.advance(c)
	n := l.flights.cut(func(f *Flight) bool { return who(f.Principal.Standing()) }, cause)
	l.Metrics.cut(n, cause)
	return n + l.flights.claim(who, l.Options.Now())
}

// Changed forgets what is cached of a change that this process has just
// committed, ends the flights that do not stand any more, and tells how many
// those were.
func (l *Live) Changed(ctx context.Context, c store.Change) int {
	l.advance(c)
	// Whoever asked may have left; what was committed counts all the same. What
	// cannot be known here, the feed tells again.
	n, _ := l.recheck(context.WithoutCancel(ctx), l.flights.choose(concernedBy(c)), false)
	return n + l.flights.claim(subjectOf(c), l.Options.Now())
}

// CutOne ends one flight with cause, and reports whether it was still there.
func (l *Live) CutOne(f *Flight, cause error) bool {
	n := l.flights.cut(func(g *Flight) bool { return g == f }, cause)
	l.Metrics.cut(n, cause)
	return n > 0
}

// Dismiss ends the flights that would never end by themselves: pages which listen, and
// sockets.
func (l *Live) Dismiss(cause error) {
	n := l.flights.cut(func(f *Flight) bool { return f.Listens || f.Action == tenure.ConnectBeliefs }, cause)
	l.Metrics.cut(n, cause)
}

// CutAll ends every flight, for example when the process ends.
func (l *Live) CutAll(cause error) int {
	n := l.flights.cut(func(*Flight) bool { return true }, cause)
	l.Metrics.cut(n, cause)
	return n
}

// advance moves the generation on both sides of forgetting. A look-up that
// began before cannot be cached after, and one that still found the old value
// in the cache is looked at again by Enter.
// What no authority rests on moves nothing.
func (l *Live) advance(c store.Change) {
	if carriesNone(c) {
		l.Forget(c)
		return
	}
	l.clock.generation.Add(1)
	l.Forget(c)
	l.clock.generation.Add(1)
}

// Cause tells why ctx was cut, or nil when it was not, or ended otherwise.
func Cause(ctx context.Context) *tenure.Error {
	if ctx.Err() == nil {
		return nil
	}
	var e *tenure.Error
	if errors.As(context.Cause(ctx), &e) {
		return e
	}
	return nil
}
