package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// lines is a log that can be read while it is written.
type lines struct {
	*web.LogWriter
	mu  sync.Mutex
	buf strings.Builder
}

func newLines() *lines {
	l := &lines{}
	l.LogWriter = web.NewLogWriter(writerFunc(func(b []byte) (int, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.buf.Write(b)
	}))
	return l
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// take gives what was written since the last take.
func (l *lines) take() string {
	l.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

func router(log *lines) *web.Router {
	return &web.Router{
		Authenticate: func(r *http.Request, action tenure.Action) (tenure.Principal, error) {
			public := action == tenure.Public
			if public || r.Header.Get("Authorization") == "" {
				return tenure.Principal{}, map[bool]error{false: tenure.ErrNoCredential}[public]
			}
			return (&tenure.Standing{Kind: tenure.RootToken, TenantActive: true}).Admit(time.Now(), 0)
		},
		Check:   func(context.Context, tenure.Principal, tenure.Action) error { return nil },
		Known:   func(a tenure.Action) bool { return a != "made.up" },
		Address: func(*http.Request) string { return "192.0.2.1" },
		Observe: func(*http.Request, *web.Event) {},
		Log:     log.LogWriter, Metrics: web.NewMetrics(prometheus.NewRegistry()), Now: time.Now,
	}
}

func fail(w http.ResponseWriter, _ *http.Request, err error) {
	e := tenure.AsError(err)
	web.Challenge(w.Header(), e)
	http.Error(w, e.Msg, web.Status(e.Kind))
}

func ok(w http.ResponseWriter, _ *http.Request) error {
	_, err := w.Write([]byte("ok"))
	return err
}

// A route that names no action, or one without a rule, does not mount.
func TestMountRefuses(t *testing.T) {
	for name, r := range map[string]web.Route{
		"no action":      {Pattern: "GET /x", Handle: ok, Fail: fail},
		"unknown action": {Pattern: "GET /x", Action: "made.up", Handle: ok, Fail: fail},
		"no handler":     {Pattern: "GET /x", Action: tenure.Public, Fail: fail},
		"no rendering":   {Pattern: "GET /x", Action: tenure.Public, Handle: ok},
	} {
		if err := router(newLines()).Mount([]web.Route{r}); err == nil {
			t.Errorf("%s: mounted", name)
		}
	}
}

func TestOrderOfARequest(t *testing.T) {
	log := newLines()
	rt := router(log)
	err := rt.Mount([]web.Route{
		{Pattern: "GET /open", Action: tenure.Public, Handle: ok, Fail: fail},
		{Pattern: "GET /closed", Action: tenure.ReadSelf, Handle: ok, Fail: fail},
		{Pattern: "POST /closed", Action: tenure.MintToken, Handle: ok, Fail: fail},
		{Pattern: "GET /broken", Action: tenure.Public, Fail: fail, Handle: func(http.ResponseWriter, *http.Request) error { return errors.New("secret cause") }},
		{Pattern: "GET /panics", Action: tenure.Public, Fail: fail, Handle: func(http.ResponseWriter, *http.Request) error { panic("secret cause") }},
		{Pattern: "GET /aborts", Action: tenure.Public, Fail: fail, Handle: func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }},
		{Pattern: "/", Action: tenure.Unrouted, Fail: fail, Handle: func(http.ResponseWriter, *http.Request) error { return tenure.ErrNotFound }},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path string
		signed       bool
		status       int
	}{
		{"GET", "/open", false, 200},
		{"HEAD", "/open", false, 200},
		{"POST", "/open", true, 405},
		{"POST", "/open", false, 401},
		{"GET", "/closed", false, 401},
		{"GET", "/closed", true, 200},
		{"DELETE", "/closed", true, 405},
		{"TRACE", "/closed", true, 405},
		{"GET", "/nowhere", false, 401},
		{"GET", "/nowhere", true, 404},
		{"GET", "/broken", false, 500},
		{"GET", "/panics", false, 500},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.signed {
			r.Header.Set("Authorization", "Bearer x")
		}
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.status)
		}
		if strings.Contains(w.Body.String(), "secret cause") {
			t.Errorf("%s shows the cause", c.path)
		}
		written := log.take()
		var line map[string]any
		if err := json.Unmarshal([]byte(written), &line); err != nil || line["request_id"] != w.Header().Get("X-Request-Id") || line["status"] != float64(c.status) {
			t.Errorf("%s: log %q (%v)", c.path, written, err)
		}
		if c.status == 500 && !strings.Contains(written, "secret cause") {
			t.Errorf("%s: the cause is not in the log", c.path)
		}
		if c.status == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
		if c.status == 401 && w.Header().Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
			t.Errorf("%s: challenge %q", c.path, w.Header().Get("WWW-Authenticate"))
		}
	}
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // a panic value
				t.Errorf("an aborted answer panics with %v", p)
			}
		}()
		rt.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/aborts", nil))
	}()
}

func TestLogInjection(t *testing.T) {
	log := newLines()
	rt := router(log)
	if err := rt.Mount([]web.Route{{Pattern: "/", Action: tenure.Unrouted, Handle: ok, Fail: fail}}); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/a%0a%7b%22level%22:%22forged%22%7d%1b%5b31m", nil)
	r.Header.Set("Authorization", "x\n{\"forged\":1}")
	rt.ServeHTTP(httptest.NewRecorder(), r)
	written := log.take()
	if strings.Count(written, "\n") != 1 || strings.Contains(written, "\x1b") || !json.Valid([]byte(written)) {
		t.Errorf("log %q", written)
	}
}

// A literal path beside one with a wildcard that fits it too.
func TestLiteralBesideWildcard(t *testing.T) {
	rt := router(newLines())
	err := rt.Mount([]web.Route{
		{Pattern: "DELETE /things/{id}", Action: tenure.Unrouted, Handle: ok, Fail: fail},
		{Pattern: "POST /things/revoke", Action: tenure.Unrouted, Handle: ok, Fail: fail},
	})
	if err != nil {
		t.Fatal(err)
	}
	for ask, want := range map[[2]string]string{
		{http.MethodDelete, "/things/7"}: "", {http.MethodPost, "/things/revoke"}: "",
		{http.MethodPost, "/things/7"}: "DELETE", {http.MethodDelete, "/things/revoke"}: "POST", {http.MethodGet, "/things/revoke"}: "POST",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(ask[0], ask[1], nil)
		r.Header.Set("Authorization", "Bearer x")
		rt.ServeHTTP(w, r)
		if w.Header().Get("Allow") != want {
			t.Errorf("%v: %d, Allow %q, want %q", ask, w.Code, w.Header().Get("Allow"), want)
		}
	}
}
