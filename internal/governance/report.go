package governance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// The kinds of item, in the order of the report.
const (
	KindPerson     = "person"
	KindStream     = "stream"
	KindSession    = "session"
	KindToken      = "token"
	KindAccount    = "service_account"
	KindMembership = "membership"
	KindGroup      = "group"
	KindRequest    = "token_request"
	KindProvider   = "provider"
	KindConnector  = "connector"
	KindException  = "exception"
)

// The states of an item that are not those of its own kind.
const (
	Suspended = "suspended" // it gives nothing while the person is deactivated
	InUse     = "in_use"    // it belongs to the tenant and lives on by right
	PassedOn  = "passed_on" // it has another owner, or is gone
	stateOpen = "open"
	stateLive = "active"
	stateOver = "ended"
	stateLate = "expired"
)

// Item is one thing that a person has or had.
type Item struct {
	Kind          string
	ID            string // of a stream, that of its token
	Name          string
	Workspace     tenure.WorkspaceID
	WorkspaceName string
	State         string
	About         string // the kind of a token, a role, an address, how many streams, the rule of an exception
	Count         int    // of streams
	Of            string // of a token or stream, its service account; of a membership, the group that gives it; of an exception for something else, that
	CreatedAt     time.Time
	ExpiresAt     time.Time // when it ends by itself; zero: it does not, or has ended
	EndedAt       time.Time // zero: it has not
	EndedBy       string
	Reason        string
	// Remaining says why the person is not gone while this lives, or is empty.
	Remaining string
	// Rotate says why a secret that lives on by right should be changed, or is empty.
	Rotate string
}

// Person is whom a report is about.
type Person struct {
	ID            tenure.UserID
	UserName      string
	DisplayName   string
	Active        bool
	Role          tenure.Role
	Source        tenure.Source
	CreatedAt     time.Time
	LastSeenAt    time.Time // zero: never
	DeactivatedAt time.Time // zero while active
	DeletedAt     time.Time // zero: not deleted
}

// Report is everything that a person has or had, and whether they are gone.
type Report struct {
	Person
	At time.Time // of the report
	// Complete tells that nothing lets the person in, or acts for them, any more.
	Complete bool
	// LastEndedAt is when the last of it ended, zero while something remains, and
	// Took the time from the deactivation until then.
	LastEndedAt time.Time
	Took        time.Duration
	// StreamsCut and CutTook tell of the streams that the deactivation cut; -1
	// and 0 when it did not tell, as when it was typed into the database.
	StreamsCut int
	CutTook    time.Duration
	// StreamsKnown tells that the process that answers serves, and knows what is open.
	StreamsKnown bool
	// Beliefs is how many they have, with those that others took the place of.
	Beliefs int
	Items   []Item
}

// Of gives the items that a choice picks.
func (r Report) Of(choose func(Item) bool) []Item {
	out := []Item{}
	for _, i := range r.Items {
		if choose(i) {
			out = append(out, i)
		}
	}
	return out
}

// Left lists what still lives.
func (r Report) Left() []Item { return r.Of(func(i Item) bool { return i.Remaining != "" }) }

// ToRotate lists the secrets that live on by right and that the person has seen.
func (r Report) ToRotate() []Item { return r.Of(func(i Item) bool { return i.Rotate != "" }) }

// State says in one word how the person stands.
func (r Report) State() string {
	switch {
	case !r.DeletedAt.IsZero():
		return "deleted"
	case r.Active:
		return stateLive
	}
	return "deactivated"
}

// Report tells of a person by id or userName: of a living one or, when nobody
// living has the name, of the one who was deleted last. NotFound: the tenant
// never knew such a person.
func (g *Governance) Report(ctx context.Context, by tenure.Principal, idOrName string) (Report, error) {
	if err := access.Check(by, tenure.ReportUser); err != nil {
		return Report{}, err
	}
	p, err := g.DB.Person(ctx, by.Tenant(), idOrName)
	if tenure.IsKind(err, tenure.NotFound) {
		err = &tenure.Error{Kind: tenure.NotFound, Code: "user_not_found", Msg: "there is no such person, and there was none"}
	}
	if err != nil {
		return Report{}, err
	}
	r := &reporting{now: g.DB.Now(), idle: g.SessionIdle, person: p, accounts: map[tenure.ServiceAccountID]*tenure.ServiceAccount{}}
	if err := r.read(ctx, g.DB); err != nil {
		return Report{}, fmt.Errorf("report of %s: %w", p.ID, err)
	}
	return r.report(g.Live), nil
}

// reporting is a report in the making.
type reporting struct {
	now      time.Time
	idle     time.Duration
	person   store.Person
	policy   tenure.Policy
	names    map[tenure.WorkspaceID]string
	tokens   []tenure.Token
	holdings []store.Holding
	allowed  []tenure.Exception
	beliefs  store.BeliefCount
	events   []tenure.AuditEvent
	past     map[string]tenure.AuditEvent // the last event of what is theirs no more
	accounts map[tenure.ServiceAccountID]*tenure.ServiceAccount
}

// read reads all that is needed: a fixed number of queries, however much there is.
func (r *reporting) read(ctx context.Context, db *store.DB) error {
	tenant, id := r.person.Tenant, r.person.ID
	var err error
	if r.policy, err = db.Policy(ctx, tenant); err != nil {
		return err
	}
	r.idle = min(r.idle, r.policy.SessionIdle)
	if r.names, err = db.WorkspaceNames(ctx, tenant); err != nil {
		return err
	}
	if r.tokens, err = db.TokensAround(ctx, tenant, id); err != nil {
		return err
	}
	if r.holdings, err = db.Holdings(ctx, tenant, id); err != nil {
		return err
	}
	if r.allowed, err = db.ExceptionsAround(ctx, tenant, id); err != nil {
		return err
	}
	if r.beliefs, err = db.CountBeliefs(ctx, tenant, id); err != nil {
		return err
	}
	if r.events, err = db.AuditOfPerson(ctx, tenant, id); err != nil {
		return err
	}
	past, err := db.AuditOfPast(ctx, tenant, id)
	r.past = make(map[string]tenure.AuditEvent, len(past))
	for _, e := range past {
		r.past[e.ObjectID] = e
	}
	return err
}

func (r *reporting) report(l *live.Live) Report {
	p := r.person
	out := Report{
		At: r.now, StreamsCut: -1, StreamsKnown: l.Follows(), Beliefs: r.beliefs.All, Person: Person{
			ID: p.ID, UserName: p.UserName, DisplayName: p.DisplayName, Active: p.Active && p.DeletedAt.IsZero(), Role: p.Role, Source: p.Source,
			CreatedAt: p.CreatedAt, LastSeenAt: p.LastSeenAt, DeactivatedAt: p.DeactivatedAt, DeletedAt: p.DeletedAt,
		},
	}
	for _, h := range r.holdings {
		out.Items = append(out.Items, r.holding(h))
	}
	for _, t := range r.tokens {
		out.Items = append(out.Items, r.token(t))
	}
	for _, x := range r.allowed {
		out.Items = append(out.Items, r.exception(x))
	}
	out.Items = append(out.Items, r.streams(l)...)
	for i := range out.Items {
		it := &out.Items[i]
		if name := r.names[it.Workspace]; name != "" {
			it.WorkspaceName = name
		}
		if !it.EndedAt.IsZero() {
			it.ExpiresAt = time.Time{}
		}
	}
	slices.SortStableFunc(out.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(place(a.Kind), place(b.Kind)), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Of, b.Of))
	})
	r.judge(&out)
	return out
}

func place(kind string) int {
	return slices.Index([]string{KindPerson, KindStream, KindSession, KindToken, KindAccount, KindMembership, KindGroup, KindRequest, KindProvider, KindConnector, KindException}, kind)
}

// judge says whether the person is gone, and how long it took.
func (r *reporting) judge(out *Report) {
	if out.Active {
		out.Items = slices.Insert(out.Items, 0, Item{
			Kind: KindPerson, ID: string(out.ID), Name: out.UserName, State: stateLive, CreatedAt: out.CreatedAt,
			Remaining: "the person is active and may sign in",
		})
		for i := range out.Items { // what they have seen is theirs to know
			out.Items[i].Rotate = ""
		}
		return
	}
	for _, e := range r.events {
		switch e.Action {
		case "user.reactivated":
			out.StreamsCut, out.CutTook = -1, 0
		case "user.access_ended":
			ms, _ := strconv.ParseFloat(e.Detail["took_ms"], 64)
			out.CutTook = time.Duration(ms * float64(time.Millisecond))
			if n, err := strconv.Atoi(e.Detail["streams"]); err == nil {
				out.StreamsCut = n
			}
		}
	}
	last := out.CutTook
	for _, i := range out.Items {
		if place(i.Kind) <= place(KindAccount) && i.EndedAt.After(out.DeactivatedAt) && i.Remaining == "" && i.Rotate == "" {
			last = max(last, i.EndedAt.Sub(out.DeactivatedAt))
		}
	}
	if out.Complete = len(out.Left()) == 0; out.Complete {
		out.Took, out.LastEndedAt = last, out.DeactivatedAt.Add(last)
	}
}

// streams tells what is open right now, by token.
func (r *reporting) streams(l *live.Live) []Item {
	byToken := map[tenure.TokenID]*Item{}
	count := map[tenure.TokenID]int{}
	mine := func(s *tenure.Standing) bool {
		return s.Tenant == r.person.Tenant && (s.User == r.person.ID || s.ServiceAccount != "" && r.accounts[s.ServiceAccount] != nil)
	}
	for _, f := range l.Flights(mine) {
		if f.Listens { // a page of a session, and no stream
			continue
		}
		s := f.Principal.Standing()
		count[s.Token]++
		if i := byToken[s.Token]; i != nil {
			if f.Started.Before(i.CreatedAt) {
				i.CreatedAt = f.Started
			}
			continue
		}
		i := &Item{
			Kind: KindStream, ID: string(s.Token), Name: s.Name, Workspace: s.Workspace, State: stateOpen, CreatedAt: f.Started,
			Remaining: "streams are open with this token",
		}
		if a := r.accounts[s.ServiceAccount]; a != nil {
			i.Of = a.Name
			i.Remaining = "" // the account is what remains, and says so
		}
		byToken[s.Token] = i
	}
	out := make([]Item, 0, len(byToken))
	for id, i := range byToken {
		i.Count = count[id]
		i.About = strconv.Itoa(i.Count) + " open"
		for _, t := range r.tokens {
			if t.ID == id {
				i.Name = t.Name
			}
		}
		out = append(out, *i)
	}
	return out
}
