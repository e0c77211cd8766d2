package store_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// Whatever takes away what a new credential rests on, at the moment when it is
// made, finds it or is found.
func TestPostgresHoldsWhatACredentialRestsOn(t *testing.T) {
	const (
		pat     = `INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, name, kind, token_hash, token_prefix, created_at) VALUES ('new', 'default', 'default', 'u', '', 'pat', 'n', '', now())`
		byGroup = `INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, name, kind, token_hash, token_prefix, created_at) VALUES ('new', 'default', 'w', 'u', '', 'pat', 'n', '', now())`
		svc     = `INSERT INTO api_tokens (id, tenant_id, workspace_id, service_account_id, name, kind, token_hash, token_prefix, created_at) VALUES ('new', 'default', 'default', 'a', '', 'svc', 'n', '', now())`
		session = `INSERT INTO sessions (id, tenant_id, user_id, session_hash, via, created_at, last_seen_at, expires_at) VALUES ('new', 'default', 'u', 'n', 'proxy', now(), now(), now())`
		root    = `INSERT INTO sessions (id, tenant_id, token_id, session_hash, via, created_at, last_seen_at, expires_at) VALUES ('new', 'default', 't-root', 'n', 'root', now(), now(), now())`
	)
	db := postgres(t, postgrestest.URL(t))
	for _, c := range []struct{ name, credential, hand string }{
		{"person and token", pat, `UPDATE users SET active = false WHERE id = 'u'`},
		{"membership", pat, `DELETE FROM memberships`},
		{"workspace", pat, `UPDATE workspaces SET deleted_at = now() WHERE id = 'default'`},
		{"group", byGroup, `DELETE FROM group_members`},
		{"meaning of a group", byGroup, `DELETE FROM workspace_groups`},
		{"account", svc, `UPDATE service_accounts SET active = false`},
		{"person and session", session, `DELETE FROM users WHERE id = 'u'`},
		{"role", session, `UPDATE users SET role = 'admin'`},
		{"root token", root, `UPDATE api_tokens SET revoked_at = now() WHERE kind = 'root'`},
	} {
		for _, first := range []string{"the credential", "the hand", "what an act has seen"} {
			t.Run(c.name+", "+first+" first", func(t *testing.T) {
				if _, err := db.Exec(`TRUNCATE workspaces, users, user_emails, groups, group_members, memberships, workspace_groups, service_accounts,
					api_tokens, sessions, provider_credentials, provider_keys, scim_connectors, scim_connector_tokens;
					INSERT INTO workspaces (id, tenant_id, name, created_at) VALUES ('default', 'default', 'default', now());` + furnished); err != nil {
					t.Fatal(err)
				}
				if first == "what an act has seen" {
					lateAct(t, db, c.credential, c.hand)
					return
				}
				meanwhile(t, db, c.credential, c.hand, first == "the hand")
			})
		}
	}
}

// lateAct ends, as the product's acts do, with the state that it saw before the
// credential was made: it must begin anew.
func lateAct(t *testing.T, db *sql.DB, credential, hand string) {
	t.Helper()
	act, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = act.Rollback() }()
	if _, err := act.Exec(`SELECT 1 FROM users`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(credential); err != nil {
		t.Fatal(err)
	}
	_, err = act.Exec(hand)
	if err == nil {
		err = act.Commit()
	}
	if code(err) != "40001" {
		t.Errorf("an act that has not seen the credential ended what it rests on: %v", err)
	}
}

// meanwhile makes a credential in one transaction while a hand is at work.
func meanwhile(t *testing.T, db *sql.DB, credential, hand string, handFirst bool) {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(`SELECT 1 FROM users`); err != nil { // from here on it sees what is there now
		t.Fatal(err)
	}
	if handFirst {
		if _, err := db.Exec(hand); err != nil {
			t.Fatal(err)
		}
		_, err := tx.Exec(credential)
		if code(err) != "40001" {
			t.Errorf("a credential that rests on what is gone: %v", err)
		}
		return
	}
	if _, err := tx.Exec(credential); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := db.Exec(hand)
		done <- err
	}()
	for waits := 0; waits == 0; { // until the hand waits, or did not need to
		select {
		case err := <-done:
			t.Fatalf("the hand did not wait: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if err := db.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tx.Commit(), <-done); err != nil {
		t.Fatal(err)
	}
	var alive int
	err = db.QueryRow(`SELECT (SELECT count(*) FROM api_tokens WHERE id = 'new' AND revoked_at IS NULL)
		+ (SELECT count(*) FROM sessions WHERE id = 'new' AND ended_at IS NULL)`).Scan(&alive)
	if err != nil || alive != 0 {
		t.Errorf("%d outlive what they rest on (%v)", alive, err)
	}
}
