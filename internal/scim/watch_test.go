package scim

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

func TestShapes(t *testing.T) {
	for body, want := range map[string]string{
		``: ``,
		`{"userName":"alice@example.com","active":true,"n":1,"x":null,"name":{"givenName":"Alice"}}`:            `{userName: string, active: boolean, n: number, x: null, name: {givenName: string}}`,
		`{"Operations":[{"op":"Replace","value":"secret"},{"op":"Add","value":"other"},{"op":"x","value":[]}]}`: `{Operations: [{op: string, value: string}, {op: string, value: []}]×3}`,
		`[1,"a",true,null,{},[]]`: `[number, string, boolean, …]×6`,
		`{"alice@example.com":1,"tpat_abc":2,"4915112345678":3,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{}}`: `{(a key of 17 bytes): number, (a key of 8 bytes): number, (a key of 13 bytes): number, urn:ietf:params:scim:schemas:extension:enterprise:2.0:User: {}}`,
		`{"userName":"alice`:    `{userName: (no JSON after byte 12 of 18)`,
		`userName=alice&x=1`:    `(no JSON after byte 0 of 18)`,
		`{} {"secret":"value"}`: `{} (no JSON after byte 4 of 21)`,
		`{"value":"\ud800"}`:    `{value: string}`,
	} {
		if got := shapeOf([]byte(body), false); got != want {
			t.Errorf("%s:\n got %s\nwant %s", body, got, want)
		}
	}
	if got := shapeOf([]byte(strings.Repeat("[", 10_000)), false); len(got) > shapeBytes+100 {
		t.Errorf("%d bytes of shape", len(got))
	}
	wide := "{" + strings.Repeat(`"attribute":1,`, 5000) + `"z":1}`
	if got := shapeOf([]byte(wide), false); len(got) > shapeBytes+10 {
		t.Errorf("%d bytes of shape", len(got))
	}
}

func TestOperations(t *testing.T) {
	for pattern, want := range map[string]string{
		"POST /scim/v2/Users": "users.create", "GET /scim/v2/Users/{$}": "users.list", "GET /scim/v2/users/{id}": "users.read",
		"PUT /scim/v2/Users/{id}": "users.replace", "PATCH /scim/v2/Users/{id}/{$}": "users.update", "DELETE /scim/v2/Groups/{id}": "groups.delete",
		"POST /scim/v2/.search": "search", "POST /scim/v2/Users/.search": "users.search", "POST /scim/v2/Groups/{id}": "groups.search", "POST /scim/v2/Bulk": "bulk",
		"GET /scim/v2/Schemas/{id}": "schemas", "/scim/v2/": "elsewhere",
	} {
		if got := operationOf(pattern); got != want {
			t.Errorf("%s is %q, want %q", pattern, got, want)
		}
	}
}

// What is watched is answered as if it were not, and told of once.
func TestWatch(t *testing.T) {
	var told []tenure.ConnectorRequest
	routes := Watch([]web.Route{{
		Pattern: "PATCH /scim/v2/Users/{id}", Action: tenure.UpdateUser, Fail: Fail,
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			body, err := io.ReadAll(r.Body)
			switch {
			case err != nil:
				return err
			case strings.Contains(string(body), "bad"):
				return invalid("invalidValue", "active", "active: expected true or false")
			case strings.Contains(string(body), "odd"):
				return errors.New("odd")
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		},
	}}, func(p tenure.Principal, r tenure.ConnectorRequest) {
		if p.Label() != "scim:Okta" {
			t.Errorf("told of %q", p.Label())
		}
		told = append(told, r)
	})
	s := tenure.Standing{Kind: tenure.ConnectorToken, Tenant: tenure.DefaultTenant, TenantActive: true, Name: "Okta"}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var refused error
	rt := &web.Router{
		Authenticate: func(*http.Request, tenure.Action) (tenure.Principal, error) {
			if refused != nil {
				return tenure.Principal{}, refused
			}
			return p, nil
		},
		Check: func(context.Context, tenure.Principal, tenure.Action) error { return nil },
		Known: func(tenure.Action) bool { return true }, Address: func(*http.Request) string { return "" },
		Observe: func(*http.Request, *web.Event) {}, Log: web.NewLogWriter(io.Discard), Metrics: web.NewMetrics(prometheus.NewRegistry()), Now: time.Now,
	}
	if err := rt.Mount(routes); err != nil {
		t.Fatal(err)
	}
	send := func(body string) int {
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPatch, "/scim/v2/Users/1", strings.NewReader(body)))
		return w.Code
	}
	for _, c := range []struct {
		body     string
		status   int
		scimType string
		shape    string
	}{
		{`{"fine":1}`, 204, "", ""},
		{`{"active":"bad"}`, 400, "invalidValue", `{active: string}`},
		{`{"active":"odd"}`, 500, "", `{active: string}`},
		{`{"bad":"` + strings.Repeat("x", 100<<10) + `"}`, 400, "invalidValue", `{bad: (of the first 64 KiB)`},
	} {
		told = nil
		if got := send(c.body); got != c.status || len(told) != 1 || told[0].Operation != "users.update" {
			t.Fatalf("%.40s: %d, told %+v", c.body, got, told)
		}
		switch e := told[0].Error; {
		case c.status == 204:
			if e != nil {
				t.Errorf("%+v", e)
			}
		case e == nil || e.Status != c.status || e.ScimType != c.scimType || e.Shape != c.shape || e.RequestID == "":
			t.Errorf("%.40s: %+v", c.body, e)
		}
	}
	told, refused = nil, tenure.ErrInvalidToken
	if got := send(`{}`); got != 401 || len(told) != 0 {
		t.Errorf("a stranger: %d, told %+v", got, told)
	}
}
