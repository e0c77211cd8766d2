package vault

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// keepOpen is how long opened keys stay in memory.
const keepOpen = time.Minute

// failedFor is how long nobody tries again to open a key that did not open, while the
// provider has others.
const failedFor = 5 * time.Second

// waitForOthers is how long whoever may go out with one of a provider's keys waits for
// the others to open.
const waitForOthers = 250 * time.Millisecond

// readLimit bounds the reading of a provider's keys, which goes on when whoever asked
// first has left: others wait for it.
const readLimit = 10 * time.Second

// OpenedKey is a key of a provider that a request may be sent with.
type OpenedKey struct {
	ID      tenure.KeyID
	Name    string
	Version int64
	// Position is its place in the order; among those of the same one, Weight is its share.
	Position, Weight int
	LastResort       bool   // its successor is used
	Reference        string // where it is kept; "": sealed here
	Refused          bool   // the provider did not accept it when it was asked last
	Secret           tenure.Secret
	provider         tenure.ProviderID
}

// opened are the keys of a provider as they are kept in memory.
type opened struct {
	tenant     tenure.TenantID
	keys       []OpenedKey
	until      time.Time
	incomplete bool      // there are keys that did not open
	again      time.Time // when they are tried again
}

// reading is one that many may wait for. What it found may be read when done is closed.
type reading struct {
	tenant     tenure.TenantID
	generation uint64
	waiting    int // who wait for it; when the last has left, it is broken off
	stop       context.CancelFunc
	told       bool // done is closed
	done       chan struct{}
	keys       []OpenedKey
	err        error
}

// Keys gives the keys of a provider that a request may be sent with, at least one, in
// the order of their use. They are read from the database at most once a minute, and at
// once after they changed, however many ask. While there is no news from the database,
// what is open stays so: whoever is admitted then has these keys. The caller changes
// nothing in what it gets. NotFound: there is no such provider. Unavailable: none of
// its keys can be had.
func (v *Vault) Keys(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) ([]OpenedKey, error) {
	now := v.DB.Now()
	v.mu.RLock()
	o, ok := v.open[id]
	v.mu.RUnlock()
	if ok && v.serves(o, tenant, now) {
		if o.incomplete && !now.Before(o.again) {
			v.tryAgain(ctx, tenant, id)
		}
		return o.keys, nil
	}
	r := v.join(ctx, tenant, id, now)
	select {
	case <-r.done:
		return r.keys, r.err
	case <-ctx.Done():
		v.leave(id, r)
		return nil, context.Cause(ctx)
	}
}

// serves reports whether what is open of a provider is good for a tenant at now.
func (v *Vault) serves(o opened, tenant tenure.TenantID, now time.Time) bool {
	return o.tenant == tenant && (now.Before(o.until) || !v.Live.Current() && v.Live.FreshFor(tenure.MaxOutageGrace) == nil)
}

// join gives the reading of a provider's keys that is going on, one that has just ended, or
// begins one. One that was begun before a change is forgotten by it: nobody joins it any more.
func (v *Vault) join(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID, now time.Time) *reading {
	v.mu.Lock()
	defer v.mu.Unlock()
	if o, ok := v.open[id]; ok && v.serves(o, tenant, now) { // it ended before the lock was had
		r := &reading{tenant: tenant, told: true, keys: o.keys, done: make(chan struct{})}
		close(r.done)
		return r
	}
	return v.begin(ctx, tenant, id)
}

// begin joins a reading that is going on, or begins one. It needs the lock.
func (v *Vault) begin(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) *reading {
	if r := v.reading[id]; r != nil && r.tenant == tenant && !r.told { // what it told may have ended since
		r.waiting++
		return r
	}
	r := &reading{tenant: tenant, waiting: 1, done: make(chan struct{})}
	if v.reading == nil {
		v.reading, v.open = make(map[tenure.ProviderID]*reading), make(map[tenure.ProviderID]opened)
	}
	v.reading[id] = r
	ctx, r.stop = context.WithTimeout(context.WithoutCancel(ctx), readLimit)
	go v.read(ctx, id, r)
	return r
}

// tryAgain reads a provider's keys once more, behind the requests: some did not open.
func (v *Vault) tryAgain(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) {
	v.mu.Lock()
	o, ok := v.open[id]
	if ok = ok && v.reading[id] == nil && !v.DB.Now().Before(o.again); ok {
		o.again = v.DB.Now().Add(failedFor) // for whoever comes meanwhile
		v.open[id] = o
		v.begin(ctx, tenant, id) // and never left: what it finds is for those who come
	}
	v.mu.Unlock()
}

// leave breaks a reading off that nobody waits for.
func (v *Vault) leave(id tenure.ProviderID, r *reading) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.waiting--; r.waiting > 0 || r.told {
		return
	}
	r.stop()
	if v.reading[id] == r {
		delete(v.reading, id)
	}
}

// read reads the keys of a provider and opens them, side by side. One that does not open
// soon, because the system that keeps it hangs, holds up nobody who may go out with
// another: they go on with what is there, and what comes later is added.
func (v *Vault) read(ctx context.Context, id tenure.ProviderID, r *reading) {
	defer r.stop()
	r.generation = v.Live.Generation()
	o := opened{tenant: r.tenant, until: v.DB.Now().Add(keepOpen)}
	rows, err := v.usable(ctx, r.tenant, id)
	if err == nil && len(rows) == 0 {
		err = &tenure.Error{Kind: tenure.Unavailable, Code: "no_provider_key", Msg: "the provider has no key that is in use; an administrator must add one"}
	}
	found := make([]OpenedKey, len(rows)) // in the order of their use; not there yet: without an id
	outcomes := make(chan outcome, len(rows))
	for i, row := range rows {
		go func() { outcomes <- v.openOne(ctx, i, row) }()
	}
	var soon <-chan time.Time
	for left := len(rows); left > 0; {
		select {
		case c := <-outcomes:
			left--
			if c.err != nil {
				err = errors.Join(err, c.err)
				o.incomplete = o.incomplete || !errors.Is(c.err, errTampered) // that one will not open a moment later either
				continue
			}
			found[c.row], o.until = c.key, earlier(o.until, c.until)
			if soon == nil {
				soon = time.After(waitForOthers)
			}
		case <-soon:
			part := o
			part.incomplete = true
			v.publish(id, r, part, found, nil, false)
		}
	}
	v.publish(id, r, o, found, err, true)
}

// publish hands out the keys that were found by now, if there are any, to whoever waits
// and whoever comes.
func (v *Vault) publish(id tenure.ProviderID, r *reading, o opened, found []OpenedKey, err error, whole bool) {
	for i := range found {
		if found[i].ID != "" {
			o.keys = append(o.keys, found[i])
		}
	}
	if len(o.keys) > 0 {
		err = nil
	}
	if o.incomplete {
		o.again = v.DB.Now().Add(failedFor)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !r.told {
		r.keys, r.err, r.told = o.keys, err, true
		close(r.done)
	}
	if v.reading[id] != r {
		return
	}
	if whole {
		delete(v.reading, id)
	}
	if err == nil && v.Live.Generation() == r.generation {
		v.open[id] = o
	}
}

// usable gives the rows of a provider's keys that are in use.
func (v *Vault) usable(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) ([]store.ProviderKeyRow, error) {
	now := v.DB.Now()
	rows, err := v.DB.UsableKeys(ctx, tenant, id)
	if err == nil && len(rows) == 0 {
		_, err = v.DB.Provider(ctx, tenant, id)
	}
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	v.keepSources(id, tenant, rows)
	v.mu.Unlock()
	return slices.DeleteFunc(rows, func(row store.ProviderKeyRow) bool {
		return row.State == tenure.KeyOverlap && !now.Before(row.RetireAt) // and nobody has come to retire it yet
	}), nil
}

// outcome is what came of opening the key in one of the rows.
type outcome struct {
	row   int
	key   OpenedKey
	until time.Time // for how long it may be kept
	err   error
}

func (v *Vault) openOne(ctx context.Context, i int, row store.ProviderKeyRow) outcome {
	secret, until, err := v.resolve(ctx, row)
	if row.State == tenure.KeyOverlap {
		until = earlier(until, row.RetireAt)
	}
	return outcome{row: i, until: until, err: err, key: OpenedKey{
		ID: row.ID, Name: row.Name, Version: row.Version, Position: row.Position, Weight: row.Weight,
		LastResort: row.State == tenure.KeyOverlap, Reference: row.Reference, Refused: row.Check == tenure.CheckRefused, Secret: secret, provider: row.Provider,
	}}
}

// resolve gets the key itself, and until when it is good.
func (v *Vault) resolve(ctx context.Context, row store.ProviderKeyRow) (tenure.Secret, time.Time, error) {
	if row.Reference != "" {
		return v.elsewhere(ctx, row)
	}
	secret, err := v.Key.OpenProvider(ctx, row)
	return secret, v.DB.Now().Add(keepOpen), err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Forget drops the opened keys of a provider that changed.
func (v *Vault) Forget(c store.Change) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch c.Kind {
	case "provider":
		delete(v.open, tenure.ProviderID(c.ID))
		delete(v.reading, tenure.ProviderID(c.ID))
		if len(v.sources[tenure.ProviderID(c.ID)]) > 0 {
			go v.release(tenure.Everywhere(context.Background()), tenure.ProviderID(c.ID))
		}
	case "", "tenant", "workspace":
		clear(v.open)
		clear(v.reading)
	}
}
