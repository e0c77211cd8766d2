package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// use is what the next request used.
func (w *world) use() tenure.ModelUse {
	w.t.Helper()
	select {
	case u := <-w.used:
		return u
	case <-time.After(10 * time.Second):
		w.t.Fatal("nothing was observed")
		return tenure.ModelUse{}
	}
}

func (w *world) decide(key, value string) {
	w.t.Helper()
	before := w.live.Generation()
	err := w.live.DB.Tx(tenure.Everywhere(context.Background()), func(ctx context.Context, tx *store.Tx) error {
		return tx.SetPolicy(ctx, tenure.DefaultTenant, key, value, "test")
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for w.live.Generation() == before {
		time.Sleep(time.Millisecond)
	}
}

// Every shape of answer says what it used, streamed and whole.
func TestUseIsRead(t *testing.T) {
	_, rec, url := simulate(t)
	w := newWorld(t, url)
	w.decide("stream_usage", "every")
	for _, q := range []struct{ path, body string }{
		{"/v1/chat/completions", chat("hello", false)},
		{"/v1/chat/completions", chat("hello", true)},
		{"/v1/messages", message("hello", false)},
		{"/v1/messages", message("hello", true)},
	} {
		text(t, w.post(q.path, q.body))
		if u := w.use(); u.Input < 1 || u.Output < 1 {
			t.Errorf("%s %s: %+v", q.path, q.body, u)
		}
	}
	if !strings.Contains(string(rec.last("/v1/chat/completions").Body), "include_usage") {
		t.Error("the provider was not asked")
	}
	w.decide("stream_usage", "openai")
	text(t, w.post("/v1/chat/completions", chat("hello", true)))
	if u := w.use(); u != (tenure.ModelUse{}) || strings.Contains(string(rec.last("/v1/chat/completions").Body), "include_usage") {
		t.Errorf("not asked, and yet: %+v", u)
	}
}

// Who did not ask for the figures gets, byte for byte, what they would have got.
func TestFiguresNobodyAskedFor(t *testing.T) {
	chunk := func(choices, usage string) string {
		return `data: {"id":"x","choices":[` + choices + `]` + usage + `}` + "\n\n"
	}
	words := []string{
		`{"delta":{"content":"a \"usage\":null b"}}`, `{"delta":{"content":"` + strings.Repeat("long ", 700) + `"}}`, `{"delta":{"content":"` + strings.Repeat("longer ", 2000) + `"}}`,
		`{"delta":{"x":{"choices":[],"usage":{"prompt_tokens":99},"y":[{"usage":null}]}}}`, `{"delta":{},"finish_reason":"stop"}`,
	}
	var pad atomic.Int64
	answer := func(null, last string) string {
		out := chunk(`{"delta":{"content":"`+strings.Repeat("x", int(pad.Load()))+`"}}`, null)
		for _, c := range words {
			out += chunk(c, null)
		}
		return out + last + "data: [DONE]\n\n"
	}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"data":[{"id":"sim-gpt-4o"}]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		out := answer("", "")
		if strings.Contains(string(body), `"include_usage":true`) {
			out = answer(`,"usage":null`, chunk("", `,"usage":{"prompt_tokens":5,"completion_tokens":3},"x":"`+strings.Repeat("y", 9000)+`"`))
		}
		size := len(out)
		if strings.Contains(string(body), "slowly") {
			size = 777
		}
		for len(out) > 0 {
			n := min(size, len(out))
			_, _ = io.WriteString(w, out[:n])
			_ = http.NewResponseController(w).Flush()
			out = out[n:]
		}
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, up.URL)
	w.decide("stream_usage", "every")
	for i := range 80 { // so that the figures come at any place of a read
		how := []string{"quickly", "slowly"}[i%2]
		pad.Store(int64(i * 53))
		if got := text(t, w.post("/v1/chat/completions", chat(how, true))); got != answer("", "") {
			t.Errorf("%s: %d bytes, want %d: %.200s ... %.200s", how, len(got), len(answer("", "")), got, got[max(0, len(got)-200):])
		}
		if u := w.use(); u != (tenure.ModelUse{Input: 5, Output: 3}) {
			t.Errorf("%+v", u)
		}
	}
	asked := strings.Replace(chat("x", true), `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1)
	if got := text(t, w.post("/v1/chat/completions", asked)); !strings.Contains(got, `"usage":{"prompt_tokens":5`) || !strings.Contains(got, `"usage":null`) {
		t.Errorf("who asks gets them: %s", got)
	}
}

// A stream that is cut has used what it said so far.
func TestUseOfABrokenStream(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"data":[{"id":"sim-claude-sonnet"}]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}}\n\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(up.Close)
	w := newWorld(t, up.URL)
	text(t, w.post("/v1/messages", message("x", true)))
	if u := w.use(); u != (tenure.ModelUse{Input: 12, Output: 1}) {
		t.Errorf("%+v", u)
	}
}
