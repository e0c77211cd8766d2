package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/gateway"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// listening starts a world that keeps the turns of its person, out of which beliefs are
// to be drawn as e says.
func listening(t *testing.T, upstream string, e tenure.Extracting) (*world, chan gateway.Turn) {
	t.Helper()
	w := newWorld(t, upstream)
	turns := make(chan gateway.Turn, 64)
	w.gateway.Turned = func(turn gateway.Turn) { turns <- turn }
	w.set(func(s *tenure.Standing) { s.Extract = e })
	return w, turns
}

var always = tenure.Extracting{When: tenure.ExtractAlways, Model: "sim-gpt-4o-mini"}

// turned reads an answer to its end, and gives what became of its turn, once the request
// is over.
func (w *world) turned(turns chan gateway.Turn, res *http.Response) *gateway.Turn {
	w.t.Helper()
	_, _ = io.Copy(io.Discard, res.Body)
	eventually(w.t, "the request leaves", func() bool { return w.live.Open() == 0 })
	select {
	case turn := <-turns:
		return &turn
	default:
		return nil
	}
}

// A completed turn is told with what the user said last and what the model answered, in
// both protocols, streamed or not.
func TestTurns(t *testing.T) {
	_, _, up := simulate(t)
	w, turns := listening(t, up, always)
	for _, stream := range []bool{false, true} {
		for path, c := range map[string]struct{ model, body string }{
			"/v1/chat/completions": {"up/sim-gpt-4o", `{"model":"up/sim-gpt-4o","stream":%t,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"first"},
				{"role":"assistant","content":"yes"},{"role":"user","content":[{"type":"text","text":"I use"},{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}},{"type":"text","text":"v\u00efm"}]}]}`},
			"/v1/messages": {"claude/sim-claude-haiku", `{"model":"claude/sim-claude-haiku","max_tokens":100,"stream":%t,"system":"be brief","messages":[{"role":"user","content":"first"},
				{"role":"assistant","content":"yes"},{"role":"user","content":[{"type":"text","text":"I use"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}},{"type":"text","text":"v\u00efm"}]}]}`},
		} {
			res := w.post(path, fmt.Sprintf(c.body, stream), "Tenure-Scope", "project:billing")
			if res.StatusCode != http.StatusOK {
				t.Fatal(text(t, res))
			}
			turn := w.turned(turns, res)
			if turn == nil {
				t.Errorf("%s, stream %t: no turn", path, stream)
				continue
			}
			user, answer := turn.Said()
			if user != "I use\nvïm" || !strings.HasPrefix(answer, "I received 1 image, 3 bytes. You said: I use vïm 1 2") || !strings.HasSuffix(answer, " 13") {
				t.Errorf("%s, stream %t: %q, %q", path, stream, user, answer)
			}
			if turn.Request != res.Header.Get("X-Request-Id") || turn.Model != c.model || turn.Scope != "project:billing" || turn.Principal.User() != "u" || turn.Address != "192.0.2.1" {
				t.Errorf("%s: %+v", path, turn)
			}
		}
	}
}

// The headers narrow what the settings allow, and never more.
func TestTurnsAreNarrowed(t *testing.T) {
	_, _, up := simulate(t)
	w, turns := listening(t, up, tenure.Extracting{})
	for _, c := range []struct {
		alter func(*tenure.Standing)
		when  tenure.Extraction
		said  string // Tenure-Extract
		want  bool
	}{
		{nil, tenure.ExtractNever, "", false},
		{nil, tenure.ExtractNever, "on", false},
		{nil, "", "on", false},
		{nil, "whatever", "on", false},
		{nil, tenure.ExtractAsked, "", false},
		{nil, tenure.ExtractAsked, "off", false},
		{nil, tenure.ExtractAsked, "on", true},
		{nil, tenure.ExtractAlways, "", true},
		{nil, tenure.ExtractAlways, "on", true},
		{nil, tenure.ExtractAlways, "off", false},
		{func(s *tenure.Standing) { s.Extract.Model = "" }, tenure.ExtractAlways, "on", false},
		{func(s *tenure.Standing) { s.Kind, s.ServiceAccount, s.AccountActive = tenure.ServiceToken, "a", true }, tenure.ExtractAlways, "on", false},
		{func(s *tenure.Standing) { s.Kind = tenure.RootToken }, tenure.ExtractAlways, "on", false},
	} {
		w.set(func(s *tenure.Standing) {
			s.Extract = tenure.Extracting{When: c.when, Model: "m"}
			if c.alter != nil {
				c.alter(s)
			}
		})
		for path, body := range map[string]string{"/v1/chat/completions": chat("hi", true), "/v1/messages": message("hi", true)} {
			var header []string
			if c.said != "" {
				header = []string{"Tenure-Extract", c.said}
			}
			res := w.post(path, body, header...)
			turn := w.turned(turns, res)
			if res.StatusCode != http.StatusOK || (turn != nil) != c.want {
				t.Errorf("%s: %q, asked %q: %d, %t; want %t", path, c.when, c.said, res.StatusCode, turn != nil, c.want)
			}
			if turn != nil && turn.Scope != tenure.UniversalScope {
				t.Errorf("without a scope: %s", turn.Scope)
			}
		}
	}
	w.gateway.Turned = nil
	w.set(func(s *tenure.Standing) { s.Extract = always })
	if res := w.post("/v1/chat/completions", chat("hi", false)); res.StatusCode != http.StatusOK {
		t.Errorf("nobody wants turns: %s", text(t, res))
	}
}

// What a header cannot say is refused in the protocol's own shape, whatever is allowed.
func TestTurnHeadersThatAreRefused(t *testing.T) {
	_, rec, up := simulate(t)
	w, turns := listening(t, up, tenure.Extracting{})
	for _, c := range [][]string{
		{"Tenure-Extract", ""},
		{"Tenure-Extract", "ON"},
		{"Tenure-Extract", "on, off"},
		{"Tenure-Extract", "always"},
		{"Tenure-Scope", ""},
		{"Tenure-Scope", "user:bob"},
		{"Tenure-Scope", "project:"},
		{"Tenure-Scope", "project:a b"},
		{"Tenure-Scope", "project:billing", "Tenure-Extract", "yes"},
	} {
		res := w.post("/v1/chat/completions", chat("hi", true), c...)
		name := c[len(c)-2]
		if got := text(t, res); res.StatusCode != http.StatusBadRequest || !strings.Contains(got, `"code":"invalid_request_header"`) || !strings.Contains(got, `"param":"`+name+`"`) {
			t.Errorf("%q: %d %s", c, res.StatusCode, got)
		}
		res = w.post("/v1/messages", message("hi", true), c...)
		if got := text(t, res); res.StatusCode != http.StatusBadRequest || !strings.Contains(got, `"type":"invalid_request_error"`) || !strings.Contains(got, `"message":"`+name+`: `) {
			t.Errorf("%q: %d %s", c, res.StatusCode, got)
		}
	}
	for _, name := range []string{"Tenure-Extract", "Tenure-Scope"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/v1/chat/completions", strings.NewReader(chat("hi", false)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header[name] = map[string][]string{"Tenure-Extract": {"on", "off"}, "Tenure-Scope": {"project:a", "project:b"}}[name]
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, res); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s twice: %d %s", name, res.StatusCode, got)
		}
		_ = res.Body.Close()
	}
	if q := rec.last("/v1/chat/completions"); q.Path != "" || len(turns) > 0 {
		t.Errorf("a refused request reached the provider: %s", q.Body)
	}
}

// What was cut, failed, broke off or was left gives no turn; nor do routes that are no
// conversation.
func TestNoTurns(t *testing.T) {
	sim, _, up := simulate(t)
	w, turns := listening(t, up, always)
	for _, say := range []string{"fail 500", "fail 401", "fail midway", "hang midway", "truncate", "redirect", "echo key"} {
		for _, stream := range []bool{false, true} {
			if say == "hang midway" && !stream {
				continue // no answer has begun
			}
			for path, body := range map[string]string{"/v1/chat/completions": chat(say, stream), "/v1/messages": message(say, stream)} {
				res, err := http.Post(w.url+path, "application/json", strings.NewReader(body))
				if err != nil { // it broke off before its first byte
					res = &http.Response{Body: http.NoBody}
				}
				turn := w.turned(turns, res)
				if _ = res.Body.Close(); turn != nil {
					t.Errorf("%s, stream %t: %q gives a turn", path, stream, say)
				}
			}
		}
	}
	for path, body := range map[string]string{
		"/v1/responses": response("hi", true), "/v1/embeddings": `{"model":"sim-gpt-4o","input":"hi"}`, "/v1/messages/count_tokens": message("hi", false),
	} {
		res := w.post(path, body, "Tenure-Extract", "on")
		if turn := w.turned(turns, res); turn != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %t", path, res.StatusCode, turn != nil)
		}
	}
	for path, body := range map[string]string{"/v1/chat/completions": chat("count to 3000 every 5ms", true), "/v1/messages": message("count to 3000 every 5ms", true)} {
		res, _ := w.events(path, body)
		w.live.Cut(store.Change{}, live.User("u"), tenure.ErrRevoked)
		if turn := w.turned(turns, res); turn != nil {
			t.Errorf("%s: a cut turn is told", path)
		}
		res, _ = w.events(path, body)
		_ = res.Body.Close()
		eventually(t, "the client's leaving is seen", func() bool { return sim.InFlight() == 0 })
		if turn := w.turned(turns, res); turn != nil {
			t.Errorf("%s: a turn that was left is told", path)
		}
	}
}

// scripted is a provider of both kinds that answers as it is told.
type scripted struct {
	atomic.Pointer[reply]
	url  string
	then func(*http.Request) // when the answer is written; nil: it is over
}

// reply is an answer, written in pieces of a size.
type reply struct {
	contentType, answer string
	size                int
	coding              string // Content-Encoding
}

func script(t *testing.T) *scripted {
	t.Helper()
	s := &scripted{}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"data":[{"id":"m"}]}`)
			return
		}
		a := s.Load()
		w.Header().Set("Content-Type", a.contentType)
		if a.coding != "" {
			w.Header().Set("Content-Encoding", a.coding)
		}
		for piece := range slices.Chunk([]byte(a.answer), a.size) {
			_, _ = w.Write(piece)
			_ = http.NewResponseController(w).Flush()
		}
		if s.then != nil {
			s.then(r)
		}
	}))
	t.Cleanup(up.Close)
	s.url = up.URL
	return s
}

const (
	sse        = "text/event-stream"
	chatStream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n" +
		"data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"the other\"}},{\"index\":0,\"delta\":{\"content\":\"Y\\u00f6u use\"}}]}\r\n\r\n" +
		": a comment\n\ndata:{\"choices\":[{\"index\":0,\"delta\":{\"content\":null,\"tool_calls\":[{\"index\":0}]}}]}\n\n" +
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" vim: data: [DONE]\\n\"},\"finish_reason\":\"stop\"}]}\n\n" +
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n"
	messageStream = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"content\":[],\"usage\":{\"input_tokens\":1}}}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n" +
		"event: ping\ndata: {\"type\":\"ping\"}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"Y\\u00f6u use\"}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\" vim: data: [DONE]\\n\"}}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"name\":\"t\",\"input\":{}}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	mine = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
)

// However a stream arrives, its turn says the same.
func TestTurnsOfStreamsInPieces(t *testing.T) {
	up := script(t)
	w, turns := listening(t, up.url, always)
	for path, stream := range map[string]string{"/v1/chat/completions": chatStream, "/v1/messages": messageStream} {
		for _, size := range []int{1, 2, 7, 64, 301, len(stream)} {
			up.Store(&reply{sse, stream, size, ""})
			res := w.post(path, mine)
			got := text(t, res)
			turn := w.turned(turns, res)
			if got != stream || turn == nil {
				t.Errorf("%s in pieces of %d: %t %t", path, size, got == stream, turn != nil)
				continue
			}
			if user, answer := turn.Said(); user != "hi" || answer != "Yöu use vim: data: [DONE]\n" {
				t.Errorf("%s in pieces of %d: %q %q", path, size, user, answer)
			}
		}
	}
}

// A stream that does not say that it is over, and what is too long or cannot be read, give
// no turn; the client gets all of it.
func TestTurnsThatAreNotWhole(t *testing.T) {
	delta := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("x", 8000) + `"}}]}` + "\n\n"
	const js, chatPath, messagePath = "application/json", "/v1/chat/completions", "/v1/messages"
	up := script(t)
	w, turns := listening(t, up.url, always)
	for name, c := range map[string]struct{ path, contentType, answer, body, coding string }{
		"chat without its end":      {chatPath, sse, strings.TrimSuffix(chatStream, "data: [DONE]\n\n"), mine, ""},
		"chat with more after it":   {chatPath, sse, chatStream + delta, mine, ""},
		"an end that is content":    {chatPath, sse, `data: {"choices":[{"delta":{"content":"[DONE]"}}]}` + "\n\n", mine, ""},
		"message without its end":   {messagePath, sse, strings.TrimSuffix(messageStream, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"), mine, ""},
		"an error and no end":       {messagePath, sse, messageStream[:200] + "\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n", mine, ""},
		"a stop that is no event's": {messagePath, sse, `data: {"type":"ping","x":{"type":"message_stop"}}` + "\n\n", mine, ""},
		"no JSON at the end":        {messagePath, sse, "data: message_stop\n\n", mine, ""},
		"nothing at the end":        {messagePath, sse, "data:\n\n", mine, ""},
		"a long stream":             {chatPath, sse, strings.Repeat(delta, 140) + "data: [DONE]\n\n", mine, ""},
		"a long answer":             {messagePath, js, `{"content":[{"type":"text","text":"` + strings.Repeat("x", 1_100_000) + `"}]}`, mine, ""},
		"a long request":            {messagePath, js, `{"content":[],"pad":"` + strings.Repeat("x", 5000) + `"}`, `{"model":"m","messages":[],"pad":"` + strings.Repeat("x", 1_045_000) + `"}`, ""},
		"both together":             {messagePath, js, `{"content":[],"pad":"` + strings.Repeat("x", 600_000) + `"}`, `{"model":"m","messages":[],"pad":"` + strings.Repeat("x", 600_000) + `"}`, ""},
		"nothing":                   {messagePath, js, "", mine, ""},
		"compressed":                {messagePath, js, "\x1f\x8b", mine, "gzip"},
	} {
		up.Store(&reply{c.contentType, c.answer, 50_000, c.coding})
		res := w.post(c.path, c.body, "Accept-Encoding", "identity") // else the client opens what is compressed
		if got := text(t, res); got != c.answer || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %d bytes came of %d", name, res.StatusCode, len(got), len(c.answer))
		}
		if turn := w.turned(turns, res); turn != nil {
			user, answer := turn.Said()
			t.Errorf("%s: a turn: %q %.100q", name, user, answer)
		}
	}
}
