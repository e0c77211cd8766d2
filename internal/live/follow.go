package live

import (
	"context"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Times of the follower.
const (
	// feedMemory is how long changes are kept for those who follow.
	feedMemory = 10 * time.Minute
	// trimEvery is how often older ones are dropped.
	trimEvery = time.Minute
)

// Follow tails the change feed until ctx ends: it forgets what changed, ends
// the flights whose authority ended, whoever ended it, ends those whose token
// expires in mid-flight, and, when the database is silent for too long, ends
// all. ready is called when the feed is followed.
func (l *Live) Follow(ctx context.Context, ready func()) error {
	feed, err := l.DB.Feed(ctx, l.memory.restore(l.Options.Seen))
	if err != nil {
		return err
	}
	defer func() { _ = feed.Close() }()
	defer func() { l.keep(feed.Mark()) }()
	// What was cached before the feed was open may have changed unseen.
	l.advance(store.Change{})
	l.clock.usual.Store(int64(2*feed.Every + 2*store.FeedPoll))
	if err := l.poll(ctx, feed); err != nil {
		return err
	}
	ready()

	var beside sync.WaitGroup
	defer beside.Wait()
	cutting, stop := context.WithCancel(ctx)
	defer stop()
	beside.Go(func() { l.watchTheTime(cutting) })
	tick := time.NewTicker(store.FeedPoll)
	defer tick.Stop()
	trimmed := l.Options.Now()
	healthy := true
	var polled time.Time
	for {
		rung := false
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-feed.Bell:
			rung = true
		}
		if rung || time.Since(polled) >= feed.Every {
			polled = time.Now()
			err := l.poll(ctx, feed)
			if ctx.Err() != nil {
				return nil
			}
			if (err == nil) != healthy {
				healthy = err == nil
				l.Log.Warn("change feed", "healthy", healthy, "error", err)
			}
		}
		if now := l.Options.Now(); healthy && now.Sub(trimmed) > trimEvery {
			trimmed = now
			beside.Go(func() { l.trim(ctx) }) // it waits for the writer; the feed does not
			l.keepBeside(&beside, feed.Mark())
		}
	}
}

// watchTheTime ends what ends by itself, however long the database takes to answer.
func (l *Live) watchTheTime(ctx context.Context) {
	tick := time.NewTicker(store.FeedPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.expire(l.Options.Now())
		l.endStale()
	}
}

// endStale ends the flights that have gone on for as long without news as they may:
// for Options.StreamStaleness, or for longer where their workspace chose that.
func (l *Live) endStale() {
	lag := l.Lag()
	if lag <= l.Options.StreamStaleness {
		return
	}
	now, news := l.Options.Now(), l.clock.heard.Load()
	var spared []*Flight
	n := l.flights.cut(func(f *Flight) bool {
		if lag > f.outage.Load().GraceAt(now) {
			return true
		}
		if f.told != news {
			f.told = news
			spared = append(spared, f)
		}
		return false
	}, tenure.ErrStale)
	l.Metrics.cut(n, tenure.ErrStale)
	if l.Spared != nil {
		for _, f := range spared {
			l.Spared(f)
		}
	}
}

// keep leaves what was seen for the next start; while the database has not been told
// what it forgot, the next start is to find that too.
func (l *Live) keep(mark store.Mark) {
	if l.clock.behind.Load() {
		return
	}
	if err := l.memory.keep(l.Options.Seen, mark); err != nil {
		l.Log.Warn("keep what was seen of the database", "error", err)
	}
}

// keepBeside is keep for whoever must not wait for a disk. While one waits, no second
// one begins.
func (l *Live) keepBeside(beside *sync.WaitGroup, mark store.Mark) {
	if l.keeping.CompareAndSwap(false, true) {
		beside.Go(func() {
			defer l.keeping.Store(false)
			l.keep(mark)
		})
	}
}

func (l *Live) heard(at time.Time) { l.clock.heard.Store(&at) }

// poll applies what is new in the feed.
func (l *Live) poll(ctx context.Context, feed *store.Feed) error {
	asked, number := l.Options.Now(), l.clock.begun.Add(1)
	news, err := feed.Poll(ctx)
	if err != nil {
		return err
	}
	l.hear(news)
	changes := news.Changes
	if news.Lost || l.unknown {
		changes = []store.Change{{}} // everything is looked up anew
	}
	// Before anything else is asked of the database, which may be gone by then.
	for _, c := range changes {
		l.advance(c)
	}
	flights := l.concerned(changes)
	if err := l.settle(ctx); err != nil {
		l.unknown = true // these news are not told again
		for _, f := range flights {
			f.outage.Store(&tenure.Outage{}) // until it is known again
		}
		return err
	}
	_, known := l.recheck(ctx, flights, true)
	l.unknown = !known
	// The view is as fresh as the moment at which it was asked for.
	l.heard(asked)
	l.clock.applied.Store(number)
	return nil
}

// concerned lists the flights that changes may concern, each once: they are looked at
// together, so that a database which hangs is waited for once.
func (l *Live) concerned(changes []store.Change) []*Flight {
	var out []*Flight
	listed := map[*Flight]bool{}
	for _, c := range changes {
		if carriesNone(c) {
			continue
		}
		for _, f := range l.flights.choose(concernedBy(c)) {
			if !listed[f] {
				listed[f] = true
				out = append(out, f)
			}
		}
	}
	return out
}

// expire ends the flights whose token has reached its end, or the exception of whose
// provider has, and those in which nothing has moved for too long.
func (l *Live) expire(now time.Time) {
	at := now.UnixMilli()
	past := func(end int64) bool { return end != 0 && end <= at }
	n := l.flights.cut(func(f *Flight) bool { return past(f.expires.Load()) }, tenure.ErrExpired)
	l.Metrics.cut(n, tenure.ErrExpired)
	n = l.flights.cut(func(f *Flight) bool { return past(f.excepted.Load()) }, tenure.ErrProviderEnded)
	l.Metrics.cut(n, tenure.ErrProviderEnded)
	for _, f := range l.flights.late() {
		why := f.late.Load()
		n := l.flights.cut(func(g *Flight) bool { return g == f && f.isLate() }, why)
		l.Metrics.cut(n, why)
	}
}

// isLate reports whether nothing has moved for too long.
func (f *Flight) isLate() bool {
	limit := f.limit.Load()
	return limit != 0 && int64(time.Since(f.Started)) >= limit
}

// late lists the flights in which nothing has moved for too long.
func (fs *flights) late() []*Flight {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var out []*Flight
	for f := fs.head; f != nil; f = f.next {
		if !f.cut && f.isLate() {
			out = append(out, f)
		}
	}
	return out
}

// trim drops what nobody can miss any more. Whoever follows has had feedMemory to see
// what it drops.
func (l *Live) trim(ctx context.Context) {
	now := l.Options.Now()
	horizon, err := l.DB.Horizon(ctx)
	if err == nil && horizon != "" {
		l.horizons = append(l.horizons, seenAt{now, horizon})
		if now.Sub(l.horizons[0].at) < feedMemory {
			return
		}
		for len(l.horizons) > 1 && now.Sub(l.horizons[1].at) >= feedMemory {
			l.horizons = l.horizons[1:]
		}
		horizon = l.horizons[0].horizon
	}
	if err == nil {
		err = l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.TrimChanges(ctx, feedMemory, horizon) })
	}
	if err != nil && ctx.Err() == nil {
		l.Log.Warn("trim the change feed", "error", err)
	}
}

// seenAt is a horizon of the database, and when it was.
type seenAt struct {
	at      time.Time
	horizon string
}

// carriesNone tells of a change of what no flight's authority rests on, and that comes often.
func carriesNone(c store.Change) bool { return c.Kind == "belief" || c.Kind == "extraction" }

// concernedBy chooses the flights that a change may concern: of a provider those to which
// only its exception lets it be asked.
func concernedBy(c store.Change) func(*Flight) bool {
	who := subjectOf(c)
	return func(f *Flight) bool {
		if c.Kind == "provider" {
			return f.Asked().Excepted == tenure.ProviderID(c.ID)
		}
		return who(f.Principal.Standing())
	}
}

// subjectOf chooses the flights that rest on what has changed.
func subjectOf(c store.Change) Subject {
	switch c.Kind {
	case "token":
		return Token(tenure.TokenID(c.ID))
	case "user", "membership":
		return User(tenure.UserID(c.ID))
	case "session":
		return Session(tenure.SessionID(c.ID))
	case "workspace":
		return Workspace(tenure.WorkspaceID(c.ID))
	case "tenant", "policy", "exception":
		return Tenant(tenure.TenantID(c.ID))
	case "service_account":
		return Account(tenure.ServiceAccountID(c.ID))
	case "connector":
		return Connector(tenure.ConnectorID(c.ID))
	case "provider", "limit", "price": // a running request keeps the key that it began with, and was admitted
		return func(*tenure.Standing) bool { return false }
	}
	return everything
}
