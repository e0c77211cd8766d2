package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

func providers(t *testing.T, f *fixture) {
	p := tenure.Provider{
		ID: "p1", Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Name: "openai", Kind: tenure.OpenAI,
		BaseURL: "https://x/v1", CreatedAt: f.db.Now(), UpdatedAt: f.db.Now(),
	}
	key := store.SealedKey{Sealed: []byte{0, 1, 2, 255}, DataKey: []byte{3, 0}, KEK: "kek", Form: 1}
	at := f.db.Now().UTC().Truncate(time.Microsecond)
	version := func(name string, n int64, state tenure.KeyState, position int) tenure.ProviderKey {
		return tenure.ProviderKey{
			ID: tenure.KeyID(fmt.Sprint(name, n)), Tenant: p.Tenant, Workspace: p.Workspace, Provider: p.ID, Name: name, Version: n, State: state,
			Position: position, Weight: 7, Last4: "abcd", Fingerprint: "f", MadeBy: f.user.ID, CreatedBy: "me", CreatedAt: at, ActivatedAt: at, RotateEvery: 90,
		}
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		err := tx.InsertProvider(ctx, p)
		for _, k := range []tenure.ProviderKey{
			version("spare", 1, tenure.KeyActive, 2), version("main", 1, tenure.KeyOverlap, 1), version("main", 2, tenure.KeyActive, 1), version("main", 3, tenure.KeyStaged, 1),
		} {
			err = errors.Join(err, tx.InsertProviderKey(ctx, k, key))
		}
		return err
	})
	again := p
	again.ID = "p2"
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertProvider(ctx, again) })
	if !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("the same name twice: %v", err)
	}
	err = f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertProviderKey(ctx, version("main", 4, tenure.KeyActive, 1), key)
	})
	if !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("two versions in use: %v", err)
	}
	usable, err := f.db.UsableKeys(f.ctx, p.Tenant, p.ID)
	if want := version("main", 2, tenure.KeyActive, 1); err != nil || len(usable) != 3 || usable[0].ProviderKey != want || string(usable[0].Sealed) != string(key.Sealed) ||
		string(usable[0].DataKey) != string(key.DataKey) || usable[0].KEK != "kek" || usable[0].Form != 1 {
		t.Errorf("%+v, %v", usable, err)
	} else if usable[1].Name != "spare" || usable[2].State != tenure.KeyOverlap {
		t.Errorf("order: %+v", usable)
	}
	if usable, err := f.db.UsableKeys(f.ctx, "other", p.ID); len(usable) != 0 || err != nil {
		t.Errorf("across tenants: %v, %v", usable, err)
	}
	for _, tt := range []struct {
		version  int64
		state    tenure.KeyState
		accepted bool
		news     bool
	}{
		{2, tenure.KeyActive, true, false},
		{2, tenure.KeyActive, false, true},
		{2, tenure.KeyActive, false, false},
		{2, tenure.KeyActive, true, true},
		{3, tenure.KeyStaged, false, false},
	} {
		err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error {
			k, err := tx.MarkKey(ctx, p.ID, version("main", tt.version, tt.state, 1).ID, tt.accepted)
			if err == nil && (k.Version != tt.version || (k.Check == tenure.CheckRefused) == tt.accepted || k.CheckedAt.IsZero()) {
				t.Errorf("marked %+v", k)
			}
			return err
		})
		if news := err == nil; news != tt.news || err != nil && !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	if got, err := f.db.Provider(f.ctx, p.Tenant, p.ID); err != nil || got.Last4 != "abcd" {
		t.Errorf("%+v, %v", got, err)
	}
	headers(t, f, p)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return tx.DeleteProvider(ctx, tenure.DefaultTenant, p.ID)
	})
	if n, err := f.db.CountSealed(f.ctx); n != 0 || err != nil {
		t.Errorf("CountSealed = %d, %v: the keys outlive their provider", n, err)
	}
}

// headers of a provider are set all at once, by hand too, and the feed tells of it.
func headers(t *testing.T, f *fixture, p tenure.Provider) {
	t.Helper()
	feed := f.feed()
	told := func(what string, want ...tenure.ProviderHeader) {
		t.Helper()
		if changes, lost := f.next(feed); lost || !tells(changes, "provider", string(p.ID)) {
			t.Errorf("%s: the feed tells %v (lost %t)", what, changes, lost)
		}
		if got, err := f.db.Provider(f.ctx, p.Tenant, p.ID); err != nil || !slices.Equal(got.Headers, want) {
			t.Errorf("%s: %v, %v", what, got.Headers, err)
		}
		if rows, err := f.db.ProvidersWithHeaders(f.ctx); err != nil || (len(rows) == 1) != (len(want) > 0) {
			t.Errorf("%s: with headers: %v, %v", what, rows, err)
		}
	}
	set := func(headers ...tenure.ProviderHeader) {
		t.Helper()
		f.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.SetProviderHeaders(ctx, p.Tenant, p.ID, headers)
		})
	}
	one, other := tenure.ProviderHeader{Name: "A", Value: "\"<1>"}, tenure.ProviderHeader{Name: "B", Value: "2"}
	set(other, one)
	told("two", one, other)
	f.hand(`UPDATE provider_credentials SET headers = '{"A":1}'`)
	told("no texts, by hand", tenure.ProviderHeader{Value: `{"A":1}`})
	f.hand(`UPDATE provider_credentials SET headers = '{"B":"2"}'`)
	told("by hand", other)
	set()
	told("none")
	err := f.db.Tx(f.ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SetProviderHeaders(ctx, "other", p.ID, nil) })
	if !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("across tenants: %v", err)
	}
}

// exceptedProvider: the row of a provider tells in which time its exception lets it be
// where the policy does not, whoever wrote either, and the feed tells when that changes.
func exceptedProvider(t *testing.T, f *fixture) {
	feed, err := f.db.Feed(f.ctx, store.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = feed.Close() }()
	low, now := tenure.Risk{Likelihood: "low", Impact: "low"}, f.db.Now().Truncate(time.Second)
	x := tenure.Exception{
		ID: "there", Tenant: tenure.DefaultTenant, Title: "x", Rule: tenure.RuleProviderNetwork, Kind: tenure.SubjectProvider, Subject: "p1", Before: low, After: low,
		From: now.Add(-time.Minute), ExpiresAt: now.Add(time.Hour), RemedyBy: now, RequestedAt: now,
	}
	next := x
	next.ID, next.Renews, next.ExpiresAt = "next", "there", now.Add(2*time.Hour)
	p := tenure.Provider{ID: "p1", Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Name: "lab", Kind: tenure.OpenAI, BaseURL: "http://10.0.0.7/v1", CreatedAt: now, UpdatedAt: now}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.InsertProvider(ctx, p), tx.InsertException(ctx, x), tx.InsertException(ctx, next))
	})
	hand := func(statement string) func() { return func() { f.hand(statement) } }
	hang := func(on tenure.ExceptionID) func() {
		return func() {
			f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.SetProviderException(ctx, p.Tenant, p.ID, on) })
		}
	}
	until := x.ExpiresAt
	for _, c := range []struct {
		what string
		do   func()
		kind string
		want time.Time // zero: it is not let
	}{
		{"one that nobody has approved", hang("there"), "provider", time.Time{}},
		{"it is approved", hand(`UPDATE exceptions SET decision = 'approved'`), "exception", until},
		{"of another rule", hand(`UPDATE exceptions SET rule = 'best_effort'`), "exception", time.Time{}},
		{"of another provider", hand(`UPDATE exceptions SET rule = 'provider_network', subject_id = 'p2'`), "exception", time.Time{}},
		{"of something else with its id", hand(`UPDATE exceptions SET subject_id = 'p1', subject_kind = 'workspace'`), "exception", time.Time{}},
		{"its control has failed", hand(`UPDATE exceptions SET subject_kind = 'provider', failed_at = '2026-01-01T00:00:00Z'`), "exception", time.Time{}},
		{"remediated", hand(`UPDATE exceptions SET failed_at = NULL; UPDATE exceptions SET remediated_at = '2026-01-01T00:00:00Z' WHERE id = 'there'`), "exception", time.Time{}},
		{"it has ended", hand(`UPDATE exceptions SET remediated_at = NULL, expires_at = '2026-01-01T00:00:00Z' WHERE id = 'there'`), "exception", time.Time{}},
		{"it begins yet", hand(`UPDATE exceptions SET expires_at = '2099-01-01T00:00:00Z', begins_at = '2098-12-01T00:00:00Z' WHERE id = 'there'`), "exception", time.Time{}},
		{"it lasts for longer than any", hand(`UPDATE exceptions SET begins_at = '2026-01-01T00:00:00Z' WHERE id = 'there'`), "exception", time.Time{}},
		{"in force again", hand(`UPDATE exceptions SET begins_at = '` + x.From.UTC().Format(time.RFC3339) + `', expires_at = '` + until.UTC().Format(time.RFC3339) + `' WHERE id = 'there'`), "exception", until},
		{"another takes its place", func() {
			f.tx(func(ctx context.Context, tx *store.Tx) error {
				took, err := tx.SucceedException(ctx, next)
				if !took {
					t.Error("it does not take its place")
				}
				return err
			})
		}, "provider", next.ExpiresAt},
		{"it names none", hang(""), "provider", time.Time{}},
		{"by hand", hand(`UPDATE provider_credentials SET exception_id = 'next' WHERE id = 'p1'`), "provider", next.ExpiresAt},
		{"it is gone", hand(`DELETE FROM exceptions WHERE id = 'next'`), "exception", time.Time{}},
	} {
		c.do()
		is, err := f.db.Provider(f.ctx, p.Tenant, p.ID)
		if err != nil || is.Excepted(now) != !c.want.IsZero() || is.Excepted(now) && !is.ExceptionUntil.Equal(c.want) {
			t.Errorf("%s: until %v, want %v (%v)", c.what, is.ExceptionUntil, c.want, err)
		}
		on, err := f.db.ProvidersOn(f.ctx, p.Tenant, "next")
		if wanted := map[bool]int{true: 1}[is.Exception == "next"]; err != nil || on != wanted {
			t.Errorf("%s: %d providers hang on the next, want %d (%v)", c.what, on, wanted, err)
		}
		told := false
		for deadline := time.Now().Add(5 * time.Second); !told && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			news, err := feed.Poll(f.ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, change := range news.Changes {
				told = told || change.Kind == c.kind
			}
		}
		if !told {
			t.Errorf("%s: the feed does not tell", c.what)
		}
	}
}
