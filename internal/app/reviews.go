package app

import (
	"cmp"
	"context"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/review"
)

// reviewing is how access reviews end things, and try whether they are dead: each by the
// act that it belongs to.
type reviewing struct{ *App }

func (a *App) reviews() *review.Reviews {
	r := reviewing{a}
	return &review.Reviews{
		DB: a.Store, Log: a.Log, Metrics: review.NewMetrics(a.Metrics), Flush: a.Uses.Flush, Things: review.Things{Beside: r.beside, End: r.end, Alive: r.alive, Gone: r.gone, Change: r.change},
		Sign: a.Ledger.Sign, Checkpoint: r.checkpoint, Version: func() string { return cmp.Or(a.Version, "unknown") },
	}
}

// by is the principal of what a review has decided: its reviewers take away what they
// were asked about, and nothing else, whoever they are beside that.
func (r reviewing) by(i tenure.ReviewItem) tenure.Principal {
	return Operator("access review", i.Tenant)
}

// beside is what gives access and is in the settings.
func (r reviewing) beside(tenant tenure.TenantID) []tenure.ReviewSubject {
	if tenant != tenure.DefaultTenant {
		return nil
	}
	var out []tenure.ReviewSubject
	cfg := r.Config
	if cfg.IdentityHeader != "" && cfg.Assertion == nil {
		networks := make([]string, len(cfg.Trusted))
		for n, p := range cfg.Trusted {
			networks[n] = p.String()
		}
		out = append(out, tenure.ReviewSubject{
			Kind: tenure.ReviewProxy, Subject: "TENURE_TRUSTED_PROXIES", Name: "trusted proxies", Grant: "says who asks: " + strings.Join(networks, " "),
			Source: settings, Flags: tenure.FlagAdmin,
		})
	}
	if cfg.Assertion != nil {
		out = append(out, tenure.ReviewSubject{
			Kind: tenure.ReviewProxy, Subject: "TENURE_PROXY_JWKS_URL", Name: "signed assertions of " + cfg.Assertion.Issuer, Grant: "says who asks: with keys of " + cfg.Assertion.JWKSURL,
			Source: settings, Flags: tenure.FlagAdmin,
		})
	}
	if cfg.OIDC != nil && cfg.OIDC.Connection.Tenant == tenant {
		out = append(out, tenure.ReviewSubject{
			Kind: tenure.ReviewOIDC, Subject: string(tenure.BuiltinConnection), Name: cfg.OIDC.Connection.Name, Grant: "signs in people of " + cfg.OIDC.Connection.Issuer,
			Source: settings, Flags: tenure.FlagAdmin,
		})
	}
	if !cfg.APIToken.IsZero() {
		out = append(out, tenure.ReviewSubject{
			Kind: tenure.ReviewRoot, Subject: configuredRoot, Name: "root token", Grant: "everything", Source: settings,
			Flags: strings.Join([]string{tenure.FlagAdmin, tenure.FlagEndless, tenure.FlagShared}, " "),
		})
	}
	if len(cfg.SCIMTokens) > 0 {
		out = append(out, tenure.ReviewSubject{
			Kind: tenure.ReviewConnector, Subject: string(tenure.BuiltinConnector), Name: "built-in connector", Grant: "provisions people and groups", Source: settings,
			Flags: tenure.FlagAdmin + " " + tenure.FlagEndless,
		})
	}
	return out
}

// settings is the source of what is one of the settings, and has no row.
const settings = "settings"

// configuredRoot stands for the root token of the settings.
const configuredRoot = "TENURE_API_TOKEN"

// end ends what an item is about.
func (r reviewing) end(ctx context.Context, i tenure.ReviewItem, reason string) error {
	by := r.by(i)
	why := "access review: " + reason
	var err error
	switch i.Kind {
	case tenure.ReviewPerson:
		_, _, err = r.Directory.Deactivate(ctx, by, tenure.UserID(i.Subject), why)
	case tenure.ReviewRole:
		if err := r.another(ctx, i); err != nil {
			return err
		}
		_, _, err = r.Directory.SetRole(ctx, by, tenure.UserID(i.Subject), tenure.Member)
	case tenure.ReviewMembership:
		if err := r.another(ctx, i); err != nil {
			return err
		}
		if i.Source != direct {
			return onlyByGroup(i.Source)
		}
		_, err = r.Directory.RemoveMember(ctx, by, string(i.Workspace), tenure.UserID(i.Subject))
	case tenure.ReviewPAT, tenure.ReviewService:
		err = r.endLine(ctx, by, i, why)
	case tenure.ReviewAccount:
		_, err = r.Directory.EndAccount(ctx, by, tenure.ServiceAccountID(i.Subject), why)
	case tenure.ReviewConnector:
		_, err = r.Connectors.Delete(ctx, by, tenure.ConnectorID(i.Subject))
	case tenure.ReviewKey:
		var k tenure.ProviderKey
		if k, err = r.key(ctx, i); err == nil {
			_, err = r.Vault.Retire(ctx, by, k.Provider, k.ID)
		}
	case tenure.ReviewRoot:
		off := "off"
		_, err = r.Policies.Set(ctx, by, map[string]*string{"root_token": &off})
	case tenure.ReviewOIDC:
		_, err = r.Connections.Delete(ctx, by, tenure.ConnectionID(i.Subject))
	case tenure.ReviewException:
		_, err = r.Exceptions.Revoke(ctx, by, tenure.ExceptionID(i.Subject), why)
	case tenure.ReviewProxy:
		return &tenure.Error{Kind: tenure.Conflict, Code: "set_by_operator", Msg: "who is believed to say who asks is a setting, " + i.Subject + "; change it there, and restart"}
	}
	return err
}

// direct is the source of what people were given themselves.
const direct = "direct"

// endLine revokes a token with its line: one that took its place since it was decided is
// the same credential with another secret.
func (r reviewing) endLine(ctx context.Context, by tenure.Principal, i tenure.ReviewItem, why string) error {
	line, err := r.line(ctx, i)
	for _, t := range line {
		if err == nil && !t.Over(r.Store.Now()) {
			_, err = r.Tokens.Revoke(ctx, by, t.ID, why)
		}
	}
	return err
}

// line gives the tokens of a token's line, the newest first.
func (r reviewing) line(ctx context.Context, i tenure.ReviewItem) ([]tenure.Token, error) {
	t, err := r.Store.Token(ctx, i.Tenant, tenure.TokenID(i.Subject))
	if tenure.IsKind(err, tenure.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.Store.Line(ctx, i.Tenant, t.Family)
}

// another answers ErrAnother where somebody has another role by now than was decided about.
func (r reviewing) another(ctx context.Context, i tenure.ReviewItem) error {
	now, err := r.roleNow(ctx, i)
	if err == nil && now != "" && string(now) != i.Grant {
		err = review.ErrAnother("the role is " + string(now) + " now")
	}
	return err
}

// roleNow gives the role that an item is about as it is now, "" where there is none:
// in the tenant, of oneself in a workspace, or by the group.
func (r reviewing) roleNow(ctx context.Context, i tenure.ReviewItem) (tenure.Role, error) {
	if i.Kind == tenure.ReviewRole {
		u, err := r.Store.User(ctx, i.Tenant, tenure.UserID(i.Subject))
		if tenure.IsKind(err, tenure.NotFound) || u.Role == tenure.Member {
			return "", nil
		}
		return u.Role, err
	}
	rows, err := r.Store.Memberships(ctx, directory.MembershipFilter{Tenant: i.Tenant, Workspace: i.Workspace, User: tenure.UserID(i.Subject), Limit: 1})
	if err != nil || len(rows) == 0 {
		return "", err
	}
	if i.Source == direct {
		return rows[0].Direct, nil
	}
	now := tenure.Role("")
	for _, g := range rows[0].Groups {
		if g.Group == i.Via || i.Via == "" && (now == "" || string(g.Role) == i.Grant) { // of before: any group
			now = g.Role
		}
	}
	return now, nil
}

func onlyByGroup(group string) error {
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "member_through_group",
		Msg: "only the " + group + " makes them this; take them out of it at the identity provider, or end what the group is in this workspace",
	}
}

// principal is who somebody would be if the proxy asserted them now.
func (r reviewing) principal(u tenure.User) (tenure.Principal, error) {
	s := &tenure.Standing{
		Kind: tenure.AssertedIdentity, Tenant: u.Tenant, TenantActive: true, User: u.ID, UserName: u.UserName, UserActive: u.Active, Role: u.Role,
	}
	return s.Admit(r.Store.Now(), 0)
}

// key reads the version of a provider's key that an item is about.
func (r reviewing) key(ctx context.Context, i tenure.ReviewItem) (tenure.ProviderKey, error) {
	row, err := r.Store.ProviderKeyByID(ctx, i.Tenant, tenure.KeyID(i.Subject))
	return row.ProviderKey, err
}

const noAccess = "it gives no access any more"

// change makes another role or another owner of what a reviewer may change by themselves.
func (r reviewing) change(ctx context.Context, by tenure.Principal, i tenure.ReviewItem, to string) (bool, error) {
	switch i.Kind {
	case tenure.ReviewRole:
		_, _, err := r.Directory.SetRole(ctx, by, tenure.UserID(i.Subject), tenure.Role(to))
		return err == nil, err
	case tenure.ReviewMembership:
		if i.Source != direct {
			return false, nil
		}
		_, err := r.Directory.SetMember(ctx, by, string(i.Workspace), tenure.UserID(i.Subject), tenure.Role(to))
		return err == nil, err
	case tenure.ReviewAccount:
		_, err := r.Directory.UpdateAccount(ctx, by, tenure.ServiceAccountID(i.Subject), directory.AccountChange{Owner: &to})
		return err == nil, err
	}
	return false, nil
}

// checkpoint gives what waits its place, and the newest signed root of the audit log.
func (r reviewing) checkpoint(ctx context.Context) (string, error) {
	if _, err := r.Ledger.Place(ctx); err != nil {
		return "", err
	}
	c, err := r.Store.LastCheckpoint(tenure.Everywhere(ctx))
	return c.Note, err
}
