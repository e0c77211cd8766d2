package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/connector"
	"github.com/tenure-gateway/tenure/internal/directory"
)

// mostTenants is how many tenants are looked into, the oldest first.
const mostTenants = 20

// tenants gives the active tenants that are looked into.
func (d *Doctor) tenants(ctx context.Context, f *findings, area string) []tenure.Tenant {
	all, err := d.db.Tenants(ctx)
	if err != nil {
		f.fail(area, "tenants", cause(err), "see what the database says.")
		return nil
	}
	var out []tenure.Tenant
	for _, t := range all {
		if t.Active {
			out = append(out, t)
		}
	}
	if len(out) > mostTenants {
		f.skip(area, "tenants", fmt.Sprintf("only the %d oldest of %d are looked into", mostTenants, len(out)))
		out = out[:mostTenants]
	}
	return out
}

// scim looks at whether the identity providers still say who is gone.
func (d *Doctor) scim(ctx context.Context) findings {
	const area = "scim"
	var f findings
	if !d.cfg.Teams {
		f.skip(area, "connectors", "single mode has no people")
		return f
	}
	connectors := &connector.Connectors{DB: d.db, Builtin: len(d.cfg.SCIMTokens) > 0}
	found := 0
	for _, t := range d.tenants(ctx, &f, area) {
		list, err := connectors.List(ctx, d.As(t.ID))
		if err != nil {
			f.fail(area, d.called(t, "connectors"), cause(err), "see what the database says.")
			continue
		}
		for _, v := range list {
			found++
			d.feed(&f, d.called(t, v.Name), v)
		}
	}
	switch {
	case found == 0:
		f.warn(area, "connectors", "there is none: nobody says who is gone, and people are deactivated by hand", "connect the identity provider: docs/guides/scim.md")
	case d.cfg.RequireSCIM:
		f.ok(area, "TENURE_REQUIRE_SCIM", "on: whom SCIM never provisioned cannot sign in")
	default:
		f.ok(area, "TENURE_REQUIRE_SCIM", "off: whoever the sign-in knows gets in, and SCIM cannot end whom it does not know; see \"drift\"")
	}
	return f
}

// feed judges one connector as its page does; one that was never used is worth a
// warning at once, because somebody is looking.
func (d *Doctor) feed(f *findings, name string, v connector.View) {
	const area, do = "scim", "look at the identity provider's provisioning log; docs/guides/scim.md."
	last := v.Figures.LastSeenAt
	switch {
	case v.Warning != "":
		f.warn(area, name, v.Warning, do)
	case last.IsZero():
		f.warn(area, name, "nothing has ever come through it", do)
	default:
		usual := "what is usual is not known yet"
		if v.Figures.Usual > 0 {
			usual = "usually every " + v.Figures.Usual.Round(time.Second).String()
		}
		f.ok(area, name, fmt.Sprintf("last seen %s ago, %s", v.SilentFor.Round(time.Second), usual))
	}
}

// access looks at who has access that nothing would end.
func (d *Doctor) access(ctx context.Context) findings {
	const area = "access"
	var f findings
	for _, t := range d.tenants(ctx, &f, area) {
		for _, one := range []func(context.Context, *findings, tenure.Tenant) error{d.drift, d.orphans, d.endless} {
			if err := one(ctx, &f, t); err != nil {
				f.fail(area, d.called(t, "count"), cause(err), "see what the database says.")
				break
			}
		}
	}
	return f
}

func (d *Doctor) drift(ctx context.Context, f *findings, t tenure.Tenant) error {
	if !d.cfg.Teams {
		return nil
	}
	report, err := (&directory.Directory{DB: d.db}).Drift(ctx, d.As(t.ID))
	if err != nil {
		return err
	}
	n, name := report.Diverging(), d.called(t, "drift")
	switch {
	case n > 0 && report.Provisioned == 0:
		f.ok("access", name, count(n, "person is", "people are")+" known by sign-in only, and SCIM has provisioned nobody")
	default:
		f.either(n == 0, "access", name, count(n, "person signs in under a name that SCIM does not know", "people sign in under a name that SCIM does not know"),
			"they would stay after leaving: tenure user drift, or the page /admin/drift; docs/guides/drift.md.")
	}
	return nil
}

func (d *Doctor) orphans(ctx context.Context, f *findings, t tenure.Tenant) error {
	now := d.db.Now()
	o, err := d.db.Overview(ctx, t.ID, now, now, now)
	if err == nil {
		f.either(o.Orphans == 0, "access", d.called(t, "service accounts"), count(o.Orphans, "service account has lost its owner", "service accounts have lost their owner"),
			"give each a new owner: tenure service-account update NAME --owner USER, or the page /admin/service-accounts; docs/guides/service-accounts.md.")
	}
	return err
}

// endless counts tokens that never end by themselves, and the root tokens.
func (d *Doctor) endless(ctx context.Context, f *findings, t tenure.Tenant) error {
	kinds, err := d.db.Endless(ctx, t.ID)
	if err != nil {
		return err
	}
	n := kinds[tenure.KindPAT] + kinds[tenure.KindService]
	f.either(n == 0, "access", d.called(t, "tokens"), count(n, "personal or service token has no end", "personal and service tokens have no end"),
		"rotate them with an end, and set pat_max_lifetime: the page /admin/tokens; docs/reference/policy.md.")
	if t.ID != tenure.DefaultTenant {
		return nil
	}
	policy, err := d.db.Policy(ctx, t.ID)
	if err != nil {
		return err
	}
	const check, do = "root token", "once somebody else is super admin: tenure policy set root_token=off; docs/guides/root-token.md."
	set := !d.cfg.APIToken.IsZero()
	switch {
	case !d.cfg.Teams:
		f.ok("access", check, "single mode: it is the everyday credential")
	case policy.RootOff:
		f.ok("access", check, "the policy switches it off")
	case set || kinds[tenure.KindRoot] > 0:
		f.warn("access", check, map[bool]string{true: "that of TENURE_API_TOKEN is good", false: "a stored one is good"}[set], do)
	default:
		f.ok("access", check, "there is none")
	}
	return nil
}
