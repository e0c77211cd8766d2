package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// Acts that wait at the same moment are committed together, and nobody with
// somebody of another tenant: row-level security knows one for each transaction.
func TestActsOfOneTenantShareTransactions(t *testing.T) {
	serve, super := storetest.Postgres(t)
	db := opened(t, serve)
	const each = 40
	var wg sync.WaitGroup
	for i := range 2 * each {
		tenant := tenure.TenantID([]string{"a", "b"}[i%2])
		ctx := context.WithValue(t.Context(), tenure.ReachKey{}, string(tenant))
		wg.Go(func() {
			err := db.TxShared(ctx, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertUser(ctx, tenure.User{
					ID: tenure.UserID(fmt.Sprint("shared", i)), Tenant: tenant, UserName: fmt.Sprint("shared", i), Active: true,
					Role: tenure.Member, Source: tenure.SourceSCIM, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
				})
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var people, transactions, mixed int
	err := newShell(t, super).QueryRow(t.Context(), `SELECT count(*), count(DISTINCT c.xid),
		(SELECT count(*) FROM (SELECT 1 FROM changes c JOIN users u ON u.id = c.id WHERE c.kind = 'user' GROUP BY c.xid HAVING count(DISTINCT u.tenant_id) > 1) m)
		FROM changes c JOIN users u ON u.id = c.id WHERE c.kind = 'user'`).Scan(&people, &transactions, &mixed)
	if err != nil || people != 2*each || transactions >= people || mixed != 0 {
		t.Errorf("%d people in %d transactions, %d of them of two tenants, %v", people, transactions, mixed, err)
	}
}
