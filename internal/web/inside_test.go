package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A request of the product's own is judged, has its room, and is observed and logged as
// one from outside, under the id that it brings; only who asks is known. Whatever breaks in
// it comes back.
func TestInside(t *testing.T) {
	log := newLines()
	rt := router(log)
	rt.Authenticate = func(*http.Request, tenure.Action) (tenure.Principal, error) {
		t.Error("somebody looks for a credential")
		return tenure.Principal{}, tenure.ErrNoCredential
	}
	rt.Check = func(_ context.Context, _ tenure.Principal, a tenure.Action) error {
		if a == tenure.MintToken {
			return tenure.ErrForbidden
		}
		return nil
	}
	observed := 0
	rt.Observe = func(*http.Request, *web.Event) { observed++ }
	p, err := (&tenure.Standing{Kind: tenure.RootToken, TenantActive: true, Name: "r"}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	full := &web.Lane{Name: "models"}
	says := func(w http.ResponseWriter, r *http.Request) error {
		if ev := web.EventOf(r.Context()); ev.Principal != p || !ev.Inside || tenure.OriginOf(r.Context()).Address != "192.0.2.7" {
			t.Errorf("%+v", ev)
		}
		return ok(w, r)
	}
	if err := rt.Mount([]web.Route{
		{Pattern: "POST /closed", Action: tenure.MintToken, Handle: says, Fail: fail},
		{Pattern: "POST /open", Action: tenure.ReadSelf, Handle: says, Fail: fail},
		{Pattern: "POST /bound", Action: tenure.ReadSelf, Handle: ok, Fail: fail},
		{Pattern: "POST /full", Action: tenure.ReadSelf, Handle: says, Fail: fail, Lane: full},
		{Pattern: "POST /broken", Action: tenure.ReadSelf, Fail: fail, Handle: func(http.ResponseWriter, *http.Request) error { return errors.New("secret cause") }},
		// A fault of ours: it ends this request alone, and of its cause nothing is answered.
		{Pattern: "POST /panics", Action: tenure.ReadSelf, Fail: fail, Handle: func(http.ResponseWriter, *http.Request) error { panic("secret cause") }},
		{Pattern: "POST /aborts", Action: tenure.ReadSelf, Fail: fail, Handle: func(w http.ResponseWriter, r *http.Request) error {
			_ = ok(w, r)
			panic(http.ErrAbortHandler)
		}},
	}); err != nil {
		t.Fatal(err)
	}
	// A token that is bound to networks asks from there, or not at all.
	bound, err := (&tenure.Standing{Kind: tenure.RootToken, TenantActive: true, Name: "r", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for address, status := range map[string]int{"192.0.2.7": http.StatusOK, "198.51.100.1": http.StatusForbidden, "": http.StatusForbidden} {
		r := httptest.NewRequest(http.MethodPost, "/bound", http.NoBody)
		if ev := rt.Inside(httptest.NewRecorder(), r, bound, tenure.Origin{RequestID: "n", Address: address}); ev.Status != status {
			t.Errorf("from %q: %d %v", address, ev.Status, ev.Err)
		}
	}
	log.take()
	for path, want := range map[string]struct {
		status int
		err    string
	}{
		"/open": {http.StatusOK, ""}, "/closed": {http.StatusForbidden, tenure.ErrForbidden.Code}, "/full": {http.StatusServiceUnavailable, "overloaded"},
		"/broken": {http.StatusInternalServerError, "internal_error"}, "/panics": {http.StatusInternalServerError, "internal_error"}, "/aborts": {http.StatusOK, ""},
	} {
		observed = 0
		w := httptest.NewRecorder()
		ev := rt.Inside(w, httptest.NewRequest(http.MethodPost, path, http.NoBody), p, tenure.Origin{RequestID: "asked-" + path, Address: "192.0.2.7"})
		if ev.Status != want.status || w.Code != want.status || (ev.Err == nil) != (want.err == "") || ev.Err != nil && tenure.AsError(ev.Err).Code != want.err {
			t.Errorf("%s: %d %d %v", path, ev.Status, w.Code, ev.Err)
		}
		if line := log.take(); observed != 1 || strings.Count(line, "\n") != 1 || !strings.Contains(line, `"request_id":"asked-`+path+`"`) || !strings.Contains(line, `"route":"POST `+path+`"`) || !strings.Contains(line, `,"inside":true`) || w.Header().Get("X-Request-Id") != "asked-"+path {
			t.Errorf("%s: observed %d times, %s", path, observed, line)
		}
	}
	if ev := rt.Inside(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/nowhere", http.NoBody), p, tenure.Origin{}); !tenure.IsKind(ev.Err, tenure.NotFound) {
		t.Errorf("no route: %v", ev.Err)
	}
}
