package vault

import (
	"context"
	"errors"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// keepOpen is how long opened keys stay in memory.
const keepOpen = time.Minute

// failedFor is how long nobody tries again to open a key that did not open, while the
// provider has others.
const failedFor = time.Second

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
	Secret           tenure.Secret
	provider         tenure.ProviderID
}

// opened are the keys of a provider as they are kept in memory.
type opened struct {
	tenant tenure.TenantID
	keys   []OpenedKey
	until  time.Time
}

// reading is one that many may wait for. What it found may be read when done is closed.
type reading struct {
	tenant  tenure.TenantID
	waiting int // who wait for it; when the last has left, it is broken off
	stop    context.CancelFunc
	done    chan struct{}
	keys    []OpenedKey
	err     error
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
	if ok && o.tenant == tenant && (now.Before(o.until) || !v.Live.Current() && v.Live.FreshFor(tenure.MaxOutageGrace) == nil) {
		return o.keys, nil
	}
	r := v.join(ctx, tenant, id)
	select {
	case <-r.done:
		return r.keys, r.err
	case <-ctx.Done():
		v.leave(id, r)
		return nil, context.Cause(ctx)
	}
}

// join gives the reading of a provider's keys that is going on, or begins one. One that
// was begun before a change is forgotten by it: nobody joins it any more.
func (v *Vault) join(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) *reading {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r := v.reading[id]; r != nil && r.tenant == tenant {
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

// leave breaks a reading off that nobody waits for.
func (v *Vault) leave(id tenure.ProviderID, r *reading) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.waiting--; r.waiting > 0 {
		return
	}
	r.stop()
	if v.reading[id] == r {
		delete(v.reading, id)
	}
}

func (v *Vault) read(ctx context.Context, id tenure.ProviderID, r *reading) {
	defer r.stop()
	generation := v.Live.Generation()
	keys, until, err := v.openAll(ctx, r.tenant, id)
	r.keys, r.err = keys, err
	v.mu.Lock()
	defer v.mu.Unlock()
	defer close(r.done)
	if v.reading[id] != r {
		return
	}
	delete(v.reading, id)
	if err == nil && v.Live.Generation() == generation {
		v.open[id] = opened{tenant: r.tenant, keys: keys, until: until}
	}
}

// openAll reads the keys of a provider and opens those that open. It gives until when
// they may be kept.
func (v *Vault) openAll(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) ([]OpenedKey, time.Time, error) {
	now := v.DB.Now()
	until := now.Add(keepOpen)
	rows, err := v.DB.UsableKeys(ctx, tenant, id)
	if err == nil && len(rows) == 0 {
		_, err = v.DB.Provider(ctx, tenant, id)
	}
	if err != nil {
		return nil, until, err
	}
	v.mu.Lock()
	v.keepSources(id, tenant, rows)
	v.mu.Unlock()
	var failed error
	keys := make([]OpenedKey, 0, len(rows))
	for _, row := range rows {
		if row.State == tenure.KeyOverlap {
			if !now.Before(row.RetireAt) {
				continue // and nobody has come to retire it yet
			}
			until = earlier(until, row.RetireAt)
		}
		secret, good, err := v.resolve(ctx, row)
		if err != nil {
			failed = errors.Join(failed, err)
			if !errors.Is(err, errTampered) { // that one will not open a moment later either
				until = earlier(until, now.Add(failedFor))
			}
			continue
		}
		until = earlier(until, good)
		keys = append(keys, OpenedKey{
			ID: row.ID, Name: row.Name, Version: row.Version, Position: row.Position, Weight: row.Weight,
			LastResort: row.State == tenure.KeyOverlap, Reference: row.Reference, Secret: secret, provider: id,
		})
	}
	if len(keys) == 0 && failed == nil {
		failed = &tenure.Error{Kind: tenure.Unavailable, Code: "no_provider_key", Msg: "the provider has no key that is in use; an administrator must add one"}
	}
	if len(keys) == 0 {
		return nil, until, failed
	}
	return keys, until, nil
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
