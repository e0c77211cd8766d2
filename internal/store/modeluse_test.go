package store

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A batch of which nobody knew whether it was written is tried again, and counts once.
func TestABatchCountsOnce(t *testing.T) {
	ctx := tenure.Everywhere(context.Background())
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
	m := &ModelUse{DB: db}
	m.Note(p, "p", "openai", "gpt", time.Now(), tenure.ModelUse{Input: 7})
	m.batch = m.take()
	if err := db.Tx(ctx, m.write); err != nil { // the answer to which was lost
		t.Fatal(err)
	}
	m.Note(p, "p", "openai", "gpt", time.Now(), tenure.ModelUse{Input: 3})
	if err := m.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := db.ModelUses(ctx, ModelUseFilter{Tenant: tenure.DefaultTenant, From: time.Now().Add(-48 * time.Hour), To: time.Now(), By: tenure.UseByModel})
	if err != nil || len(rows) != 1 || rows[0].Input != 10 || rows[0].Requests != 2 {
		t.Errorf("%+v %v", rows, err)
	}
}
