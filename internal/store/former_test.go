package store_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store"
)

// What was used before there were prices has none, and is not told as free; and it was
// used with a key that nobody knows. On PostgreSQL, too, migrations run over rows.
func TestUseFromBeforePrices(t *testing.T) {
	ctx, path, url := tenure.Everywhere(context.Background()), filepath.Join(t.TempDir(), "tenure.db"), postgrestest.URL(t)
	const beforePrices, beforePricesPostgres = 16, 18
	lite, err := store.OpenSQLiteAt(ctx, path, beforePrices)
	if err != nil {
		t.Fatal(err)
	}
	if err := lite.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.MigratePostgresTo(ctx, url, beforePricesPostgres); err != nil {
		t.Fatal(err)
	}
	for driver, c := range map[string]struct {
		at   string
		open func() (*store.DB, error)
	}{
		"sqlite": {"file:" + path, func() (*store.DB, error) { return store.OpenSQLite(ctx, path, nil) }},
		"pgx":    {url, func() (*store.DB, error) { return store.OpenPostgres(ctx, url, nil) }},
	} {
		former, err := sql.Open(driver, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := former.Exec(`INSERT INTO model_usage (tenant_id, day, token_id, workspace_id, provider_id, model, user_id, service_account_id, provider, requests, input, cache_reads, cache_writes, output, last_at)
			VALUES ('default', 20000, 't', 'default', 'p', 'gpt', 'u', '', 'openai', 7, 10, 1, 2, 5, '2024-10-04T00:00:00Z');
			INSERT INTO usage_limit_requests (limit_id, span, replica, tenant_id, requests) VALUES ('l', 1, 'r', 'default', 3)`); err != nil {
			t.Fatalf("%s: %v", driver, err)
		}
		if err := former.Close(); err != nil {
			t.Fatal(err)
		}
		db, err := c.open()
		if err != nil {
			t.Fatalf("%s: %v", driver, err)
		}
		for _, by := range []string{tenure.UseByModel, tenure.UseByKey} {
			day := store.DayTime(20000)
			rows, err := db.ModelUses(ctx, store.ModelUseFilter{Tenant: tenure.DefaultTenant, From: day, To: day.Add(time.Hour), By: by})
			if err != nil || len(rows) != 1 || rows[0].Requests != 7 || rows[0].Unpriced != 7 || rows[0].Spend != 0 || rows[0].Output != 5 {
				t.Errorf("%s, by %s: %+v, %v", driver, by, rows, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
