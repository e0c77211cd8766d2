package vault

import (
	"cmp"
	"context"
	"net"
	"net/url"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
)

// Reach tells where providers of a tenant may be, beside the public internet.
func (v *Vault) Reach(ctx context.Context, tenant tenure.TenantID) (tenure.Egress, error) {
	policy, err := v.DB.Policy(ctx, tenant)
	return policy.Egress, err
}

// judge refuses a base URL that would never be connected to. What a name stands for
// shows when it is dialled.
func (v *Vault) judge(ctx context.Context, tenant tenure.TenantID, base string) error {
	u, err := url.Parse(base)
	if err != nil {
		return tenure.InvalidField("base_url", "this is no URL")
	}
	if v.Public != nil && place(u) == place(v.Public) {
		return tenure.InvalidField("base_url", "%s is Tenure itself (TENURE_PUBLIC_URL); name the provider's own address", u.Host)
	}
	allowed, err := v.Reach(ctx, tenant)
	if err != nil {
		return err
	}
	if refused := egress.AsRefused(egress.JudgeHost(u.Hostname(), allowed)); refused != nil {
		return tenure.InvalidField("base_url", "%s; %s", refused, refused.Hint(tenant))
	}
	return nil
}

// place is host and port of a URL, however they are spelled.
func place(u *url.URL) string {
	return net.JoinHostPort(egress.FoldHost(u.Hostname()), cmp.Or(u.Port(), map[bool]string{true: "443", false: "80"}[u.Scheme == "https"]))
}
