package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
)

// DriftKind is how what people sign in as and what SCIM provisions diverge.
type DriftKind string

// The kinds of drift, the worst first.
const (
	// Leaver signed in under a name that is nearly that of somebody whom SCIM has
	// deactivated: they have left, and are still in.
	Leaver DriftKind = "leaver"
	// Lookalike signed in under a name that differs from a provisioned one only
	// in case, domain, dots or a tag.
	Lookalike DriftKind = "lookalike"
	// Unprovisioned signed in and was never provisioned, under any such name.
	Unprovisioned DriftKind = "unprovisioned"
	// NeverSignedIn was provisioned and has not signed in under that name. By
	// itself it is no fault.
	NeverSignedIn DriftKind = "never_signed_in"
)

// Drift is where the names that people sign in with and those that SCIM
// provisions diverge: a leaver whose names diverge is deactivated in vain.
type Drift struct {
	People      []Drifter // in the order of their ids
	Provisioned int       // how many active people SCIM has provisioned
}

// Drifter is one active person of the report.
type Drifter struct {
	ID         tenure.UserID
	UserName   string
	Source     tenure.Source
	CreatedAt  time.Time
	LastSeenAt time.Time
	Tokens     int // that are good now
	Kind       DriftKind
	Like       []Like // whom they may be on the other side
}

// Like is a person of the other side whose name is nearly the same.
type Like struct {
	ID       tenure.UserID
	UserName string
	Active   bool
	Tokens   int      // that are good now
	Differs  []string // in "domain", "dots", "tag", "case"
}

// Drift compares the names of all active people of the asker's tenant.
func (d *Directory) Drift(ctx context.Context, by tenure.Principal) (Drift, error) {
	if err := access.Check(by, tenure.ListUsers); err != nil {
		return Drift{}, err
	}
	var all []store.Glance
	came := map[string][]int{} // whom SCIM does not know
	sides := map[tenure.Source]map[string][]int{tenure.SourceSCIM: {}, tenure.SourceProxy: came, tenure.SourceOIDC: came}
	err := d.DB.EachGlance(ctx, by.Tenant(), func(g store.Glance) {
		if side := sides[g.Source]; side != nil {
			core := plainName(g.UserName)
			side[core] = append(side[core], len(all))
			all = append(all, g)
		}
	})
	if err != nil {
		return Drift{}, fmt.Errorf("drift: %w", err)
	}
	out := Drift{People: []Drifter{}}
	for _, g := range all {
		if !g.Active {
			continue
		}
		p := Drifter{ID: g.ID, UserName: g.UserName, Source: g.Source, CreatedAt: g.CreatedAt, LastSeenAt: g.LastSeenAt, Tokens: g.Tokens}
		other := sides[tenure.SourceSCIM]
		if g.Source == tenure.SourceSCIM {
			out.Provisioned++
			if !g.LastSeenAt.IsZero() {
				continue
			}
			other = came
		}
		for _, i := range other[plainName(g.UserName)] {
			o := all[i]
			p.Like = append(p.Like, Like{ID: o.ID, UserName: o.UserName, Active: o.Active, Tokens: o.Tokens, Differs: differences(g.UserName, o.UserName)})
		}
		p.Kind = p.kind()
		out.People = append(out.People, p)
	}
	return out, nil
}

func (p Drifter) kind() DriftKind {
	switch {
	case p.Source == tenure.SourceSCIM:
		return NeverSignedIn
	case slices.ContainsFunc(p.Like, func(l Like) bool { return l.Active }):
		return Lookalike
	case len(p.Like) > 0:
		return Leaver
	}
	return Unprovisioned
}

// DriftKinds lists the kinds, the worst first.
func DriftKinds() []DriftKind { return []DriftKind{Leaver, Lookalike, Unprovisioned, NeverSignedIn} }

// Of gives the people of one kind.
func (d Drift) Of(kind DriftKind) []Drifter {
	var out []Drifter
	for _, p := range d.People {
		if p.Kind == kind {
			out = append(out, p)
		}
	}
	return out
}

// Diverging is how many people SCIM cannot deactivate, because it does not know
// them by the name that they sign in with.
func (d Drift) Diverging() int { return len(d.People) - len(d.Of(NeverSignedIn)) }

// Advice says what a kind of drift means and what to do about it.
func (k DriftKind) Advice() string {
	switch k {
	case Leaver:
		return "SCIM has deactivated these people under nearly the same name, and they still get in under this one. Deactivate them now, here; " +
			"then make the proxy and the identity provider send the same name."
	case Lookalike:
		return "These people sign in under a name that nearly is one that SCIM provisioned. They are probably the same: deactivating the provisioned " +
			"name would end nothing here. Make the proxy and the identity provider send the same name, then deactivate the one that SCIM does not know."
	case Unprovisioned:
		return "These people sign in and SCIM does not know them: when they leave, nobody tells Tenure. Assign them to the application in the identity " +
			"provider, or deactivate them here; TENURE_REQUIRE_SCIM=true keeps such people out."
	case NeverSignedIn:
		return "SCIM provisioned these people and nobody has signed in under that name. That is right for who is new or has no use for models yet; " +
			"otherwise look for the name that they do sign in with."
	}
	return ""
}

// splitName takes a userName apart: user+tag@domain, or DOMAIN\user.
func splitName(name string) (local, tag, domain string) {
	local = name
	if i := strings.LastIndexByte(name, '@'); i > 0 {
		local, domain = name[:i], name[i+1:]
	} else if before, after, ok := strings.Cut(name, `\`); ok {
		domain, local = before, after
	}
	if i := strings.IndexByte(local, '+'); i > 0 {
		local, tag = local[:i], local[i+1:]
	}
	return local, tag, domain
}

// plainName is what is left of a userName when its case, domain, dots and tag
// do not count: two names with the same are nearly the same.
func plainName(name string) string {
	local, _, _ := splitName(tenure.FoldUserName(name))
	if plain := strings.ReplaceAll(local, ".", ""); plain != "" {
		return plain
	}
	return local
}

// differences says in what two names differ whose plain names are the same.
func differences(a, b string) []string {
	out := []string{}
	localA, tagA, domainA := splitName(a)
	localB, tagB, domainB := splitName(b)
	if !strings.EqualFold(domainA, domainB) {
		out = append(out, "domain")
	}
	if !strings.EqualFold(localA, localB) {
		out = append(out, "dots")
	}
	if !strings.EqualFold(tagA, tagB) {
		out = append(out, "tag")
	}
	undotted := func(s string) string { return strings.ReplaceAll(s, ".", "") }
	if undotted(localA) != undotted(localB) || domainA != domainB && strings.EqualFold(domainA, domainB) || tagA != tagB && strings.EqualFold(tagA, tagB) {
		out = append(out, "case")
	}
	return out
}
