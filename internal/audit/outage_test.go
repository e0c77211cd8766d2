package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Uses of an outage are kept, one entry a token and within bounds, until they can be
// written, and are written once.
func TestOutage(t *testing.T) {
	ctx := context.Background()
	db, err := store.OpenSQLite(ctx, filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var lines strings.Builder
	var away error = tenure.ErrStale
	o := &audit.Outage{DB: db, Fresh: func() error { return away }, Log: slog.New(slog.NewJSONHandler(&lines, nil))}
	use := func(token, request string) {
		s := &tenure.Standing{
			Kind: tenure.PAT, Tenant: tenure.DefaultTenant, TenantActive: true, User: "u", UserName: "alice@example.com", UserActive: true,
			Workspace: tenure.DefaultWorkspace, WorkspaceRole: tenure.Member, Token: tenure.TokenID(token), Name: "laptop", Outage: tenure.Outage{Grace: 2 * time.Minute, By: "x"},
		}
		p, err := s.Admit(time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		o.Note(p.ByMemory(), request)
	}
	events := func() []tenure.AuditEvent {
		t.Helper()
		if err := o.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		rows, err := db.AuditTail(ctx, tenure.DefaultTenant, "token.used_in_outage", 20_000)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	for i := range 30 {
		use("often", fmt.Sprint("r", i))
	}
	use("once", "single")
	if n := len(events()); n != 0 {
		t.Errorf("%d events while the database is away", n)
	}
	if got := strings.Count(lines.String(), `"best_effort":true,"request_id":"r`); got != 30 {
		t.Errorf("%d lines of the log", got)
	}
	away = nil
	rows := events()
	if len(rows) != 2 || o.Uses() != 31 {
		t.Fatalf("%d events, %d uses", len(rows), o.Uses())
	}
	for _, e := range rows {
		want := map[string]string{"often": "30", "once": "1"}[e.ObjectID]
		if e.Detail["count"] != want || e.Actor != "alice@example.com" || e.ActorID != "u" || e.Object != "laptop" || e.Workspace != tenure.DefaultWorkspace ||
			e.Outcome != audit.Success || e.Reason != "best_effort" || e.Detail["grace_seconds"] != "120" {
			t.Errorf("%+v", e)
		}
		if ids := strings.Fields(e.Detail["requests"]); e.ObjectID == "often" && (len(ids) != 20 || ids[0] != "r0" || ids[19] != "r19") {
			t.Errorf("requests %q", ids)
		}
		first, err := time.Parse(time.RFC3339Nano, e.Detail["first"])
		last, err2 := time.Parse(time.RFC3339Nano, e.Detail["last"])
		if err != nil || err2 != nil || last.Before(first) {
			t.Errorf("from %v to %v", e.Detail["first"], e.Detail["last"])
		}
		if e.ObjectID == "once" && e.RequestID != "single" {
			t.Errorf("the only request is %q", e.RequestID)
		}
	}
	if n := len(events()); n != 2 {
		t.Errorf("written again: %d", n)
	}
	for i := range 10_500 {
		use(fmt.Sprint("t", i), "r")
	}
	rows = events()
	together, uses := 0, 0
	for _, e := range rows[:len(rows)-2] {
		n := 0
		_, _ = fmt.Sscan(e.Detail["count"], &n)
		uses += n
		if e.ObjectID == "" {
			together = n
		}
	}
	if len(rows) != 2+10_001 || together != 500 || uses != 10_500 {
		t.Errorf("%d events, %d of %d uses counted together", len(rows), together, uses)
	}
}

// What could not be written is kept, with what came meanwhile.
func TestOutageIsKeptWhenItCannotBeWritten(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	o := &audit.Outage{DB: db, Fresh: func() error { return nil }, Log: slog.New(slog.DiscardHandler)}
	p, err := (&tenure.Standing{Kind: tenure.ServiceToken, Tenant: tenure.DefaultTenant, TenantActive: true, ServiceAccount: "a", AccountActive: true, Workspace: "default", Token: "t"}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	o.Note(p, "one")
	if err := o.Flush(ctx); err == nil {
		t.Fatal("written to a database that is closed")
	}
	o.Note(p, "two")
	if o.DB, err = store.OpenSQLite(ctx, path, nil); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.DB.Close() }()
	if err := o.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := o.DB.AuditTail(ctx, tenure.DefaultTenant, "token.used_in_outage", 10)
	if err != nil || len(rows) != 1 || rows[0].Detail["count"] != "2" || rows[0].Detail["requests"] != "one two" || rows[0].ActorID != "t" {
		t.Errorf("%+v, %v", rows, err)
	}
}
