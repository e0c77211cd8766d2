package evidence

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
)

// eventColumns are those of a population of audit events.
func eventColumns() []string {
	return []string{"at", "action", "actor", "actor_kind", "actor_id", "object", "object_id", "workspace", "outcome", "reason", "address", "request_id", "detail", "event"}
}

func eventValues(e tenure.AuditEvent) []any {
	return []any{
		e.At, e.Action, e.Actor, e.ActorKind, e.ActorID, e.Object, e.ObjectID, string(e.Workspace), e.Outcome, e.Reason, e.Address, e.RequestID, details(e.Detail), e.ID,
	}
}

// events writes a population of audit events.
func (x *export) events(ctx context.Context, name, title string, f store.EventsOf) error {
	f.Tenant, f.From, f.To = x.tenant.ID, x.query.From, x.query.To
	return x.populate(ctx, population{name: name, title: title, columns: eventColumns(), shows: []string{"at", "action", "actor", "actor_kind", "object", "outcome", "reason", "address", "detail"}, each: func(ctx context.Context, give func(...any) error) error {
		return x.EachEvent(ctx, f, func(e tenure.AuditEvent) error { return give(eventValues(e)...) })
	}})
}

// tallyEvents counts events, each with what is wrong with it.
func (x *export) tallyEvents(ctx context.Context, f store.EventsOf, wrong func(tenure.AuditEvent) string) (tally, error) {
	var t tally
	f.Tenant, f.From, f.To = x.tenant.ID, x.query.From, x.query.To
	err := x.EachEvent(ctx, f, func(e tenure.AuditEvent) error {
		if len(e.Erased) > 0 { // nobody can judge it any more; log.unchanged counts it
			return nil
		}
		t.item(e.Action+" of "+e.Object+" ("+e.ID+")", wrong(e))
		return nil
	})
	return t, err
}

// grantActions are the events by which somebody gets, or loses, what they may do.
func grantActions() []string {
	return []string{
		"user.role_granted", "membership.", "group_mapping.", "token_request.approved", "token_request.rejected", "service_account.created", "service_account.updated",
	}
}

// roleIdle is after how long somebody with a role counts as one who does not use it.
const roleIdle = 90 * day

// roles writes who may do what, who was given that by whom, and who holds a role.
func (x *export) roles(ctx context.Context) error {
	err := x.populate(ctx, population{
		name: "roles", title: "Who may do what",
		columns: []string{"action", "what", "roles", "roles_in_the_workspace", "scope", "personal_tokens", "scim", "root_token", "fresh"},
		each: func(_ context.Context, give func(...any) error) error {
			for _, r := range access.Matrix() {
				if err := give(string(r.Action), r.What, joined(r.Roles), joined(r.Within), r.Scope.String(), r.Personal, r.Connector, r.Root, r.Fresh.String()); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	f := store.EventsOf{Actions: grantActions()}
	if err := x.events(ctx, "grants", "What was granted, and by whom", f); err != nil {
		return err
	}
	attributed, err := x.tallyEvents(ctx, f, func(e tenure.AuditEvent) string { return when(e.Actor == "", "nobody is named") })
	if err != nil {
		return err
	}
	own, err := x.tallyEvents(ctx, store.EventsOf{Actions: []string{"user.role_granted", "membership.set", "token_request.approved"}}, func(e tenure.AuditEvent) string {
		return when(e.ActorID != "" && (e.ActorID == e.ObjectID || e.Action == "token_request.approved" && e.Actor == e.Detail["requested_by"]), "they gave it to themselves")
	})
	if err != nil {
		return err
	}
	x.judge("grants.attributed", attributed, "", "grants.csv")
	x.judge("grants.by_another", own, "", "grants.csv")
	return x.holders(ctx)
}

// holders writes who has a role of the tenant that is more than a member's.
func (x *export) holders(ctx context.Context) error {
	each := func(ctx context.Context, row func(store.PersonHeld) error) error {
		return x.EachPerson(ctx, x.tenant.ID, func(p store.PersonHeld) error {
			if !p.Active || !p.DeletedAt.IsZero() || p.Role == tenure.Member || p.Role == "" {
				return nil
			}
			return row(p)
		})
	}
	var used tally
	err := each(ctx, func(p store.PersonHeld) error {
		since := p.CreatedAt
		if p.LastSeenAt.After(since) {
			since = p.LastSeenAt
		}
		used.item(p.UserName+" ("+string(p.ID)+"), "+string(p.Role), when(x.At.Sub(since) > roleIdle, "not seen for 90 days"))
		return nil
	})
	if err != nil {
		return err
	}
	x.judge("privileged.in_use", used, "", "privileged_people.csv")
	return x.populate(ctx, population{
		name: "privileged_people", title: "Who holds a role of administration or audit",
		columns: []string{"user_id", "user_name", "role", "source", "created_at", "last_seen_at"},
		each: func(ctx context.Context, give func(...any) error) error {
			return each(ctx, func(p store.PersonHeld) error {
				return give(string(p.ID), p.UserName, string(p.Role), string(p.Source), p.CreatedAt, p.LastSeenAt)
			})
		},
	})
}

// privilegedActions are what only those who administer do.
func privilegedActions() []string {
	return []string{
		"policy.", "provider.", "connector.", "oidc_connection.", "vault.", "backup.", "audit_key.", "evidence.", "workspace.", "group_mapping.", "membership.", "limit.set",
		"limit.removed", "price.", "user.role_granted", "user.deactivated", "user.reactivated", "user.all_revoked", "user.unlinked", "token.revoked_many", "token_request.approved",
		"token_request.rejected", "stream.cut", "webhook.", "root_token.", "tenant.",
	}
}

// privileged writes what was done by who administers, and each use of the root token.
func (x *export) privileged(ctx context.Context) error {
	operators := []string{tenure.Operator.String(), tenure.RootToken.String()}
	if err := x.events(ctx, "privileged", "Privileged actions", store.EventsOf{Actions: privilegedActions(), Kinds: operators}); err != nil {
		return err
	}
	root := store.EventsOf{Kinds: []string{tenure.RootToken.String()}, Actions: []string{"root_token."}}
	if err := x.events(ctx, "root", "Use of the root token", root); err != nil {
		return err
	}
	if x.house.Known && !x.house.Teams {
		x.unassessed("root.unused", "In single mode the root token is the only credential.")
		return nil
	}
	uses, err := x.tallyEvents(ctx, root, func(e tenure.AuditEvent) string {
		return "the root token was used " + e.At.UTC().Format(time.RFC3339)
	})
	x.judge("root.unused", uses, "Each use that is named is one to be explained.", "root.csv")
	return err
}

// refusals writes what was refused.
func (x *export) refusals(ctx context.Context) error {
	if err := x.events(ctx, "refused", "What was refused", store.EventsOf{Refused: true}); err != nil {
		return err
	}
	forged, err := x.tallyEvents(ctx, store.EventsOf{Actions: []string{"identity.forged", "token.reuse_detected", "token.leaked", "vault.tampered"}}, func(e tenure.AuditEvent) string {
		if n, err := strconv.Atoi(e.Detail["count"]); err == nil {
			return strconv.Itoa(n) + " times, from " + e.Address
		}
		return e.At.UTC().Format(time.RFC3339)
	})
	x.judge("refused.no_attack", forged, "What nobody known asked for is counted in the log of the tenant default.", "refused.csv")
	return err
}

func joined[T ~string](all []T) string {
	out := make([]string, len(all))
	for i, one := range all {
		out[i] = string(one)
	}
	return strings.Join(out, " ")
}
