package evidence

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// unused is after how long a token counts as one that nobody uses.
const unused = 90 * 24 * time.Hour

const day = 24 * time.Hour

// tokens writes the inventory of tokens: what they are, never what they say.
func (x *export) tokens(ctx context.Context) error {
	active := map[tenure.UserID]bool{}
	err := x.EachPerson(ctx, x.tenant.ID, func(p store.PersonHeld) error {
		active[p.ID] = p.Active && p.DeletedAt.IsZero()
		return nil
	})
	if err != nil {
		return err
	}
	owners, err := x.AccountOwners(ctx, x.tenant.ID)
	if err != nil {
		return err
	}
	var endless, orphaned, idle tally
	err = x.EachToken(ctx, x.tenant.ID, func(t tenure.Token) error {
		if !t.Live(x.At) || t.Kind != tenure.KindPAT && t.Kind != tenure.KindService {
			return nil
		}
		item := t.Name + " (" + string(t.ID) + ")"
		endless.item(item, when(t.ExpiresAt.IsZero() && t.ExceptionEnds.IsZero(), "it never expires"))
		who := t.User
		if t.ServiceAccount != "" {
			who = owners[t.ServiceAccount]
		}
		orphaned.item(item, when(!active[who], "nobody who is active answers for it"))
		if used := t.LastUsedAt; x.At.Sub(t.CreatedAt) > unused {
			idle.item(item, when(x.At.Sub(used) > unused, "not used for 90 days"))
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.judge("tokens.expire", endless, "", "tokens.csv")
	x.judge("tokens.have_an_owner", orphaned, "", "tokens.csv")
	x.judge("tokens.in_use", idle, "", "tokens.csv")
	return x.populate(ctx, population{
		name: "tokens", title: "Tokens",
		columns: []string{"token_id", "kind", "name", "prefix", "owner", "owner_id", "service_account", "workspace", "scopes", "models", "state", "created_at", "created_by", "age_days", "expires_at", "last_used_at", "revoked_at", "revoked_by", "revoked_reason", "family"},
		shows:   []string{"kind", "name", "owner", "workspace", "scopes", "state", "age_days", "expires_at", "last_used_at", "revoked_at"},
		each: func(ctx context.Context, give func(...any) error) error {
			return x.EachToken(ctx, x.tenant.ID, func(t tenure.Token) error {
				return give(string(t.ID), string(t.Kind), t.Name, t.Prefix, t.UserName, string(t.User), t.AccountName, string(t.Workspace), t.Scopes.String(), t.Models.String(),
					t.State(x.At), t.CreatedAt, t.CreatedBy, int64(x.At.Sub(t.CreatedAt)/day), t.ExpiresAt, t.LastUsedAt, t.RevokedAt, t.RevokedBy, t.RevokedReason, string(t.Family))
			})
		},
	})
}

// when is what is wrong, if it is.
func when(wrong bool, what string) string {
	if wrong {
		return what
	}
	return ""
}
