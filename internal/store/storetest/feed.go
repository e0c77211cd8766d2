package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

func feedTells(t *testing.T, f *fixture) {
	feed := f.feed()
	steps := []struct {
		kind, id string
		act      func(context.Context, *store.Tx) error
	}{
		{"token", string(f.token.ID), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.RevokeToken(ctx, f.token.Tenant, f.token.ID, "me", "")
			return err
		}},
		{"session", string(f.session.ID), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.EndSession(ctx, f.session.Tenant, f.session.ID, "me", "")
			return err
		}},
		{"membership", string(f.user.ID), func(ctx context.Context, tx *store.Tx) error {
			return tx.SetMembership(ctx, f.user.Tenant, tenure.DefaultWorkspace, f.user.ID, tenure.Viewer)
		}},
		{"user", string(f.user.ID), func(ctx context.Context, tx *store.Tx) error {
			return tx.SetRole(ctx, f.user.Tenant, f.user.ID, tenure.Admin)
		}},
		{"user", string(f.user.ID), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.SetActive(ctx, f.user.Tenant, f.user.ID, false, "me", "")
			return err
		}},
	}
	for _, s := range steps {
		f.tx(s.act)
		changes, lost := f.next(feed)
		if lost || !tells(changes, s.kind, s.id) {
			t.Errorf("the feed tells %v (lost %t), want %s %s", changes, lost, s.kind, s.id)
		}
	}
}

func feedQuiet(t *testing.T, f *fixture) {
	feed := f.feed()
	uses := &store.LastUse{DB: f.db, FirstUse: firstUse}
	uses.NoteToken(f.token.ID, f.db.Now())
	uses.NoteSession(f.session.ID, f.user.ID, f.db.Now())
	if err := uses.Flush(f.ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if news, err := feed.Poll(f.ctx); len(news.Changes) > 0 || news.Lost || err != nil {
			t.Errorf("last use made the feed tell %v, %v", news, err)
		}
	}
}

func feedGap(t *testing.T, f *fixture) {
	feed := f.feed()
	f.mint(f.user)
	f.hand(`DELETE FROM changes`) // trimmed before anybody read it
	if changes, lost := f.next(feed); !lost {
		t.Errorf("changes that nobody can know any more were not missed: %v", changes)
	}
	f.mint(f.user)
	if changes, lost := f.next(feed); lost || len(changes) == 0 {
		t.Errorf("after the gap: %v, lost %t", changes, lost)
	}
	const burst = 50_000
	f.hand(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
		INSERT INTO changes (kind, id) SELECT 'token', 'burst' FROM n`, burst))
	if _, lost := f.next(feed); !lost {
		t.Error("more changes than can be told singly were told page by page: the last ones come late")
	}
	f.mint(f.user)
	if changes, lost := f.next(feed); lost || len(changes) != 1 {
		t.Errorf("after the burst: %v, lost %t", changes, lost)
	}
}

// edits are what operators type, and whether the session ends with the token.
var edits = []struct {
	name      string
	statement func(*fixture) string
	session   bool
}{
	{"delete the token", func(f *fixture) string {
		return fmt.Sprintf(`DELETE FROM api_tokens WHERE id = '%s'`, f.token.ID)
	}, false},
	{"revoke the token", func(f *fixture) string {
		return fmt.Sprintf(`UPDATE api_tokens SET revoked_at = CURRENT_TIMESTAMP WHERE id = '%s'`, f.token.ID)
	}, false},
	{"take the token's hash", func(f *fixture) string {
		return fmt.Sprintf(`UPDATE api_tokens SET token_hash = 'x' WHERE id = '%s'`, f.token.ID)
	}, false},
	{"remove the membership", func(f *fixture) string {
		return fmt.Sprintf(`DELETE FROM memberships WHERE user_id = '%s'`, f.user.ID)
	}, false},
	{"delete the workspace", func(*fixture) string { return `DELETE FROM workspaces WHERE id = 'default'` }, false},
	{"deactivate the user", func(f *fixture) string {
		return fmt.Sprintf(`UPDATE users SET active = FALSE WHERE id = '%s'`, f.user.ID)
	}, true},
	{"deactivate everybody", func(*fixture) string { return `UPDATE users SET active = FALSE` }, true},
	{"delete the user", func(f *fixture) string {
		return fmt.Sprintf(`DELETE FROM users WHERE id = '%s'`, f.user.ID)
	}, true},
	{"mark the user deleted", func(f *fixture) string {
		return fmt.Sprintf(`UPDATE users SET deleted_at = CURRENT_TIMESTAMP WHERE id = '%s'`, f.user.ID)
	}, true},
	{"stop the tenant", func(*fixture) string { return `UPDATE tenants SET active = FALSE` }, true},
}

func byHand(t *testing.T, f *fixture) {
	for _, e := range edits {
		t.Run(e.name, func(t *testing.T) {
			// Each edit meets a person of its own.
			g := *f
			g.t = t
			g.tx(func(ctx context.Context, tx *store.Tx) error {
				g.user = person(tx.Now(), tenure.DefaultTenant, tenure.NewID(tx.Now()))
				if err := tx.InsertUser(ctx, g.user); err != nil {
					return err
				}
				return tx.SetMembership(ctx, tenure.DefaultTenant, tenure.DefaultWorkspace, g.user.ID, tenure.Member)
			})
			g.token, g.secret = g.mint(g.user)
			g.session, g.cookie = g.signIn(g.user)
			feed := g.feed()
			g.hand(e.statement(&g))
			if changes, lost := g.next(feed); len(changes) == 0 && !lost {
				t.Error("the feed tells nothing")
			}
			if g.admitToken() == nil {
				t.Error("the token lives")
			}
			if (g.admitSession() == nil) == e.session {
				t.Errorf("the session's admission: %v, want it ended: %t", g.admitSession(), e.session)
			}
			g.hand(fmt.Sprintf(`UPDATE users SET active = TRUE WHERE id = '%s'`, g.user.ID))
			if g.admitToken() == nil || (e.session && e.name != "stop the tenant" && g.admitSession() == nil) {
				t.Error("reactivation revived something")
			}
			g.hand(`UPDATE tenants SET active = TRUE`)
		})
	}
}

func handTimes(t *testing.T, f *fixture) {
	for _, c := range []struct {
		value string
		live  bool
	}{
		{"'2999-01-01 00:00:00'", true},
		{"'2999-01-01T00:00:00Z'", true},
		{"'2999-01-01'", true},
		{"NULL", true},
		{"CURRENT_TIMESTAMP", false},
		{"'2001-01-01 00:00:00'", false},
	} {
		f.hand(fmt.Sprintf(`UPDATE api_tokens SET expires_at = %s WHERE id = '%s'`, c.value, f.token.ID))
		if err := f.admitToken(); (err == nil) != c.live {
			t.Errorf("expires_at = %s: %v, want live %t", c.value, err, c.live)
		}
	}
}

func firstUse(t tenure.Token) tenure.AuditEvent {
	return tenure.AuditEvent{Tenant: t.Tenant, Action: "token.first_used", ActorKind: "pat", ObjectID: string(t.ID), Outcome: "success"}
}

func lastUse(t *testing.T, f *fixture) {
	uses := &store.LastUse{DB: f.db, FirstUse: firstUse}
	at := time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)
	used := func() time.Time {
		row, err := f.db.Token(f.ctx, f.token.Tenant, f.token.ID)
		if err != nil {
			t.Fatal(err)
		}
		return row.LastUsedAt
	}
	for i := range 5 { // the same second, twice written behind
		uses.NoteToken(f.token.ID, at)
		if i == 2 {
			if err := uses.Flush(f.ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if uses.Waiting() != 0 {
		t.Errorf("%d writes wait for a second that is written already", uses.Waiting())
	}
	if got := used(); !got.Equal(at.Truncate(time.Second)) {
		t.Errorf("last used %v, want %v", got, at.Truncate(time.Second))
	}
	uses.NoteToken(f.token.ID, at.Add(3*time.Second))
	uses.NoteToken(f.token.ID, at.Add(time.Second)) // late: it does not turn time back
	uses.NoteToken("nobody", at)                    // gone meanwhile: no error
	if err := uses.Flush(f.ctx); err != nil {
		t.Fatal(err)
	}
	if got := used(); !got.Equal(at.Truncate(time.Second).Add(3 * time.Second)) {
		t.Errorf("last used %v", got)
	}
	rows, err := f.db.AuditTail(f.ctx, tenure.DefaultTenant, "token.first_used", 10)
	if err != nil || len(rows) != 1 {
		t.Errorf("%d events of first use, want 1 (%v)", len(rows), err)
	}
	// What one tenant asks to be written takes the others' along.
	other := person(f.db.Now(), "other", "otto@example.com")
	f.tx(func(ctx context.Context, tx *store.Tx) error { return tx.InsertUser(ctx, other) })
	theirs, _ := f.mint(other)
	uses.NoteToken(theirs.ID, at)
	if err := uses.Flush(ofDefault(f.ctx)); err != nil {
		t.Fatal(err)
	}
	if row, err := f.db.Token(f.ctx, theirs.Tenant, theirs.ID); err != nil || row.LastUsedAt.IsZero() {
		t.Errorf("the use of another tenant's token is lost: %v %v", row.LastUsedAt, err)
	}
	// A clean stop loses nothing.
	ctx, stop := context.WithCancel(f.ctx)
	uses.NoteToken(f.token.ID, at.Add(time.Minute))
	stop()
	uses.Run(ctx, func(err error) { t.Error(err) })
	if got := used(); !got.Equal(at.Truncate(time.Second).Add(time.Minute)) {
		t.Errorf("after the stop: last used %v", got)
	}
}
