package evidence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// House is what the installation is set to: of all tenants, and so told in the bundle of
// the default one alone. It has no secret.
type House struct {
	Known    bool // the settings are those of a process that serves
	Teams    bool
	Settings []Setting
	SignIn   []string // ways in which people do, in words
	Postgres bool
	TLS      bool // Tenure ends it itself
	Keys     []Key
	Wrapped  []Wrapped
}

// Setting is one setting in force; of a secret, that it is set.
type Setting struct{ Name, Value string }

// Key is a key-encryption key.
type Key struct {
	Label     string
	Algorithm string
	Wraps     bool   // what is sealed now; the others only open
	Absent    string // why it is not at hand; "": it is
}

// Wrapped is how many secrets were wrapped in one way.
type Wrapped struct {
	What  string
	By    string
	Count int
	Opens bool // the key is at hand
}

// elsewhere says why the installation cannot be seen in a bundle.
func (x *export) elsewhere() string {
	if x.tenant.ID != tenure.DefaultTenant {
		return "The installation is run by somebody else than this tenant: ask for the bundle of its own tenant."
	}
	return "The command line does not know the settings of the process that serves: export by the API or the page Evidence."
}

// authentication writes the policy and the settings as they are in force.
func (x *export) authentication(ctx context.Context) error {
	policy, err := x.Policy(ctx, x.tenant.ID)
	if err != nil {
		return err
	}
	rows, err := x.PolicyRows(ctx, x.tenant.ID)
	if err != nil {
		return err
	}
	usual := tenure.PolicyOf(x.tenant.ID)
	err = x.populate(ctx, population{
		name: "policy", title: "Authentication standard: the policy in force",
		columns: []string{"key", "value", "default", "meaning", "set_at", "set_by"},
		each: func(_ context.Context, give func(...any) error) error {
			for _, key := range tenure.PolicyKeys() {
				var at time.Time
				by := ""
				if i := slices.IndexFunc(rows, func(r store.PolicyRow) bool { return r.Key == key }); i >= 0 {
					at, by = rows[i].UpdatedAt, rows[i].UpdatedBy
				}
				if err := give(key, policy.Get(key), usual.Get(key), tenure.PolicyMeaning(key), at, by); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	var sessions, tokens tally
	bound := func(t *tally, key string, is, most time.Duration) {
		t.item(key+" "+tenure.FormatSpan(is), when(is > most, "longer than "+tenure.FormatSpan(most)))
	}
	bound(&sessions, "session_idle", policy.SessionIdle, time.Hour)
	bound(&sessions, "session_lifetime", policy.SessionLife, day)
	bound(&sessions, "admin_idle", policy.AdminIdle, 15*time.Minute)
	bound(&sessions, "reauth", policy.Reauth, 15*time.Minute)
	bound(&tokens, "pat_max_lifetime", policy.PATMaxLife, 366*day)
	bound(&tokens, "service_token_max_lifetime", policy.ServiceMaxLife, 366*day)
	x.judge("auth.sessions_end", sessions, "Held against 1 hour idle and 24 hours of life, and for administration 15 minutes.", "policy.csv")
	x.judge("auth.token_lifetimes", tokens, "", "policy.csv")
	x.secondFactor(policy)
	if !x.house.Known {
		x.unassessed("auth.sign_in", x.elsewhere())
		return nil
	}
	var ways tally
	for _, way := range x.house.SignIn {
		ways.item(way, "")
	}
	x.judge("auth.sign_in", ways, strings.Join(x.house.SignIn, "; ")+".", "settings.csv")
	return x.populate(ctx, population{
		name: "settings", title: "Settings of the installation",
		columns: []string{"name", "value"},
		each: func(_ context.Context, give func(...any) error) error {
			for _, s := range x.house.Settings {
				if err := give(s.Name, s.Value); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// secondFactor says of whom the policy asks for one.
func (x *export) secondFactor(policy tenure.Policy) {
	const told = " What was told of a sign-in (acr, amr), and the exception that it hangs on, is in its event session.opened."
	if policy.MFA == tenure.MFAOff {
		x.unassessed("auth.second_factor", "The policy mfa is off: whether one is asked for, the identity provider knows."+told)
		return
	}
	var t tally
	t.item("mfa "+policy.MFA, "")
	x.judge("auth.second_factor", t, "Refused, without "+policy.MFAValues+" in amr or acr: "+map[string]string{
		tenure.MFAAdmin: "to administer", tenure.MFAAll: "to sign in",
	}[policy.MFA]+". Who is let off is among the exceptions, by the rule mfa_missing."+told, "policy.csv")
}

// policyChanges writes each change of the policy.
func (x *export) policyChanges(ctx context.Context) error {
	f := store.EventsOf{Actions: []string{"policy."}}
	if err := x.events(ctx, "policy_changes", "Changes of the policy", f); err != nil {
		return err
	}
	t, err := x.tallyEvents(ctx, f, func(e tenure.AuditEvent) string { return when(e.Actor == "", "nobody is named") })
	x.judge("policy.changes_attributed", t, "", "policy_changes.csv")
	return err
}

// maxKeyAge is how old a provider's key should get.
const maxKeyAge = 365 * day

// encryption writes which keys there are: never what they are.
func (x *export) encryption(ctx context.Context) error {
	var aged tally
	each := func(ctx context.Context, give func(...any) error) error {
		if x.tenant.ID == tenure.DefaultTenant {
			signing, err := x.AuditKeys(ctx)
			if err != nil {
				return err
			}
			for _, k := range signing {
				name, _, _ := strings.Cut(k.Public, "+")
				if err := give("signs the audit log", name, "", "Ed25519", "sealed in the vault", k.CreatedBy, k.CreatedAt, k.RetiredAt, age(x.At, k.CreatedAt)); err != nil {
					return err
				}
			}
			for _, k := range x.house.Keys {
				if err := give("wraps data keys", k.Label, "", k.Algorithm, "key service or file", "", time.Time{}, time.Time{}, nil); err != nil {
					return err
				}
			}
		}
		return x.EachProviderKey(ctx, x.tenant.ID, func(provider string, k tenure.ProviderKey) error {
			where := "sealed in the vault"
			if k.Reference != "" {
				where = "secret system"
			}
			return give("opens a model provider: "+provider, k.Name, fmt.Sprint(k.Version), "", where, k.CreatedBy, k.CreatedAt, k.RetiredAt, age(x.At, k.CreatedAt))
		})
	}
	err := x.EachProviderKey(ctx, x.tenant.ID, func(provider string, k tenure.ProviderKey) error {
		if k.RetiredAt.IsZero() {
			aged.item(provider+"/"+k.Name+" ("+string(k.ID)+")", when(x.At.Sub(k.CreatedAt) > maxKeyAge, "older than 365 days"))
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.judge("keys.rotated", aged, "", "keys.csv")
	if len(x.house.Keys) == 0 {
		x.unassessed("keys.at_hand", x.elsewhere())
	} else {
		var sealed tally
		for _, w := range x.house.Wrapped {
			sealed.item(fmt.Sprintf("%d of %s by %s", w.Count, w.What, w.By), when(!w.Opens, "the key is not at hand"))
		}
		x.judge("keys.at_hand", sealed, "AES-256-GCM, each secret under a data key of its own, which a key-encryption key wraps.", "keys.csv")
	}
	return x.populate(ctx, population{
		name: "keys", title: "Keys: what for, whose, how old",
		columns: []string{"does", "name", "version", "algorithm", "kept", "made_by", "created_at", "retired_at", "age_days"}, each: each,
	})
}

func age(now, made time.Time) any { return int64(now.Sub(made) / day) }

func details(d map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(d)) {
		parts = append(parts, k+"="+d[k])
	}
	return strings.Join(parts, "; ")
}
