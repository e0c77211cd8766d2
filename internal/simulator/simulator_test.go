package simulator_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/simulator"
)

// key is what the providers of these tests demand.
const key = "sk-simulated-provider-key-1234"

// serve runs s behind a real listener until the test ends.
func serve(t *testing.T, s *simulator.Server) string {
	t.Helper()
	if s.Key == "" {
		s.Key = key
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// as are the headers of a caller of each protocol.
func asOpenAI() http.Header { return http.Header{"Authorization": {"Bearer " + key}} }

func asAnthropic() http.Header {
	return http.Header{"X-Api-Key": {key}, "Anthropic-Version": {"2023-06-01"}}
}

// call makes a request; the caller closes the answer's body. It follows no
// redirect.
func call(ctx context.Context, t *testing.T, method, url string, header http.Header, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(client.CloseIdleConnections)
	return client.Do(req)
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	body   string
}

// do makes a request and reads the answer to its end.
func do(t *testing.T, method, url string, header http.Header, body string) reply {
	t.Helper()
	res, err := call(t.Context(), t, method, url, header, body)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read answer: %v after %q", err, raw)
	}
	return reply{res.StatusCode, res.Header, string(raw)}
}

// want fails the test unless got is the JSON want. In want, the string "*"
// stands for any value.
func want(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("answer is not JSON: %v: %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("wanted answer is not JSON: %v: %s", err, want)
	}
	if !same(g, w) {
		t.Fatalf("answer\n  %s\nwant\n  %s", got, want)
	}
}

func same(g, w any) bool {
	if w == "*" {
		return g != nil
	}
	switch w := w.(type) {
	case map[string]any:
		g, ok := g.(map[string]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for name := range w {
			if value, ok := g[name]; !ok || !same(value, w[name]) {
				return false
			}
		}
		return true
	case []any:
		g, ok := g.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !same(g[i], w[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(g, w)
}

// event is one server-sent event.
type event struct{ name, data string }

// events splits a stream, which must be whole events.
func events(t *testing.T, body string) []event {
	t.Helper()
	if !strings.HasSuffix(body, "\n\n") {
		t.Fatalf("stream does not end with an event: %q", body)
	}
	var list []event
	for block := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		var e event
		for line := range strings.SplitSeq(block, "\n") {
			field, value, _ := strings.Cut(line, ": ")
			switch field {
			case "event":
				e.name = value
			case "data":
				e.data = value
			default:
				t.Fatalf("unexpected line %q in stream", line)
			}
		}
		list = append(list, e)
	}
	return list
}

// wait polls until ok.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestKey(t *testing.T) {
	url := serve(t, &simulator.Server{})
	none := serve(t, &simulator.Server{Key: ""}) // serve sets key
	keyless := httptest.NewServer((&simulator.Server{}).Handler())
	defer keyless.Close()

	openAI401 := `{"error":{"message":"*","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`
	anthropic401 := `{"type":"error","error":{"type":"authentication_error","message":"*"},"request_id":"*"}`
	bearer := func(k string) http.Header { return http.Header{"Authorization": {"Bearer " + k}} }
	tests := []struct {
		name, url, path string
		header          http.Header
		body            string // empty is a 200
	}{
		{"openai right", url, "/v1/models", bearer(key), ""},
		{"openai lower case scheme", url, "/v1/models", http.Header{"Authorization": {"bearer " + key}}, ""},
		{"openai missing", url, "/v1/models", http.Header{}, openAI401},
		{"openai wrong", url, "/v1/models", bearer("sk-other"), openAI401},
		{"openai prefix", url, "/v1/models", bearer(key[:len(key)-1]), openAI401},
		{"openai basic", url, "/v1/models", http.Header{"Authorization": {"Basic " + key}}, openAI401},
		{"anthropic right", url, "/v1/models", http.Header{"X-Api-Key": {key}}, ""},
		{
			"anthropic bearer", url, "/v1/models",
			http.Header{"Authorization": {"Bearer " + key}, "Anthropic-Version": {"2023-06-01"}},
			"",
		},
		{"anthropic missing", url, "/v1/models", http.Header{"Anthropic-Version": {"2023-06-01"}}, anthropic401},
		{
			"anthropic wrong key beside right bearer", url, "/v1/models",
			http.Header{"X-Api-Key": {"other"}, "Authorization": {"Bearer " + key}},
			anthropic401,
		},
		{"unknown path without key", url, "/v1/nothing", http.Header{}, openAI401},
		{"default", none, "/v1/models", bearer(key), ""},
		{"server without key, none sent", keyless.URL, "/v1/models", http.Header{}, openAI401},
		{"server without key, one sent", keyless.URL, "/v1/models", bearer("x"), openAI401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, "GET", tt.url+tt.path, tt.header, "")
			if tt.body == "" {
				if got.status != 200 {
					t.Fatalf("status %d: %s", got.status, got.body)
				}
				return
			}
			if got.status != 401 {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			want(t, got.body, tt.body)
			if sent := tt.header.Get("Authorization"); strings.Contains(got.body, key) || sent != "" && strings.Contains(got.body, sent) {
				t.Fatalf("the refusal shows a key: %s", got.body)
			}
		})
	}
}

func TestModels(t *testing.T) {
	url := serve(t, &simulator.Server{})
	few := serve(t, &simulator.Server{AnthropicModels: []string{"a", "b", "c"}, OpenAIModels: []string{}})

	gpt := func(id string) string {
		return `{"id":"` + id + `","object":"model","created":1735689600,"owned_by":"simulator"}`
	}
	claude := func(id, name string) string {
		return `{"type":"model","id":"` + id + `","display_name":"` + name + `","created_at":"2025-01-01T00:00:00Z",` +
			`"capabilities":null,"lifecycle":"active","deprecated_at":null,"retires_at":null,"line":null,"max_input_tokens":null,"max_tokens":null}`
	}
	sonnet, haiku := claude("sim-claude-sonnet", "Sim Claude Sonnet"), claude("sim-claude-haiku", "Sim Claude Haiku")
	a, b, c := claude("a", "A"), claude("b", "B"), claude("c", "C")
	list := func(first, last, more string, data ...string) string {
		return `{"data":[` + strings.Join(data, ",") + `],"has_more":` + more + `,"first_id":` + first + `,"last_id":` + last + `}`
	}
	notFound := `{"type":"error","error":{"type":"not_found_error","message":"model: sim-gpt-4o"},"request_id":"*"}`
	invalid := `{"type":"error","error":{"type":"invalid_request_error","message":"*"},"request_id":"*"}`
	tests := []struct {
		name, url string
		header    http.Header
		status    int
		body      string
	}{
		{
			"openai list", url + "/v1/models", asOpenAI(), 200,
			`{"object":"list","data":[` + gpt("sim-gpt-4o") + `,` + gpt("sim-gpt-4o-mini") + `]}`,
		},
		{"openai empty list", few + "/v1/models", asOpenAI(), 200, `{"object":"list","data":[]}`},
		{"openai one", url + "/v1/models/sim-gpt-4o", asOpenAI(), 200, gpt("sim-gpt-4o")},
		{
			"openai unknown", url + "/v1/models/sim-claude-haiku", asOpenAI(), 404,
			`{"error":{"message":"*","type":"invalid_request_error","param":null,"code":"model_not_found"}}`,
		},
		{
			"anthropic list", url + "/v1/models", asAnthropic(), 200,
			list(`"sim-claude-sonnet"`, `"sim-claude-haiku"`, "false", sonnet, haiku),
		},
		{
			"anthropic by version", url + "/v1/models/sim-claude-haiku",
			http.Header{"Authorization": {"Bearer " + key}, "Anthropic-Version": {"2023-06-01"}},
			200, haiku,
		},
		{"anthropic unknown", url + "/v1/models/sim-gpt-4o", asAnthropic(), 404, notFound},
		{"first page", few + "/v1/models?limit=2", asAnthropic(), 200, list(`"a"`, `"b"`, "true", a, b)},
		{"next page", few + "/v1/models?limit=2&after_id=b", asAnthropic(), 200, list(`"c"`, `"c"`, "false", c)},
		{"past the end", few + "/v1/models?after_id=c", asAnthropic(), 200, list("null", "null", "false")},
		{"page before", few + "/v1/models?limit=1&before_id=c", asAnthropic(), 200, list(`"b"`, `"b"`, "true", b)},
		{"limit 0", few + "/v1/models?limit=0", asAnthropic(), 400, invalid},
		{"limit 1001", few + "/v1/models?limit=1001", asAnthropic(), 400, invalid},
		{"unknown cursor", few + "/v1/models?after_id=x", asAnthropic(), 400, invalid},
		{"both cursors", few + "/v1/models?after_id=a&before_id=c", asAnthropic(), 400, invalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, "GET", tt.url, tt.header, "")
			if got.status != tt.status {
				t.Fatalf("status %d: %s", got.status, got.body)
			}
			want(t, got.body, tt.body)
		})
	}
}

func TestNowhere(t *testing.T) {
	url := serve(t, &simulator.Server{})
	got := do(t, "GET", url+"/v1/chat/completions", asOpenAI(), "")
	if got.status != 404 {
		t.Fatalf("status %d", got.status)
	}
	want(t, got.body, `{"error":{"message":"Invalid URL (GET /v1/chat/completions)","type":"invalid_request_error","param":null,"code":null}}`)
	got = do(t, "POST", url+"/v1/complete", asAnthropic(), "{}")
	if got.status != 404 {
		t.Fatalf("status %d", got.status)
	}
	want(t, got.body, `{"type":"error","error":{"type":"not_found_error","message":"Not found"},"request_id":"*"}`)
}

func TestBodyTooLarge(t *testing.T) {
	url := serve(t, &simulator.Server{})
	large := strings.Repeat(" ", 32<<20+1)
	got := do(t, "POST", url+"/v1/messages", asAnthropic(), large)
	if got.status != 413 || !strings.Contains(got.body, `"request_too_large"`) {
		t.Fatalf("%d %s", got.status, got.body)
	}
}

func TestLog(t *testing.T) {
	seen := make(chan simulator.Request, 4)
	url := serve(t, &simulator.Server{Log: func(r simulator.Request) { seen <- r }})
	header := asOpenAI()
	header.Set("X-Extra", "1")
	do(t, "POST", url+"/v1/chat/completions?beta=true", header, `{"model":"x"}`)
	got := <-seen
	if got.Method != "POST" || got.Path != "/v1/chat/completions" || got.Query != "beta=true" ||
		string(got.Body) != `{"model":"x"}` || got.Header.Get("Authorization") != "Bearer "+key ||
		got.Header.Get("X-Extra") != "1" || !strings.HasSuffix(url, got.Host) {
		t.Fatalf("logged %+v", got)
	}
	do(t, "GET", url+"/v1/models", http.Header{}, "")
	if got := <-seen; got.Path != "/v1/models" {
		t.Fatalf("a refused request is logged too, got %+v", got)
	}
}

// begin asks and reads that many lines of the answer. The answer stays open until
// ctx ends.
func begin(ctx context.Context, t *testing.T, url string, header http.Header, body string, lines int) error {
	res, err := call(ctx, t, "POST", url, header, body)
	if err != nil {
		return err
	}
	scanner := bufio.NewScanner(res.Body)
	for range lines {
		if !scanner.Scan() {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// TestCancelled shows that an answer stops with its client, streamed or not,
// and that the server tells.
func TestCancelled(t *testing.T) {
	const chat, messages = "/v1/chat/completions", "/v1/messages"
	tests := []struct {
		name, path string
		header     http.Header
		body       string
		reads      int // lines to read before leaving; none for an answer that is not streamed
	}{
		{
			"chat stream", chat, asOpenAI(),
			`{"model":"sim-gpt-4o","stream":true,"messages":[{"role":"user","content":"count to 300 every 20ms"}]}`, 5,
		},
		{
			"chat stream without pause", chat, asOpenAI(),
			`{"model":"sim-gpt-4o","stream":true,"messages":[{"role":"user","content":"count to 100000"}]}`, 5,
		},
		{
			"chat", chat, asOpenAI(),
			`{"model":"sim-gpt-4o","messages":[{"role":"user","content":"count to 300 slowly"}]}`, 0,
		},
		{
			"message stream", messages, asAnthropic(),
			`{"model":"sim-claude-haiku","max_tokens":1000,"stream":true,"messages":[{"role":"user","content":"count to 300, slowly"}]}`, 12,
		},
		{
			"message", messages, asAnthropic(),
			`{"model":"sim-claude-haiku","max_tokens":1000,"messages":[{"role":"user","content":"count to 300, slowly"}]}`, 0,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &simulator.Server{}
			url := serve(t, s)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			done := make(chan error, 1)
			go func() {
				done <- begin(ctx, t, url+tt.path, tt.header, tt.body, tt.reads)
			}()
			wait(t, "one in flight", func() bool { return s.InFlight() == 1 })
			if n := s.Cancelled(); n != 0 {
				t.Fatalf("%d cancelled before the client left", n)
			}
			if tt.reads > 0 { // leave in the middle of the stream
				if err := <-done; err != nil {
					t.Fatal(err)
				}
			}
			leave()
			if tt.reads == 0 {
				if err := <-done; err == nil {
					t.Fatal("answered at once")
				}
			}
			wait(t, "none in flight", func() bool { return s.InFlight() == 0 })
			if n := s.Cancelled(); n != 1 {
				t.Fatalf("%d cancelled, want 1", n)
			}
		})
	}
}

// TestFlush shows that every chunk is on the wire before the next is made.
func TestFlush(t *testing.T) {
	url := serve(t, &simulator.Server{ChunkEvery: time.Hour})
	res, err := call(t.Context(), t, "POST", url+"/v1/chat/completions", asOpenAI(),
		`{"model":"sim-gpt-4o","stream":true,"messages":[{"role":"user","content":"count to 2"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), `"content":"1"`) {
			return
		}
	}
	t.Fatal("the first word did not arrive")
}

func TestCompletedIsNotCancelled(t *testing.T) {
	s := &simulator.Server{}
	url := serve(t, s)
	for range 20 {
		do(t, "POST", url+"/v1/chat/completions", asOpenAI(),
			`{"model":"sim-gpt-4o","stream":true,"messages":[{"role":"user","content":"hello"}]}`)
	}
	do(t, "POST", url+"/v1/chat/completions", asOpenAI(), `{`)
	wait(t, "none in flight", func() bool { return s.InFlight() == 0 })
	if n := s.Cancelled(); n != 0 {
		t.Fatalf("%d cancelled", n)
	}
}
