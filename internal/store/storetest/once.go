package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

func once(t *testing.T, f *fixture) {
	key := func(actor string) *tenure.Once {
		return &tenure.Once{Tenant: tenure.DefaultTenant, Actor: actor, Key: "k", Request: "r"}
	}
	do := func(o *tenure.Once, name string, fail error) error {
		return f.db.Tx(tenure.WithOnce(f.ctx, o), func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SetMeta(ctx, name, "done"); err != nil {
				return err
			}
			return fail
		})
	}
	undone := errors.New("undone")
	if err := do(key("a"), "first", undone); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	if _, err := f.db.Answered(f.ctx, key("a")); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("what was undone left its key behind: %v", err)
	}

	var made atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch err := do(key("a"), "first", nil); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, tenure.ErrRepeated):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("carried out %d times", made.Load())
	}

	o := key("b") // the key of somebody else
	if err := do(o, "second", nil); err != nil || !o.Noted() {
		t.Errorf("%v, noted %t", err, o.Noted())
	}
	if err := do(o, "third", nil); err != nil { // a second transaction of the same request
		t.Errorf("a request with two transactions: %v", err)
	}
	if a, err := f.db.Answered(f.ctx, key("b")); err != nil || a.Status != 0 || a.Request != "r" {
		t.Errorf("before its answer: %+v, %v", a, err)
	}
	if err := f.db.KeepAnswer(f.ctx, o, tenure.Answer{Status: 201, Body: []byte(`{"id":"x"}`)}); err != nil {
		t.Error(err)
	}
	if a, err := f.db.Answered(f.ctx, key("b")); err != nil || a.Status != 201 || string(a.Body) != `{"id":"x"}` {
		t.Errorf("after its answer: %+v, %v", a, err)
	}

	f.hand(`UPDATE idempotency SET created_at = '2020-01-01T00:00:00.000000Z'`)
	if _, err := f.db.Answered(f.ctx, key("b")); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("an old key is known: %v", err)
	}
	if err := do(key("b"), "fourth", nil); err != nil {
		t.Errorf("an old key again: %v", err)
	}
	if err := do(key("a"), "fifth", nil); err != nil {
		t.Errorf("old keys are kept: %v", err)
	}
}
