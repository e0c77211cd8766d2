package app

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/web"
)

// An asker is one column of the matrix: a credential, and what is known of who
// carries it.
type asker struct {
	name   string
	kind   string // "none", "dead", "session", "asserted", "pat", "service", "connector", "root"
	role   tenure.Role
	within tenure.Role
	scopes string
	user   string
	idle   bool // the session was not used for longer than administrators may idle
	old    bool // the sign-in is older than what asks for a recent one
	single bool
	formed bool              // a token that is none any more, or never was
	away   bool              // a service token of another workspace than the one that is asked about
	fresh  func() credential // the credential of one request
	forms  string            // a person of the same role, whose sessions forms may end
}

// may is the table's word on a cell.
func (a asker) may(row access.Row) bool {
	switch a.kind {
	case "session", "asserted":
		if a.kind == "session" && (row.Fresh >= access.NotIdle && a.idle || row.Fresh >= access.Recent && a.old) {
			return false
		}
		return slices.Contains(row.Roles, a.role) || !row.Personal && a.role != tenure.Auditor && slices.Contains(row.Within, a.within)
	case "pat":
		return row.Personal && a.has(row.Scope) && slices.Contains(row.Within, a.within)
	case "service":
		return row.Scope != 0 && a.has(row.Scope) && (!a.away || len(row.Within) == 0 || row.Personal)
	case "connector":
		return row.Connector
	case "root":
		return row.Root || a.single && row.Personal && a.has(row.Scope)
	}
	return false
}

func (a asker) has(scope tenure.Scopes) bool {
	return slices.Contains(strings.Fields(a.scopes), scope.String())
}

// A matrix is every route, and who asks for it.
type matrix struct {
	*installation
	hand *hand
	spec spec
	rows map[tenure.Action]access.Row
	n    atomic.Int64 // cells tried

	caller credential // of somebody who may ask models
}

// TestMatrix tries every route that is mounted with every kind of credential,
// every role and every scope, over HTTP.
//
// Deleting one row of the table in internal/access/rules.go makes it red: the
// route whose action has lost its rule is refused when it is mounted. What is
// expected is read from docs/reference/access.md: a rule that says more or less
// than what people are told there is red in that rule's cells.
func TestMatrix(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, "teams")
	m.hand.write(row{"policies", map[string]any{"tenant_id": "default", "key": "extra_scopes", "value": "responses embeddings", "updated_at": at(time.Now())}})
	user := m.hand.person("default", "caller@example.com", tenure.Member)
	m.hand.member("default", "default", user, tenure.Member)
	_, m.caller = m.hand.token(tenure.KindPAT, "default", "default", user, "", "caller", tenure.DataPlane.String())
	m.run(m.askers())
}

// In single mode the root token is the only credential, and opens the models too.
func TestMatrixSingle(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, "single")
	root := credential{"Authorization", "Bearer " + rootToken}
	m.run([]asker{
		m.fixed(asker{name: "root", kind: "root", single: true, scopes: tenure.DataPlane.String()}, root),
		m.fixed(asker{name: "none", kind: "none"}, credential{}),
	})
}

// Every row of the table is a route's, and every route's action has a row.
func TestMatrixIsWhole(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, "teams")
	// Asked for by an act, beside the action of its route.
	inner := []tenure.Action{tenure.GrantScopes, tenure.EndReviewed, tenure.DecideAnyReview, tenure.AskAnyException, tenure.ListAllExceptions}
	mounted := map[tenure.Action]bool{}
	for _, r := range m.router.Routes() {
		mounted[r.Action] = true
		if _, ok := m.rows[r.Action]; !ok && r.Action != tenure.Public && r.Action != tenure.RevokeHeld {
			t.Errorf("%s: the table has no row %s", r.Pattern, r.Action)
		}
	}
	for action, row := range m.rows {
		operator := len(row.Roles)+len(row.Within) == 0 && row.Scope == 0 && !row.Connector // at the command line only
		if unrouted := operator || slices.Contains(inner, action); mounted[action] == unrouted {
			t.Errorf("the row %s is no route's, or one's that is said to have none", action)
		}
	}
}

func newMatrix(t *testing.T, mode string) *matrix {
	t.Helper()
	in := install(t, mode)
	return &matrix{installation: in, hand: in.hand(), spec: in.spec(), rows: table(t)}
}

func (m *matrix) fixed(a asker, c credential) asker {
	a.fresh = func() credential { return c }
	return a
}

// askers are every kind of credential, role and scope.
func (m *matrix) askers() []asker {
	out := []asker{
		m.fixed(asker{name: "none", kind: "none"}, credential{}),
		m.fixed(asker{name: "SCIM connector", kind: "connector"}, credential{"Authorization", "Bearer " + scimToken}),
		m.fixed(asker{name: "root", kind: "root"}, credential{"Authorization", "Bearer " + rootToken}),
	}
	out = append(out, m.people()...)
	out = append(out, m.tokens()...)
	return append(out, m.dead()...)
}

// people are sessions and asserted identities of every role.
func (m *matrix) people() []asker {
	var out []asker
	for _, role := range tenure.TenantRoles {
		for _, within := range append([]tenure.Role{""}, tenure.WorkspaceRoles[:]...) {
			name := strings.ToLower(m.hand.name(string(role), string(within))) + "@example.com"
			a := asker{name: fmt.Sprintf("%s, %q in the workspace", role, within), role: role, within: within, user: m.hand.person("default", name, role)}
			// Two people: pages open sessions for who is asserted, and end their oldest.
			asserted, session := m.fixed(a, person("asserted-"+name)), a
			asserted.kind, session.kind = "asserted", "session"
			asserted.user = m.hand.person("default", "asserted-"+name, role)
			session.forms = m.hand.person("default", "forms-"+name, role)
			_, c := m.hand.session("default", a.user, time.Now(), time.Now())
			session = m.fixed(session, c)
			out = append(out, asserted, session)
			if within == "" { // the time since the last sight of somebody has nothing to do with workspaces
				// People of their own: each may end the others' sessions.
				idle, old := session, session
				idle.user, old.user = m.hand.person("default", "idle-"+name, role), m.hand.person("default", "old-"+name, role)
				idle.idle, idle.fresh = true, func() credential {
					_, c := m.hand.session("default", idle.user, time.Now(), time.Now().Add(-16*time.Minute))
					return c
				}
				old.old, old.fresh = true, func() credential {
					_, c := m.hand.session("default", old.user, time.Now().Add(-6*time.Minute), time.Now())
					return c
				}
				idle.name, old.name = a.name+", idle", a.name+", signed in a while ago"
				out = append(out, idle, old)
			}
		}
	}
	for i := range out {
		out[i].name = out[i].kind + " of " + out[i].name
	}
	return out
}

// tokens are personal and service tokens of all scopes together, each alone, and none.
func (m *matrix) tokens() []asker {
	var out []asker
	personal := append([]string{tenure.PersonalScopes.String(), ""}, tenure.PersonalScopes.Names()...)
	service := append(append([]string{(tenure.PersonalScopes | tenure.AdminScopes).String(), ""}, personal[2:]...), tenure.AdminScopes.Names()...)
	for _, within := range tenure.WorkspaceRoles {
		p := m.hand.place("default", "pat")
		user := m.hand.person("default", strings.ToLower(m.hand.name("pat", string(within)))+"@example.com", tenure.SuperAdmin)
		m.hand.member("default", p["workspaces"], user, within)
		for _, scopes := range personal {
			_, c := m.hand.token(tenure.KindPAT, "default", p["workspaces"], user, "", m.hand.name("pat", "token"), scopes)
			out = append(out, m.fixed(asker{name: fmt.Sprintf("PAT of a %s with %q", within, scopes), kind: "pat", within: within, scopes: scopes, user: user}, c))
		}
	}
	p := m.hand.place("default", "svc")
	all := (tenure.PersonalScopes | tenure.AdminScopes).String()
	_, away := m.hand.token(tenure.KindService, "default", p["workspaces"], "", p["service-accounts"], m.hand.name("svc", "token"), all)
	out = append(out, m.fixed(asker{name: "service token of another workspace", kind: "service", scopes: all, away: true}, away))
	for _, scopes := range service {
		_, c := m.hand.token(tenure.KindService, "default", p["workspaces"], "", p["service-accounts"], m.hand.name("svc", "token"), scopes)
		out = append(out, m.fixed(asker{name: fmt.Sprintf("service token with %q", scopes), kind: "service", scopes: scopes}, c))
	}
	return out
}

// dead are credentials that hold no more, and none that ever did.
func (m *matrix) dead() []asker {
	p := m.hand.place("default", "dead")
	user := m.hand.person("default", "gone@example.com", tenure.SuperAdmin)
	session, ended := m.hand.session("default", user, time.Now(), time.Now())
	m.hand.change("UPDATE sessions SET ended_at = created_at WHERE id = $1", session)
	var out []asker
	for name, c := range map[string]func() credential{
		"ended session": func() credential { return ended },
		// Another one each time: who tries one again and again is slowed down.
		"of somebody without a role in its workspace": func() credential {
			_, outsider := m.hand.token(tenure.KindPAT, "default", p["workspaces"], user, "", "outsider", "chat")
			return outsider
		},
		"revoked": func() credential {
			id, revoked := m.hand.token(tenure.KindService, "default", p["workspaces"], "", p["service-accounts"], "revoked", tenure.AdminScopes.String())
			m.hand.change("UPDATE api_tokens SET revoked_at = created_at WHERE id = $1", id)
			return revoked
		},
		"unknown": func() credential {
			return credential{"Authorization", "Bearer " + tenure.NewToken(tenure.KindPAT).Reveal()}
		},
		"malformed": func() credential { return credential{"Authorization", "Bearer tpat_" + rand.Text()} },
	} {
		_, formed := tenure.ParseToken(strings.TrimPrefix(c().value, "Bearer "))
		out = append(out, asker{name: "dead: " + name, kind: "dead", formed: formed, fresh: c})
	}
	return out
}

// run tries every cell, the columns beside each other.
func (m *matrix) run(askers []asker) {
	routes, stride := m.router.Routes(), m.stride()
	if len(routes) < 30 || len(askers) < 2 {
		m.t.Fatalf("%d routes and %d askers: this test would pass on nothing", len(routes), len(askers))
	}
	for _, pattern := range []string{"GET /nothing", "POST /api/v1/nothing", "DELETE /v1/nothing", "PUT /api/v1/me", "GET /api/v1/admin//users", "PATCH /settings"} {
		routes = append(routes, web.Route{Pattern: pattern, Action: tenure.Unrouted})
	}
	var wg sync.WaitGroup
	type column struct {
		asker
		first int
	}
	queue := make(chan column)
	for range 6 {
		wg.Go(func() {
			for a := range queue {
				var p place
				for i := a.first; i < len(routes); i += stride {
					p = m.cell(a.asker, routes[i], p)
				}
			}
		})
	}
	for i, a := range askers {
		queue <- column{a, i % stride}
	}
	close(queue)
	wg.Wait()
	m.t.Logf("%d cells: %d routes, %d credentials", m.n.Load(), len(routes), len(askers))
}

// cell asks for one route with one credential. What lies in a workspace is asked for
// in the place that is given, or in a new one, and the place is given back for as
// long as nothing in it may have changed.
func (m *matrix) cell(a asker, r web.Route, last place) place {
	row := m.rows[r.Action]
	// What lies in a workspace is there, and what is sent is right: only so does a
	// request reach the act, which knows the role in the workspace. Anything else
	// is of nobody, and judged by the route.
	var p place
	body := `{"no_such_field": true}`
	inWorkspace := len(row.Within) > 0 && !row.Personal
	if inWorkspace {
		if p = last; p == nil {
			p = m.hand.place("default", "cell")
			if a.within != "" {
				m.hand.member("default", p["workspaces"], a.user, a.within)
				if a.forms != "" {
					m.hand.member("default", p["workspaces"], a.forms, a.within)
				}
			}
		}
		_, route, _ := strings.Cut(r.Pattern, " ")
		filled, _ := json.Marshal(m.spec.fill(m.hand, method(r), route, p))
		body = string(filled)
	}
	if method(r) == http.MethodGet {
		body = ""
	}
	target := path(r.Pattern, p, id)
	if inWorkspace && strings.Contains(fmt.Sprint(m.spec.Paths[strings.TrimPrefix(r.Pattern, "GET ")]["get"].Parameters), "{workspace query") {
		target += "?workspace=" + p["workspaces"]
	}
	c := a.fresh()
	if a.kind == "service" && inWorkspace && !a.away {
		_, c = m.hand.token(tenure.KindService, "default", p["workspaces"], "", p["service-accounts"], m.hand.name("svc", "token"), a.scopes)
	}
	if a.kind == "session" && !a.idle && !a.old && strings.HasPrefix(r.Pattern, "POST /") && !strings.Contains(r.Pattern, "/v") { // a form may end the session that it comes by, and the person's others
		_, c = m.hand.session("default", a.forms, time.Now(), time.Now())
	}
	header := []string{"X-Forwarded-For", ""}
	if r.Action == tenure.CheckAccess && c.header == "Authorization" {
		// Another gateway's credential has a header of its own; it asks about its
		// caller's, who may.
		c = credential{web.GatewayHeader, strings.TrimPrefix(c.value, "Bearer ")}
		header = append(header, m.caller.header, m.caller.value)
	}
	n := m.n.Add(1)
	header[1] = fmt.Sprintf("198.18.%d.%d", n/250%250, n%250)
	got := m.ask(c, method(r), target, body, header...)
	want := m.want(a, r, row, inWorkspace)
	if a.away && inWorkspace && a.has(row.Scope) && target == path(r.Pattern, nil, id) && method(r) == http.MethodGet {
		want = outcome{"what is in its own workspace", func(got reply) bool {
			return got.status == http.StatusOK && !strings.Contains(got.body, p["workspaces"])
		}}
	}
	if !want.fits(got) {
		m.t.Errorf("%s: %s %s answers %d, want %s\n%.300s", a.name, method(r), target, got.status, want.words, got.body)
	}
	if inWorkspace && method(r) != http.MethodGet && got.status < 300 {
		return nil
	}
	if p == nil {
		return last
	}
	return p
}

// An outcome is what a cell of the matrix may be answered.
type outcome struct {
	words string
	fits  func(reply) bool
}

func (m *matrix) want(a asker, r web.Route, row access.Row, inWorkspace bool) outcome {
	is := func(words string, all ...int) outcome {
		return outcome{words, func(got reply) bool { return slices.Contains(all, got.status) }}
	}
	isNot := func(words string, all ...int) outcome {
		return outcome{words, func(got reply) bool {
			return !slices.Contains(all, got.status) && got.status < 500 || got.status == http.StatusNotImplemented ||
				got.status == http.StatusServiceUnavailable && strings.Contains(got.body, `"providers_unavailable"`) // the installation has none that answers
		}}
	}
	switch {
	case r.Action == tenure.Public && (a.kind == "pat" || a.kind == "service" || a.formed):
		return is("403: an access token opens nothing else", 403)
	case r.Pattern == "POST /login" && a.single:
		return is("401: the form holds no token", 401)
	case r.Action == tenure.Public && strings.HasPrefix(r.Pattern, "POST /login"), r.Action == tenure.RevokeHeld:
		return isNot("anything but 403", 403)
	case r.Action == tenure.Public:
		return isNot("anything but 401 and 403", 401, 403)
	case a.kind == "none", a.kind == "dead":
		return is("401", 401)
	case r.Action == tenure.CheckAccess && (a.kind == "session" || a.kind == "asserted"):
		return is("401: a gateway's credential is a token", 401)
	case a.may(row) && inWorkspace:
		return isNot("anything but 401, 403 and 404", 401, 403, 404)
	case a.may(row):
		return isNot("anything but 401 and 403", 401, 403)
	case inWorkspace:
		return outcome{"403, or 404 or no such workspace as if there were none", func(got reply) bool {
			return got.status == 403 || got.status == 404 || got.status == 422 && strings.Contains(got.body, `"code":"invalid_workspace"`) && strings.Contains(got.body, "there is no workspace")
		}}
	}
	return is("403", 403)
}
