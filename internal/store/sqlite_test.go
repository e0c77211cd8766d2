package store_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// open opens a fresh database; the hand is the plain sqlite3 shell.
func open(t *testing.T) (*store.DB, func(string)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, func(statement string) {
		t.Helper()
		out, err := exec.Command("sqlite3", "-bail", "-cmd", ".timeout 5000", path, statement).CombinedOutput()
		if err != nil {
			t.Fatalf("sqlite3: %v\n%s", err, out)
		}
	}
}

func TestSQLite(t *testing.T) { storetest.Run(t, open) }

// What every replica asks every few seconds looks at the last spans alone.
func TestRequestsUnderLimitsAreFoundBySpan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range []string{`SELECT requests FROM usage_limit_requests WHERE span >= 1 AND replica <> ''`, `DELETE FROM usage_limit_requests WHERE span < 1`} {
		plan, err := exec.Command("sqlite3", path, "EXPLAIN QUERY PLAN "+statement).CombinedOutput()
		if err != nil || !strings.Contains(string(plan), "SEARCH") {
			t.Errorf("%s: %s, %v", statement, plan, err)
		}
	}
}

func TestReplaceByHand(t *testing.T) {
	db, hand := open(t)
	feed, err := db.Feed(context.Background(), store.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = feed.Close() }()
	// INSERT OR REPLACE fires no DELETE trigger: the INSERT trigger must do.
	hand(`INSERT OR REPLACE INTO users (id, tenant_id, user_name, user_name_fold, active, source, created_at, updated_at)
		VALUES ('u', 'default', 'u', 'u', 0, 'scim', 'x', 'x')`)
	news, err := feed.Poll(context.Background())
	if err != nil || len(news.Changes) != 1 || news.Changes[0].ID != "u" {
		t.Errorf("%v, %v", news, err)
	}
}

// INSERT OR REPLACE throws out whom a provider knew as the same, and whose connection it was.
func TestReplacedSignInsEnd(t *testing.T) {
	db, hand := open(t)
	for name, statement := range map[string]string{
		"the subject is another's now":  `INSERT OR REPLACE INTO oidc_subjects VALUES ('u2', 'default', 'https://a', 's', 'x')`,
		"the person is another subject": `INSERT OR REPLACE INTO oidc_subjects VALUES ('u', 'default', 'https://a', 'other', 'x')`,
		"another connection": `INSERT OR REPLACE INTO oidc_connections (id, tenant_id, name, issuer, client_id, secret_sealed, data_key, scopes, user_name_claim, created_at)
			VALUES ('c2', 'default', 'two', 'https://a', 'x', x'', x'', 'openid', 'email', 'x')`,
	} {
		hand(`DELETE FROM sessions; DELETE FROM oidc_subjects; DELETE FROM oidc_connections;
			INSERT INTO oidc_connections (id, tenant_id, name, issuer, client_id, secret_sealed, data_key, scopes, user_name_claim, created_at)
			VALUES ('c', 'default', 'acme', 'https://a', 'x', x'', x'', 'openid', 'email', 'x');
			INSERT INTO oidc_subjects VALUES ('u', 'default', 'https://a', 's', 'x');
			INSERT INTO sessions (id, tenant_id, user_id, session_hash, via, created_at, last_seen_at, expires_at, connection_id, issuer, subject)
			VALUES ('s', 'default', 'u', 'h', 'oidc', 'x', 'x', '2999-01-01', 'c', 'https://a', 's')`)
		hand(statement)
		if open, err := db.ProviderSessions(t.Context(), tenure.DefaultTenant, "https://a", "s", ""); err != nil || len(open) != 0 {
			t.Errorf("%s: %d sessions go on, %v", name, len(open), err)
		}
	}
}

func TestMarkTellsAnEarlierStateOfAFile(t *testing.T) {
	db, hand := open(t)
	earlierState(t, db, func(tenant string) {
		hand(`INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('` + tenant + `', 'k', 'x', 'x')`)
	}, func() { hand(`DELETE FROM changes; UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'changes'`) })
}

// A connector that is thrown out takes its tokens along.
func TestReplacedConnectorsEnd(t *testing.T) {
	db, hand := open(t)
	hand(`INSERT INTO scim_connectors (id, tenant_id, name, created_at) VALUES ('c', 'default', 'c', 'x');
		INSERT INTO api_tokens (id, tenant_id, name, kind, token_hash, token_prefix, created_at) VALUES ('t', 'default', 't', 'scim', 'h', 'p', 'x');
		INSERT INTO scim_connector_tokens (token_id, connector_id, created_at) VALUES ('t', 'c', 'x')`)
	feed, err := db.Feed(t.Context(), store.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = feed.Close() }()
	hand(`INSERT OR REPLACE INTO scim_connectors (id, tenant_id, name, created_at) VALUES ('new', 'default', 'c', 'x')`)
	news, err := feed.Poll(t.Context())
	if err != nil || len(news.Changes) < 2 || news.Changes[0].ID != "c" {
		t.Errorf("the feed tells %v, %v", news, err)
	}
	if row, err := db.Token(t.Context(), tenure.DefaultTenant, "t"); err != nil || row.RevokedAt.IsZero() {
		t.Errorf("the token lives on: %+v, %v", row, err)
	}
}

// Whoever is thrown out by INSERT OR REPLACE, or comes back inactive by it, leaves
// orphans as any leaver does.
func TestReplacedOwnersLeaveOrphans(t *testing.T) {
	for what, statement := range map[string]string{
		"inactive":          `INSERT OR REPLACE INTO users (id, tenant_id, user_name, user_name_fold, active, source, created_at, updated_at) VALUES ('u', 'default', 'u', 'u', 0, 'scim', 'x', 'x')`,
		"deleted":           `INSERT OR REPLACE INTO users (id, tenant_id, user_name, user_name_fold, deleted_at, source, created_at, updated_at) VALUES ('u', 'default', 'u', 'u', 'x', 'scim', 'x', 'x')`,
		"displaced":         `INSERT OR REPLACE INTO users (id, tenant_id, user_name, user_name_fold, source, created_at, updated_at) VALUES ('v', 'default', 'u', 'u', 'scim', 'x', 'x')`,
		"of another tenant": `INSERT OR REPLACE INTO users (id, tenant_id, user_name, user_name_fold, source, created_at, updated_at) VALUES ('u', 'other', 'u', 'u', 'scim', 'x', 'x')`,
		"moved":             `UPDATE users SET tenant_id = 'other' WHERE id = 'u'`,
	} {
		for _, grace := range []string{"30d", "0"} {
			db, hand := open(t)
			hand(`INSERT INTO users (id, tenant_id, user_name, user_name_fold, source, created_at, updated_at) VALUES ('u', 'default', 'u', 'u', 'scim', 'x', 'x');
				INSERT INTO service_accounts (id, tenant_id, workspace_id, name, owner_user_id, created_at) VALUES ('a', 'default', 'default', 'a', 'u', 'x');
				INSERT INTO policies (tenant_id, key, value, updated_at) VALUES ('default', 'orphan_grace', '` + grace + `', 'x')`)
			hand(statement)
			a, err := db.Account(context.Background(), tenure.DefaultTenant, "a", db.Now())
			if err != nil || a.OrphanedAt.IsZero() || a.EndedAt.IsZero() != (grace != "0") {
				t.Errorf("%s, grace %s: %+v, %v", what, grace, a, err)
			}
		}
	}
}

// A group that INSERT OR REPLACE throws out gives no role any more.
func TestReplacedGroupsMeanNothing(t *testing.T) {
	db, hand := open(t)
	hand(`INSERT INTO users (id, tenant_id, user_name, user_name_fold, source, created_at, updated_at) VALUES ('u', 'default', 'u', 'u', 'scim', 'x', 'x');
		INSERT INTO groups (id, tenant_id, display_name, display_name_fold, created_at, updated_at) VALUES ('g', 'default', 'g', 'g', 'x', 'x');
		INSERT INTO group_members (group_id, user_id, added_at) VALUES ('g', 'u', 'x');
		INSERT INTO workspace_groups (tenant_id, workspace_id, group_id, role, created_at) VALUES ('default', 'default', 'g', 'member', 'x')`)
	role := func() tenure.Role {
		got, err := db.RoleIn(context.Background(), tenure.DefaultTenant, tenure.DefaultWorkspace, "u")
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if role() != tenure.Member {
		t.Fatalf("role %q", role())
	}
	hand(`INSERT OR REPLACE INTO groups (id, tenant_id, display_name, display_name_fold, created_at, updated_at) VALUES ('h', 'default', 'G', 'g', 'x', 'x')`)
	if role() != "" {
		t.Errorf("role %q", role())
	}
}

func TestFilesArePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", filepath.Base(f), info.Mode(), err)
		}
	}
}

func TestLease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	ctx := context.Background()
	first, err := store.OpenSQLite(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := store.OpenSQLite(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	if err := first.Lease(); err != nil {
		t.Fatal(err)
	}
	if err := second.Lease(); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("a second server: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Lease(); err != nil {
		t.Errorf("after the first has gone: %v", err)
	}
}

func TestFeedNoticesAReplacedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	ctx := context.Background()
	db, err := store.OpenSQLite(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	feed, err := db.Feed(ctx, store.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = feed.Close() }()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Poll(ctx); err == nil {
		t.Error("the feed goes on with a file that is not there")
	}
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SetMeta(ctx, "k", "v") })
	if !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("a write into a file that is not there was acknowledged: %v", err)
	}
}

// Whoever begins to serve builds on nothing that a process before left in the log.
func TestLeaseFoldsTheLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error { return tx.SetMeta(ctx, "k", "v") }); err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	if err := db.Lease(); err != nil {
		t.Fatal(err)
	}
	if before == 0 || size() != 0 {
		t.Errorf("the log had %d bytes, and has %d", before, size())
	}
	if v, err := db.Meta(context.Background(), "k"); err != nil || v != "v" {
		t.Errorf("what was written: %q %v", v, err)
	}
}

// A clean stop leaves everything in the one file: a copy of it is a backup.
func TestCloseLeavesOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	ctx := context.Background()
	db, err := store.OpenSQLite(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	feed, err := db.Feed(ctx, store.Mark{})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SetMeta(ctx, "k", "v") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Poll(ctx); err != nil {
		t.Fatal(err)
	}
	if v, err := db.Meta(ctx, "k"); v != "v" || err != nil {
		t.Fatal(v, err)
	}
	if err := errors.Join(feed.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(path + "-*"); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

// While the file is away nobody makes another in its place, and when it is back everybody
// reads it.
func TestNoFileInThePlaceOfAnother(t *testing.T) {
	ctx := tenure.Everywhere(t.Context())
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(ctx, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := os.Rename(path, path+".gone"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 { // more than there are connections
		wg.Go(func() { _, _ = db.Tenants(ctx) })
	}
	wg.Wait()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("there is a file in the place of the one that is away:", err)
	}
	if err := os.Rename(path+".gone", path); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		wg.Go(func() {
			if all, err := db.Tenants(ctx); err != nil || len(all) != 1 {
				t.Error(all, err)
			}
		})
	}
	wg.Wait()
}
