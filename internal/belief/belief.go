// Package belief keeps what people stated or decided: for each of them alone, sealed under
// a key of their own, in scopes that are walls. It owns how a belief merges with, takes the
// place of, or contradicts another of the same name, the key, and the drawing of beliefs
// out of turns.
//
// It puts nothing into what is asked of a model, and shows nobody's beliefs to anybody
// else. It speaks no protocol: sockets, pages and the API do, and who asks a model is
// given.
package belief

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// MaxBeliefs is how many beliefs one person may have, with those that others took the
// place of.
const MaxBeliefs = 5000

// Beliefs is the act on beliefs. Its fields are set before first use.
type Beliefs struct {
	DB   *store.DB
	Live *live.Live
	Ring *Ring
	// Stands gives the principal of a token as it stands now, past every cache.
	// Unauthenticated: it does not any more.
	Stands func(context.Context, tenure.TenantID, tenure.TokenID) (tenure.Principal, error)
	// Ask asks a model as a request of a token, in its workspace, at its limits.
	Ask func(context.Context, tenure.Principal, Question) (Answer, error)
	Log *slog.Logger

	turns chan Offered
	bell  chan struct{}
	// dropped counts turns since the log was last told.
	dropped atomic.Int64
}

// New makes the act.
func New(db *store.DB, l *live.Live, ring *Ring, log *slog.Logger) *Beliefs {
	return &Beliefs{DB: db, Live: l, Ring: ring, Log: log, turns: make(chan Offered, offeredMost), bell: make(chan struct{}, 1)}
}

// Draft is a belief that is to be kept.
type Draft struct {
	Workspace  tenure.WorkspaceID // where it belongs; a token knows its own
	Scope      tenure.BeliefScope
	Type       tenure.BeliefType
	Status     tenure.BeliefStatus // "" is active
	Confidence *float64            // nil is 1
	tenure.BeliefText
}

// The ways in which a draft was kept.
const (
	Created      = "created"      // nothing of this name was there
	Merged       = "merged"       // it says what was there
	Superseding  = "superseding"  // it took the place of what was there
	Contradicted = "contradicted" // it stands beside what says otherwise
)

// Kept is a belief as it was kept, and how.
type Kept struct {
	tenure.Belief
	How string
	// Before is the belief that it took the place of, or contradicts; "": none.
	Before tenure.BeliefID
}

// whose says whose beliefs p may act on, and in which workspace: a token in its own, whoever
// is signed in in all.
func whose(p tenure.Principal, a tenure.Action) (store.BeliefFilter, error) {
	if p.Kind() == tenure.PAT {
		a = tenure.ConnectBeliefs
	}
	if p.User() == "" {
		return store.BeliefFilter{}, errNobody
	}
	if err := access.Check(p, a); err != nil {
		return store.BeliefFilter{}, err
	}
	of := store.BeliefFilter{Tenant: p.Tenant(), User: p.User()}
	if p.Kind() == tenure.PAT {
		of.Workspace = p.Workspace()
	}
	return of, nil
}

// errNobody is the answer to a credential behind which there is no person.
var errNobody = &tenure.Error{
	Kind: tenure.Conflict, Code: "person_required",
	Msg: "beliefs are a person's: a root token, and a service account, have none",
}

// place is the workspace of what is recorded: the token's, or one that the person is in.
func (s *Beliefs) place(ctx context.Context, of store.BeliefFilter, asked tenure.WorkspaceID) (tenure.WorkspaceID, error) {
	if of.Workspace != "" {
		if asked != "" && asked != of.Workspace {
			return "", tenure.InvalidField("workspace", "the token's beliefs are those of its own workspace")
		}
		return of.Workspace, nil
	}
	ws, err := s.DB.Workspace(ctx, of.Tenant, string(asked))
	if err == nil {
		var role tenure.Role
		if role, err = s.DB.RoleIn(ctx, of.Tenant, ws.ID, of.User); err == nil && role != "" {
			return ws.ID, nil
		}
	}
	if err == nil || tenure.IsKind(err, tenure.NotFound) {
		err = tenure.InvalidField("workspace", "you are in no workspace %q", tenure.Shown(string(asked)))
	}
	return "", err
}

// check judges a draft, and fills in what it does not say.
func (d *Draft) check() error {
	if _, err := tenure.ParseBeliefScope(string(d.Scope)); err != nil {
		return err
	}
	if d.Status == "" {
		d.Status = tenure.BeliefActive
	}
	if d.Confidence == nil {
		whole := 1.0
		d.Confidence = &whole
	}
	if !slices.Contains(tenure.BeliefTypes, d.Type) {
		return tenure.InvalidField("type", "%q is no type of belief; the types are %s", tenure.Shown(string(d.Type)), words(tenure.BeliefTypes))
	}
	if !slices.Contains(tenure.BeliefStatuses, d.Status) {
		return tenure.InvalidField("status", "%q is none of %s", tenure.Shown(string(d.Status)), words(tenure.BeliefStatuses))
	}
	if !(*d.Confidence >= 0 && *d.Confidence <= 1) { // NaN, too
		return tenure.InvalidField("confidence", "the confidence is a number from 0 to 1")
	}
	return checkText(&d.BeliefText)
}

func words[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return strings.Join(out, ", ")
}

// checkText judges the text of a belief.
func checkText(t *tenure.BeliefText) error {
	for _, text := range []*string{&t.Name, &t.Content, &t.Why, &t.Excerpt} {
		*text = strings.TrimSpace(strings.ReplaceAll(*text, "\r\n", "\n"))
	}
	if fold(t.Name) == "" {
		return tenure.InvalidField("name", "a belief has a name, by which it is found again")
	}
	if t.Content == "" {
		return tenure.InvalidField("content", "a belief says something")
	}
	if len(t.Aliases) > tenure.MaxBeliefAliases {
		return tenure.InvalidField("aliases", "a belief has at most %d aliases", tenure.MaxBeliefAliases)
	}
	for _, part := range slices.Concat([]part{
		{"name", t.Name, tenure.MaxBeliefName},
		{"content", t.Content, tenure.MaxBeliefContent},
		{"why", t.Why, tenure.MaxBeliefWhy},
		{"excerpt", t.Excerpt, tenure.MaxBeliefExcerpt},
	}, aliases(t.Aliases)) {
		if err := part.check(); err != nil {
			return err
		}
	}
	return nil
}

// part is a piece of text with its limit, in bytes.
type part struct {
	field, text string
	most        int
}

func aliases(all []string) []part {
	var out []part
	for _, a := range all {
		out = append(out, part{"aliases", a, tenure.MaxBeliefName})
	}
	return out
}

func (p part) check() error {
	bad := len(p.text) > p.most || !utf8.ValidString(p.text) || tenure.MentionsToken(p.text)
	oneLine := p.field == "name" || p.field == "aliases"
	for _, r := range p.text {
		bad = bad || !shown(r) && (oneLine || r != '\n' && r != '\t')
	}
	if bad {
		return tenure.InvalidField(p.field, "%s: at most %d bytes of printable text, without a token in it", p.field, p.most)
	}
	return nil
}

// shown reports whether a character is part of what people write: spaces of all widths, and
// the joiners of Indic scripts, Persian and emoji, among them; what changes the direction of
// a text is not.
func shown(r rune) bool {
	return unicode.IsPrint(r) || unicode.Is(unicode.Zs, r) || r == '\u200c' || r == '\u200d'
}

// fold is the form of a name by which two are compared: compatible forms, cases and spaces
// are the same (Unicode NFKC, UAX #15).
func fold(name string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(name))), " ")
}

// wrap adds what was being done to an error.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
