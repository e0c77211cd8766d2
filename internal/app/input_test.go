package app

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// TestBadInput sends to every operation of the OpenAPI document what it does not
// take, one wrong thing at a time: a 4xx that names the field, and nothing changed.
func TestBadInput(t *testing.T) {
	t.Parallel()
	in := install(t, "teams")
	h, s := in.hand(), in.spec()
	p := h.place("default", ownMarker)
	user := h.person("default", "careless@example.com", tenure.SuperAdmin)
	h.member("default", p["workspaces"], user, tenure.WorkspaceAdmin)
	h.change("UPDATE users SET last_seen_at = created_at")
	_, c := h.session("default", user, time.Now(), time.Now())
	state := func() string {
		var out strings.Builder
		for line := range strings.Lines(anyTime.ReplaceAllString(h.dump("default"), "TIME")) {
			if !strings.HasPrefix(line, "audit_events ") {
				out.WriteString(line)
			}
		}
		return out.String()
	}
	before, tried := state(), 0
	send := func(method, pattern string, body map[string]any, field string, wrong any) {
		t.Helper()
		body[field] = wrong
		tried++
		r := in.ask(c, method, path(pattern, p, id), text(body))
		if r.status < 400 || r.status >= 500 {
			t.Errorf("%s %s with %s = %.40q answers %d %.300s", method, pattern, field, fmt.Sprint(wrong), r.status, r.body)
		} else if r.status == http.StatusUnprocessableEntity && !strings.Contains(r.body, field) && field != "confirm" {
			t.Errorf("%s %s with %s = %.40q does not name the field: %d %.300s", method, pattern, field, fmt.Sprint(wrong), r.status, r.body)
		}
	}
	for pattern, methods := range s.Paths {
		for m := range methods {
			m = strings.ToUpper(m)
			for _, odd := range oddIDs(pattern) {
				tried++
				route := parameter.ReplaceAllString(pattern, "$1/"+strings.ReplaceAll(url.PathEscape(odd), "$", "$$"))
				if r := in.ask(c, m, route, text(s.fill(h, m, pattern, p))); r.status < 400 || r.status >= 500 {
					t.Errorf("%s %s with the id %q answers %d %.200s", m, pattern, odd, r.status, r.body)
				}
			}
			x, ok := s.body(m, pattern)
			if !ok || x.AdditionalProperties != false {
				continue
			}
			for _, field := range []string{"no_such_field", "tenant_id", "tenant", "role"} {
				if _, known := x.Properties[field]; !known {
					send(m, pattern, s.fill(h, m, pattern, p), field, "default")
				}
			}
			for field, of := range x.Properties {
				for _, wrong := range wrongs(s, field, of) {
					if strings.HasPrefix(pattern, "/api/v1/beliefs") && wrong == "a*b" {
						continue // a belief is called as its person likes
					}
					send(m, pattern, s.fill(h, m, pattern, p), field, wrong)
				}
			}
		}
	}
	if tried < 200 {
		t.Errorf("%d things tried only", tried)
	}
	t.Logf("%d things tried", tried)
	if after := state(); after != before {
		t.Errorf("something has changed:\n%s\nwas:\n%s", after, before)
	}
}

// oddIDs are what may stand where an operation's path has an id.
func oddIDs(pattern string) []string {
	if !strings.Contains(pattern, "{") {
		return nil
	}
	return []string{"%00", "..", "'; --", "\"", "💥", "\x7f", "a b", "*", strings.Repeat("x", 300)}
}

// wrongs are what a field never takes.
func wrongs(s spec, field string, x schema) []any {
	x = s.resolve(x)
	out := []any{[]any{[]any{}}} // of the wrong type, whatever the type
	if refers(x) {
		out = append(out, strings.Repeat("x", 10_000))
	}
	switch field {
	case "name":
		out = append(out, "", "a*b", "a\nb", "a\u0000b", "  ", tenure.NewToken(tenure.KindPAT).Reveal())
	case "expires_in":
		out = append(out, 0, -1, "0s", "-1h", "1e99", "99999999999h")
	case "overlap":
		out = append(out, "-1s", "1000d")
	case "expires_at":
		out = append(out, "1999-01-01T00:00:00Z", "soon")
	}
	return out
}
