package trust

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Facts are what the settings of the installation say.
type Facts struct {
	Ways        []Way
	SessionIdle time.Duration // of a session, however long the policy lets it go on; 0: as long as that
	SessionLife time.Duration // likewise
	Staleness   time.Duration // for how long what is known is believed without the database
	RequireSCIM bool          // whom SCIM has not provisioned is refused
	SettingSCIM bool          // the default tenant has a connector by the settings
	TLS         bool          // this program speaks TLS itself
	Keys        string        // what wraps the keys of secrets: "a file", "AWS KMS", …
}

// Way is a way to sign in that the settings open.
type Way struct {
	Says     string // "by OpenID Connect"
	Everyone bool   // to the people of every tenant, not of the default one alone
	Presumed bool   // until people of the default tenant sign in by OpenID Connect: no setting says so
}

// ByOIDC is how people sign in without a proxy.
const ByOIDC = "by OpenID Connect"

// The states of a statement.
const (
	Enforced      = "enforced"
	NotEnforced   = "not enforced"
	NotAssessable = "not assessable here"
)

// Statement is one thing that a trust page says.
type Statement struct {
	Topic   string
	Says    string // sentences
	Figures string // further ones, which change from day to day; "": none
	State   string // Enforced, NotEnforced or NotAssessable
}

// digest is SHA-256 over what a page says, in hexadecimal: of all but its figures.
func digest(all []Statement) string {
	sum := sha256.New()
	for _, s := range all {
		for _, text := range []string{s.Topic, s.Says, s.State} {
			_, _ = fmt.Fprintf(sum, "%d %s\n", len(text), text) // a hash takes everything
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// spanOfTimes is how far back ends of access are counted.
const spanOfTimes = 30 * 24 * time.Hour

// says is what is enforced in a tenant now.
func (t *Trust) says(ctx context.Context, tenant tenure.TenantID, p tenure.Policy) ([]Statement, error) {
	in, err := t.signIn(ctx, tenant)
	if err != nil {
		return nil, err
	}
	scim, err := t.provisioning(ctx, tenant)
	if err != nil {
		return nil, err
	}
	leavers, err := t.leavers(ctx, tenant)
	if err != nil {
		return nil, err
	}
	log, err := t.auditLog(ctx)
	if err != nil {
		return nil, err
	}
	all := []Statement{in, scim, leavers, {
		Topic: "Tokens", State: Enforced, Says: fmt.Sprintf("A new personal access token is given %s at most, a service token %s; one that is older keeps what it was given, and an approved exception can give more. Each is shown once and kept as a SHA-256 digest.", words(p.PATMaxLife), words(p.ServiceMaxLife)),
	}, {
		Topic: "Sessions", State: Enforced, Says: fmt.Sprintf("A session ends after %s without use and after %s at all; it administers for %s without use, and what is dangerous asks for a sign-in of the last %s.",
			words(shorter(p.SessionIdle, t.Facts.SessionIdle)), words(shorter(p.SessionLife, t.Facts.SessionLife)),
			words(shorter(p.AdminIdle, t.Facts.SessionIdle)), words(p.Reauth)),
	}, t.secrets(), log, t.transit()}
	if tenant == tenure.DefaultTenant {
		root := Statement{Topic: "Emergency access", Says: "The root token of the installation is accepted; each use is in the audit log and raises an alert.", State: NotEnforced}
		if p.RootOff {
			root = Statement{Topic: "Emergency access", Says: "The root token of the installation is switched off.", State: Enforced}
		}
		all = append(all, root)
	}
	switch p.MFA {
	case tenure.MFAAdmin:
		all = append(all, Statement{Topic: "Second factor", Says: fmt.Sprintf("Who administers has signed in with a second factor, as the identity provider told with the sign-in (%s); an approved exception lets one person off for a time.", p.MFAValues), State: Enforced})
	case tenure.MFAAll:
		all = append(all, Statement{Topic: "Second factor", Says: fmt.Sprintf("Everybody signs in with a second factor, as the identity provider tells with each sign-in (%s); an approved exception lets one person off for a time.", p.MFAValues), State: Enforced})
	}
	second := Statement{Topic: "Two people", Says: "A token that administers is asked for by one and approved by another, as soon as there are two who could.", State: Enforced}
	if !p.AdminApproval {
		second = Statement{Topic: "Two people", Says: "One super admin alone can make a token that administers.", State: NotEnforced}
	}
	return append(all, second), nil
}

func (t *Trust) signIn(ctx context.Context, tenant tenure.TenantID) (Statement, error) {
	rows, err := t.DB.OIDCConnections(ctx, tenant)
	if err != nil {
		return Statement{}, err
	}
	used, err := t.DB.OIDCUsed(tenure.Everywhere(ctx), tenure.DefaultTenant)
	if err != nil {
		return Statement{}, err
	}
	var ways []string
	for _, w := range t.Facts.Ways {
		if (w.Everyone || tenant == tenure.DefaultTenant) && (!w.Presumed || !used) {
			ways = append(ways, w.Says)
		}
	}
	if len(rows) > 0 && !slices.Contains(ways, ByOIDC) {
		ways = append(ways, ByOIDC)
	}
	if len(ways) == 0 {
		return Statement{Topic: "Sign-in", Says: "No identity provider is configured.", State: NotEnforced}, nil
	}
	return Statement{Topic: "Sign-in", Says: "People sign in at the organisation’s identity provider, " + strings.Join(ways, " or ") + ". There are no passwords here.", State: Enforced}, nil
}

func (t *Trust) provisioning(ctx context.Context, tenant tenure.TenantID) (Statement, error) {
	rows, err := t.DB.Connectors(ctx, tenant)
	if err != nil {
		return Statement{}, err
	}
	s := Statement{Topic: "Provisioning", Says: "The identity provider provisions people, and takes them away, by SCIM 2.0.", State: Enforced}
	switch {
	case len(rows) == 0 && (!t.Facts.SettingSCIM || tenant != tenure.DefaultTenant):
		s.Says, s.State = "No identity provider provisions people by SCIM: an administrator ends access.", NotEnforced
	case t.Facts.RequireSCIM:
		s.Says += " Whom it has not provisioned is refused."
	}
	return s, nil
}

func (t *Trust) leavers(ctx context.Context, tenant tenure.TenantID) (Statement, error) {
	times, err := t.DB.RevocationTimes(ctx, tenant, t.DB.Now().Add(-spanOfTimes))
	if err != nil {
		return Statement{}, err
	}
	s := Statement{Topic: "Leavers", Says: "When somebody is deactivated, all their tokens and sessions end, and what they have open is cut, within a second.", State: Enforced}
	if times.Slowest > time.Second {
		s.State = NotEnforced
	}
	grace, err := t.grace(ctx, tenant)
	if err != nil {
		return Statement{}, err
	}
	if t.Facts.Staleness > 0 {
		s.Says += fmt.Sprintf(" A server that is cut off from the database refuses after %s, whoever asks.", words(t.Facts.Staleness))
	}
	if grace > 0 {
		s.Says += fmt.Sprintf(" There are workspaces whose tokens go on for up to %s then: for so long such a server does not know who has left.", words(grace))
	}
	if times.Count > 0 {
		s.Figures = fmt.Sprintf("In the last 30 days access ended %d times: half of them within %s, the slowest within %s.", times.Count, took(times.Median), took(times.Slowest))
	}
	return s, nil
}

// grace is for how long the tokens of some workspace go on without news from the database,
// at the most.
func (t *Trust) grace(ctx context.Context, tenant tenure.TenantID) (time.Duration, error) {
	longest := time.Duration(0)
	for after := tenure.WorkspaceID(""); ; {
		rows, err := t.DB.Workspaces(ctx, store.WorkspaceFilter{Tenant: tenant, After: after, Limit: workspacesAtOnce})
		for _, w := range rows {
			longest, after = max(longest, w.BestEffort(t.DB.Now())), w.ID
		}
		if err != nil || len(rows) < workspacesAtOnce {
			return longest, err
		}
	}
}

// workspacesAtOnce is how many workspaces are read at a time.
const workspacesAtOnce = 500

func (t *Trust) secrets() Statement {
	s := Statement{Topic: "Providers’ keys", Says: fmt.Sprintf("The keys of model providers are sealed with AES-256-GCM, each under a key of its own that %s wraps. No page and no interface shows one again.", t.Facts.Keys), State: Enforced}
	if t.Sealed() != nil {
		s.Says += " They cannot be opened at present."
	}
	return s
}

func (t *Trust) auditLog(ctx context.Context) (Statement, error) {
	s := Statement{Topic: "Audit log", Says: "What people and administrators do is in a log that is a tree of hashes, signed with Ed25519: a change of it is found.", State: Enforced}
	if t.Broken() {
		return Statement{Topic: "Audit log", Says: "The audit log is not in order: its operator is told what was found.", State: NotEnforced}, nil
	}
	last, err := t.DB.LastCheckpoint(tenure.Everywhere(ctx))
	switch {
	case tenure.IsKind(err, tenure.NotFound):
		s.Says, s.State = "Nothing of the audit log is signed yet.", NotEnforced
	case err != nil:
		return s, err
	default:
		s.Figures = fmt.Sprintf("Last signed on %s.", last.At.UTC().Format("2 January 2006 at 15:04 UTC"))
	}
	return s, nil
}

func (t *Trust) transit() Statement {
	if t.Facts.TLS {
		return Statement{Topic: "In transit", Says: "This installation speaks TLS 1.2 or later, and nothing else.", State: Enforced}
	}
	return Statement{Topic: "In transit", Says: "TLS ends before this installation: who runs that knows how.", State: NotAssessable}
}

// shorter is the shorter one of what the policy and the settings let.
func shorter(policy, settings time.Duration) time.Duration {
	return min(policy, cmp.Or(settings, policy))
}

// took is how long something took, for people.
func took(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", max(1, d.Milliseconds()))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// words is a length of time, for people.
func words(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d >= unit.of && d%unit.of == 0 {
			n := d / unit.of
			if n == 1 {
				return "1 " + unit.name
			}
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return d.String()
}
