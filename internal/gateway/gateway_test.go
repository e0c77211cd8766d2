package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/gateway"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/simulator"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

const providerKey = "sk-provider-secret-0123456789abcdef"

// world is a gateway in front of a provider, on a real store and real sockets.
type world struct {
	t       *testing.T
	url     string
	live    *live.Live
	gateway *gateway.Gateway
	vault   *vault.Vault
	log     *lockedBuffer
	alter   atomic.Pointer[func(*tenure.Standing)] // what is different with the token
	used    chan tenure.ModelUse                   // what each request to a model used, if there is room
}

// principal is the person with the token.
func (w *world) principal() (tenure.Principal, error) {
	s := &tenure.Standing{
		Kind: tenure.PAT, Tenant: tenure.DefaultTenant, TenantActive: true, Workspace: tenure.DefaultWorkspace, WorkspaceRole: tenure.Member,
		User: "u", UserName: "alice", UserActive: true, Token: "t", Scopes: tenure.PersonalScopes,
		Models: tenure.Models{"*"}, SpaceModels: tenure.Models{"*"},
	}
	if alter := w.alter.Load(); alter != nil {
		(*alter)(s)
	}
	return s.Admit(time.Now(), w.live.Generation())
}

// operator is whoever has the command line.
func (w *world) operator() tenure.Principal {
	w.t.Helper()
	by, err := (&tenure.Standing{Kind: tenure.Operator, Tenant: tenure.DefaultTenant, TenantActive: true}).Admit(time.Now(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return by
}

func (w *world) observe(_ *http.Request, ev *web.Event) {
	if ev.Used {
		select {
		case w.used <- ev.Use:
		default:
		}
	}
}

// set changes the token.
func (w *world) set(alter func(*tenure.Standing)) { w.alter.Store(&alter) }

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var limits = gateway.Limits{
	MaxBody: 1 << 20, BodyTimeout: 2 * time.Second, ConnectTimeout: time.Second,
	FirstByteTimeout: 500 * time.Millisecond, IdleTimeout: 500 * time.Millisecond,
}

// newWorld starts a gateway whose workspace has the provider "up" at upstream,
// of both kinds. Every request comes from one person with one token.
func newWorld(t *testing.T, upstream string) *world {
	t.Helper()
	return newWorldWithin(t, upstream, limits)
}

func newWorldWithin(t *testing.T, upstream string, limits gateway.Limits) *world {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	dir := t.TempDir()
	db, err := store.OpenSQLite(ctx, filepath.Join(dir, "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, log: &lockedBuffer{}, used: make(chan tenure.ModelUse, 64)}
	logger := slog.New(slog.NewJSONHandler(w.log, nil))
	w.live = &live.Live{
		Check: func(tenure.Principal, tenure.Action) error { return nil }, Allows: access.Model,
		DB: db, Log: logger, Recheck: func(context.Context, tenure.Principal) (tenure.Principal, error) { return w.principal() },
		Forget:  func(c store.Change) { w.vault.Forget(c); w.gateway.Forget(c.Kind, c.ID) },
		Options: live.Options{Now: time.Now, MaxStaleness: time.Minute, StreamStaleness: time.Minute},
	}
	w.live.Metrics = live.NewMetrics(prometheus.NewRegistry(), w.live)
	key, err := vault.OpenKey(ctx, db, vault.KeyURLs{Present: "file:" + filepath.Join(dir, "master.key")}, keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.vault = &vault.Vault{DB: db, Live: w.live, Key: key}
	w.live.Excepted = w.vault.Excepted
	w.gateway = gateway.New(w.vault, w.live, &egress.Guard{}, limits, logger)
	seed := []vault.Spec{
		{Name: "up", Kind: tenure.OpenAI, BaseURL: upstream + "/v1", Key: tenure.NewSecret(providerKey)},
		{Name: "claude", Kind: tenure.Anthropic, BaseURL: upstream, Key: tenure.NewSecret(providerKey)},
	}
	if err := w.vault.Seed(ctx, seed); err != nil {
		t.Fatal(err)
	}
	rt := &web.Router{
		Known: access.Known, Now: time.Now, Log: web.NewLogWriter(w.log), Metrics: web.NewMetrics(prometheus.NewRegistry()),
		Address: func(*http.Request) string { return "192.0.2.1" }, Observe: w.observe,
		Check:        func(_ context.Context, p tenure.Principal, a tenure.Action) error { return access.Check(p, a) },
		Authenticate: func(*http.Request, tenure.Action) (tenure.Principal, error) { return w.principal() },
	}
	if err := rt.Mount(w.gateway.Routes()); err != nil {
		t.Fatal(err)
	}
	w.gateway.Inside = rt.Inside
	srv := httptest.NewServer(rt)
	w.url = srv.URL
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if err := w.live.Follow(ctx, func() { close(ready) }); err != nil {
			t.Error(err)
		}
	}()
	<-ready
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		stop()
		<-done
		_ = db.Close()
	})
	return w
}

// simulate starts the simulated provider with its faults.
func simulate(t *testing.T) (*simulator.Server, *recorded, string) {
	t.Helper()
	rec := &recorded{}
	sim := &simulator.Server{Key: providerKey, Faults: true, Log: rec.add}
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return sim, rec, srv.URL
}

type recorded struct {
	mu  sync.Mutex
	all []simulator.Request
}

func (r *recorded) add(q simulator.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, q)
}

func (r *recorded) list() []simulator.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

func (r *recorded) last(path string) simulator.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.all) - 1; i >= 0; i-- {
		if r.all[i].Path == path {
			return r.all[i]
		}
	}
	return simulator.Request{}
}

func (w *world) post(path, body string, header ...string) *http.Response {
	w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("read body: %v (after %q)", err, b)
	}
	return string(b)
}

func chat(content string, stream bool) string {
	return fmt.Sprintf(`{"model":"sim-gpt-4o","stream":%t,"messages":[{"role":"user","content":%q}]}`, stream, content)
}

func message(content string, stream bool) string {
	return fmt.Sprintf(`{"model":"sim-claude-sonnet","max_tokens":5000,"stream":%t,"messages":[{"role":"user","content":%q}]}`, stream, content)
}

func response(content string, stream bool) string {
	return fmt.Sprintf(`{"model":"sim-gpt-4o","stream":%t,"input":%q}`, stream, content)
}

func TestWhatReachesTheProvider(t *testing.T) {
	_, rec, up := simulate(t)
	w := newWorld(t, up)
	headers := []string{
		"Authorization", "Bearer tpat_callers", "X-Api-Key", "callers", "Cookie", "a=b", "X-User-Id", "alice", "X_User_Id", "alice",
		"X-Forwarded-For", "10.1.1.1", "X-Forwarded-Host", "h", "Forwarded", "for=1", "Openai-Organization", "org-x", "Proxy-Authorization", "Basic x",
		"Upgrade", "h2c", "Connection", "Upgrade", "Te", "trailers", "Accept-Encoding", "gzip", "X-Anything", "else", "Openai-Beta", "assistants=v2",
		"Tenure-Extract", "on", "Tenure-Scope", "project:billing",
	}
	if res := w.post("/v1/chat/completions", chat("hi", false), headers...); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, text(t, res))
	}
	got := rec.last("/v1/chat/completions")
	if got.Header.Get("Authorization") != "Bearer "+providerKey || got.Header.Get("Openai-Beta") != "assistants=v2" || got.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("headers at the provider: %v", got.Header)
	}
	for name := range got.Header {
		switch name {
		case "Authorization", "Content-Type", "Content-Length", "Accept-Encoding", "Openai-Beta", "User-Agent":
		default:
			t.Errorf("the provider got %s: %v", name, got.Header[name])
		}
	}
	if res := w.post("/v1/messages?beta=true", message("hi", false), headers...); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, text(t, res))
	}
	got = rec.last("/v1/messages")
	if got.Header.Get("X-Api-Key") != providerKey || got.Header.Get("Authorization") != "" || got.Header.Get("Anthropic-Version") == "" ||
		got.Header.Get("Tenure-Extract")+got.Header.Get("Tenure-Scope") != "" {
		t.Errorf("headers at the provider: %v", got.Header)
	}
}

func TestProviderSlashModel(t *testing.T) {
	_, rec, up := simulate(t)
	w := newWorld(t, up)
	res := w.post("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"model":"up/sim-gpt-4o"}`)
	if res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, text(t, res))
	}
	if body := string(rec.last("/v1/chat/completions").Body); body != `{"messages":[{"role":"user","content":"hi"}],"model":"sim-gpt-4o"}` {
		t.Errorf("body at the provider: %s", body)
	}
}

func TestErrorsOfProviders(t *testing.T) {
	_, _, up := simulate(t)
	w := newWorld(t, up)
	for _, c := range []struct {
		say    string
		status int
		code   string
	}{
		{"fail 500", 500, ""},
		{"fail 429", 429, ""},
		{"fail 400", 400, ""},
		{"fail 401", 502, "provider_refused_key"},
		{"echo key", 500, ""},
		{"redirect", 502, "provider_redirect"},
		{"hang", 504, "provider_timeout"},
	} {
		for path, body := range map[string]string{"/v1/chat/completions": chat(c.say, false), "/v1/messages": message(c.say, true)} {
			res := w.post(path, body)
			got := text(t, res)
			if res.StatusCode != c.status || (c.code != "" && !strings.Contains(got, c.code)) {
				t.Errorf("%s %q: %d %s", path, c.say, res.StatusCode, got)
			}
			if strings.Contains(got, providerKey) || strings.Contains(fmt.Sprint(res.Header), providerKey) {
				t.Errorf("%s %q shows the provider's key: %s", path, c.say, got)
			}
			if res.Header.Get("Location") != "" || res.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s %q: headers %v", path, c.say, res.Header)
			}
			if len(res.Header["X-Ratelimit-Limit-Requests"])+len(res.Header["Anthropic-Ratelimit-Requests-Limit"]) > 0 {
				t.Errorf("the limits of the key that all share are told: %v", res.Header)
			}
			if c.say == "fail 429" && res.Header.Get("Retry-After") == "" {
				t.Error("Retry-After was dropped")
			}
		}
	}
	if strings.Contains(w.log.String(), providerKey) {
		t.Error("the log shows the provider's key")
	}
}

func TestUnreachableProvider(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	w := newWorld(t, "http://"+ln.Addr().String())
	res := w.post("/v1/chat/completions", chat("hi", false))
	if got := text(t, res); res.StatusCode != 502 || !strings.Contains(got, `"code":"provider_unreachable"`) || strings.Contains(got, ln.Addr().String()) {
		t.Errorf("%d %s", res.StatusCode, got)
	}
	res = w.post("/v1/messages", message("hi", false))
	if got := text(t, res); res.StatusCode != 502 || !strings.HasPrefix(got, `{"error":{"code":"provider_unreachable"`) || !strings.Contains(got, `"type":"error"`) {
		t.Errorf("%d %s", res.StatusCode, got)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	_, rec, up := simulate(t)
	w := newWorld(t, up)
	for name, c := range map[string]struct {
		body   string
		header []string
		status int
		code   string
	}{
		"not JSON":       {"hello", nil, 400, "invalid_json"},
		"no model":       {`{"messages":[]}`, nil, 400, "missing_model"},
		"two models":     {`{"model":"sim-gpt-4o","model":"x"}`, nil, 400, "ambiguous_model"},
		"unknown model":  {`{"model":"nope"}`, nil, 404, "model_not_found"},
		"other route's":  {`{"model":"sim-claude-haiku"}`, nil, 404, "model_not_found"},
		"too large":      {`{"model":"sim-gpt-4o","x":"` + strings.Repeat("x", 1<<20) + `"}`, nil, 413, "request_too_large"},
		"compressed":     {"\x1f\x8b", []string{"Content-Encoding", "gzip"}, 415, "unsupported_content_encoding"},
		"provider only":  {`{"model":"up/"}`, nil, 404, "model_not_found"},
		"other provider": {`{"model":"claude/sim-gpt-4o"}`, nil, 404, "model_not_found"},
	} {
		res := w.post("/v1/chat/completions", c.body, c.header...)
		var e struct {
			Error struct{ Code, Message, Type string }
		}
		if err := json.Unmarshal([]byte(text(t, res)), &e); err != nil || res.StatusCode != c.status || e.Error.Code != c.code || e.Error.Message == "" {
			t.Errorf("%s: %d %+v (%v)", name, res.StatusCode, e, err)
		}
	}
	res := w.post("/v1/messages", `{"model":"sim-claude-sonnet","max_tokens":5,"thread":{"continue":"x"},"messages":[]}`)
	if got := text(t, res); res.StatusCode != 400 || !strings.Contains(got, "thread_unsupported_request") {
		t.Errorf("thread: %d %s", res.StatusCode, got)
	}
	if q := rec.last("/v1/chat/completions"); q.Path != "" {
		t.Errorf("a refused request reached the provider: %s", q.Body)
	}
}

// events opens a stream and reads its first event.
func (w *world) events(path, body string) (*http.Response, *bufio.Reader) {
	w.t.Helper()
	res := w.post(path, body)
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		w.t.Fatalf("%d %s", res.StatusCode, text(w.t, res))
	}
	r := bufio.NewReader(res.Body)
	if line, err := r.ReadString('\n'); err != nil || line == "" {
		w.t.Fatalf("first line %q, %v", line, err)
	}
	return res, r
}

func TestCutEndsTheStreamByTheProtocolsOwnEvent(t *testing.T) {
	for path, c := range map[string]struct{ body, want string }{
		"/v1/chat/completions": {chat("count to 3000 every 5ms", true), "data: {\"error\":{\"code\":\"access_revoked\""},
		"/v1/messages":         {message("count to 3000 every 5ms", true), "event: error\ndata: {\"error\":{\"code\":\"access_revoked\""},
		"/v1/responses":        {response("count to 3000 every 5ms", true), "event: error\ndata: {\"code\":\"access_revoked\",\"error\":{\"code\":\"access_revoked\""},
	} {
		t.Run(path, func(t *testing.T) {
			sim, _, up := simulate(t)
			w := newWorld(t, up)
			_, r := w.events(path, c.body)
			began := time.Now()
			if n := w.live.Cut(store.Change{Kind: "user", ID: "u"}, live.User("u"), tenure.ErrRevoked); n != 1 {
				t.Fatalf("%d cut", n)
			}
			rest, err := io.ReadAll(r)
			if err != nil {
				t.Fatalf("the stream broke: %v", err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("the stream ended after %v", took)
			}
			parts := strings.Split(strings.TrimSpace(string(rest)), "\n\n")
			if last := parts[len(parts)-1]; !strings.HasPrefix(last, c.want) {
				t.Errorf("the last event is %q", last)
			}
			if strings.Contains(string(rest), "[DONE]") || strings.Contains(string(rest), "message_stop") || strings.Contains(string(rest), "response.completed") {
				t.Error("the stream claims to be whole")
			}
			eventually(t, "the upstream ends", func() bool { return sim.InFlight() == 0 && sim.Cancelled() == 1 })
			eventually(t, "the request leaves", func() bool { return w.live.Open() == 0 })
		})
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 200 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("not within two seconds: %s", what)
}

func TestCutBeforeTheAnswer(t *testing.T) {
	_, _, up := simulate(t)
	w := newWorld(t, up)
	go func() {
		eventually(t, "a request in flight", func() bool { return w.live.Open() == 1 })
		w.live.Cut(store.Change{}, live.Token("t"), tenure.ErrRevoked)
	}()
	res := w.post("/v1/chat/completions", chat("hang", false))
	if got := text(t, res); res.StatusCode != 401 || !strings.Contains(got, "access_revoked") || res.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%d %s", res.StatusCode, got)
	}
}

// A client that does not send its body ends, by the limit or by a cut.
func TestClientsThatDoNotSend(t *testing.T) {
	_, _, up := simulate(t)
	w := newWorld(t, up)
	for name, c := range map[string]struct {
		act    func()
		status string
		code   string
	}{
		"the limit": {func() {}, "HTTP/1.1 408 ", "request_timeout"},
		"a cut":     {func() { w.live.Cut(store.Change{}, live.User("u"), tenure.ErrRevoked) }, "HTTP/1.1 401 ", "access_revoked"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"model\""); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the request is in the register", func() bool { return w.live.Open() == 1 })
		c.act()
		_ = conn.SetReadDeadline(time.Now().Add(4 * time.Second))
		got, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(got), c.status) || !strings.Contains(string(got), c.code) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		_ = conn.Close()
		eventually(t, "the request leaves", func() bool { return w.live.Open() == 0 })
	}
}

// A client that does not read must not hold a cut up.
func TestCutOfAClientThatDoesNotRead(t *testing.T) {
	big := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(rw, `{"data":[{"id":"m"}]}`)
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		line := []byte("data: " + strings.Repeat("x", 8000) + "\n\n")
		for r.Context().Err() == nil {
			if _, err := rw.Write(line); err != nil {
				return
			}
		}
	}))
	defer big.Close()
	w := newWorld(t, big.URL)
	_, _ = w.events("/v1/chat/completions", `{"model":"m"}`)
	time.Sleep(300 * time.Millisecond) // the buffers between us fill up
	w.live.Cut(store.Change{}, live.User("u"), tenure.ErrRevoked)
	eventually(t, "the request leaves", func() bool { return w.live.Open() == 0 })
}

func TestProviderBreaksOff(t *testing.T) {
	_, _, up := simulate(t)
	w := newWorld(t, up)
	for say, code := range map[string]string{"truncate": "provider_interrupted", "hang midway": "provider_stalled"} {
		_, r := w.events("/v1/chat/completions", chat(say, true))
		rest, err := io.ReadAll(r)
		if err != nil || !strings.Contains(string(rest), `"code":"`+code+`"`) || strings.Contains(string(rest), "[DONE]") {
			t.Errorf("%s: %q, %v", say, rest, err)
		}
	}
	eventually(t, "all leave", func() bool { return w.live.Open() == 0 })
}

// A provider's interim answers stay here: nobody has looked at their headers.
func TestInterimAnswers(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(rw, `{"data":[{"id":"m"}]}`)
			return
		}
		rw.Header().Set("Set-Cookie", "a=b")
		rw.Header().Set("X-Echo", r.Header.Get("Authorization"))
		rw.WriteHeader(http.StatusEarlyHints)
		rw.Header().Del("X-Echo")
		_, _ = io.WriteString(rw, "{}")
	}))
	defer up.Close()
	w := newWorld(t, up.URL)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{\"model\":\"m\"}"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 ") || strings.Contains(string(got), "a=b") ||
		strings.Contains(string(got), providerKey) || strings.Count(string(got), "X-Request-Id: ") != 1 {
		t.Errorf("%q, %v", got, err)
	}
}

// A cut in the middle of an event does not leave half of its JSON behind.
func TestCutInMidEvent(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(rw, `{"data":[{"id":"m"}]}`)
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		for _, part := range []string{"data: {\"n\":1}\n\nda", "ta: {\"n\":2}\n\n", "data: {\"n\":3,\"half"} {
			_, _ = io.WriteString(rw, part)
			_ = http.NewResponseController(rw).Flush()
			time.Sleep(50 * time.Millisecond)
		}
		<-r.Context().Done()
	}))
	defer up.Close()
	w := newWorld(t, up.URL)
	_, r := w.events("/v1/chat/completions", `{"model":"m"}`)
	time.Sleep(200 * time.Millisecond)
	w.live.Cut(store.Change{}, live.User("u"), tenure.ErrRevoked)
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var events int
	for line := range strings.Lines(string(rest)) {
		data, ok := strings.CutPrefix(line, "data: ")
		if ok {
			events++
		}
		if ok && !json.Valid([]byte(data)) {
			t.Errorf("half an event: %q", line)
		}
	}
	if events != 2 || !strings.Contains(string(rest), "access_revoked") { // the first was read by events
		t.Errorf("%d events in %q", events, rest)
	}
}

// A line longer than any buffer passes, unharmed and without waiting for its end.
func TestLongLines(t *testing.T) {
	long := "data: " + strings.Repeat("x", 100_000)
	up := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(rw, `{"data":[{"id":"m"}]}`)
			return
		}
		rw.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(rw, long+"\n\ndata: [DONE]\n\nno newline at the end")
	}))
	defer up.Close()
	w := newWorld(t, up.URL)
	if got := text(t, w.post("/v1/chat/completions", `{"model":"m"}`)); got != long+"\n\ndata: [DONE]\n\nno newline at the end" {
		t.Errorf("%d bytes came of %d", len(got), len(long)+35)
	}
}

// Many different bodies at once, some larger than what is pooled: none is mixed
// up with another.
func TestBodiesAreNotMixed(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(rw, `{"data":[{"id":"m"}]}`)
			return
		}
		if r.Header.Get("X-Client-Request-Id") == "early" { // answers before it has read
			rw.WriteHeader(http.StatusTeapot)
			return
		}
		b, _ := io.ReadAll(r.Body)
		_, _ = rw.Write(b)
	}))
	defer echo.Close()
	w := newWorld(t, echo.URL)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				body := fmt.Sprintf(`{"model":"m","n":"%d-%d","pad":"%s"}`, i, j, strings.Repeat(string(rune('a'+i)), (i*j*997)%60_000))
				if j%3 == 0 {
					w.post("/v1/chat/completions", body, "X-Client-Request-Id", "early")
					continue
				}
				if got := text(t, w.post("/v1/chat/completions", body)); got != body {
					t.Errorf("sent %d bytes, %.40q came back as %d bytes, %.40q", len(body), body, len(got), got)
				}
			}
		})
	}
	wg.Wait()
}

func TestModels(t *testing.T) {
	_, _, up := simulate(t)
	w := newWorld(t, up)
	get := func(path string, header ...string) (int, map[string]any) {
		req, _ := http.NewRequest(http.MethodGet, w.url+path, nil)
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		var v map[string]any
		if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, v
	}
	if status, v := get("/v1/models"); status != 200 || v["object"] != "list" || len(v["data"].([]any)) != 2 {
		t.Errorf("%d %v", status, v)
	}
	if status, v := get("/v1/models", "anthropic-version", "2023-06-01"); status != 200 || v["has_more"] != false || v["first_id"] != "sim-claude-sonnet" {
		t.Errorf("%d %v", status, v)
	}
	if status, v := get("/v1/models/sim-gpt-4o"); status != 200 || v["id"] != "sim-gpt-4o" || v["owned_by"] != "up" {
		t.Errorf("%d %v", status, v)
	}
	if status, v := get("/v1/models/up/nope"); status != 404 || v["error"].(map[string]any)["code"] != "model_not_found" {
		t.Errorf("%d %v", status, v)
	}
}

// A provider that is added, or removed, counts for the next request.
func TestProvidersChange(t *testing.T) {
	_, _, up := simulate(t)
	w := newWorld(t, up)
	op := w.operator()
	if res := w.post("/v1/chat/completions", chat("hi", false)); res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	rows, err := w.vault.List(context.Background(), op, string(tenure.DefaultWorkspace))
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	for _, p := range rows {
		if err := w.vault.Remove(context.Background(), op, p.ID); err != nil {
			t.Fatal(err)
		}
	}
	if res := w.post("/v1/chat/completions", chat("hi", false)); res.StatusCode != 404 || !strings.Contains(text(t, res), "no_provider") {
		t.Errorf("%d after the provider was removed", res.StatusCode)
	}
	if _, err := w.vault.Add(context.Background(), op, vault.Spec{Name: "new", Kind: tenure.OpenAI, BaseURL: up + "/v1", Key: tenure.NewSecret(providerKey)}); err != nil {
		t.Fatal(err)
	}
	if res := w.post("/v1/chat/completions", chat("hi", false)); res.StatusCode != 200 {
		t.Errorf("%d after a provider was added", res.StatusCode)
	}
}
