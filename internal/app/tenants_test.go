package app

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// The other tenant, and the word that is in every name that it has.
const (
	otherTenant = "tenant-b"
	otherMarker = "zqbmarker"
	ownMarker   = "zqamarker"
)

// A walk asks for everything that is mounted, as somebody of one tenant, by what
// is another tenant's, and by what is nobody's.
type walk struct {
	*installation
	hand             *hand
	spec             spec
	attacker, victim string
	own, other       place
	names            [][2]string // a name of the other tenant's, and one of the same form that nobody has
	who              string
	credential       credential
	n, turn          int
	took             [2][]time.Duration // by the other tenant's ids, and by nobody's
}

// TestOtherTenant walks every route with every id and name of another tenant: it
// must be answered, byte for byte, as one that never was.
func TestOtherTenant(t *testing.T) {
	t.Parallel()
	in := install(t, "teams")
	h := in.hand()
	h.tenant(otherTenant, otherMarker)
	w := newWalk(in, "default", otherTenant)
	askers := w.askers()
	askers["root"] = func() credential { return credential{"Authorization", "Bearer " + rootToken} }
	w.run(askers)
}

// The other tenant walks too: what is the installation's own is the tenant
// default's, and nobody else's, whether the settings carry the root token or not.
func TestOtherTenantAsks(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]string{"root token of the settings": rootToken, "stored root token": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := installWith(t, "teams", root)
			h := in.hand()
			h.tenant(otherTenant, ownMarker)
			if root == "" {
				h.token(tenure.KindRoot, "default", "", "", "", "root", "")
			}
			w := newWalk(in, otherTenant, "default")
			askers := w.askers()
			w.run(askers)
			for _, who := range []string{"super admin", "service token"} {
				in.must(http.StatusForbidden, askers[who](), http.MethodPost, "/api/v1/admin/root-token/rotate", "")
				in.must(http.StatusForbidden, askers[who](), http.MethodGet, "/api/v1/admin/health", "")
				in.must(http.StatusForbidden, askers[who](), http.MethodGet, "/api/v1/admin/keys", "")
			}
			if got := in.ask(askers["super admin"](), http.MethodPost, "/settings/root/rotate", ""); got.status < 400 || tenure.HoldsToken(got.body) {
				t.Errorf("the page answers %d %s", got.status, got.body)
			}
			if live := h.count("SELECT COUNT(*) FROM api_tokens WHERE kind = 'root' AND revoked_at IS NULL"); root == "" && live != 1 {
				t.Errorf("%d root tokens that live", live)
			}
		})
	}
}

// newWalk is a walk by somebody of one tenant through what is another's.
func newWalk(in *installation, attacker, victim string) *walk {
	h := in.hand()
	w := &walk{installation: in, hand: h, spec: in.spec(), attacker: attacker, victim: victim, other: h.place(victim, otherMarker)}
	h.otherwise(victim, w.other)
	for _, c := range []struct{ table, column string }{{"users", "user_name"}, {"workspaces", "name"}, {"groups", "display_name"}, {"service_accounts", "name"}} {
		var name string
		if err := h.db.QueryRow("SELECT " + c.column + " FROM " + c.table + " WHERE tenant_id = '" + victim + "' AND " + c.column + " LIKE '" + otherMarker + "%'").Scan(&name); err != nil {
			in.t.Fatal(err)
		}
		w.names = append(w.names, [2]string{name, strings.Replace(name, otherMarker, "nobodyhas", 1)})
	}
	return w
}

// askers are credentials of the attacker's tenant, each good for one route at least.
func (w *walk) askers() map[string]func() credential {
	p := w.hand.place(w.attacker, ownMarker)
	_, service := w.hand.token(tenure.KindService, w.attacker, p["workspaces"], "", p["service-accounts"], "all", (tenure.PersonalScopes | tenure.AdminScopes).String())
	_, connector := w.hand.connector(w.attacker, "walker")
	user := w.hand.person(w.attacker, "walker@example.com", tenure.SuperAdmin)
	return map[string]func() credential{
		"super admin": func() credential {
			_, c := w.hand.session(w.attacker, user, time.Now(), time.Now())
			return c
		},
		"SCIM connector": func() credential { return connector },
		"service token":  func() credential { return service },
	}
}

// run walks every route with every asker.
func (w *walk) run(askers map[string]func() credential) {
	before := w.hand.dump(w.victim)
	routes, stride := w.router.Routes(), w.stride()
	for n, who := range slices.Sorted(maps.Keys(askers)) {
		c := askers[who]
		w.who = who
		for i := n % stride; i < len(routes); i += stride {
			r := routes[i]
			if method(r) != http.MethodGet || i < stride { // what was there may be gone
				w.own = w.hand.place(w.attacker, ownMarker)
			}
			w.credential = c()
			w.route(r)
		}
	}
	w.who, w.credential = "SCIM connector", askers["SCIM connector"]()
	w.provisioning()
	if after := w.hand.dump(w.victim); after != before {
		w.t.Errorf("the other tenant has changed:\n%s", changed(before, after))
	}
	if w.n < 500/stride {
		w.t.Errorf("%d requests only", w.n)
	}
	for i := range w.took {
		slices.Sort(w.took[i])
	}
	w.t.Logf("%d requests; the median answer took %v for another tenant's, %v for what never was", w.n, w.took[0][len(w.took[0])/2], w.took[1][len(w.took[1])/2])
}

// changed are the lines that only one of two texts has.
func changed(before, after string) string {
	var out strings.Builder
	for _, pair := range [][3]string{{"- ", before, after}, {"+ ", after, before}} {
		other := strings.Split(pair[2], "\n")
		for line := range strings.SplitSeq(pair[1], "\n") {
			if !slices.Contains(other, line) {
				out.WriteString(pair[0] + line + "\n")
			}
		}
	}
	return out.String()
}

// otherwise writes what of a tenant is in no place.
func (h *hand) otherwise(tenant string, p place) {
	now := at(time.Now())
	h.write(
		row{"audit_events", map[string]any{"id": id(), "at": now, "tenant_id": tenant, "action": "token.minted", "actor_kind": "session", "actor": otherMarker, "object": otherMarker, "object_id": p["tokens"], "outcome": "success"}},
		row{"idempotency", map[string]any{"tenant_id": tenant, "actor": "user:" + p["users"], "key_hash": "k", "request": "r", "status": 201, "answer": `{"name":"` + otherMarker + `"}`, "created_at": now}},
		row{"policies", map[string]any{"tenant_id": tenant, "key": otherMarker, "value": otherMarker, "updated_at": now}},
	)
}

// route asks for one route in every way in which it can name something.
func (w *walk) route(r web.Route) {
	m := method(r)
	_, pattern, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		pattern = r.Pattern
	}
	filled := w.spec.fill(w.hand, m, pattern, w.own)
	// In the path: one of its ids at a time, and all of them.
	found := parameter.FindAllStringSubmatch(pattern, -1)
	for i := range found {
		for _, pair := range w.pairs(found[i][1]) {
			if w.compare(r, m, pair, func(value string) (string, string) {
				n := -1
				route := parameter.ReplaceAllStringFunc(pattern, func(f string) string {
					before, _, _ := strings.Cut(f, "/")
					if n++; n == i || w.own[before] == "" {
						return before + "/" + url.PathEscape(value)
					}
					return before + "/" + w.own[before]
				})
				return strings.TrimSuffix(route, "{$}"), text(filled)
			}, false) {
				return // by the route, whatever is named
			}
		}
	}
	// In the query, and in the body.
	fresh := func() string {
		if len(found) > 0 && m != http.MethodGet { // what was there may be gone
			w.own = w.hand.place(w.attacker, ownMarker)
		}
		return path(r.Pattern, w.own, id)
	}
	for _, q := range w.spec.Paths[pattern][strings.ToLower(m)].Parameters {
		if q.In != "query" || !refers(q.Schema) || q.Name == "cursor" {
			continue
		}
		for _, pair := range sayable(q.Name, w.pairs(q.Name)) {
			w.compare(r, m, pair, func(value string) (string, string) {
				route := fresh()
				return route + "?" + q.Name + "=" + url.QueryEscape(value), text(w.spec.fill(w.hand, m, pattern, w.own))
			}, true)
		}
	}
	x, _ := w.spec.body(m, pattern)
	for name := range x.Properties {
		if !refers(x.Properties[name]) || name == "name" {
			continue
		}
		for _, pair := range sayable(name, w.pairs(name)) {
			w.compare(r, m, pair, func(value string) (string, string) {
				route := fresh()
				all := w.spec.fill(w.hand, m, pattern, w.own)
				all[name] = value
				return route, text(all)
			}, true)
		}
	}
	if len(found) == 0 && m != http.MethodGet { // what it does to whom it does not name
		w.clean(r, w.ask(w.credential, m, path(r.Pattern, w.own, id), text(filled)))
	}
	if m == http.MethodGet { // everything that it lists
		limit := "?limit=1000"
		if strings.HasPrefix(pattern, "/scim/") {
			limit = "?count=200"
		}
		w.clean(r, w.ask(w.credential, m, path(r.Pattern, w.own, id)+limit, ""))
	}
}

// pairs are what a place of a request is filled with: the other tenant's names, the id
// of the thing that belongs there, of a person and of a workspace, and a quarter of all
// the others, each time the next one. Every id everywhere was 43,000 requests.
func (w *walk) pairs(about string) [][2]string {
	pairs := slices.Clone(w.names)
	w.turn++
	for i, part := range slices.Sorted(maps.Keys(w.other)) {
		belongs := part == "users" || part == "workspaces" || about != "" && strings.HasPrefix(part, about)
		if belongs || i%4 == w.turn%4 {
			pairs = append(pairs, [2]string{w.other[part], id()})
		}
	}
	return pairs
}

// provisioning names what is another tenant's over SCIM, whose bodies are not in
// the OpenAPI document.
func (w *walk) provisioning() {
	group := func(member string) string {
		return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":%q,"members":[{"value":%q}]}`, w.hand.name("made", "thing"), member)
	}
	patch := func(op, member string) string {
		return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":%q,"path":"members","value":[{"value":%q}]}]}`, op, member)
	}
	bulk := func(id string) string {
		return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"DELETE","path":"/Users/%s"},{"method":"DELETE","path":"/Groups/%s"}]}`, url.PathEscape(id), url.PathEscape(id))
	}
	filters := []string{`userName eq "%s"`, `displayName sw "%s"`, `id eq "%s"`, `groups.value eq "%s"`, `members.value eq "%s"`, `externalId eq "%s"`}
	pairs := append([][2]string{{otherMarker, "nobodyhas"}}, w.names...)
	for _, part := range []string{"users", "groups", "tokens"} {
		pairs = append(pairs, [2]string{w.other[part], id()})
	}
	for _, pair := range pairs {
		for _, c := range []struct {
			method, pattern string
			about           func(string) (string, string)
		}{
			{http.MethodPost, "/scim/v2/Groups", func(v string) (string, string) { return "/scim/v2/Groups", group(v) }},
			{http.MethodPatch, "/scim/v2/Groups/{id}", func(v string) (string, string) { return "/scim/v2/Groups/" + w.own["groups"], patch("add", v) }},
			{http.MethodPatch, "/scim/v2/Groups/{id}", func(v string) (string, string) { return "/scim/v2/Groups/" + w.own["groups"], patch("remove", v) }},
			{http.MethodPost, "/scim/v2/Bulk", func(v string) (string, string) { return "/scim/v2/Bulk", bulk(v) }},
		} {
			w.compare(web.Route{Pattern: c.pattern}, c.method, pair, c.about, true)
		}
		for _, f := range filters {
			for _, kind := range []string{"Users", "Groups"} {
				w.compare(web.Route{Pattern: kind + " with " + f}, http.MethodGet, pair, func(v string) (string, string) {
					return "/scim/v2/" + kind + "?filter=" + url.QueryEscape(fmt.Sprintf(f, v)), ""
				}, true)
			}
		}
	}
}

// sayable are the pairs that a field may be filled with. What is said in free text
// is told again to those who read it, so no name of the other tenant is. A passphrase
// names nothing, and what is encrypted with it is another text each time.
func sayable(field string, pairs [][2]string) [][2]string {
	// The pattern is of models, of which anybody may say anything; a seed is of a sample,
	// a title is what a review is called, of all that there is in the tenant, and a matter
	// what a legal hold is for.
	if slices.Contains([]string{"passphrase", "pattern", "seed", "title", "matter"}, field) {
		return nil
	}
	if !slices.Contains([]string{"about", "description", "reason", "answer", "title", "controls", "plan", "key", "client_id", "client_secret", "username_claim", "model", "content", "why"}, field) {
		return pairs
	}
	return slices.DeleteFunc(slices.Clone(pairs), func(p [2]string) bool { return strings.Contains(p[0], otherMarker) })
}

// refers reports whether a field may name something: text that is one of no list.
func refers(x schema) bool {
	kind, _ := x.Type.(string)
	return kind == "string" && len(x.Enum) == 0
}

func text(v map[string]any) string {
	if v == nil {
		return ""
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// compare asks with what is the other tenant's, and with what is nobody's.
func (w *walk) compare(r web.Route, m string, pair [2]string, about func(value string) (path, body string), mayBeGood bool) (refused bool) {
	var answers [2]string
	var status [2]int
	for i, value := range pair {
		target, body := about(value)
		w.n++
		begun := time.Now()
		got := w.ask(w.credential, m, target, body, "X-Forwarded-For", fmt.Sprintf("198.18.%d.%d", w.n/250%250, w.n%250))
		if got.status == http.StatusCreated && strings.HasSuffix(r.Pattern, "/oidc-connections") { // a tenant has one
			w.hand.change("DELETE FROM oidc_connections WHERE tenant_id = $1", w.attacker)
		}
		w.took[i] = append(w.took[i], time.Since(begun))
		status[i], answers[i] = got.status, plain(got, value)
		if !mayBeGood && got.status < 300 {
			w.t.Errorf("%s: %s %s with %s: %d %s", w.who, m, r.Pattern, value, got.status, got.body)
		}
		if strings.Contains(answers[i], otherMarker) {
			w.t.Errorf("%s: %s %s with %s tells of the other tenant: %s", w.who, m, r.Pattern, value, got.body)
		}
	}
	if status[0] != status[1] || answers[0] != answers[1] {
		at := 0
		for at < min(len(answers[0]), len(answers[1])) && answers[0][at] == answers[1][at] {
			at++
		}
		at = max(0, at-100)
		w.t.Errorf("%s: %s with %s is told apart from what never was (%s):\n%d … %.400s\n%d … %.400s", w.who, r.Pattern, pair[0], pair[1], status[0], answers[0][min(at, len(answers[0])):], status[1], answers[1][min(at, len(answers[1])):])
	}
	return status[0] == http.StatusForbidden && status[1] == http.StatusForbidden
}

// clean looks for the other tenant in an answer.
func (w *walk) clean(r web.Route, got reply) {
	text := got.body
	if in, err := zip.NewReader(strings.NewReader(text), int64(len(text))); err == nil {
		for _, f := range in.File {
			content, err := fs.ReadFile(in, f.Name)
			if err != nil {
				w.t.Errorf("%s: %s of %s: %v", w.who, f.Name, r.Pattern, err)
			}
			text += string(content)
		}
	}
	if strings.Contains(text, otherMarker) {
		w.t.Errorf("%s: %s tells of the other tenant: %s", w.who, r.Pattern, text)
	}
}

var (
	anyID    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyTime  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	anyShown = regexp.MustCompile(`(used )?\d*( times in the last 24 hours, last )?<time [^>]*>[^<]*</time>`)
	anyToken = regexp.MustCompile(`t(pat|svc|scim|root)_[0-9A-Za-z]+`)
	anyName  = regexp.MustCompile(`(made|` + ownMarker + `)-[a-z]+-\d+`)
	anyLast4 = regexp.MustCompile(`"key_last4":"[^"]*"|"fingerprint":"[0-9a-f]*"`) // of what was sent as the key
	anyTaken = regexp.MustCompile(`"snapshot_sha256":"[0-9a-f]{64}"`)              // over ids and times
	anyTook  = regexp.MustCompile(`"took_ms":[0-9.e+-]+`)
)

// plain is an answer without what is of this one request: what was sent, ids that
// were made for it, the time.
func plain(got reply, sent string) string {
	body := got.body
	for _, form := range []string{sent, url.PathEscape(sent), url.QueryEscape(sent)} {
		body = strings.ReplaceAll(body, form, "SENT")
	}
	body = anyID.ReplaceAllString(body, "ID")
	body = anyShown.ReplaceAllString(body, "TIME") // of root, a page counts the uses
	body = anyTime.ReplaceAllString(body, "TIME")
	body = anyToken.ReplaceAllString(body, "TOKEN")
	body = anyLast4.ReplaceAllString(body, "LAST4")
	body = anyTook.ReplaceAllString(body, "TOOK")
	body = anyTaken.ReplaceAllString(body, "TAKEN")
	return anyName.ReplaceAllString(body, "NAME")
}

// dump gives every row of a tenant, in every table that knows tenants.
func (h *hand) dump(tenant string) string {
	h.t.Helper()
	var out strings.Builder
	tables, err := h.db.Query(h.tables)
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			h.t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := tables.Err(); err != nil || len(names) < 8 {
		h.t.Fatal(err, names)
	}
	for _, table := range names {
		if table == "usage_minutes" { // who is not known is counted in the tenant default
			continue
		}
		query := "SELECT * FROM " + table + " WHERE tenant_id = $1"
		if table == "audit_events" { // what was refused before it was known whose it is
			query += " AND action NOT IN ('request.refused', 'oidc.refused', 'oidc.logout_refused')"
		}
		rows, err := h.db.Query(query, tenant)
		if err != nil {
			h.t.Fatal(err)
		}
		columns, _ := rows.Columns()
		var lines []string
		for rows.Next() {
			values := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				h.t.Fatal(err)
			}
			for i, v := range values {
				if moment, ok := v.(time.Time); ok {
					values[i] = at(moment)
				}
			}
			lines = append(lines, fmt.Sprintln(table, values))
		}
		if err := rows.Err(); err != nil {
			h.t.Fatal(err)
		}
		slices.Sort(lines)
		for _, line := range lines {
			out.WriteString(line)
		}
	}
	return out.String()
}
