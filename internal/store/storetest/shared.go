package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// asking is the context of a request of f's person, in a session.
func (f *fixture) asking(ctx context.Context) context.Context {
	f.t.Helper()
	s := &tenure.Standing{
		Kind: tenure.BrowserSession, Tenant: f.user.Tenant, TenantActive: true, User: f.user.ID, UserName: f.user.UserName,
		UserActive: true, Role: f.user.Role, Session: f.session.ID, ExpiresAt: time.Now().Add(time.Hour),
	}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		f.t.Fatal(err)
	}
	return context.WithValue(ctx, tenure.AskerKey{}, &p)
}

// sharedActs runs acts at the same moment, every second of which fails in one way.
func sharedActs(t *testing.T, f *fixture) {
	gone := f.asking(f.ctx)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SetActive(ctx, f.user.Tenant, f.user.ID, false, "test", "test")
		return err
	})
	own := errors.New("its own")
	for kind, fails := range map[string]struct {
		ctx  context.Context //nolint:containedctx // a test's own
		fn   func(context.Context, *store.Tx, string) error
		want func(error) bool
	}{
		"before anything is sent": {f.ctx, func(context.Context, *store.Tx, string) error { return own }, func(err error) bool { return errors.Is(err, own) }},
		"after it was sent": {f.ctx, func(ctx context.Context, tx *store.Tx, name string) error {
			_, err := tx.UserByName(ctx, tenure.DefaultTenant, name)
			return errors.Join(err, own)
		}, func(err error) bool { return errors.Is(err, own) }},
		// On purpose: the others of the batch must not go down with the one that trips.
		"a panic":      {f.ctx, func(context.Context, *store.Tx, string) error { panic("test") }, func(err error) bool { return err != nil }},
		"by who asks":  {gone, func(context.Context, *store.Tx, string) error { return nil }, func(err error) bool { return errors.Is(err, tenure.ErrInvalidToken) }},
		"a taken name": {f.ctx, func(ctx context.Context, tx *store.Tx, _ string) error { return add(ctx, tx, f.user.UserName) }, func(err error) bool { return tenure.IsKind(err, tenure.Conflict) }},
	} {
		errs := make([]error, 24)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				ctx, fn := f.ctx, func(context.Context, *store.Tx, string) error { return nil }
				if i%2 == 1 {
					ctx, fn = fails.ctx, fails.fn
				}
				errs[i] = f.db.TxShared(ctx, func(ctx context.Context, tx *store.Tx) error {
					if err := add(ctx, tx, fmt.Sprint(kind, i)); err != nil {
						return err
					}
					return fn(ctx, tx, fmt.Sprint(kind, i))
				})
			})
		}
		wg.Wait()
		for i, err := range errs {
			if i%2 == 0 && err != nil || i%2 == 1 && !fails.want(err) {
				t.Errorf("%s: act %d: %v", kind, i, err)
			}
			_, there := f.db.UserByName(f.ctx, tenure.DefaultTenant, fmt.Sprint(kind, i))
			events, failed := f.db.AuditEvents(f.ctx, store.AuditFilter{Tenant: tenure.DefaultTenant, Object: fmt.Sprint(kind, i), Limit: 10})
			if (there == nil) != (err == nil) || (len(events) == 1) != (err == nil) || failed != nil {
				t.Errorf("%s: act %d (%v): the person %v, %d events, %v", kind, i, err, there, len(events), failed)
			}
		}
	}
}

// add is an act that only adds rows.
func add(ctx context.Context, tx *store.Tx, name string) error {
	if _, _, err := tx.NewcomerPlace(ctx, tenure.DefaultTenant); err != nil {
		return err
	}
	u := person(tx.Now(), tenure.DefaultTenant, name)
	if err := tx.InsertUser(ctx, u); err != nil {
		return err
	}
	return tx.Append(ctx, tenure.AuditEvent{Tenant: u.Tenant, Action: "user.provisioned", ActorKind: "system", Object: name, Outcome: "ok"})
}

// refusedBeforeCommit has somebody who has gone do what asks for nothing: they are
// refused, and nothing is there, whichever kind of transaction it is.
func refusedBeforeCommit(t *testing.T, f *fixture) {
	gone := f.asking(f.ctx)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SetActive(ctx, f.user.Tenant, f.user.ID, false, "test", "test")
		return err
	})
	own := errors.New("its own")
	for kind, tx := range map[string]func(context.Context, func(context.Context, *store.Tx) error) error{"tx": f.db.Tx, "shared": f.db.TxShared} {
		err := tx(gone, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertUser(ctx, person(tx.Now(), tenure.DefaultTenant, kind))
		})
		if !errors.Is(err, tenure.ErrInvalidToken) {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := f.db.UserByName(f.ctx, tenure.DefaultTenant, kind); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("%s: the person is there: %v", kind, err)
		}
		if err := tx(gone, func(context.Context, *store.Tx) error { return own }); !errors.Is(err, tenure.ErrInvalidToken) {
			t.Errorf("%s: what they may not do was judged first: %v", kind, err)
		}
	}
}
