// Package policy is the act on a tenant's policy: what it decides about its
// credentials. It owns reading and changing it, whole or not at all, and the
// guards that keep a tenant from switching off the root token while nobody else
// could administer it, and people from shutting themselves out.
//
// What the keys are called, mean and may be is in the root package; what a value
// means for a credential is decided where the credential is judged.
package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Keys that only the default tenant has: no other has a root token, and what is spent is
// in one currency everywhere, because prices may be of every tenant.
const (
	rootToken = "root_token"
	currency  = "currency"
)

// providerNetworks is the key that only the operator widens for other tenants.
const providerNetworks = "provider_networks"

// mfa is the key by which a second factor is asked for.
const mfa = "mfa"

// webhookURL is the key of which only the default tenant may name this machine.
const webhookURL = "webhook_url"

// Policies is the act on policies. Its fields are set before first use.
type Policies struct {
	DB   *store.DB
	Live *live.Live
	// Single tells that this process serves one person, whose only credential is
	// the root token. A verb on the machine does not know.
	Single bool
}

// Entry is one key of a tenant's policy, set or not.
type Entry struct {
	Key, Value string
	Default    string
	Meaning    string
	Set        bool      // by the tenant; otherwise Value is Default
	UpdatedAt  time.Time // of what is set
	UpdatedBy  string
}

// Read gives every key of the asker's tenant, in the order of the alphabet.
func (p *Policies) Read(ctx context.Context, by tenure.Principal) ([]Entry, error) {
	if err := access.Check(by, tenure.ReadPolicy); err != nil {
		return nil, err
	}
	rows, err := p.DB.PolicyRows(ctx, by.Tenant())
	if err != nil {
		return nil, err
	}
	return entries(by.Tenant(), rows), nil
}

func entries(tenant tenure.TenantID, rows []store.PolicyRow) []Entry {
	usual, now := tenure.PolicyOf(tenant), tenure.PolicyOf(tenant)
	set := map[string]store.PolicyRow{}
	for _, row := range rows {
		if now.Stored(row.Key, row.Value) == nil { // what a hand wrote and nobody can read is not set
			set[row.Key] = row
		}
	}
	var out []Entry
	for _, key := range keys(tenant) {
		row, ok := set[key]
		out = append(out, Entry{
			Key: key, Value: now.Get(key), Default: usual.Get(key), Meaning: tenure.PolicyMeaning(key),
			Set: ok, UpdatedAt: row.UpdatedAt, UpdatedBy: row.UpdatedBy,
		})
	}
	return out
}

// keys are those that a tenant has.
func keys(tenant tenure.TenantID) []string {
	return slices.DeleteFunc(tenure.PolicyKeys(), func(key string) bool {
		return (key == rootToken || key == currency) && tenant != tenure.DefaultTenant
	})
}

// Set gives keys new values, or, where the value is nil, their defaults: all of
// them or, when one cannot be, none. It answers the policy as it is then.
// Invalid: no such key, a value that is none, or values that contradict each
// other. Conflict: nobody but the root token could administer, and it would be
// switched off.
func (p *Policies) Set(ctx context.Context, by tenure.Principal, values map[string]*string) ([]Entry, error) {
	if err := access.Check(by, tenure.SetPolicy); err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, tenure.InvalidField("policy", "no key is named; the policies are %s", strings.Join(keys(by.Tenant()), ", "))
	}
	if err := plausible(by.Tenant(), values); err != nil {
		return nil, err
	}
	var out []Entry
	var over []tenure.ServiceAccount
	changed := false
	err := p.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		out, changed = nil, false
		before, err := tx.Policy(ctx, by.Tenant())
		if err != nil {
			return err
		}
		after, err := apply(before, tenure.PolicyOf(by.Tenant()), values)
		if err != nil {
			return err
		}
		if values[webhookURL] != nil && by.Tenant() != tenure.DefaultTenant && strings.HasPrefix(strings.ToLower(after.Webhook), "http:") {
			return tenure.InvalidField(webhookURL, "%s: expected https; a tenant beside the installation's own has no webhook on this machine", webhookURL)
		}
		if by.Tenant() != tenure.DefaultTenant && by.Kind() != tenure.Operator && after.Egress&^before.Egress != 0 {
			return errOperatorsNetworks
		}
		if err := p.guardRoot(ctx, tx, by, before, after); err != nil {
			return err
		}
		if err := guardMFA(by, before, after); err != nil {
			return err
		}
		if over, err = endOverdue(ctx, tx, by, values); err != nil {
			return err
		}
		if changed, err = write(ctx, tx, by, values, before, after); err != nil {
			return err
		}
		rows, err := tx.PolicyRows(ctx, by.Tenant())
		out = entries(by.Tenant(), rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("set policy: %w", err)
	}
	for _, a := range over {
		p.Live.Cut(store.Change{Kind: "service_account", ID: string(a.ID)}, live.Account(a.ID), tenure.ErrRevoked)
	}
	if changed {
		p.Live.Changed(ctx, store.Change{Kind: "policy", ID: string(by.Tenant())})
	}
	return out, nil
}

// errOperatorsNetworks keeps a tenant beside the installation's own from opening to
// itself the networks of whoever runs the installation.
var errOperatorsNetworks = &tenure.Error{
	Kind: tenure.Forbidden, Code: "operators_networks", Field: providerNetworks,
	Msg: providerNetworks + " of this tenant is widened by whoever runs the installation: tenure policy set --tenant NAME provider_networks=…",
}

// maxValue is the longest value of a key, in bytes.
const maxValue = 2000

// plausible refuses what no policy could be, before anything is read.
func plausible(tenant tenure.TenantID, values map[string]*string) error {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(keys(tenant), key) {
			shown := tenure.Redact(strings.ToValidUTF8(key[:min(len(key), 60)], "?"))
			return &tenure.Error{
				Kind: tenure.Invalid, Code: "unknown_policy", Field: shown,
				Msg: fmt.Sprintf("there is no policy %q; the policies are %s", shown, strings.Join(keys(tenant), ", ")),
			}
		}
		switch v := values[key]; {
		case v == nil:
		case len(*v) > maxValue:
			return tenure.InvalidField(key, "%s: at most %d bytes", key, maxValue)
		case !utf8.ValidString(*v):
			return tenure.InvalidField(key, "%s: this is no text (UTF-8)", key)
		case tenure.MentionsToken(*v):
			return tenure.InvalidField(key, "%s: the value has a token in it; a policy is shown and logged", key)
		}
	}
	return nil
}

// apply gives the policy with the new values.
func apply(p, usual tenure.Policy, values map[string]*string) (tenure.Policy, error) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		text := usual.Get(key)
		if v := values[key]; v != nil {
			text = *v
		}
		if err := p.Set(key, text); err != nil {
			return p, err
		}
	}
	return p, p.Coherent()
}

// guardRoot refuses to switch the root token off while nobody else could
// administer. Whoever runs commands on the machine can switch it on again.
func (p *Policies) guardRoot(ctx context.Context, tx *store.Tx, by tenure.Principal, before, after tenure.Policy) error {
	if before.RootOff || !after.RootOff {
		return nil
	}
	if p.Single && by.Kind() != tenure.Operator {
		return &tenure.Error{
			Kind: tenure.Conflict, Code: "root_token_needed", Field: rootToken,
			Msg: "in single mode the root token is the only way in; it cannot be switched off",
		}
	}
	n, err := tx.CountSupers(ctx, by.Tenant())
	if err == nil && n == 0 {
		err = &tenure.Error{
			Kind: tenure.Conflict, Code: "root_token_needed", Field: rootToken,
			Msg: "the root token can be switched off once there is an active super admin; name one by TENURE_ADMINS, and let them sign in",
		}
	}
	return err
}

// guardMFA refuses to ask for a second factor, of more people or by other words than
// before, to somebody whose own sign-in would not have shown it: they might be the last
// who could take it back. That an exception lets them off does not count, since it ends.
func guardMFA(by tenure.Principal, before, after tenure.Policy) error {
	s := by.Standing()
	same := before.MFA == after.MFA || after.MFA == tenure.MFAAdmin && before.MFA == tenure.MFAAll
	if by.User() == "" || after.MFA == tenure.MFAOff || same && before.MFAValues == after.MFAValues {
		return nil
	}
	if (tenure.SignIn{ACR: s.ACR, AMR: s.AMR}).Shows(after.MFAValues) {
		return nil
	}
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "mfa_lockout", Field: mfa,
		Msg: fmt.Sprintf("your own sign-in shows no second factor by %q (amr %q, acr %q): this would shut you out; sign in with one, or set mfa_values to what your provider says; whoever runs the installation can set it by tenure policy set",
			after.MFAValues, s.AMR, s.ACR),
	}
}

// endOverdue ends the service accounts whose time is over by the grace that was, when
// it is to be another: a longer one brings nothing back.
func endOverdue(ctx context.Context, tx *store.Tx, by tenure.Principal, values map[string]*string) ([]tenure.ServiceAccount, error) {
	if _, named := values["orphan_grace"]; !named {
		return nil, nil
	}
	due, err := tx.AccountsDue(ctx, by.Tenant(), tx.Now())
	if err != nil {
		return nil, err
	}
	for _, a := range due {
		tokens, was, err := tx.EndAccount(ctx, a, "system", a.WhyExpired(tx.Now()))
		if err == nil && was {
			err = tx.Append(ctx, audit.AccountEnded(tenure.Principal{}, a, tokens, a.WhyExpired(tx.Now())))
		}
		if err != nil {
			return nil, err
		}
	}
	return due, nil
}

// write stores what differs and tells of it.
func write(ctx context.Context, tx *store.Tx, by tenure.Principal, values map[string]*string, before, after tenure.Policy) (bool, error) {
	rows, err := tx.PolicyRows(ctx, by.Tenant())
	if err != nil {
		return false, err
	}
	changed := false
	for _, key := range slices.Sorted(maps.Keys(values)) {
		i := slices.IndexFunc(rows, func(r store.PolicyRow) bool { return r.Key == key })
		unset, text := values[key] == nil, after.Get(key)
		if unset && i < 0 || !unset && i >= 0 && rows[i].Value == text {
			continue // so it is already
		}
		changed = true
		if unset {
			err = tx.UnsetPolicy(ctx, by.Tenant(), key)
		} else {
			err = tx.SetPolicy(ctx, by.Tenant(), key, text, by.Label())
		}
		if err == nil {
			err = tx.Append(ctx, audit.PolicyChanged(by, key, before.Get(key), text, unset))
		}
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}
