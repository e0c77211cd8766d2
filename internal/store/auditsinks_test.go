package store_test

import (
	"context"
	"slices"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// A restore brings back no sink that was deleted since the backup, and lets none go on
// that was paused since; what was made since is told of as lost.
func TestARestoreSendsNothingThatWasEnded(t *testing.T) {
	lite, _ := freshSQLite(t)
	_, super := storetest.Postgres(t)
	for name, db := range map[string]*store.DB{"SQLite": lite, "PostgreSQL": openPG(t, super)} {
		t.Run(name, func(t *testing.T) {
			ctx := everywhere(t)
			do := func(f func(context.Context, *store.Tx) error) {
				t.Helper()
				if err := db.Tx(ctx, f); err != nil {
					t.Fatal(err)
				}
			}
			sink := func(name string) {
				t.Helper()
				do(func(ctx context.Context, tx *store.Tx) error {
					return tx.InsertAuditSink(ctx, tenure.AuditSink{
						ID: tenure.SinkID(name), Tenant: tenure.DefaultTenant, Name: name, Kind: tenure.SinkWebhook, Format: tenure.FormatNative, CreatedAt: tx.Now(),
					}, store.SealedKey{})
				})
			}
			for _, name := range []string{"deleted", "goes on", "paused"} {
				sink(name)
			}
			do(func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertUser(ctx, tenure.User{ID: "u", Tenant: tenure.DefaultTenant, UserName: "alice@example.com", Active: true, Role: tenure.Member, Source: tenure.SourceSCIM, CreatedAt: tx.Now(), UpdatedAt: tx.Now()})
			})
			backup, _ := freshSQLite(t)
			over(t, db, backup, store.ReplaceOptions{Over: true})
			do(func(ctx context.Context, tx *store.Tx) error {
				return tx.DeleteAuditSink(ctx, tenure.DefaultTenant, "deleted")
			})
			do(func(ctx context.Context, tx *store.Tx) error {
				return tx.PauseAuditSink(ctx, tenure.DefaultTenant, "paused", true)
			})
			sink("since")
			got := over(t, backup, db, store.ReplaceOptions{Over: true})
			rows, err := db.AuditSinks(ctx, tenure.DefaultTenant)
			var left []string
			for _, row := range rows {
				if row.Paused != (row.Name == "paused") {
					t.Errorf("%s: paused is %v", row.Name, row.Paused)
				}
				left = append(left, row.Name)
			}
			if err != nil || !slices.Equal(left, []string{"goes on", "paused"}) || got.Lost["audit_sinks"] != 1 || got.Gone["audit_sinks"] != 1 {
				t.Errorf("%v, %v, %+v", left, err, got)
			}
		})
	}
}
