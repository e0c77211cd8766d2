package app

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A factored is an installation whose people sign in at a provider that says by what.
type factored struct {
	*installation
	p *idp
	h *hand
}

func installFactored(t *testing.T) *factored {
	t.Helper()
	in, p := install(t, "teams"), newIDP(t)
	in.Connections.Local = true
	if _, err := in.Connections.Create(tenure.Everywhere(t.Context()), Operator("test", tenure.DefaultTenant), tenure.OIDCConnection{
		Name: "acme", Issuer: p.URL, ClientID: "tenure", UserNameClaim: "email",
	}, tenure.NewSecret("client-secret")); err != nil {
		t.Fatal(err)
	}
	f := &factored{in, p, in.hand()}
	for name, role := range map[string]tenure.Role{"grace": tenure.SuperAdmin, "heidi": tenure.SuperAdmin, "oscar": tenure.Auditor, "alice": tenure.Member} {
		f.h.person("default", name+"@example.com", role)
	}
	return f
}

var theRoot = credential{"Authorization", "Bearer " + rootToken}

// policy sets a policy with the root token, which is asked for no second factor.
func (f *factored) policy(body string) {
	f.t.Helper()
	f.must(http.StatusOK, theRoot, "PATCH", "/api/v1/admin/policy", body)
}

// comes signs somebody in, of whom the provider says more; and gives what they are answered
// and the session.
func (f *factored) comes(name string, says map[string]any) (reply, credential) {
	f.t.Helper()
	claims := map[string]any{"sub": name, "email": name + "@example.com", "email_verified": true, "auth_time": time.Now().Unix()}
	for claim, v := range says {
		claims[claim] = v
	}
	end, _, _ := f.signIn(f.p, "acme", claims)
	session := ""
	for _, c := range (&http.Response{Header: end.header}).Cookies() {
		if c.Name == "tenure" {
			session = c.Name + "=" + c.Value
		}
	}
	return end, credential{"Cookie", session}
}

func (f *factored) in(name string, amr ...string) credential {
	f.t.Helper()
	end, c := f.comes(name, map[string]any{"amr": amr})
	if end.status != http.StatusSeeOther || c.value == "" {
		f.t.Fatalf("%s by %v: %d %s", name, amr, end.status, end.body)
	}
	return c
}

// refuses is a request that lacks a second factor.
func (f *factored) refuses(what string, c credential, method, path, body string) reply {
	f.t.Helper()
	r := f.ask(c, method, path, body)
	if r.status != http.StatusForbidden || !strings.Contains(r.body, "mfa_required") {
		f.t.Errorf("%s: %s %s: %d %s", what, method, path, r.status, r.body)
	}
	return r
}

// Who administers has shown a second factor, as the provider says it: what it does not say
// is not there.
func TestSecondFactorToAdminister(t *testing.T) {
	f := installFactored(t)
	weak := f.in("grace", "otp")
	f.must(http.StatusOK, weak, "GET", "/api/v1/admin/users", "")
	f.policy(`{"mfa":"admin"}`)
	for what, says := range map[string]map[string]any{
		"a password":            {"amr": []string{"pwd"}},
		"nothing said":          {},
		"a word that is no amr": {"amr": []string{"x mfa"}},
		"no list":               {"amr": "mfa"},
		"an acr of another":     {"acr": "1", "amr": []string{"pwd", "otp"}},
	} {
		_, c := f.comes("grace", says)
		f.refuses(what, c, "GET", "/api/v1/admin/users", "")
		f.refuses(what, c, "PATCH", "/api/v1/admin/policy", `{"mfa":"off"}`)
		f.must(http.StatusOK, c, "GET", "/api/v1/me", "")
		f.must(http.StatusOK, c, "GET", "/api/v1/tokens", "")
	}
	said := f.refuses("a session from before", weak, "GET", "/api/v1/admin/audit", "")
	for _, word := range []string{`amr \"otp\"`, `\"mfa\"`, "mfa_missing"} {
		if !strings.Contains(said.body, word) {
			t.Errorf("it does not say %s: %s", word, said.body)
		}
	}
	f.refuses("an auditor", f.in("oscar", "pwd"), "GET", "/api/v1/admin/audit", "")
	page := f.ask(weak, "GET", "/admin/people", "", "Accept", "text/html")
	if page.status != http.StatusForbidden || !strings.Contains(page.body, "Sign in again to go on") || !strings.Contains(page.body, "reauth=1") {
		t.Errorf("the page: %d %s", page.status, page.body)
	}
	for what, says := range map[string]map[string]any{
		"several methods": {"amr": []string{"pwd", "mfa"}}, "an acr": {"acr": "mfa"},
	} {
		_, c := f.comes("grace", says)
		if r := f.ask(c, "GET", "/api/v1/admin/users", ""); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	// By a plain header nothing is shown.
	said = f.refuses("a header", person("grace@example.com"), "GET", "/api/v1/admin/users", "")
	if !strings.Contains(said.body, "a plain header cannot") {
		t.Errorf("it does not say what to do: %s", said.body)
	}
	f.must(http.StatusOK, person("grace@example.com"), "GET", "/api/v1/me", "")
	// To sign in again leads to the provider: by the header there would be a session that shows nothing.
	for what, c := range map[string]credential{"a header": {}, "a header beside a session": f.in("grace", "mfa")} {
		opened := f.h.count(`SELECT count(*) FROM sessions`)
		r := f.ask(c, "POST", "/login/again", "to=%2Fadmin%2Fpeople", "X-User-Id", "grace@example.com", "Content-Type", "application/x-www-form-urlencoded")
		if r.status != http.StatusOK || !strings.Contains(r.body, "Go on to sign in anew") || !strings.Contains(r.body, "/oidc/acme/start") {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
		if n := f.h.count(`SELECT count(*) FROM sessions`); n != opened {
			t.Errorf("%s: %d sessions, and there were %d", what, n, opened)
		}
	}
	// What counts is set, and holds for the sessions that there are.
	f.policy(`{"mfa_values":"mfa otp"}`)
	f.must(http.StatusOK, weak, "GET", "/api/v1/admin/users", "")
}

// Nobody gets in without, where it is asked of all; tokens that were made before go on.
func TestSecondFactorOfAll(t *testing.T) {
	f := installFactored(t)
	weak, strong := f.in("alice", "pwd"), f.in("grace", "pwd", "mfa")
	f.policy(`{"mfa":"all"}`)
	f.refuses("a session from before", weak, "GET", "/api/v1/me", "")
	f.refuses("a session from before", weak, "POST", "/api/v1/tokens", `{"name":"x"}`)
	f.must(http.StatusOK, strong, "GET", "/api/v1/admin/users", "")
	end, c := f.comes("alice", map[string]any{"amr": []string{"pwd"}})
	if end.status != http.StatusForbidden || c.value != "" || !strings.Contains(end.body, "mfa_required") || !strings.Contains(end.body, "Sign in with a second factor") || !strings.Contains(end.body, "/login?reauth=1") {
		t.Errorf("the sign-in: %d %q %s", end.status, c.value, end.body)
	}
	if n := f.h.count(`SELECT count(*) FROM sessions WHERE amr = 'pwd'`); n != 1 {
		t.Errorf("%d sessions without a second factor, and there was one before", n)
	}
	f.refuses("a header", person("alice@example.com"), "GET", "/api/v1/me", "")
	f.must(http.StatusOK, theRoot, "GET", "/api/v1/admin/users", "")
	f.policy(`{"mfa":"off"}`)
	f.must(http.StatusOK, weak, "GET", "/api/v1/me", "")
}

// A sign-in that is refused leaves nothing behind: no link by which the next one is kept
// out, and nobody who was never let in.
func TestSecondFactorComesBeforeWhatASignInWrites(t *testing.T) {
	f := installFactored(t)
	f.policy(`{"mfa":"all"}`)
	rows := func() string {
		return fmt.Sprint(f.h.count(`SELECT count(*) FROM users`), f.h.count(`SELECT count(*) FROM oidc_subjects`), f.h.count(`SELECT count(*) FROM memberships`))
	}
	before := rows()
	for what, says := range map[string]map[string]any{
		"in somebody's name": {"sub": "not-heidi", "email": "heidi@example.com", "amr": []string{"pwd"}},
		"for the first time": {"sub": "nina", "email": "nina@example.com", "amr": []string{"pwd"}},
	} {
		if end, c := f.comes("", says); end.status != http.StatusForbidden || c.value != "" || !strings.Contains(end.body, "mfa_required") {
			t.Errorf("%s: %d %s", what, end.status, end.body)
		}
	}
	f.refuses("a header", person("nina@example.com"), "GET", "/api/v1/me", "")
	if after := rows(); after != before {
		t.Errorf("people, subjects and memberships: %s before, %s after", before, after)
	}
	f.must(http.StatusOK, f.in("heidi", "pwd", "mfa"), "GET", "/api/v1/admin/users", "")
	f.must(http.StatusOK, f.in("nina", "pwd", "mfa"), "GET", "/api/v1/me", "")
}

// Nobody shuts themselves out.
func TestSecondFactorLocksNobodyOut(t *testing.T) {
	f := installFactored(t)
	weak, strong := f.in("grace", "otp"), f.in("heidi", "otp", "mfa")
	locks := func(c credential, body string) {
		t.Helper()
		if r := f.ask(c, "PATCH", "/api/v1/admin/policy", body); r.status != http.StatusConflict || !strings.Contains(r.body, "mfa_lockout") {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	locks(weak, `{"mfa":"admin"}`)
	locks(weak, `{"mfa":"all"}`)
	locks(person("grace@example.com"), `{"mfa":"admin"}`)
	locks(strong, `{"mfa":"admin","mfa_values":"hwk"}`)
	f.must(http.StatusOK, weak, "PATCH", "/api/v1/admin/policy", `{"mfa":"admin","mfa_values":"otp"}`)
	locks(weak, `{"mfa_values":"mfa"}`)
	f.must(http.StatusOK, strong, "PATCH", "/api/v1/admin/policy", `{"mfa":"all","mfa_values":"mfa"}`)
	locks(strong, `{"mfa_values":"hwk"}`)
	f.letOff("grace")
	weak = f.in("grace", "pwd")
	f.must(http.StatusOK, weak, "PATCH", "/api/v1/admin/policy", `{"mfa":"admin"}`) // of fewer
	locks(weak, `{"mfa":"all"}`)                                                    // though an exception lets her off
	f.must(http.StatusOK, weak, "PATCH", "/api/v1/admin/policy", `{"mfa":"off"}`)
}

// The provider is asked for what it says that it knows.
func TestSecondFactorIsAskedFor(t *testing.T) {
	f := installFactored(t)
	asked := func(path string) string {
		to, err := url.Parse(f.must(http.StatusSeeOther, credential{}, "GET", path, "").header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		return to.Query().Get("acr_values")
	}
	f.p.mu.Lock()
	f.p.acrs = []string{"urn:one", "gold"}
	f.p.mu.Unlock()
	for _, c := range []struct{ mfa, first, again string }{{"off", "", ""}, {"admin", "", "gold"}, {"all", "gold", "gold"}} {
		f.policy(fmt.Sprintf(`{"mfa":%q,"mfa_values":"mfa gold"}`, c.mfa))
		if first, again := asked("/oidc/acme/start"), asked("/oidc/acme/start?reauth=1"); first != c.first || again != c.again {
			t.Errorf("%s: asked for %q, and anew for %q", c.mfa, first, again)
		}
	}
}

// letOff has an exception approved that lets somebody sign in without a second factor.
func (f *factored) letOff(name string) (id string) {
	f.t.Helper()
	f.must(http.StatusOK, theRoot, "GET", "/api/v1/admin/users", "")
	heidi := f.in("heidi", "mfa")
	ask := fmt.Sprintf(`{"title":"No telephone","rule":"mfa_missing","subject_kind":"user","subject":"%s@example.com","owner":"heidi@example.com","reason":"Lost","controls":"From the office",
		"risk_before":{"likelihood":"low","impact":"high"},"risk_after":{"likelihood":"low","impact":"low"},"plan":"A new one","expires_at":%q}`, name, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
	id = f.must(http.StatusCreated, heidi, "POST", "/api/v1/admin/exceptions", ask).member("id")
	f.h.change(`UPDATE exceptions SET requested_by_user = '', requested_by = 'somebody else' WHERE id = '` + id + `'`)
	f.must(http.StatusOK, heidi, "POST", "/api/v1/admin/exceptions/"+id+"/approve", `{"reason":"for a day"}`)
	return id
}

// An exception lets one person in, and ends what it opened, whatever ends it: requests at
// once, and a page that is open within a second.
func TestExceptionOfTheSecondFactor(t *testing.T) {
	f := installFactored(t)
	f.policy(`{"mfa":"all"}`)
	id := f.letOff("alice")
	alice := f.in("alice", "pwd")
	f.must(http.StatusOK, alice, "GET", "/api/v1/me", "")
	f.must(http.StatusOK, person("alice@example.com"), "GET", "/api/v1/me", "") // by a header too
	f.refuses("somebody else", person("oscar@example.com"), "GET", "/api/v1/me", "")
	if n := f.h.count(`SELECT count(*) FROM sessions WHERE exception_id = '` + id + `'`); n != 1 {
		t.Fatalf("%d sessions hang on it", n)
	}
	heidi := f.in("heidi", "mfa")
	if r := f.must(http.StatusOK, heidi, "GET", "/api/v1/admin/exceptions/"+id, ""); !strings.Contains(r.body, `"sessions":1`) {
		t.Errorf("it does not tell of the session: %s", r.body)
	}
	// Out of force, and in force again.
	f.h.change(`UPDATE exceptions SET failed_at = '` + time.Now().UTC().Format(time.RFC3339) + `' WHERE id = '` + id + `'`)
	f.must(http.StatusUnauthorized, alice, "GET", "/api/v1/me", "")
	f.refuses("by a header", person("alice@example.com"), "GET", "/api/v1/me", "")
	f.h.change(`UPDATE exceptions SET failed_at = NULL WHERE id = '` + id + `'`)
	f.must(http.StatusOK, alice, "GET", "/api/v1/me", "")

	// Renewed: the session goes on, by the new one.
	renewed := f.must(http.StatusCreated, heidi, "POST", "/api/v1/admin/exceptions/"+id+"/renew", fmt.Sprintf(`{"expires_at":%q}`, time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339))).member("id")
	f.h.change(`UPDATE exceptions SET requested_by_user = '', requested_by = 'somebody else' WHERE id = '` + renewed + `'`)
	f.must(http.StatusOK, heidi, "POST", "/api/v1/admin/exceptions/"+renewed+"/approve", `{"reason":"for another day"}`)
	f.must(http.StatusOK, alice, "GET", "/api/v1/me", "")

	over, from := f.listen(alice), time.Now()
	f.must(http.StatusOK, heidi, "POST", "/api/v1/admin/exceptions/"+renewed+"/revoke", `{"reason":"she was seen elsewhere"}`)
	f.must(http.StatusUnauthorized, alice, "GET", "/api/v1/me", "")
	if took := over().Sub(from); took > time.Second {
		t.Errorf("revoked: the open page heard of it after %v", took)
	}
	f.refuses("revoked", person("alice@example.com"), "GET", "/api/v1/me", "")
	if n := f.h.count(`SELECT count(*) FROM sessions WHERE exception_id = '` + renewed + `' AND ended_by = 'exception' AND ended_reason = 'its exception was revoked'`); n != 1 {
		t.Errorf("%d sessions have ended with it", n)
	}

	// By SQL.
	id = f.letOff("alice")
	alice = f.in("alice", "pwd")
	over, from = f.listen(alice), time.Now()
	f.h.change(`UPDATE exceptions SET expires_at = '` + time.Now().Add(-time.Second).UTC().Format(time.RFC3339) + `' WHERE id = '` + id + `'`)
	f.must(http.StatusUnauthorized, alice, "GET", "/api/v1/me", "")
	if took := over().Sub(from); took > time.Second {
		t.Errorf("at its end: the open page heard of it after %v", took)
	}
	f.refuses("after its end", person("alice@example.com"), "GET", "/api/v1/me", "")
	if end, _ := f.comes("alice", map[string]any{"amr": []string{"pwd"}}); end.status != http.StatusForbidden {
		t.Errorf("a sign-in after its end: %d", end.status)
	}
}

// listen opens what a page listens by, and gives what waits for its end, and tells when it
// was.
func (f *factored) listen(c credential) func() time.Time {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.url+"/events", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	c.put(r)
	resp, err := f.client.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		f.t.Fatal(resp, err)
	}
	begun, over := make(chan struct{}), make(chan time.Time, 1)
	go func() {
		defer func() { _ = resp.Body.Close() }()
		lines := bufio.NewScanner(resp.Body)
		for first := true; lines.Scan(); first = false {
			if first {
				close(begun)
			}
		}
		over <- time.Now()
	}()
	<-begun
	return func() time.Time { return <-over } // the client's own limit ends it too
}
