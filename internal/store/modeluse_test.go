package store

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A batch of which nobody knew whether it was written is tried again, and counts once.
func TestABatchCountsOnce(t *testing.T) {
	ctx := tenure.Everywhere(context.Background())
	db, p := useOfModels(ctx, t)
	m := &ModelUse{DB: db}
	m.Note(p, AskedModel{Provider: "p", Name: "openai", Model: "gpt"}, time.Now(), tenure.ModelUse{Input: 7})
	m.batches = m.take()
	if err := db.Tx(ctx, func(ctx context.Context, tx *Tx) error { return m.write(ctx, tx, m.batches[0]) }); err != nil { // the answer to which was lost
		t.Fatal(err)
	}
	m.Note(p, AskedModel{Provider: "p", Name: "openai", Model: "gpt"}, time.Now(), tenure.ModelUse{Input: 3})
	if err := m.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := db.ModelUses(ctx, ModelUseFilter{Tenant: tenure.DefaultTenant, From: time.Now().Add(-48 * time.Hour), To: time.Now(), By: tenure.UseByModel})
	if err != nil || len(rows) != 1 || rows[0].Input != 10 || rows[0].Requests != 2 {
		t.Errorf("%+v %v", rows, err)
	}
}

// While requests come, what was noted before is written once, and whoever waits for
// that does not wait for them.
func TestAFlushEndsUnderTraffic(t *testing.T) {
	ctx := tenure.Everywhere(context.Background())
	db, p := useOfModels(ctx, t)
	m := &ModelUse{DB: db}
	traffic, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for traffic.Err() == nil {
			m.Note(p, AskedModel{Provider: "p", Name: "openai", Model: "gpt"}, time.Now(), tenure.ModelUse{Input: 1})
			time.Sleep(10 * time.Microsecond)
		}
	})
	for range 5 {
		time.Sleep(5 * time.Millisecond) // that there is something
		if err := m.Flush(ctx); err != nil {
			t.Error(err)
		}
	}
	stop()
	wg.Wait()
	n, err := one(ctx, db.run, scalar[int], `SELECT count(*) FROM usage_batches`)
	if err != nil || n == 0 || n > 5 {
		t.Errorf("%d batches in five flushes, %v", n, err)
	}
}

// useOfModels is a database, and somebody who asks models.
func useOfModels(ctx context.Context, t *testing.T) (*DB, tenure.Principal) {
	t.Helper()
	db, err := OpenSQLite(ctx, filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := &tenure.Standing{
		Kind: tenure.PAT, Tenant: tenure.DefaultTenant, TenantActive: true, Workspace: tenure.DefaultWorkspace, WorkspaceRole: tenure.Member,
		User: "u", UserActive: true, Token: "t", Scopes: tenure.DataPlane,
	}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return db, p
}

// A row that the database refuses is lost, and told; all others are written, however
// many there are, each once.
func TestARefusedRowBlocksNothing(t *testing.T) {
	ctx := tenure.Everywhere(context.Background())
	db, p := useOfModels(ctx, t)
	err := db.Tx(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `CREATE TRIGGER refuses BEFORE INSERT ON model_usage WHEN NEW.model = 'bad' BEGIN SELECT RAISE(ABORT, 'refused'); END`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &ModelUse{DB: db}
	const providers = 3000
	for i := range providers {
		m.Note(p, AskedModel{Provider: tenure.ProviderID(tenure.NewID(time.Now().Add(time.Duration(i) * time.Second))), Name: "openai", Model: "gpt"}, time.Now(), tenure.ModelUse{Input: 1})
	}
	m.Note(p, AskedModel{Provider: "p", Name: "openai", Model: "bad"}, time.Now(), tenure.ModelUse{Input: 5})
	if err := m.Flush(ctx); err == nil || !strings.Contains(err.Error(), `"bad"`) {
		t.Errorf("%v", err)
	}
	if err := m.Flush(ctx); err != nil {
		t.Errorf("again: %v", err)
	}
	rows, err := db.ModelUses(ctx, ModelUseFilter{Tenant: tenure.DefaultTenant, From: time.Now().Add(-48 * time.Hour), To: time.Now(), By: tenure.UseByModel})
	if err != nil || len(rows) != 1 || rows[0].Requests != providers {
		t.Errorf("%+v %v", rows, err)
	}
}

// Whoever asks for ever new models makes no ever new rows.
func TestModelsWithoutEnd(t *testing.T) {
	ctx := tenure.Everywhere(context.Background())
	db, p := useOfModels(ctx, t)
	m := &ModelUse{DB: db}
	for i := range 1000 {
		m.Note(p, AskedModel{Provider: "p", Name: "openai", Model: fmt.Sprint("m", i)}, time.Now(), tenure.ModelUse{Input: 1})
	}
	if err := m.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := db.ModelUses(ctx, ModelUseFilter{Tenant: tenure.DefaultTenant, From: time.Now().Add(-48 * time.Hour), To: time.Now(), By: tenure.UseByModel})
	if err != nil || len(rows) != modelsNamed+1 || rows[0].ID != otherModels || rows[0].Requests != 1000-modelsNamed {
		t.Errorf("%d rows, first %+v, %v", len(rows), rows[0], err)
	}
}

// Who reads figures does not wait for a flush that does not end.
func TestReadersDoNotWait(t *testing.T) {
	m := &ModelUse{}
	m.flushing.Lock()
	done := make(chan error)
	go func() { done <- m.Freshen(t.Context()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits")
	}
}
