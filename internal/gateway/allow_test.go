package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// listed are the models that a client of OpenAI's is told of.
func (w *world) listed() []string {
	w.t.Helper()
	res, err := http.Get(w.url + "/v1/models")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var list struct{ Data []struct{ ID string } }
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		w.t.Fatal(err)
	}
	ids := []string{}
	for _, m := range list.Data {
		ids = append(ids, m.ID)
	}
	return ids
}

func ask(model string) string {
	return `{"model":"` + model + `","max_tokens":9,"input":"hi","messages":[{"role":"user","content":"hi"}]}`
}

// The token and its workspace must both allow a model; what they do not allow does
// not exist, whichever way it is written.
func TestModelsThatAreAllowed(t *testing.T) {
	_, rec, up := simulate(t)
	w := newWorld(t, up)
	both := []string{"sim-gpt-4o", "sim-gpt-4o-mini"}
	for name, c := range map[string]struct {
		token, space tenure.Models
		listed       []string
		refused      []string
	}{
		"any":               {tenure.Models{"*"}, tenure.Models{"*"}, both, nil},
		"the token's":       {tenure.Models{"sim-gpt-4o"}, tenure.Models{"*"}, both[:1], []string{"sim-gpt-4o-mini", "up/sim-gpt-4o-mini"}},
		"the workspace's":   {tenure.Models{"*"}, tenure.Models{"*-mini"}, both[1:], []string{"sim-gpt-4o", "up/sim-gpt-4o"}},
		"the provider's":    {tenure.Models{"up/*"}, tenure.Models{"*"}, both, nil},
		"another's":         {tenure.Models{"claude/*"}, tenure.Models{"*"}, nil, append(both, "up/sim-gpt-4o", "claude/sim-gpt-4o")},
		"what both allow":   {tenure.Models{"sim-*", "x"}, tenure.Models{"up/*4o", "y"}, both[:1], both[1:]},
		"what either does":  {tenure.Models{"sim-gpt-4o"}, tenure.Models{"sim-gpt-4o-mini"}, nil, both},
		"no token's":        {nil, tenure.Models{"*"}, nil, append(both, "up/sim-gpt-4o", "*", "")},
		"no workspace's":    {tenure.Models{"*"}, tenure.Models{}, nil, both},
		"case":              {tenure.Models{"sim-gpt-4o"}, tenure.Models{"*"}, both[:1], []string{"SIM-GPT-4O", "Up/sim-gpt-4o", "up/SIM-gpt-4o"}},
		"a written pattern": {tenure.Models{"sim-gpt-4o"}, tenure.Models{"*"}, both[:1], []string{"sim-*", "up/*", "up/up/sim-gpt-4o", "sim-gpt-4o/"}},
	} {
		w.set(func(s *tenure.Standing) { s.Models, s.SpaceModels = c.token, c.space })
		if got := w.listed(); !slices.Equal(got, c.listed) && len(got)+len(c.listed) > 0 {
			t.Errorf("%s: listed are %v", name, got)
		}
		for _, model := range c.listed {
			for _, path := range []string{"/v1/chat/completions", "/v1/responses", "/v1/embeddings"} {
				if res := w.post(path, ask(model)); res.StatusCode != 200 {
					t.Errorf("%s: %s on %s: %d %s", name, model, path, res.StatusCode, text(t, res))
				}
			}
			if res := w.post("/v1/chat/completions", ask("up/"+model)); res.StatusCode != 200 {
				t.Errorf("%s: up/%s: %d %s", name, model, res.StatusCode, text(t, res))
			}
		}
		sent := rec.len()
		for _, model := range c.refused {
			for _, path := range []string{"/v1/chat/completions", "/v1/responses", "/v1/embeddings"} {
				res := w.post(path, ask(model))
				if got := text(t, res); res.StatusCode != 404 && model != "" || !strings.Contains(got, "model_not_found") && model != "" || strings.Contains(got, "You said") {
					t.Errorf("%s: %s on %s: %d %s", name, model, path, res.StatusCode, got)
				}
			}
			if res := w.get("/v1/models/" + model); model != "" && res.StatusCode != 404 {
				t.Errorf("%s: %s can be read about: %d", name, model, res.StatusCode)
			}
		}
		if now := rec.len(); now != sent {
			t.Errorf("%s: %d refused requests reached the provider", name, now-sent)
		}
	}
}

// What is said of a model that is not allowed is what is said of one that nobody
// has, in both protocols.
func TestNotAllowedIsNotThere(t *testing.T) {
	_, _, up := simulate(t)
	w := newWorld(t, up)
	w.set(func(s *tenure.Standing) { s.Models = tenure.Models{"sim-gpt-4o"} })
	for _, c := range []struct{ path, hidden string }{
		{"/v1/chat/completions", "sim-gpt-4o-mini"},
		{"/v1/chat/completions", "sim-claude-haiku"}, // of the other protocol: not told either
		{"/v1/responses", "sim-gpt-4o-mini"},
		{"/v1/embeddings", "sim-gpt-4o-mini"},
		{"/v1/messages", "sim-claude-sonnet"},
		{"/v1/messages", "sim-gpt-4o-mini"},
	} {
		say := func(model string) string {
			res := w.post(c.path, ask(model))
			if res.StatusCode != 404 {
				t.Errorf("%s, %s: %d", c.path, model, res.StatusCode)
			}
			return strings.ReplaceAll(text(t, res), model, "M")
		}
		if a, b := say(c.hidden), say("no-such-model"); a != b || !strings.Contains(a, "GET /v1/models") {
			t.Errorf("%s: of %s is said %s, of what is not there %s", c.path, c.hidden, a, b)
		}
	}
}

// A provider whose list cannot be had is asked for what is allowed and for nothing
// else.
func TestAllowedWithoutAList(t *testing.T) {
	sim, rec, _ := simulate(t)
	w := newWorld(t, unlisted(t, sim.Handler()))
	w.set(func(s *tenure.Standing) { s.Models = tenure.Models{"up/sim-gpt-4o"} })
	if res := w.post("/v1/chat/completions", ask("sim-gpt-4o")); res.StatusCode != 200 {
		t.Errorf("%d %s", res.StatusCode, text(t, res))
	}
	sent := rec.len()
	for _, model := range []string{"sim-gpt-4o-mini", "up/sim-gpt-4o-mini", "up/up/sim-gpt-4o", "SIM-GPT-4O"} {
		if res := w.post("/v1/chat/completions", ask(model)); res.StatusCode != 404 {
			t.Errorf("%s: %d %s", model, res.StatusCode, text(t, res))
		}
	}
	if now := rec.len(); now != sent {
		t.Errorf("%d refused requests reached the provider", now-sent)
	}
}

// Of two providers that have a model, the one that is allowed is asked.
func TestTheAllowedOfTwoProviders(t *testing.T) {
	_, rec, up := simulate(t)
	_, other, second := simulate(t)
	w := newWorld(t, up)
	w.add(vault.Spec{Name: "zweiter", Kind: tenure.OpenAI, BaseURL: second + "/v1", Key: tenure.NewSecret(providerKey)})
	w.set(func(s *tenure.Standing) { s.SpaceModels = tenure.Models{"zweiter/*"} })
	if res := w.post("/v1/chat/completions", ask("sim-gpt-4o")); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, text(t, res))
	}
	if rec.last("/v1/chat/completions").Path != "" || other.last("/v1/chat/completions").Path == "" {
		t.Error("the provider that is not allowed was asked")
	}
}

// A token of one workspace never uses a provider of another, whatever it writes.
func TestProvidersOfAnotherWorkspace(t *testing.T) {
	_, rec, up := simulate(t)
	w := newWorld(t, up)
	if res := w.post("/v1/chat/completions", ask("up/sim-gpt-4o")); res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	sent := rec.len()
	for name, alter := range map[string]func(*tenure.Standing){
		"workspace": func(s *tenure.Standing) { s.Workspace = "wsp_other" },
		"tenant":    func(s *tenure.Standing) { s.Tenant, s.Workspace = "ten_other", "wsp_others" },
	} {
		w.set(alter)
		for _, model := range []string{"sim-gpt-4o", "up/sim-gpt-4o", "default/up/sim-gpt-4o", "claude/sim-claude-sonnet"} {
			for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"} {
				if res := w.post(path, ask(model)); res.StatusCode != 404 || !strings.Contains(text(t, res), "no_provider") {
					t.Errorf("another %s, %s on %s: %d", name, model, path, res.StatusCode)
				}
			}
		}
		if got := w.listed(); len(got) > 0 {
			t.Errorf("another %s lists %v", name, got)
		}
	}
	if now := rec.len(); now != sent {
		t.Errorf("%d requests of others reached the provider", now-sent)
	}
}

// A stream goes on as long as its model is allowed, and no longer.
func TestNarrowedInMidStream(t *testing.T) {
	_, _, up := simulate(t)
	w := newWorld(t, up)
	for path, body := range map[string]string{
		"/v1/chat/completions": chat("count to 3000 every 5ms", true),
		"/v1/responses":        response("count to 3000 every 5ms", true),
		"/v1/messages":         message("count to 3000 every 5ms", true),
	} {
		w.set(func(*tenure.Standing) {})
		_, r := w.events(path, body)
		change := store.Change{Kind: "workspace", ID: string(tenure.DefaultWorkspace)}
		w.set(func(s *tenure.Standing) { s.SpaceModels = tenure.Models{"claude/*", "up/sim-gpt-4o"} })
		w.live.Changed(context.Background(), change)
		if line, err := r.ReadString('\n'); err != nil || strings.Contains(line, "access_revoked") {
			t.Errorf("%s: cut although its model is allowed: %q, %v", path, line, err)
		}
		w.set(func(s *tenure.Standing) { s.SpaceModels = tenure.Models{"sim-gpt-4o-mini"} })
		began := time.Now()
		w.live.Changed(context.Background(), change)
		rest, err := io.ReadAll(r)
		if err != nil || !strings.Contains(string(rest), "access_revoked") || time.Since(began) > time.Second {
			t.Errorf("%s: ended after %v with %.200q, %v", path, time.Since(began), rest, err)
		}
	}
	eventually(t, "all leave", func() bool { return w.live.Open() == 0 })
}

// A list that is narrowed while a request is still being sent counts for it,
// though it was let in before.
func TestNarrowedWhileSending(t *testing.T) {
	_, rec, up := simulate(t)
	w := newWorld(t, up)
	if res := w.post("/v1/chat/completions", ask("sim-gpt-4o")); res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	sent := rec.len()
	r, body := io.Pipe()
	answer := make(chan *http.Response)
	go func() {
		res, err := http.Post(w.url+"/v1/chat/completions", "application/json", r)
		if err != nil {
			t.Error(err)
		}
		answer <- res
	}()
	eventually(t, "the request is in the register", func() bool { return w.live.Open() == 1 })
	w.set(func(s *tenure.Standing) { s.Models = tenure.Models{"other"} })
	w.live.Changed(context.Background(), store.Change{Kind: "token", ID: "t"})
	_, _ = io.WriteString(body, ask("sim-gpt-4o"))
	_ = body.Close()
	res := <-answer
	defer func() { _ = res.Body.Close() }()
	if got := text(t, res); res.StatusCode != 404 || !strings.Contains(got, "model_not_found") || !strings.Contains(got, "sim-gpt-4o") {
		t.Errorf("%d %s", res.StatusCode, got)
	}
	if rec.len() != sent {
		t.Error("the request reached the provider")
	}
}

// The error event of the Responses API is whole, and numbered after the others.
func TestErrorEventOfResponses(t *testing.T) {
	_, _, up := simulate(t)
	w := newWorld(t, up)
	_, r := w.events("/v1/responses", response("count to 3000 every 5ms", true))
	if n := w.live.Cut(store.Change{Kind: "policy"}, live.Tenant(tenure.DefaultTenant), tenure.ErrRevoked); n != 1 {
		t.Fatalf("%d cut", n)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var last struct {
		Type, Code, Message string
		Sequence            int `json:"sequence_number"`
		Error               struct{ Code string }
	}
	_, data, _ := strings.Cut(string(rest[strings.LastIndex(string(rest), "event: error"):]), "data: ")
	if err := json.Unmarshal([]byte(data), &last); err != nil || last.Type != "error" || last.Code != "access_revoked" || last.Error.Code != last.Code || last.Message == "" {
		t.Errorf("%s: %+v, %v", data, last, err)
	}
	before := strings.Count(string(rest), "data: ") // of which one is the error, and one was read by events
	if last.Sequence != before-1 && last.Sequence != before {
		t.Errorf("the error is event %d after %d", last.Sequence, before)
	}
}

func (w *world) get(path string) *http.Response {
	w.t.Helper()
	res, err := http.Get(w.url + path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// add gives the workspace one more provider.
func (w *world) add(spec vault.Spec) {
	w.t.Helper()
	if _, err := w.vault.Add(context.Background(), w.operator(), spec); err != nil {
		w.t.Fatal(err)
	}
}

// unlisted is a provider that lists no models.
func unlisted(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// len is how many requests for an answer have come.
func (r *recorded) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, q := range r.all {
		if q.Method == http.MethodPost {
			n++
		}
	}
	return n
}
