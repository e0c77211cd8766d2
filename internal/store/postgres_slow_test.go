package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// Reads that hang, more of them than the pool has connections, take nothing from the
// look-ups that requests wait for; and a look-up that hangs is answered in time, and runs
// no longer in the server.
func TestReadsThatHang(t *testing.T) {
	serve, super := storetest.Postgres(t)
	own := postgrestest.URL(t)
	for name, urls := range map[string][2]string{"with row-level security": {serve, super}, "as the owner": {own, own}} {
		t.Run(name, func(t *testing.T) {
			db, hand := opened(t, urls[0]), newShell(t, urls[1])
			look := func() (time.Duration, error) {
				began := time.Now()
				_, err := db.TokenStanding(tenure.Everywhere(context.Background()), tenure.DigestOf("nobody's"))
				return time.Since(began), err
			}
			hand.do(`BEGIN`)
			hand.do(`LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE`)
			hung := make(chan error)
			const many = 40
			for range many {
				go func() {
					_, err := db.AuditTail(tenure.Everywhere(context.Background()), tenure.DefaultTenant, "", 1)
					hung <- err
				}()
			}
			time.Sleep(200 * time.Millisecond)
			if took, err := look(); !tenure.IsKind(err, tenure.NotFound) || took > time.Second {
				t.Errorf("beside reads that hang: %v after %v", err, took)
			}
			hand.do(`ROLLBACK`)
			for range many {
				if err := <-hung; err != nil && !tenure.IsKind(err, tenure.Unavailable) {
					t.Error(err)
				}
			}
			hand.do(`BEGIN`)
			hand.do(`LOCK TABLE api_tokens IN ACCESS EXCLUSIVE MODE`)
			for range many {
				go func() {
					took, err := look()
					if took > 2500*time.Millisecond {
						t.Errorf("a look-up that hangs was answered after %v", took)
					}
					hung <- err
				}()
			}
			for range many {
				if err := <-hung; !tenure.IsKind(err, tenure.Unavailable) {
					t.Error(err)
				}
			}
			time.Sleep(500 * time.Millisecond)
			var running int
			if err := hand.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'api_tokens'::regclass`).Scan(&running); err != nil || running > 0 {
				t.Errorf("%d look-ups go on in the server: %v", running, err)
			}
			hand.do(`ROLLBACK`)
			if took, err := look(); !tenure.IsKind(err, tenure.NotFound) || took > time.Second {
				t.Errorf("afterwards: %v after %v", err, took)
			}
		})
	}
}
