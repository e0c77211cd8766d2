package evidence_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/store"
)

// person adds somebody with a token.
func (h *handed) person(name string) tenure.User {
	h.Helper()
	u := tenure.User{Tenant: tenure.DefaultTenant, UserName: name, Active: true, Role: tenure.Member, Source: "scim"}
	secret := tenure.NewToken(tenure.KindPAT)
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		u.ID, u.CreatedAt, u.UpdatedAt = tenure.UserID(tenure.NewID(tx.Now())), tx.Now(), tx.Now()
		if err := tx.InsertUser(ctx, u); err != nil {
			return err
		}
		return tx.InsertToken(ctx, tenure.Token{
			ID: tenure.TokenID(tenure.NewID(tx.Now())), Tenant: u.Tenant, Workspace: tenure.DefaultWorkspace, User: u.ID, UserName: name, Name: "laptop", Kind: tenure.KindPAT,
			Prefix: secret.Reveal()[:tenure.TokenPrefixLength], Scopes: tenure.ScopeChat, CreatedAt: tx.Now(), ExpiresAt: tx.Now().AddDate(1, 0, 0),
		}, tenure.DigestOf(secret.Reveal()))
	})
	return u
}

func (h *handed) tx(fn func(context.Context, *store.Tx) error) {
	h.Helper()
	if err := h.db.Tx(tenure.Everywhere(h.Context()), fn); err != nil {
		h.Fatal(err)
	}
}

// leaves ends somebody's access as the directory does, and tells of it or not.
func (h *handed) leaves(u tenure.User, told bool) {
	h.Helper()
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		ended, err := tx.SetActive(ctx, u.Tenant, u.ID, false, "test", "has left")
		if err != nil {
			return err
		}
		return tx.Append(ctx, audit.UserDeactivated(tenure.Principal{}, u, ended, "has left"))
	})
	if told {
		h.tx(func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, audit.AccessEnded(tenure.Principal{}, u, 0, time.Millisecond))
		})
	}
}

func (h *handed) deleted(u tenure.User) {
	h.Helper()
	h.now = h.now.AddDate(0, 0, 1)
	h.tx(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.DeleteUser(ctx, u.Tenant, u.ID); err != nil {
			return err
		}
		return tx.Append(ctx, audit.UserDeleted(tenure.Principal{}, u, tenure.Ended{}))
	})
}

// Who left, and was deleted later, is still asked about; what nothing tells of has not
// passed.
func TestWhoLeftIsAskedAbout(t *testing.T) {
	onBoth(t, func(h *handed) {
		early := h.person("early@example.com")
		h.leaves(early, true)
		h.now = h.now.AddDate(0, 0, 1)
		from := h.now
		alice, bob := h.person("alice@example.com"), h.person("bob@example.com")
		h.leaves(alice, true)
		h.leaves(bob, false)
		h.deleted(alice)
		h.deleted(early)
		h.now = h.now.AddDate(0, 0, 1)
		q := evidence.Query{From: from, To: h.now}
		bundle, _ := h.export(tenure.DefaultTenant, q)
		if c := h.check(bundle, "leavers.no_living_credentials"); c.Result != "passed" || c.Population != 3 {
			h.Errorf("%+v", c)
		}
		if c := h.check(bundle, "leavers.within_a_second"); c.Result != "not assessable here" || c.Population != 2 || c.Passed != 1 || c.Unknown != 1 || !strings.Contains(c.Note, "1 not known") {
			h.Errorf("%+v", c)
		}
		if text := content(h.T, bundle, "leavers.jsonl"); strings.Count(text, "\n") != 3 || !strings.Contains(text, `"left_before":true`) || !strings.Contains(text, `"deleted_after":true`) {
			h.Errorf("%s", text)
		}
		for _, u := range []tenure.User{alice, early} {
			h.hand("UPDATE api_tokens SET revoked_at = NULL WHERE user_id = '" + string(u.ID) + "'")
			bundle, _ = h.export(tenure.DefaultTenant, q)
			if c := h.check(bundle, "leavers.no_living_credentials"); c.Result != "failed" || !strings.Contains(strings.Join(c.Failed, "\n"), u.UserName+" ("+string(u.ID)+"): 1 tokens live") {
				h.Errorf("%s: %+v", u.UserName, c)
			}
		}
	})
}
