package vault

import (
	"cmp"
	"context"
	"net"
	"net/url"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Reach tells where a provider may be now, beside the public internet.
func (v *Vault) Reach(ctx context.Context, p tenure.Provider) (tenure.Egress, error) {
	policy, err := v.DB.Policy(ctx, p.Tenant)
	return p.Egress(policy.Egress, v.DB.Now()), err
}

// Excepted reads until when its exception lets a provider be where it is.
// ErrProviderEnded: it does not at present.
func (v *Vault) Excepted(ctx context.Context, tenant tenure.TenantID, id tenure.ProviderID) (time.Time, error) {
	p, err := v.DB.Provider(context.WithValue(ctx, tenure.ReachKey{}, string(tenant)), tenant, id)
	if tenure.IsKind(err, tenure.NotFound) || err == nil && !p.Excepted(v.DB.Now()) {
		err = tenure.ErrProviderEnded
	}
	return p.ExceptionUntil, err
}

// Closed says why nothing connects now to where a provider says that it is; "": nothing
// is known against it before its name is resolved.
func (v *Vault) Closed(ctx context.Context, p tenure.Provider) string {
	allowed, err := v.Reach(ctx, p)
	u, wrong := url.Parse(p.BaseURL)
	if err != nil || wrong != nil {
		return ""
	}
	if refused := egress.AsRefused(egress.JudgeHost(u.Hostname(), allowed)); refused != nil {
		return refused.Error() + "; " + refused.Hint(p.Tenant)
	}
	return ""
}

// mayBeThere answers Invalid when an exception does not let a provider be where the policy
// does not, and why; none needs none.
func mayBeThere(ctx context.Context, tx *store.Tx, p tenure.Provider, by tenure.ExceptionID) error {
	if by == "" {
		return nil
	}
	x, err := tx.Exception(ctx, p.Tenant, by)
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.InvalidField("exception", "there is no exception %s", tenure.Shown(string(by)))
	}
	if err != nil {
		return err
	}
	return x.Opens(tenure.RuleProviderNetwork, tenure.Deviation{Tenant: p.Tenant, Workspace: p.Workspace, Provider: p.ID}, tx.Now())
}

// judge refuses a base URL that nothing ever connects to. Whether the policy or an
// exception lets it be there shows when it is dialled.
func (v *Vault) judge(base string) error {
	u, err := url.Parse(base)
	if err != nil {
		return tenure.InvalidField("base_url", "this is no URL")
	}
	if v.Public != nil && place(u) == place(v.Public) {
		return tenure.InvalidField("base_url", "%s is Tenure itself (TENURE_PUBLIC_URL); name the provider's own address", u.Host)
	}
	if refused := egress.AsRefused(egress.JudgeHost(u.Hostname(), tenure.EgressAll)); refused != nil {
		return tenure.InvalidField("base_url", "%s; %s", refused, refused.Hint(""))
	}
	return nil
}

// place is host and port of a URL, however they are spelled.
func place(u *url.URL) string {
	return net.JoinHostPort(egress.FoldHost(u.Hostname()), cmp.Or(u.Port(), map[bool]string{true: "443", false: "80"}[u.Scheme == "https"]))
}
