package app

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/store"
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

// lineStands reports whether a token of the line stands.
func (r reviewing) lineStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	line, err := r.line(ctx, i)
	if err != nil {
		return false, err
	}
	for _, t := range line {
		if stands, err := r.Tokens.Stands(ctx, i.Tenant, t.ID); stands || err != nil {
			return stands, err
		}
	}
	return false, nil
}

// lasts reports whether a token of a line has not ended for good: one that is off because
// the control of its exception failed may be good again.
func lasts(line []tenure.Token, now time.Time) bool {
	return slices.ContainsFunc(line, func(t tenure.Token) bool { return !t.Over(now) })
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

// alive judges as a request would be: a token by its standing, a person by theirs.
func (r reviewing) alive(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	switch i.Kind {
	case tenure.ReviewPAT, tenure.ReviewService:
		line, err := r.line(ctx, i)
		if lasts(line, r.Store.Now()) || err != nil {
			return err == nil, err
		}
		return r.lineStands(ctx, i)
	case tenure.ReviewPerson, tenure.ReviewRole, tenure.ReviewMembership:
		return r.personStands(ctx, i)
	case tenure.ReviewConnector:
		return r.connectorStands(ctx, i)
	case tenure.ReviewKey:
		k, err := r.key(ctx, i)
		if tenure.IsKind(err, tenure.NotFound) {
			return false, nil
		}
		return k.State != tenure.KeyRetired, err
	case tenure.ReviewAccount:
		a, err := r.Store.Account(ctx, i.Tenant, tenure.ServiceAccountID(i.Subject), r.Store.Now())
		if tenure.IsKind(err, tenure.NotFound) {
			return false, nil
		}
		s := a.State(r.Store.Now())
		return s != "ended" && s != "expired", err
	case tenure.ReviewRoot:
		return r.rootStands(ctx, i)
	case tenure.ReviewOIDC:
		return r.connectionStands(ctx, i)
	case tenure.ReviewException:
		switch state, err := r.exceptionState(ctx, i); state {
		case tenure.ExceptionActive, tenure.ExceptionApproved, tenure.ExceptionFailed: // the last may be approved anew
			return true, err
		default:
			return false, err
		}
	case tenure.ReviewProxy:
	}
	return true, nil
}

// personStands judges somebody whom the proxy would assert now.
func (r reviewing) personStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	u, err := r.Store.User(ctx, i.Tenant, tenure.UserID(i.Subject))
	if tenure.IsKind(err, tenure.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p, refused := r.principal(u)
	if refused != nil || i.Kind == tenure.ReviewPerson {
		return refused == nil, nil
	}
	if i.Kind == tenure.ReviewRole { // each role that is reviewed may list people; a member may not
		return access.Check(p, tenure.ListUsers) == nil, nil
	}
	now, err := r.roleNow(ctx, i)
	return now != "", err
}

// rootStands reports whether a root token is accepted: one that was rotated is the same
// access.
func (r reviewing) rootStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	policy, err := r.Store.Policy(ctx, i.Tenant)
	if policy.RootOff || i.Subject == configuredRoot || err != nil {
		return err == nil && !policy.RootOff, err
	}
	rows, err := r.Store.Tokens(ctx, store.TokenFilter{Tenant: i.Tenant, Kind: tenure.KindRoot, Unrevoked: true, Limit: -1})
	return lasts(rows, r.Store.Now()), err
}

func (r reviewing) connectorStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	if i.Subject == string(tenure.BuiltinConnector) {
		return len(r.Config.SCIMTokens) > 0, nil
	}
	_, err := r.Store.Connector(ctx, i.Tenant, tenure.ConnectorID(i.Subject))
	if err == nil {
		return true, nil
	}
	if !tenure.IsKind(err, tenure.NotFound) {
		return false, err
	}
	tokens, err := r.Store.ConnectorTokens(ctx, i.Tenant, tenure.ConnectorID(i.Subject))
	for _, t := range tokens {
		if stands, err := r.Tokens.Stands(ctx, i.Tenant, t.ID); stands || err != nil {
			return stands, err
		}
	}
	return false, err
}

func (r reviewing) connectionStands(ctx context.Context, i tenure.ReviewItem) (bool, error) {
	if b := r.Connections.Builtin; b != nil && i.Subject == string(tenure.BuiltinConnection) && b.Connection.Tenant == i.Tenant {
		return true, nil
	}
	_, err := r.Store.OIDCConnection(ctx, i.Tenant, tenure.ConnectionID(i.Subject))
	if tenure.IsKind(err, tenure.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// exceptionState gives the state of an exception, "" where there is none.
func (r reviewing) exceptionState(ctx context.Context, i tenure.ReviewItem) (string, error) {
	x, err := r.Store.Exception(ctx, i.Tenant, tenure.ExceptionID(i.Subject))
	if tenure.IsKind(err, tenure.NotFound) {
		return "", nil
	}
	return x.State(r.Store.Now()), err
}

// key reads the version of a provider's key that an item is about.
func (r reviewing) key(ctx context.Context, i tenure.ReviewItem) (tenure.ProviderKey, error) {
	row, err := r.Store.ProviderKeyByID(ctx, i.Tenant, tenure.KeyID(i.Subject))
	return row.ProviderKey, err
}

// gone says what has become of a thing since the snapshot.
func (r reviewing) gone(ctx context.Context, i tenure.ReviewItem) (string, error) {
	if i.Kind == tenure.ReviewPAT || i.Kind == tenure.ReviewService {
		return r.lineGone(ctx, i)
	}
	alive, err := r.alive(ctx, i)
	if err != nil {
		return "", err
	}
	switch i.Kind {
	case tenure.ReviewRole, tenure.ReviewMembership:
		if err := r.another(ctx, i); err != nil {
			if e := tenure.AsError(err); e.Kind == tenure.Conflict {
				return e.Msg, nil
			}
			return "", err
		}
	case tenure.ReviewException:
		if state, err := r.exceptionState(ctx, i); err != nil || !alive && state != "" {
			return "it is " + strings.ReplaceAll(state, "_", " "), err
		}
	}
	if !alive {
		return noAccess, nil
	}
	return "", nil
}

const noAccess = "it gives no access any more"

// lineGone says what has become of a token's line. Whoever renews a token has the same
// access as before, and is reviewed for it.
func (r reviewing) lineGone(ctx context.Context, i tenure.ReviewItem) (string, error) {
	line, err := r.line(ctx, i)
	switch {
	case err != nil || lasts(line, r.Store.Now()):
		return "", err
	case len(line) == 0:
		return noAccess, nil
	case !line[0].RevokedAt.IsZero():
		return "it was revoked on " + day(line[0].RevokedAt), nil
	}
	return "it expired on " + day(line[0].ExpiresAt), nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

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
