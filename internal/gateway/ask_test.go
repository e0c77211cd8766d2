package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/gateway"
	bounds "github.com/tenure-gateway/tenure/internal/limits"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// question wants a document with one list of beliefs.
func question(model, input string) gateway.Question {
	return gateway.Question{
		ID: "asked-1", Address: "192.0.2.9", Model: model, Instructions: "draw out what holds", Input: input, Name: "beliefs", MaxTokens: 500,
		Schema: json.RawMessage(`{"type":"object","additionalProperties":false,"required":["beliefs"],"properties":{"beliefs":{"type":"array","items":{"type":"object","additionalProperties":false,"required":["name","content"],"properties":{"name":{"type":"string"},"content":{"type":"string"}}}}}}`),
	}
}

func (w *world) ask(q gateway.Question) (gateway.Answer, error) {
	w.t.Helper()
	p, err := w.principal()
	if err != nil {
		w.t.Fatal(err)
	}
	return w.gateway.Ask(w.t.Context(), p, q)
}

// A model is asked from inside on the way of every request: the workspace's provider and
// key, the use counted, one line in the log; and its turn is nobody's.
func TestAsk(t *testing.T) {
	_, rec, up := simulate(t)
	w, turns := listening(t, up, always)
	for _, c := range []struct{ model, path, answered string }{
		{"sim-gpt-4o", "/v1/chat/completions", "up/sim-gpt-4o"},
		{"up/sim-gpt-4o-mini", "/v1/chat/completions", "up/sim-gpt-4o-mini"},
		{"sim-claude-haiku", "/v1/messages", "claude/sim-claude-haiku"},
		{"claude/sim-claude-sonnet", "/v1/messages", "claude/sim-claude-sonnet"},
	} {
		q := question(c.model, "remember preference editor: vim")
		q.ID = tenure.NewID(time.Now())
		a, err := w.ask(q)
		if err != nil || string(a.Document) != `{"beliefs":[{"content":"vim","name":"editor"}]}` || a.Model != c.answered || a.Use.Input != 8 && a.Use.Input != 9 || a.Use.Output == 0 {
			t.Errorf("%s: %s %+v, %v", c.model, a.Document, a, err)
		}
		select {
		case used := <-w.used:
			if used != a.Use {
				t.Errorf("%s: %+v is counted of %+v", c.model, used, a.Use)
			}
		default:
			t.Errorf("%s: nothing is counted", c.model)
		}
		var body struct {
			MaxTokens           int            `json:"max_tokens"`
			MaxCompletionTokens int            `json:"max_completion_tokens"`
			Format              map[string]any `json:"response_format"`
			Choice              map[string]any `json:"tool_choice"`
			Store               *bool
		}
		got := rec.last(c.path)
		if err := json.Unmarshal(got.Body, &body); err != nil {
			t.Fatal(err)
		}
		if body.MaxTokens != 500 || body.MaxCompletionTokens != 0 || body.Store != nil || (c.path == "/v1/messages") != (body.Choice["name"] == "beliefs") || (body.Format["type"] == "json_schema") == (body.Choice != nil) {
			t.Errorf("%s", got.Body)
		}
		if got.Header.Get("Authorization") != "Bearer "+providerKey && got.Header.Get("X-Api-Key") != providerKey {
			t.Errorf("%v", got.Header)
		}
		eventually(t, "one line in the log", func() bool { return strings.Count(w.log.String(), q.ID) == 1 })
		for line := range strings.Lines(w.log.String()) {
			if strings.Contains(line, q.ID) && (!strings.Contains(line, `"route":"POST `+c.path+`"`) || !strings.Contains(line, `"who":"alice"`) || !strings.Contains(line, `"output_tokens":`) || !strings.Contains(line, `"status":200`)) {
				t.Errorf("%s", line)
			}
		}
	}
	if w.live.Open() != 0 || len(turns) > 0 {
		t.Errorf("%d in flight, %d turns", w.live.Open(), len(turns))
	}
	if strings.Contains(w.log.String(), "vim") {
		t.Error("the log has what was asked")
	}
}

// Models that answer garbage, too much and too late.
func TestAskOfModelsThatMisbehave(t *testing.T) {
	_, _, up := simulate(t)
	patient, hasty := newWorldWithin(t, up, unhurried()), newWorld(t, up)
	for _, provider := range []string{"up", "claude"} {
		for model, code := range map[string]string{"garbage": "", "many": "", "huge": "answer_too_large", "late": "provider_timeout"} {
			w := patient
			if model == "late" {
				w = hasty
			}
			a, err := w.ask(question(provider+"/sim-beliefs-"+model, ""))
			if code == "" && (err != nil || len(a.Document) == 0) || code != "" && (tenure.AsError(err).Code != code || a.Document != nil) {
				t.Errorf("%s of %s: %.100s, %v", model, provider, a.Document, err)
			}
		}
	}
	eventually(t, "all leave", func() bool { return patient.live.Open()+hasty.live.Open() == 0 })
}

// unhurried are limits that no machine reaches, however much it has to do.
func unhurried() gateway.Limits {
	l := limits
	l.FirstByteTimeout, l.IdleTimeout, l.BodyTimeout = time.Minute, time.Minute, time.Minute
	return l
}

// An answer counts that ends as it has to.
func TestAskForWholeAnswers(t *testing.T) {
	up := script(t)
	w := newWorld(t, up.url)
	for model, answers := range map[string]map[string]string{
		"up/m": {
			`{"choices":[{"finish_reason":"stop","message":{"content":"{}"}}]}`:                "",
			`{"choices":[{"finish_reason":"length","message":{"content":"{}"}}]}`:              "answer_truncated",
			`{"choices":[{"finish_reason":"content_filter","message":{"content":""}}]}`:        "answer_filtered",
			`{"choices":[{"finish_reason":"stop","message":{"content":null,"refusal":"no"}}]}`: "answer_refused",
			`{"choices":[{"finish_reason":"tool_calls","message":{"content":null}}]}`:          "answer_unreadable",
			`{"choices":[]}`: "answer_unreadable",
			`<html>`:         "answer_unreadable",
			"":               "answer_unreadable",
		},
		"claude/m": {
			`{"stop_reason":"tool_use","content":[{"type":"text","text":"so"},{"type":"tool_use","name":"beliefs","input":{}}]}`: "",
			`{"stop_reason":"max_tokens","content":[{"type":"tool_use","name":"beliefs","input":{}}]}`:                           "answer_truncated",
			`{"stop_reason":"refusal","content":[]}`:                                                      "answer_refused",
			`{"stop_reason":"end_turn","content":[{"type":"text","text":"{}"}]}`:                          "answer_unreadable",
			`{"stop_reason":"tool_use","content":[{"type":"tool_use","name":"another","input":{"a":1}}]}`: "answer_unreadable",
			`[]`: "answer_unreadable",
		},
	} {
		for answer, code := range answers {
			up.Store(&reply{"application/json", answer, 7, ""})
			a, err := w.ask(question(model, "hi"))
			if code == "" && (err != nil || string(a.Document) != "{}") || code != "" && (tenure.AsError(err).Code != code || a.Document != nil || !tenure.IsKind(err, tenure.BadGateway)) {
				t.Errorf("%s: %q, %v; want %q", answer, a.Document, err, code)
			}
		}
	}
}

// Whoever is asked for is held to what holds of their own requests.
func TestAskIsRefused(t *testing.T) {
	_, rec, up := simulate(t)
	w := newWorld(t, up)
	for name, c := range map[string]struct {
		alter func(*tenure.Standing)
		model string
		code  string
	}{
		"a model that is not allowed":      {func(s *tenure.Standing) { s.Models = tenure.Models{"sim-claude*"} }, "sim-gpt-4o", "model_not_found"},
		"nor in the workspace":             {func(s *tenure.Standing) { s.SpaceModels = tenure.Models{"up/*"} }, "sim-claude-haiku", "model_not_found"},
		"a model that nobody has":          {nil, "nope", "model_not_found"},
		"no name":                          {nil, "", "missing_model"},
		"a token without the scope":        {func(s *tenure.Standing) { s.Scopes = tenure.ScopeMessages }, "sim-gpt-4o", "insufficient_scope"},
		"without the other":                {func(s *tenure.Standing) { s.Scopes = tenure.ScopeChat }, "sim-claude-haiku", "insufficient_scope"},
		"a browser":                        {func(s *tenure.Standing) { s.Kind, s.Session = tenure.BrowserSession, "s" }, "sim-gpt-4o", "insufficient_scope"},
		"a provider that fails":            {nil, "sim-gpt-4o", "provider_failed"},
		"a provider that refuses its key":  {nil, "sim-gpt-4o", "provider_refused_key"},
		"a provider that has had too much": {nil, "sim-claude-haiku", "provider_failed"},
	} {
		say := map[string]string{"a provider that fails": "fail 500", "a provider that refuses its key": "fail 401", "a provider that has had too much": "fail 429"}[name]
		w.set(func(s *tenure.Standing) {
			if c.alter != nil {
				c.alter(s)
			}
		})
		before := len(rec.list())
		a, err := w.ask(question(c.model, say))
		if e := tenure.AsError(err); e.Code != c.code || a.Document != nil || strings.Contains(e.Error(), providerKey) {
			t.Errorf("%s: %+v", name, e)
		} else if say == "fail 429" && (e.Kind != tenure.TooMany || e.RetryAfter != time.Second) {
			t.Errorf("when to come again: %+v", e)
		}
		if asked := rec.list()[before:]; say == "" && len(asked) > 0 && !strings.HasSuffix(asked[0].Path, "/models") {
			t.Errorf("%s: the provider was asked: %s", name, asked[0].Body)
		}
	}
}

// What a limit leaves holds for what is asked from inside, and so does the room of one
// person.
func TestAskWithinLimits(t *testing.T) {
	sim, _, up := simulate(t)
	one := unhurried()
	one.MaxPerOwner = 1
	w := newWorldWithin(t, up, one)
	use := &store.ModelUse{DB: w.vault.DB}
	w.gateway.Bounds = bounds.New(w.vault.DB, w.live, use, bounds.NewMetrics(prometheus.NewRegistry()))
	limit := tenure.UsageLimit{
		ID: tenure.LimitID(tenure.NewID(time.Now())), Tenant: tenure.DefaultTenant, Kind: tenure.LimitUser, Subject: "u",
		Bounds: tenure.UsageBounds{RequestsPerMinute: 2, TokensPerDay: 1000}, CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
	everywhere := tenure.Everywhere(t.Context())
	if err := w.vault.DB.Tx(everywhere, func(ctx context.Context, tx *store.Tx) error { return tx.InsertLimit(ctx, limit) }); err != nil {
		t.Fatal(err)
	}
	if err := use.Flush(everywhere); err != nil {
		t.Fatal(err)
	}
	res, _ := w.events("/v1/chat/completions", chat("count to 3000 every 5ms", true))
	if _, err := w.ask(question("sim-gpt-4o", "hi")); tenure.AsError(err).Code != "rate_limit_exceeded" {
		t.Errorf("beside another request: %v", err)
	}
	_ = res.Body.Close()
	eventually(t, "it leaves", func() bool { return w.live.Open() == 0 && sim.InFlight() == 0 })
	if _, err := w.ask(question("sim-gpt-4o", "hi")); err != nil {
		t.Errorf("the second in the minute: %v", err)
	}
	if _, err := w.ask(question("sim-gpt-4o", "hi")); tenure.AsError(err).Code != bounds.CodeRate || tenure.AsError(err).RetryAfter == 0 {
		t.Errorf("the third in the minute: %v", err)
	}
	p, err := w.principal()
	if err != nil {
		t.Fatal(err)
	}
	use.Note(p, store.AskedModel{Name: "up", Model: "m"}, time.Now(), tenure.ModelUse{Input: 1000})
	if _, err := w.ask(question("sim-gpt-4o", "hi")); tenure.AsError(err).Code != bounds.CodeQuota {
		t.Errorf("over budget: %v", err)
	}
}

// Who loses access while they are asked for gets no answer, before its first byte and
// after; and whoever asks may give up.
func TestAskIsCut(t *testing.T) {
	sim, _, up := simulate(t)
	w := newWorldWithin(t, up, unhurried())
	for say, cut := range map[string]func(context.CancelFunc) string{
		"hang": func(context.CancelFunc) string {
			w.live.Cut(store.Change{}, live.User("u"), tenure.ErrRevoked)
			return "access_revoked"
		},
		"hang please": func(stop context.CancelFunc) string {
			stop()
			return "client_closed"
		},
	} {
		ctx, stop := context.WithCancel(t.Context())
		p, err := w.principal()
		if err != nil {
			t.Fatal(err)
		}
		result := make(chan error, 1)
		go func() {
			_, err := w.gateway.Ask(ctx, p, question("sim-claude-haiku", say))
			result <- err
		}()
		eventually(t, "the provider is asked", func() bool { return sim.InFlight() == 1 })
		want := cut(stop)
		if err := <-result; tenure.AsError(err).Code != want {
			t.Errorf("%s: %v, want %s", say, err, want)
		}
		eventually(t, "it leaves", func() bool { return w.live.Open() == 0 && sim.InFlight() == 0 })
		stop()
	}
	half := &reply{"application/json", `{"stop_reason":"tool_use","content":[`, 5, ""}
	begun, slow := make(chan struct{}), script(t)
	slow.Store(half)
	slow.then = func(r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}
	w = newWorldWithin(t, slow.url, unhurried())
	go func() {
		<-begun
		w.live.Cut(store.Change{}, live.Token("t"), tenure.ErrRevoked)
	}()
	if a, err := w.ask(question("claude/m", "hi")); tenure.AsError(err).Code != "access_revoked" || a.Document != nil {
		t.Errorf("in the middle: %s, %v", a.Document, err)
	}
	// A principal that was admitted before its end is looked at again.
	w = newWorld(t, up)
	p, err := w.principal()
	if err != nil {
		t.Fatal(err)
	}
	w.set(func(s *tenure.Standing) { s.Ended = true })
	w.live.Cut(store.Change{}, live.Token("t"), tenure.ErrRevoked)
	if _, err := w.gateway.Ask(t.Context(), p, question("sim-gpt-4o", "hi")); !tenure.IsKind(err, tenure.Unauthenticated) {
		t.Errorf("after its end: %v", err)
	}
	if _, err := w.gateway.Ask(t.Context(), tenure.Principal{}, question("sim-gpt-4o", "hi")); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("as nobody: %v", err)
	}
}
