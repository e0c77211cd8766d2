package gateway

import (
	"bytes"
	"context"
	"net/http"
	"sync/atomic"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
)

// The headers by which a request says whether beliefs are drawn out of its turn, and where
// they hold. They stay here.
const (
	extractHeader = "Tenure-Extract"
	scopeHeader   = "Tenure-Scope"
)

// How much is copied, in bytes: of one turn, question and answer as they are sent, and of
// the answers of all at once. What is beyond has no beliefs drawn out of it.
const (
	maxCopy   = 1 << 20
	maxCopies = 64 << 20
)

// Turn is what was asked and answered in one completed request of a person, out of which
// beliefs are to be drawn.
type Turn struct {
	Principal tenure.Principal
	Request   string // X-Request-Id
	Address   string // the client's
	Scope     tenure.BeliefScope
	Model     string // as it was asked for

	asked, answered []byte
	events          bool // the answer is a stream
}

// turn is the copy of a turn while its answer passes.
type turn struct {
	scope  tenure.BeliefScope
	room   int           // bytes that the answer may still have; below 0: it had more, and nothing is kept
	all    *atomic.Int64 // bytes of all copies
	answer []byte
	events bool
	whole  bool // the answer was read to its end
}

// listen makes room for the copy of a request's turn, if beliefs are to be drawn out of it.
// What the product asks by itself is no turn.
func (g *Gateway) listen(h http.Header, p tenure.Principal, c *call) error {
	scope, on, err := extracting(h, p.Standing())
	if on && g.Turned != nil && !c.event.Inside {
		c.turn = &turn{scope: scope, all: &g.shares.copied}
	}
	return err
}

// extracting tells whether beliefs are to be drawn out of a request's turn, and where they
// hold: as its headers say, within what its token's standing allows. Invalid: a header says
// something else, whatever is allowed.
func extracting(h http.Header, s *tenure.Standing) (scope tenure.BeliefScope, on bool, err error) {
	scope, said := tenure.UniversalScope, ""
	if values := h[extractHeader]; len(values) > 0 {
		if said = values[0]; len(values) > 1 || said != "on" && said != "off" {
			return "", false, badHeader(extractHeader, "it is on or off, once")
		}
	}
	if values := h[scopeHeader]; len(values) > 0 {
		if scope, err = tenure.ParseBeliefScope(values[0]); err == nil && len(values) > 1 {
			return "", false, badHeader(scopeHeader, "it is given once")
		}
		if err != nil {
			return "", false, badHeader(scopeHeader, tenure.AsError(err).Msg)
		}
	}
	if s.Kind != tenure.PAT || s.Extract.Model == "" {
		return scope, false, nil
	}
	switch s.Extract.When {
	case tenure.ExtractAsked:
		on = said == "on"
	case tenure.ExtractAlways:
		on = said != "off"
	case tenure.ExtractNever:
	}
	return scope, on, nil
}

func badHeader(name, why string) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: "invalid_request_header", Field: name, Msg: name + ": " + why}
}

// begin makes room for an answer to a request of so many bytes. One that failed, or that
// nobody here can read, gets none.
func (t *turn) begin(res *http.Response, events bool, asked int) {
	if t == nil {
		return
	}
	t.events, t.room = events, maxCopy-asked
	if coding := res.Header.Get("Content-Encoding"); res.StatusCode != http.StatusOK || coding != "" && coding != "identity" {
		t.room = -1
	}
}

// pass copies the next part of the answer.
func (t *turn) pass(b []byte) {
	if t == nil || t.room < 0 {
		return
	}
	if t.room -= len(b); t.room < 0 || t.all.Load() > maxCopies {
		t.drop()
		return
	}
	had := cap(t.answer)
	t.answer = append(t.answer, b...)
	t.all.Add(int64(cap(t.answer) - had))
}

// drop lets go of the copy.
func (t *turn) drop() {
	if t != nil {
		t.all.Add(-int64(cap(t.answer)))
		t.answer, t.room = nil, -1
	}
}

// end tells that there is no more of the answer.
func (t *turn) end() {
	if t != nil {
		t.whole = true
	}
}

// completed tells a turn whose answer is all there; that of a stream says so itself.
func (t *turn) completed(pr *protocol) bool {
	switch {
	case t == nil || !t.whole || t.room < 0 || len(t.answer) == 0:
		return false
	case !t.events:
		return true
	}
	at := bytes.LastIndex(t.answer, []byte("\ndata:")) + 1
	line, _, _ := bytes.Cut(t.answer[at:], []byte("\n"))
	data, ok := bytes.CutPrefix(line, dataField)
	data = bytes.TrimSpace(data)
	if pr.kind == tenure.OpenAI {
		return ok && string(data) == "[DONE]"
	}
	stop := false
	return ok && bytes.HasPrefix(data, []byte("{")) && each(data, 0, func(key []byte, from, to int) error {
		stop = stop || string(key) == "type" && string(data[from:to]) == `"message_stop"`
		return nil
	}) == nil && stop
}

// dataField begins the line of an event that carries a document.
var dataField = []byte("data:")

// turned hands a turn over that is complete, and whose access did not end with it.
func (g *Gateway) turned(ctx context.Context, p tenure.Principal, c *call) {
	if !c.turn.completed(c.protocol) || live.Cause(ctx) != nil {
		return
	}
	g.Turned(Turn{
		Principal: p, Request: c.event.ID, Address: c.event.Origin.Address, Scope: c.turn.scope, Model: c.event.Model,
		asked: bytes.Clone(c.body.bytes()), answered: c.turn.answer, events: c.turn.events,
	})
}
