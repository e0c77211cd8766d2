package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/web"
)

// What is said is the last words of the user, and the text of the first answer; of what
// cannot be read, nothing.
func TestSaid(t *testing.T) {
	const asked, answered = `{"messages":[{"role":"user","content":"hi"}]}`, `{"choices":[{"index":0,"message":{"content":"ho"}}]}`
	for name, c := range map[string]struct {
		asked, answered string
		events          bool
		user, answer    string
	}{
		"chat":               {asked, answered, false, "hi", "ho"},
		"message":            {asked, `{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"h"},{"type":"tool_use","input":{"text":"no"}},{"type":"text","text":"o"}]}`, false, "hi", "ho"},
		"of several":         {asked, `{"choices":[{"index":1,"message":{"content":"no"}},{"index":0,"message":{"content":[{"type":"text","text":"ho"}]}}]}`, false, "hi", "ho"},
		"a tool is called":   {asked, `{"choices":[{"message":{"content":null,"tool_calls":[]}}]}`, false, "hi", ""},
		"after a tool":       {`{"messages":[{"role":"user","content":"hi"},{"role":"assistant","tool_calls":[]},{"role":"tool","content":"42"}]}`, answered, false, "", "ho"},
		"after a tool, too":  {`{"messages":[{"role":"user","content":"hi"},{"role":"user","content":[{"type":"tool_result","content":"42"}]}]}`, answered, false, "", "ho"},
		"words with a tool":  {`{"messages":[{"role":"user","content":[{"type":"tool_result","content":"42"},{"type":"text","text":"go on"}]}]}`, answered, false, "go on", "ho"},
		"a beginning":        {`{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"h"}]}`, answered, false, "hi", "ho"},
		"no messages":        {`{}`, answered, false, "", "ho"},
		"an error":           {asked, `{"error":{"message":"no"}}`, false, "", ""},
		"no error":           {asked, `{"error":null,"content":[{"type":"text","text":"ho"}]}`, false, "hi", "ho"},
		"half an answer":     {asked, answered[:30], false, "", ""},
		"half a request":     {asked[:30], answered, false, "", ""},
		"a list":             {asked, `[]`, false, "", ""},
		"an error in events": {asked, "data: {\"choices\":[]}\n\ndata: {\"error\":{}}\n\ndata: [DONE]\n\n", true, "", ""},
		"half an event":      {asked, "data: {\"choices\":[]\n\ndata: [DONE]\n\n", true, "", ""},
	} {
		user, answer := Turn{asked: []byte(c.asked), answered: []byte(c.answered), events: c.events}.Said()
		if user != c.user || answer != c.answer {
			t.Errorf("%s: %q %q", name, user, answer)
		}
	}
}

// inPieces gives a text in pieces of changing size.
type inPieces struct {
	rest []byte
	size int
}

func (r *inPieces) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	r.size = r.size*7%31 + 1
	n := copy(p[:min(len(p), r.size)], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *inPieces) Close() error { return nil }

// FuzzTurn: however an answer arrives and is read, its copy is what the client got, and
// says what the whole says; whatever it is, nothing panics.
func FuzzTurn(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`), []byte("data: {\"choices\":[{\"delta\":{\"content\":\"ho\"}}]}\n\ndata: [DONE]\n\n"), uint8(3), uint8(40), true)
	f.Add([]byte(`{"messages":[{"role":"user","content":"hi"}]}`), []byte("event: content_block_delta\r\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"\\ud800o\"}}\r\n\r\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), uint8(30), uint8(2), true)
	f.Add([]byte(`{"messages":null}`), []byte(`{"content":"x","choices":[{"message":{"content":7}}],"error":null}`), uint8(1), uint8(1), false)
	f.Add([]byte(`[`), []byte("\n\ndata:{\n"), uint8(0), uint8(200), true)
	f.Fuzz(func(t *testing.T, asked, answered []byte, sent, read uint8, events bool) {
		for _, pr := range []*protocol{&openAI, &anthropic} {
			c := &call{protocol: pr, event: &web.Event{}, flight: &live.Flight{}, turn: &turn{all: new(atomic.Int64)}}
			c.turn.begin(&http.Response{StatusCode: http.StatusOK}, events, len(asked))
			s := &stream{body: &inPieces{bytes.Clone(answered), int(sent)}, ctx: context.Background(), call: c, events: events, meter: meter{use: &tenure.ModelUse{}}}
			var got []byte
			for buf := make([]byte, int(read)+1); ; {
				n, err := s.Read(buf)
				if got = append(got, buf[:n]...); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, answered) || !bytes.Equal(c.turn.answer, answered) || !c.turn.whole {
				t.Errorf("%q is %q to the client, and %q in the copy", answered, got, c.turn.answer)
			}
			c.turn.completed(pr)
			user, answer := Turn{asked: asked, answered: answered, events: events}.Said()
			again, same := Turn{asked: asked, answered: c.turn.answer, events: events}.Said()
			if user != again || answer != same || strings.ToValidUTF8(user+answer, "") != user+answer {
				t.Errorf("%q %q, and %q %q", user, answer, again, same)
			}
		}
	})
}

// An answer that breaks off, or is cut, is not complete, however much of it came.
func TestTurnsThatBreakOff(t *testing.T) {
	answers := map[*protocol]string{&openAI: "data: [DONE]\n\n", &anthropic: "data: {\"type\":\"message_stop\"}\n\n"}
	for pr, answer := range answers {
		for _, events := range []bool{false, true} {
			for name, body := range map[string]io.Reader{
				"whole": strings.NewReader(answer), "broken": io.MultiReader(strings.NewReader(answer), iotest.ErrReader(io.ErrUnexpectedEOF)),
				"cut": io.MultiReader(strings.NewReader(answer), iotest.ErrReader(context.Canceled)),
			} {
				ctx, cancel := context.WithCancelCause(t.Context())
				if name == "cut" {
					cancel(tenure.ErrRevoked)
				}
				c := &call{protocol: pr, event: &web.Event{}, flight: &live.Flight{}, turn: &turn{all: new(atomic.Int64)}}
				c.turn.begin(&http.Response{StatusCode: http.StatusOK}, events, 10)
				_, _ = io.Copy(io.Discard, &stream{body: io.NopCloser(body), ctx: ctx, call: c, events: events, meter: meter{use: &tenure.ModelUse{}}})
				if got := c.turn.completed(pr); got != (name == "whole") {
					t.Errorf("%s, events %t: completed %t", name, events, got)
				}
				cancel(nil)
			}
		}
	}
}

// Who does not want beliefs pays nothing for those who do.
func TestTurnsCostNothing(t *testing.T) {
	g, event := &Gateway{Turned: func(Turn) {}}, &web.Event{}
	p, err := (&tenure.Standing{Kind: tenure.RootToken, TenantActive: true}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	h, res, answer := http.Header{"Content-Type": {"application/json"}}, &http.Response{StatusCode: http.StatusOK}, []byte("data: x\n\n")
	c := &call{protocol: &openAI, event: event}
	if n := testing.AllocsPerRun(100, func() {
		if g.listen(h, p, c) != nil || c.turn != nil {
			t.Error("a turn is copied")
		}
		c.turn.begin(res, true, 100)
		c.turn.pass(answer)
		c.turn.end()
		g.turned(t.Context(), p, c)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
