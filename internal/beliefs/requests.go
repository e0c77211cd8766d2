package beliefs

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
)

// Limits of requests.
const (
	maxScopes = 100 // that a socket watches
	maxPage   = 100 // beliefs in one answer
	inHand    = 2   // requests of one person that are worked on at once
	// searching is how many requests one counts for that looks through texts.
	searching = 10
)

// requests are the messages that a client may send.
var requests = map[string]func([]byte) (handler, error){
	"subscribe":   on(scopeOnly.subscribe),
	"unsubscribe": on(scopeOnly.unsubscribe),
	"extract":     on(extract.do),
	"record":      on(record.do),
	"patch":       on(patch.do),
	"delete":      on(oneBelief.remove),
	"list":        on(list.do),
	"history":     on(oneBelief.history),
	"toggle":      on(toggle.do),
	"ping":        on(plain.do),
}

var (
	errTooFast = &tenure.Error{Kind: tenure.TooMany, Code: "rate_limit_exceeded", Msg: "too many requests of yours: nothing was done; ready tells how many there may be, on all your sockets together"}
	errScopes  = &tenure.Error{Kind: tenure.TooMany, Code: "too_many_scopes", Field: "scope", Msg: "a socket watches no more scopes than that: unsubscribe from one"}
)

// request answers a message that was read, or why it was not.
func (s *socket) request(data []byte, err error) {
	if !s.owner.take(1) {
		if !s.flood.take(time.Now(), 1, perSecond, floodBurst) {
			s.stop(errFlood)
			return
		}
		var h head
		_ = json.Unmarshal(data, &h)
		s.answer(refuse(h.known(), errTooFast))
		return
	}
	var h head
	var handle handler
	if err == nil {
		h, handle, err = decode(data)
	}
	var by tenure.Principal
	if err == nil {
		by, err = s.asker()
	}
	var done ack
	if err == nil {
		done, err = s.act(by, handle)
	}
	if err != nil {
		if now := time.Now(); tenure.AsError(err).Kind == tenure.Internal && s.ctx.Err() == nil && now.Sub(s.logged) > logEvery {
			s.logged = now
			s.edge.Log.Error("a message on a socket of beliefs", "request_id", tenure.OriginOf(s.ctx).RequestID, "type", h.Type, "error", tenure.Redact(err.Error()))
		}
		s.answer(refuse(h.ID, err))
		return
	}
	done.V, done.Type, done.Request = version, typeAck, h.ID
	s.answer(done)
}

// act carries out a request, in its turn among those of its person, and in its time.
func (s *socket) act(by tenure.Principal, handle handler) (ack, error) {
	ctx, cancel := context.WithTimeout(s.as(by), actTime)
	defer cancel()
	select {
	case s.owner.hands <- struct{}{}:
		defer func() { <-s.owner.hands }()
		return handle(ctx, s, by)
	case <-ctx.Done():
		return ack{}, errTooFast
	}
}

// bucket is what is left of a rate.
type bucket struct {
	left float64
	at   time.Time
}

// take takes n, if there are so many: so many come a second, and so many are held.
func (b *bucket) take(now time.Time, n, rate, most float64) bool {
	b.left = min(most, b.left+rate*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

func (s *socket) ready(said belief.Setting) ready {
	return ready{version, typeReady, extractionOf(s.who, said), bounds{maxMessage, tenure.MaxExtractTurn, perSecond, burst, maxScopes, maxPage}}
}

func extractionOf(by tenure.Principal, said belief.Setting) extraction {
	out := extraction{Said: said.When}
	if by.Kind() == tenure.PAT {
		out.Holds = by.Standing().Extract.When
	}
	return out
}

type plain struct{ head }

func (plain) do(context.Context, *socket, tenure.Principal) (ack, error) { return ack{}, nil }

type scopeOnly struct {
	head
	Scope tenure.BeliefScope `json:"scope"`
}

func (in scopeOnly) subscribe(ctx context.Context, s *socket, by tenure.Principal) (ack, error) {
	s.mu.Lock()
	watched, full := s.scopes[in.Scope], len(s.scopes) >= maxScopes
	s.mu.Unlock()
	switch {
	case watched:
		return ack{Scope: in.Scope}, nil
	case full:
		return ack{}, errScopes
	}
	if err := s.edge.Beliefs.Watch(ctx, by, in.Scope); err != nil {
		return ack{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scopes[in.Scope] = true
	return ack{Scope: in.Scope}, nil
}

func (in scopeOnly) unsubscribe(_ context.Context, s *socket, _ tenure.Principal) (ack, error) {
	if _, err := tenure.ParseBeliefScope(string(in.Scope)); err != nil {
		return ack{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.scopes, in.Scope)
	return ack{Scope: in.Scope}, nil
}

type extract struct {
	head
	Scope    tenure.BeliefScope `json:"scope"`
	Messages []belief.Message   `json:"messages"`
}

func (in extract) do(ctx context.Context, s *socket, by tenure.Principal) (ack, error) {
	job, err := s.edge.Beliefs.Extract(ctx, by, belief.Turn{Request: tenure.NewID(time.Now()), Scope: in.Scope, Messages: in.Messages})
	return ack{Job: job}, err
}

// draft is a belief as a client states it.
type draft struct {
	Workspace  tenure.WorkspaceID  `json:"workspace"`
	Scope      tenure.BeliefScope  `json:"scope"`
	Type       tenure.BeliefType   `json:"type"`
	Name       string              `json:"name"`
	Content    string              `json:"content"`
	Why        string              `json:"why"`
	Aliases    []string            `json:"aliases"`
	Status     tenure.BeliefStatus `json:"status"`
	Confidence *float64            `json:"confidence"`
}

type record struct {
	head
	Belief draft `json:"belief"`
}

func (in record) do(ctx context.Context, s *socket, by tenure.Principal) (ack, error) {
	d := in.Belief
	kept, err := s.edge.Beliefs.Record(ctx, by, belief.Draft{
		Workspace: d.Workspace, Scope: d.Scope, Type: d.Type, Status: d.Status, Confidence: d.Confidence,
		BeliefText: tenure.BeliefText{Name: d.Name, Content: d.Content, Why: d.Why, Aliases: d.Aliases},
	})
	return s.kept(kept, err)
}

// kept is the answer to what was kept.
func (s *socket) kept(k belief.Kept, err error) (ack, error) {
	if err != nil {
		return ack{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(k.Belief)
	return ack{Belief: show(k.Belief), How: k.How, Before: k.Before}, nil
}

// edits are what of a belief is to be another; what is not there stays.
type edits struct {
	Name       *string              `json:"name"`
	Type       *tenure.BeliefType   `json:"type"`
	Content    *string              `json:"content"`
	Why        *string              `json:"why"`
	Aliases    *[]string            `json:"aliases"`
	Status     *tenure.BeliefStatus `json:"status"`
	Confidence *float64             `json:"confidence"`
}

type patch struct {
	head
	BeliefID tenure.BeliefID `json:"belief_id"`
	Version  int64           `json:"version"` // that it was read at; 0: whichever
	Belief   edits           `json:"belief"`
}

func (in patch) do(ctx context.Context, s *socket, by tenure.Principal) (ack, error) {
	b := in.Belief
	return s.kept(s.edge.Beliefs.Patch(ctx, by, in.BeliefID, belief.Change{
		Version: in.Version, Name: b.Name, Type: b.Type, Content: b.Content, Why: b.Why, Aliases: b.Aliases, Status: b.Status, Confidence: b.Confidence,
	}))
}

type oneBelief struct {
	head
	BeliefID tenure.BeliefID `json:"belief_id"`
}

func (in oneBelief) remove(ctx context.Context, s *socket, by tenure.Principal) (ack, error) {
	return ack{}, s.edge.Beliefs.Delete(ctx, by, in.BeliefID)
}

func (in oneBelief) history(ctx context.Context, s *socket, by tenure.Principal) (ack, error) {
	all, err := s.edge.Beliefs.History(ctx, by, in.BeliefID)
	return s.shown(all[:min(len(all), maxPage)], "", err)
}

// shown is the answer that lists beliefs.
func (s *socket) shown(all []tenure.Belief, next tenure.BeliefID, err error) (ack, error) {
	if err != nil {
		return ack{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(all...)
	return ack{Beliefs: showAll(all), Next: next}, nil
}

type list struct {
	head
	Scope  tenure.BeliefScope `json:"scope"`
	Cursor tenure.BeliefID    `json:"cursor"`
	Limit  int                `json:"limit"` // 0: as many as a page has
	Filter filter             `json:"filter"`
}

// filter chooses of the beliefs of a scope; what is not there chooses all.
type filter struct {
	Workspace tenure.WorkspaceID  `json:"workspace"`
	Type      tenure.BeliefType   `json:"type"`
	Status    tenure.BeliefStatus `json:"status"`
	Text      string              `json:"text"`
}

func (in list) do(ctx context.Context, s *socket, by tenure.Principal) (ack, error) {
	if _, err := tenure.ParseBeliefScope(string(in.Scope)); err != nil {
		return ack{}, err // a list is of one scope
	}
	if in.Limit < 0 || in.Limit > maxPage {
		return ack{}, tenure.InvalidField("limit", "a page has from 1 to %d beliefs", maxPage)
	}
	limit, f := cmp.Or(in.Limit, maxPage), in.Filter
	if f.Text != "" && !s.owner.take(searching-1) {
		return ack{}, errTooFast
	}
	page, err := s.edge.Beliefs.List(ctx, by, belief.Look{
		Workspace: f.Workspace, Scope: in.Scope, Type: f.Type, Status: f.Status, Text: f.Text, After: in.Cursor, Limit: limit,
	})
	return s.shown(page.Beliefs, page.Next, err)
}

type toggle struct {
	head
	Extraction tenure.Extraction `json:"extraction"`
}

func (in toggle) do(ctx context.Context, s *socket, by tenure.Principal) (ack, error) {
	if err := s.edge.Beliefs.Toggle(ctx, by, in.Extraction); err != nil {
		return ack{}, err
	}
	by, err := s.asker() //nolint:contextcheck // what holds now; a socket has a context of its own
	if err != nil {
		return ack{}, err
	}
	now := extractionOf(by, belief.Setting{When: in.Extraction})
	return ack{Extract: &now}, nil
}
