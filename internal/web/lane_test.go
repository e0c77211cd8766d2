package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A lane that is full refuses at once, before anybody is asked who it is; other lanes
// have their room, and so has it when a request is over.
func TestLaneIsFull(t *testing.T) {
	lines := newLines()
	rt := router(lines)
	reg := prometheus.NewRegistry()
	rt.Metrics = web.NewMetrics(reg)
	asked := 0
	authenticate := rt.Authenticate
	rt.Authenticate = func(r *http.Request, a tenure.Action) (tenure.Principal, error) {
		asked++
		return authenticate(r, a)
	}
	entered, over := make(chan struct{}), make(chan struct{})
	hold := func(w http.ResponseWriter, r *http.Request) error {
		select {
		case entered <- struct{}{}:
			<-over
		case <-time.After(10 * time.Second): // it should not have been let in
		}
		return ok(w, r)
	}
	lane := &web.Lane{Name: "models", Max: 2}
	retry := func(w http.ResponseWriter, r *http.Request, err error) {
		web.RetryAfter(w.Header(), tenure.AsError(err))
		fail(w, r, err)
	}
	if err := rt.Mount([]web.Route{
		{Pattern: "GET /a", Action: tenure.Public, Handle: hold, Fail: retry, Lane: lane},
		{Pattern: "GET /b", Action: tenure.Public, Handle: hold, Fail: retry, Lane: lane},
		{Pattern: "GET /c", Action: tenure.Public, Handle: ok, Fail: retry, Lane: &web.Lane{Max: 1}},
		// On purpose: a handler that trips must give its room back.
		{Pattern: "GET /panic", Action: tenure.Public, Handle: func(http.ResponseWriter, *http.Request) error { panic("at the disco") }, Fail: retry, Lane: lane},
	}); err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		rt.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return rec
	}
	held := make(chan int, 2)
	for _, path := range []string{"/a", "/b"} {
		go func() { held <- get(path).Code }()
		<-entered
	}
	lines.take()
	before := asked
	for _, path := range []string{"/a", "/b"} {
		rec := get(path)
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" || rec.Header().Get("X-Request-Id") == "" || asked != before {
			t.Errorf("a full lane: %d %v, who it is asked %d times", rec.Code, rec.Header(), asked-before)
		}
	}
	if log := lines.take(); strings.Count(log, `"shed":"full"`) != 2 {
		t.Errorf("the log says\n%s", log)
	}
	if rec := get("/c"); rec.Code != http.StatusOK {
		t.Errorf("another lane: %d", rec.Code)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shed := 0.0
	for _, f := range families {
		if f.GetName() == "tenure_shed_total" {
			shed = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	if shed != 2 {
		t.Errorf("the figure is %v", shed)
	}
	close(over)
	for range 2 {
		if code := <-held; code != http.StatusOK {
			t.Errorf("one that had room: %d", code)
		}
	}
	for range 3 { // a panic gives its room back, too
		if rec := get("/panic"); rec.Code != http.StatusInternalServerError {
			t.Errorf("a panic: %d", rec.Code)
		}
	}
}
