package tenure

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy is what a tenant decides about its credentials. What it does not set
// is as DefaultPolicy has it.
type Policy struct {
	PATMaxLife      time.Duration // the longest life of a personal access token
	PATLife         time.Duration // its life when none is asked for
	PATScopes       Scopes        // its scopes when none are asked for
	PATMinters      []Role        // who may mint one in a workspace, by their role there
	ServiceMaxLife  time.Duration // the longest life of a service token
	ServiceLife     time.Duration // its life when none is asked for
	ServiceMinters  []Role        // who may mint one, by their role in the workspace; administrators may
	ExtraScopes     Scopes        // of ExtraScopes, those that are open
	AdminApproval   bool          // scopes of administration need a second person
	RotateEvery     time.Duration // how old a token's secret should get; 0: as old as it lives
	RotationOverlap time.Duration // how long the secret before lives on when nothing else is said
	EndReusedFamily bool          // a rotated secret that is used again ends its whole line
	OrphanGrace     time.Duration // how long a leaver's service accounts go on; 0: they stop at once
	NewMember       Role          // of somebody new, in the workspace "default"; "" is none
	RootOff         bool          // the root token is refused
	Webhook         string        // where notices are posted; "" is nowhere
	SessionIdle     time.Duration // how long a session lives without use; the installation's limit holds beside it
	SessionLife     time.Duration // how long it lives at all; likewise
	SessionLimit    int           // how many one person may have open; one more ends the oldest
	AdminIdle       time.Duration // after how long without use a session no longer administers
	Reauth          time.Duration // how old a sign-in may be for what is dangerous
	Egress          Egress        // where providers may be, beside the public internet
	StreamUsage     bool          // every provider is asked for the use of a stream, not OpenAI and Azure alone
	Currency        string        // of prices and spend, of the whole installation: a code of ISO 4217
	ReviewEvery     time.Duration // how often an access review is opened by itself; 0: never
	ReviewDue       time.Duration // how long its reviewers have
	ReviewRevokes   bool          // what they leave undecided is revoked, not escalated
	BestEffortMax   time.Duration // how long a workspace may let its tokens go on without the database; 0: not at all
	MFA             string        // of whom a second factor is asked: MFAOff, MFAAdmin or MFAAll
	MFAValues       string        // what shows one: values of amr or acr, with spaces between
	AuditRetention  time.Duration // how long audit events are kept; 0: for ever
	Extraction      Extraction    // when beliefs are drawn out of turns, at most
	BeliefExcerpts  bool          // a belief keeps a piece of the turn that it was drawn out of
	TrustPage       string        // who may read it: TrustOff, TrustPeople or TrustPublic
	TrustOwner      string        // who answers for it, as the page says it
	TrustReview     time.Duration // how often somebody reads it and finds it true
}

// PolicyOf is the policy of a tenant that has set nothing: the installation's own
// may have providers on its own networks, where models are hosted by oneself.
func PolicyOf(tenant TenantID) Policy {
	p := DefaultPolicy()
	if tenant == DefaultTenant {
		p.Egress = EgressAll
	}
	return p
}

// DefaultPolicy is the policy of a tenant beside the installation's own that has set
// nothing.
func DefaultPolicy() Policy {
	return Policy{
		PATMaxLife: MaxTokenLife, PATLife: DefaultTokenLife, PATScopes: DataPlane, PATMinters: []Role{WorkspaceAdmin, Member},
		ServiceMaxLife: MaxTokenLife, ServiceLife: DefaultTokenLife, ServiceMinters: []Role{WorkspaceAdmin},
		AdminApproval: true, RotationOverlap: 24 * time.Hour, OrphanGrace: 14 * 24 * time.Hour, NewMember: Member,
		SessionIdle: time.Hour, SessionLife: 12 * time.Hour, SessionLimit: 20, AdminIdle: 15 * time.Minute, Reauth: 5 * time.Minute,
		Currency: DefaultCurrency, ReviewEvery: 90 * 24 * time.Hour, ReviewDue: 14 * 24 * time.Hour,
		MFA: MFAOff, MFAValues: DefaultMFAValues, Extraction: ExtractNever, TrustPage: TrustOff, TrustReview: 90 * 24 * time.Hour,
	}
}

// MaxOverlap is the longest time for which two secrets of one token live side by side.
const MaxOverlap = 7 * 24 * time.Hour

// MaxOutageGrace is the longest time for which a workspace may let its tokens go on
// without news from the database.
const MaxOutageGrace = 5 * time.Minute

// setting is one key of a policy.
type setting struct {
	what string
	of   []string // the words that it is made of; nil: it is free text
	many bool     // of which it has any number
	get  func(*Policy) string
	set  func(*Policy, string) error
}

// settings are the keys of a policy, as they are stored, shown and set.
func settings() map[string]setting {
	return map[string]setting{
		"pat_max_lifetime":           span("The longest life of a personal access token", time.Minute, MaxTokenLife, func(p *Policy) *time.Duration { return &p.PATMaxLife }),
		"pat_default_lifetime":       span("Its life when none is asked for", time.Minute, MaxTokenLife, func(p *Policy) *time.Duration { return &p.PATLife }),
		"pat_default_scopes":         scopes("Its scopes when none are asked for", PersonalScopes, 1, func(p *Policy) *Scopes { return &p.PATScopes }),
		"pat_minters":                roles("Roles of a workspace whose holders may make personal access tokens there", func(p *Policy) *[]Role { return &p.PATMinters }),
		"service_token_max_lifetime": span("The longest life of a service token", time.Minute, MaxTokenLife, func(p *Policy) *time.Duration { return &p.ServiceMaxLife }),
		"service_token_lifetime":     span("Its life when none is asked for", time.Minute, MaxTokenLife, func(p *Policy) *time.Duration { return &p.ServiceLife }),
		"service_token_minters":      roles("Roles of a workspace whose holders may look after its service accounts and their tokens; administrators may", func(p *Policy) *[]Role { return &p.ServiceMinters }),
		"extra_scopes":               scopes("Scopes beyond the usual ones that tokens may carry: responses, embeddings", ExtraScopes, 0, func(p *Policy) *Scopes { return &p.ExtraScopes }),
		"admin_scope_approval":       choice("Whether a token with scopes of administration needs a second person", "required", "none", func(p *Policy) *bool { return &p.AdminApproval }),
		"rotate_every":               span("How old a token's secret should get before it is rotated; 0: as old as it lives", 0, MaxTokenLife, func(p *Policy) *time.Duration { return &p.RotateEvery }),
		"rotation_overlap":           span("How long the secret before lives on after a rotation", 0, MaxOverlap, func(p *Policy) *time.Duration { return &p.RotationOverlap }),
		"reuse":                      choice("What the use of a rotated secret after its overlap does", "end_family", "alert", func(p *Policy) *bool { return &p.EndReusedFamily }),
		"orphan_grace":               span("How long a leaver's service accounts go on without a new owner; 0: they stop at once", 0, 90*24*time.Hour, func(p *Policy) *time.Duration { return &p.OrphanGrace }),
		"new_member": {
			what: "What somebody new is in the workspace \"default\": member, viewer or none",
			of:   []string{string(Member), string(Viewer), "none"},
			get: func(p *Policy) string {
				if p.NewMember == "" {
					return "none"
				}
				return string(p.NewMember)
			},
			set: func(p *Policy, v string) error {
				if v != "none" && v != string(Member) && v != string(Viewer) {
					return fmt.Errorf("expected member, viewer or none")
				}
				p.NewMember = Role(strings.TrimPrefix(v, "none"))
				return nil
			},
		},
		"session_idle":     span("How long a session lives without use; the shorter of this and the installation's TENURE_SESSION_IDLE_TIMEOUT holds", time.Minute, 24*time.Hour, func(p *Policy) *time.Duration { return &p.SessionIdle }),
		"session_lifetime": span("How long a session lives at all; the shorter of this and the installation's TENURE_SESSION_LIFETIME holds", 5*time.Minute, 30*24*time.Hour, func(p *Policy) *time.Duration { return &p.SessionLife }),
		"session_limit":    number("How many sessions one person may have open; one more ends the oldest", 1, 100, func(p *Policy) *int { return &p.SessionLimit }),
		"admin_idle":       span("After how long without use a session no longer administers", time.Minute, 24*time.Hour, func(p *Policy) *time.Duration { return &p.AdminIdle }),
		"reauth":           span("How old a sign-in may be for what is dangerous", time.Minute, time.Hour, func(p *Policy) *time.Duration { return &p.Reauth }),
		"provider_networks": {
			what: "Networks beside the public internet in which model providers may be: private, loopback",
			of:   []string{egressPrivate, egressLoopback}, many: true,
			get: func(p *Policy) string { return p.Egress.String() },
			set: func(p *Policy, v string) error {
				e, err := parseEgress(v)
				if err == nil {
					p.Egress = e
				}
				return err
			},
		},
		"stream_usage": choice("Whom to ask what a streamed chat completion used, where the client did not: openai (OpenAI and Azure, which know the question), every (all providers)", "every", "openai", func(p *Policy) *bool { return &p.StreamUsage }),
		"currency": {
			what: "The currency of prices and of what is spent, of the whole installation: a code of ISO 4217; another one converts nothing",
			get:  func(p *Policy) string { return p.Currency },
			set: func(p *Policy, v string) error {
				code, err := ParseCurrency(v)
				if err == nil {
					p.Currency = code
				}
				return err
			},
		},
		"audit_retention":   spanOrNone("How long audit events are kept, at least 90 days; 0: for ever", KeptAtLeast, MaxAuditRetention, func(p *Policy) *time.Duration { return &p.AuditRetention }),
		"best_effort_max":   span("The longest time for which a workspace may let its tokens go on while the database is away; 0: no workspace may", 0, MaxOutageGrace, func(p *Policy) *time.Duration { return &p.BestEffortMax }),
		"review_every":      span("How often an access review is opened by itself; 0: never", 0, 2*MaxTokenLife, func(p *Policy) *time.Duration { return &p.ReviewEvery }),
		"review_due":        span("How long the reviewers of an access review have", time.Hour, 90*24*time.Hour, func(p *Policy) *time.Duration { return &p.ReviewDue }),
		"review_unanswered": choice("What becomes of what nobody has decided in an access review by the due date: escalate (to the administrators, with a second due date) or revoke", UnansweredRevoke, UnansweredEscalate, func(p *Policy) *bool { return &p.ReviewRevokes }),
		"root_token":        choice("Whether the root token is accepted; off is possible once there is a super admin", "off", "on", func(p *Policy) *bool { return &p.RootOff }),
		"mfa": {
			what: "Of whom a sign-in with a second factor is asked: off (nobody), admin (who administers), all (everybody)",
			of:   []string{MFAOff, MFAAdmin, MFAAll},
			get:  func(p *Policy) string { return p.MFA },
			set: func(p *Policy, v string) error {
				of, err := parseMFA(v)
				if err == nil {
					p.MFA = of
				}
				return err
			},
		},
		"mfa_values": {
			what: "What shows a second factor: values of the identity provider's amr or acr, with spaces between; one of them is enough",
			get:  func(p *Policy) string { return p.MFAValues },
			set: func(p *Policy, v string) error {
				values, err := parseMFAValues(v)
				if err == nil {
					p.MFAValues = values
				}
				return err
			},
		},
		"extraction": {
			what: "When beliefs are drawn out of turns, at most: off (never), asked (where a request, or a client, asks for it), always; workspaces, people and tokens narrow it",
			of:   []string{string(ExtractNever), string(ExtractAsked), string(ExtractAlways)},
			get:  func(p *Policy) string { return string(p.Extraction) },
			set: func(p *Policy, v string) error {
				when, err := ParseExtraction(v)
				if err != nil {
					return fmt.Errorf("expected off, asked or always")
				}
				p.Extraction = when
				return nil
			},
		},
		"belief_excerpts": choice("Whether a belief keeps a piece of the turn that it was drawn out of: kept or dropped", "kept", "dropped", func(p *Policy) *bool { return &p.BeliefExcerpts }),
		"trust_page": {
			what: "Who may read the trust page: off (nobody), people (who is signed in), public (everybody)",
			of:   []string{TrustOff, TrustPeople, TrustPublic},
			get:  func(p *Policy) string { return p.TrustPage },
			set: func(p *Policy, v string) error {
				if v != TrustOff && v != TrustPeople && v != TrustPublic {
					return fmt.Errorf("expected off, people or public")
				}
				p.TrustPage = v
				return nil
			},
		},
		"trust_owner": {
			what: "Who answers for the trust page, and how to reach them; everybody who reads it reads that",
			get:  func(p *Policy) string { return p.TrustOwner },
			set: func(p *Policy, v string) error {
				if len(v) > MaxName || CheckText("trust_owner", v) != nil || strings.Contains(v, "\n") {
					return fmt.Errorf("expected a name or an address of at most %d bytes, such as Security, security@example.com", MaxName)
				}
				p.TrustOwner = v
				return nil
			},
		},
		"trust_review_every": span("How often somebody reads the trust page and finds it true", 24*time.Hour, 365*24*time.Hour, func(p *Policy) *time.Duration { return &p.TrustReview }),
		"webhook_url": {
			what: "Where notices are posted, signed; empty: nowhere",
			get:  func(p *Policy) string { return p.Webhook },
			set: func(p *Policy, v string) error {
				if v != "" && !sink(v) {
					return fmt.Errorf("expected a URL such as https://hooks.example.com/tenure, without a password or a fragment in it; http is for this machine alone")
				}
				p.Webhook = v
				return nil
			},
		},
	}
}

// PolicyKeys lists the keys of a policy in the order of the alphabet.
func PolicyKeys() []string {
	var keys []string
	for k := range settings() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// PolicyMeaning says what a key of a policy means.
func PolicyMeaning(key string) string { return settings()[key].what }

// PolicyWords gives the words that the value of a key is made of, and whether it may
// have several of them; none: it is free text.
func PolicyWords(key string) (words []string, many bool) {
	s := settings()[key]
	return s.of, s.many
}

// Get gives the value of a key as it is stored and shown.
func (p *Policy) Get(key string) string {
	s, ok := settings()[key]
	if !ok {
		return ""
	}
	return s.get(p)
}

// Set reads the value of a key. Invalid: no such key, or a value that is none.
func (p *Policy) Set(key, value string) error {
	s, ok := settings()[key]
	if !ok {
		return InvalidField("policy", "there is no policy %q; the policies are %s", Shown(key), strings.Join(PolicyKeys(), ", "))
	}
	if err := s.set(p, strings.TrimSpace(value)); err != nil {
		return InvalidField(key, "%s: %s", key, err)
	}
	return nil
}

// Stored reads the value of a key as it is stored. Invalid: a hand wrote what nobody can
// read, and it counts as not set; but of whom a second factor is asked is then all.
func (p *Policy) Stored(key, value string) error {
	err := p.Set(key, value)
	if err != nil && key == "mfa" {
		p.MFA, err = MFAAll, nil
	}
	return err
}

// Coherent answers Invalid when the values contradict each other.
func (p *Policy) Coherent() error {
	switch {
	case p.PATLife > p.PATMaxLife:
		return InvalidField("pat_default_lifetime", "pat_default_lifetime (%s) is longer than pat_max_lifetime (%s)", FormatSpan(p.PATLife), FormatSpan(p.PATMaxLife))
	case p.ServiceLife > p.ServiceMaxLife:
		return InvalidField("service_token_lifetime", "service_token_lifetime (%s) is longer than service_token_max_lifetime (%s)", FormatSpan(p.ServiceLife), FormatSpan(p.ServiceMaxLife))
	case p.PATScopes&ExtraScopes&^p.ExtraScopes != 0:
		return InvalidField("pat_default_scopes", "pat_default_scopes has scopes that extra_scopes does not open")
	}
	return nil
}

// FormatSpan writes a length of time as ParseLifetime reads it: in whole days
// where it is that, else in hours, minutes and seconds.
func FormatSpan(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	s := d.String()
	if t, ok := strings.CutSuffix(s, "m0s"); ok {
		s = t + "m"
	}
	if t, ok := strings.CutSuffix(s, "h0m"); ok {
		s = t + "h"
	}
	return s
}
