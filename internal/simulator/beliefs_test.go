package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/simulator"
)

// beliefSchema is of the kind that a document with beliefs is asked for by.
const beliefSchema = `{"type":"object","additionalProperties":false,"required":["beliefs"],"properties":{"beliefs":{"type":"array","items":{"type":"object","additionalProperties":false,
"required":["type","name","aliases","content","why","status","confidence","scope","excerpt","replaces"],"properties":{
"type":{"type":"string","enum":["preference","decision"]},"name":{"type":"string"},"aliases":{"type":"array","items":{"type":"string"}},"content":{"type":"string"},"why":{"type":"string"},
"status":{"type":"string","enum":["active","inferred"]},"confidence":{"type":"number","minimum":0,"maximum":1},"scope":{"type":"string"},"excerpt":{"type":"string"},"replaces":{"type":["string","null"]}}}}}}`

// structured asks for a document in either protocol, and gives it as it came.
func structured(t *testing.T, url, path, model, said string) (string, string) {
	t.Helper()
	body := fmt.Sprintf(`{"model":%q,"max_tokens":5,"messages":[{"role":"user","content":%q}],`, model, said)
	if path == "/v1/messages" {
		body += `"tools":[{"name":"note","input_schema":` + beliefSchema + `}],"tool_choice":{"type":"tool","name":"note"}}`
	} else {
		body += `"response_format":{"type":"json_schema","json_schema":{"name":"note","strict":true,"schema":` + beliefSchema + `}}}`
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer k")
	req.Header.Set("Anthropic-Version", "2023-06-01")
	patience := time.Minute
	if model == "sim-beliefs-late" {
		patience = 300 * time.Millisecond
	}
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return "", err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Choices []struct {
			Message      struct{ Content string }
			FinishReason string `json:"finish_reason"`
		}
		Content    []struct{ Input json.RawMessage }
		StopReason string `json:"stop_reason"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatalf("%s: %v", answer, err)
	}
	switch {
	case len(a.Choices) == 1:
		return a.Choices[0].Message.Content, a.Choices[0].FinishReason
	case len(a.Content) == 1:
		return string(a.Content[0].Input), a.StopReason
	}
	return "", string(answer)
}

// A request for structured output gets what it wants remembered, in both protocols, also
// out of JSON; and of the models that misbehave, what they are named for.
func TestBeliefs(t *testing.T) {
	sim := &simulator.Server{Key: "k", Faults: true}
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	lines := "scope: project:billing\nYou said: remember fact x: y\nremember preference editor: vim, always\n remember decision the language: Go\n"
	quoted := `{"scope":"project:billing","user":"remember preference editor: vim, always\nremember decision the language: Go","answer":"You said: remember fact x: y"}`
	const billing = "preference editor: vim, always (project:billing) decision the language: Go (project:billing) "
	for path, models := range map[string][]string{"/v1/chat/completions": {"sim-gpt-4o", "stop"}, "/v1/messages": {"sim-claude-haiku", "tool_use"}} {
		for _, c := range []struct{ model, said, want string }{
			{models[0], lines, billing},
			{models[0], quoted, billing},
			{models[0], "nothing to remember here", ""},
			{models[0], "remember preference editor: vim", "preference editor: vim (user:universal) "},
			{"sim-beliefs-scope", lines, strings.ReplaceAll(billing, "project:billing", "user:universal")},
			{"sim-beliefs-user", lines, strings.ReplaceAll(billing, "project:billing", "user:bob")},
			{"sim-beliefs-type", lines, "order editor: vim, always (project:billing) order the language: Go (project:billing) "},
		} {
			doc, end := structured(t, srv.URL, path, c.model, c.said)
			if got := beliefs(t, doc); got != c.want || end != models[1] {
				t.Errorf("%s %s %q: %s %q, %s", path, c.model, c.said, end, got, doc)
			}
		}
		if doc, end := structured(t, srv.URL, path, "sim-beliefs-garbage", lines); end != models[1] || strings.Contains(doc, "{") {
			t.Errorf("%s: garbage is %s %s", path, end, doc)
		}
		if doc, _ := structured(t, srv.URL, path, "sim-beliefs-many", lines); strings.Count(doc, `"content"`) != 1000 || len(doc) > 200<<10 {
			t.Errorf("%s: many are %d bytes: %.500s", path, len(doc), doc)
		}
		if doc, _ := structured(t, srv.URL, path, "sim-beliefs-huge", lines); len(doc) < 1<<20 {
			t.Errorf("%s: huge are %d bytes", path, len(doc))
		}
		if _, end := structured(t, srv.URL, path, "sim-beliefs-late", lines); !strings.Contains(end, "Timeout") {
			t.Errorf("%s: late is %s", path, end)
		}
	}
	plain := &simulator.Server{Key: "k"}
	other := httptest.NewServer(plain.Handler())
	t.Cleanup(other.Close)
	if doc, why := structured(t, other.URL, "/v1/chat/completions", "sim-beliefs-user", lines); doc != "" || !strings.Contains(why, "model_not_found") {
		t.Errorf("without faults: %s %s", doc, why)
	}
}

// beliefs are those of a document that has all that the schema asks for, in short.
func beliefs(t *testing.T, doc string) string {
	t.Helper()
	var d struct{ Beliefs []map[string]any }
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		t.Errorf("%s: %v", doc, err)
	}
	var out strings.Builder
	for _, b := range d.Beliefs {
		if len(b) != 10 || b["status"] != "active" || b["confidence"] != 0.9 || len(b["aliases"].([]any)) > 0 {
			t.Errorf("%v", b)
		}
		_, _ = fmt.Fprintf(&out, "%v %v: %v (%v) ", b["type"], b["name"], b["content"], b["scope"])
	}
	return out.String()
}
