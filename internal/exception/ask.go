package exception

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// maxTitle is the longest title, in bytes.
const maxTitle = 120

// Spec says what exception is asked for.
type Spec struct {
	Title    string
	Rule     tenure.Rule
	Subject  Subject
	Reason   string
	Risks    Risks
	Controls string // what compensates
	Check    string // the name of one of Checks that must not fail, or empty
	Time     Time
	Remedy   Remedy
}

// Subject is what an exception is for.
type Subject struct {
	Kind string // tenure.SubjectUser, …; empty: the person who asks
	ID   string // id; of people the userName and of workspaces the name will do; of the tenant nothing
}

// Risks are those without and with what compensates.
type Risks struct{ Before, After tenure.Risk }

// Time is from when to when an exception is to be in force.
type Time struct {
	From time.Time // zero, or past: now
	End  time.Time // at most tenure.MaxException after the beginning
}

// Remedy is how the exception is to become needless.
type Remedy struct {
	Owner string // id or userName; empty: the person who asks
	Plan  string
	By    time.Time // zero: the end of the exception
}

// Ask puts an exception into the register, which changes nothing until another person
// approves it. Everybody may ask for themselves, whoever heads a workspace for it and its
// service accounts, an administrator for everything. Invalid: the spec is wrong, and how.
func (s *Exceptions) Ask(ctx context.Context, by tenure.Principal, spec Spec) (View, error) {
	return s.ask(ctx, by, spec, "")
}

// Renew asks for an exception that is to take the place of an approved one, of the same
// rule, for the same thing, with what hangs on it: what spec leaves empty is as it was
// there. It is approved anew. Conflict: the one before was never in force, or was revoked.
func (s *Exceptions) Renew(ctx context.Context, by tenure.Principal, id tenure.ExceptionID, spec Spec) (View, error) {
	if err := access.Check(by, tenure.AskException); err != nil {
		return View{}, err
	}
	was, err := s.DB.Exception(ctx, by.Tenant(), id)
	if err == nil {
		err = maySee(ctx, s.DB, by, was)
	}
	if err != nil {
		return View{}, err
	}
	state := was.State(s.DB.Now())
	if state != tenure.ExceptionActive && (state != tenure.ExceptionExpired || was.Decision != tenure.ExceptionApproved) {
		return View{}, stands(state)
	}
	spec.Rule, spec.Subject, spec.Time.From = was.Rule, Subject{was.Kind, was.Subject}, time.Time{}
	spec.Title, spec.Reason, spec.Controls = cmp.Or(spec.Title, was.Title), cmp.Or(spec.Reason, was.Reason), cmp.Or(spec.Controls, was.Controls)
	spec.Check = cmp.Or(spec.Check, was.Check)
	spec.Remedy.Owner, spec.Remedy.Plan = cmp.Or(spec.Remedy.Owner, string(was.Owner)), cmp.Or(spec.Remedy.Plan, was.Plan)
	spec.Risks = Risks{cmp.Or(spec.Risks.Before, was.Before), cmp.Or(spec.Risks.After, was.After)}
	return s.ask(ctx, by, spec, id)
}

func (s *Exceptions) ask(ctx context.Context, by tenure.Principal, spec Spec, renews tenure.ExceptionID) (View, error) {
	if err := access.Admits(by, tenure.AskException); err != nil {
		return View{}, err
	}
	if err := spec.read(); err != nil {
		return View{}, err
	}
	if spec.Rule == tenure.RuleProviderNetwork && by.Tenant() != tenure.DefaultTenant && by.Kind() != tenure.Operator {
		return View{}, errOperatorsNetworks
	}
	if spec.Rule == tenure.RuleBeliefsRead && by.User() == "" {
		return View{}, errInOwnName
	}
	var x tenure.Exception
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		x = tenure.Exception{
			ID: tenure.ExceptionID(tenure.NewID(tx.Now())), Tenant: by.Tenant(), Title: spec.Title, Rule: spec.Rule, Reason: spec.Reason,
			Before: spec.Risks.Before, After: spec.Risks.After, Controls: spec.Controls, Check: spec.Check, From: spec.Time.From, ExpiresAt: spec.Time.End,
			Plan: spec.Remedy.Plan, RemedyBy: spec.Remedy.By, Renews: renews,
			Requester: by.User(), RequestedBy: by.Label(), RequestedAt: tx.Now(),
		}
		if err := subject(ctx, tx, by, &x, spec.Subject); err != nil {
			return err
		}
		if err := mayAsk(ctx, tx, by, x); err != nil {
			return err
		}
		if err := times(&x, tx.Now()); err != nil {
			return err
		}
		if err := owner(ctx, tx, by, &x, spec.Remedy.Owner); err != nil {
			return err
		}
		if err := tx.InsertException(ctx, x); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ExceptionAsked(by, x))
	})
	if err != nil {
		return View{}, fmt.Errorf("ask for an exception: %w", err)
	}
	return s.view(ctx, x)
}

// errOperatorsNetworks keeps a tenant beside the installation's own from opening to
// itself the networks of whoever runs the installation.
var errOperatorsNetworks = &tenure.Error{
	Kind: tenure.Forbidden, Code: "operators_networks", Field: "rule",
	Msg: "for a provider of this tenant whoever runs the installation asks: tenure exception ask --tenant NAME provider_network provider ID; the tenant approves",
}

// errInOwnName keeps to people what lets whoever asks read: behind the root token and at the
// command line might be anybody, the second person too.
var errInOwnName = &tenure.Error{
	Kind: tenure.Forbidden, Code: "second_person_needed", Field: "rule",
	Msg: "an exception of the rule beliefs_read lets read who asked for it: a person asks in their own name, and another approves; neither the root token nor the command line does either",
}

// read checks what can be checked without the database.
func (s *Spec) read() error {
	if err := tenure.CheckName(s.Title, maxTitle, "Build robots until the new CI"); err != nil {
		e := *tenure.AsError(err)
		e.Field, e.Code = "title", "invalid_title"
		return &e
	}
	rules := tenure.Rules()
	i := slices.IndexFunc(rules, func(r tenure.RuleMeaning) bool { return r.Rule == s.Rule })
	if i < 0 {
		var names []tenure.Rule
		for _, r := range rules {
			names = append(names, r.Rule)
		}
		return tenure.InvalidField("rule", "there is no rule %q that an exception opens; the rules are %v", tenure.Shown(string(s.Rule)), names)
	}
	if s.Subject.Kind == "" && s.Subject.ID == "" {
		s.Subject.Kind = tenure.SubjectUser
	}
	if !slices.Contains(rules[i].Subjects, s.Subject.Kind) {
		return tenure.InvalidField("subject_kind", "an exception of the rule %s is for one of %v", s.Rule, rules[i].Subjects)
	}
	for _, t := range []struct{ field, text, missing string }{
		{"reason", s.Reason, "say why it is needed: whoever approves reads it"},
		{"plan", s.Remedy.Plan, "say how it is to become needless"},
		{"controls", s.Controls, "say what compensates for the rule meanwhile"},
	} {
		if t.text == "" {
			return tenure.InvalidField(t.field, "%s", t.missing)
		}
		if err := tenure.CheckText(t.field, t.text); err != nil {
			return err
		}
	}
	if err := readCheck(s.Check, s.Rule); err != nil {
		return err
	}
	for _, r := range []struct{ field, value string }{
		{"likelihood_before", s.Risks.Before.Likelihood},
		{"impact_before", s.Risks.Before.Impact},
		{"likelihood_after", s.Risks.After.Likelihood},
		{"impact_after", s.Risks.After.Impact},
	} {
		if r.value != "low" && r.value != "medium" && r.value != "high" {
			return tenure.InvalidField(r.field, "expected low, medium or high")
		}
	}
	return nil
}

// subject finds what the exception is for, and judges whether the asker may ask for that.
func subject(ctx context.Context, tx *store.Tx, by tenure.Principal, x *tenure.Exception, of Subject) error {
	x.Kind = of.Kind
	switch of.Kind {
	case tenure.SubjectTenant:
		if of.ID != "" && of.ID != string(by.Tenant()) {
			return tenure.InvalidField("subject", "the tenant needs no id: it is always the own one")
		}
		x.Subject = string(by.Tenant())
	case tenure.SubjectWorkspace:
		w, err := tx.Workspace(ctx, by.Tenant(), of.ID)
		if err != nil {
			return missing(err, "workspace", of.ID)
		}
		x.Subject, x.SubjectName, x.Workspace = string(w.ID), w.Name, w.ID
	case tenure.SubjectAccount:
		a, err := tx.Account(ctx, by.Tenant(), tenure.ServiceAccountID(of.ID), tx.Now())
		if err != nil {
			return missing(err, "service account", of.ID)
		}
		x.Subject, x.SubjectName, x.Workspace, x.For = string(a.ID), a.Name, a.Workspace, a.Owner
	case tenure.SubjectProvider:
		p, err := tx.Provider(ctx, by.Tenant(), tenure.ProviderID(of.ID))
		if err != nil {
			return missing(err, "provider", of.ID)
		}
		x.Subject, x.SubjectName, x.BaseURL, x.Workspace = string(p.ID), p.Name, p.BaseURL, p.Workspace
	case tenure.SubjectUser:
		u, err := person(ctx, tx, by, of.ID)
		if err != nil {
			return missing(err, "person", of.ID)
		}
		x.Subject, x.SubjectName, x.For = string(u.ID), u.UserName, u.ID
		if u.ID == by.User() {
			if x.Rule == tenure.RuleBeliefsRead {
				return tenure.InvalidField("subject", "everybody reads their own beliefs: name the person whose you are to read")
			}
			return access.Check(by, tenure.AskException)
		}
	}
	role, err := roleIn(ctx, tx, by, x.Workspace)
	if err != nil {
		return err
	}
	if x.Workspace == "" {
		return access.Check(by, tenure.AskAnyException)
	}
	return access.Within(by, tenure.AskAnyException, tenure.ReadWorkspace, access.RoleIn(by, x.Workspace, role))
}

func missing(err error, what, id string) error {
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.InvalidField("subject", "there is no %s %q", what, tenure.Shown(id))
	}
	return err
}

// person finds somebody by their id or userName; empty: the asker.
func person(ctx context.Context, tx *store.Tx, by tenure.Principal, idOrName string) (tenure.User, error) {
	if idOrName == "" {
		idOrName = string(by.User())
	}
	u, err := tx.User(ctx, by.Tenant(), tenure.UserID(idOrName))
	if tenure.IsKind(err, tenure.NotFound) {
		u, err = tx.UserByName(ctx, by.Tenant(), idOrName)
	}
	return u, err
}

// owner finds who answers for the remedy: an active person.
func owner(ctx context.Context, tx *store.Tx, by tenure.Principal, x *tenure.Exception, idOrName string) error {
	u, err := person(ctx, tx, by, idOrName)
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return err
	}
	if err != nil || !u.Active {
		return tenure.InvalidField("owner", "the remedy needs an owner: an active person, by userName or id")
	}
	x.Owner, x.OwnerName = u.ID, u.UserName
	return nil
}

// times fills in and checks the beginning, the end and the day of the remedy.
func times(x *tenure.Exception, now time.Time) error {
	if x.From.Before(now) {
		x.From = now
	}
	switch {
	case x.ExpiresAt.IsZero():
		return tenure.InvalidField("expires_at", "an exception has an end: at most %s after its beginning", tenure.FormatSpan(tenure.MaxException))
	case !x.ExpiresAt.After(x.From):
		return tenure.InvalidField("expires_at", "the end must lie after the beginning, and after now")
	case x.ExpiresAt.Sub(x.From) > tenure.MaxException:
		return tenure.InvalidField("expires_at", "an exception lasts at most %s: until %s; it can be renewed",
			tenure.FormatSpan(tenure.MaxException), x.From.Add(tenure.MaxException).UTC().Format(time.DateOnly))
	}
	if x.RemedyBy.IsZero() {
		x.RemedyBy = x.ExpiresAt
	}
	if !x.RemedyBy.After(now) || x.RemedyBy.After(x.ExpiresAt) {
		return tenure.InvalidField("remedy_by", "the day of the remedy must lie before the end of the exception, and after now")
	}
	return nil
}
