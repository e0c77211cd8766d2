package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/simulator"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A side is one of two tenants under load: whoever asks, and what is asked about.
type side struct {
	tenant, marker, foreign, workspace string

	mu     sync.Mutex
	places []place
}

// A crowd is both sides at once.
type crowd struct {
	*installation
	hand   *hand
	spec   spec
	routes []web.Route
	sides  [2]*side
	asked  [6]atomic.Int64 // by the first digit of the status
}

// TestTwoTenantsUnderLoad lets two tenants ask for everything at once, with random
// ids, roles and scopes: not one byte of the other's may be in an answer, and
// nothing may break. TENURE_TEST_LOAD is for how long (5s when it is not set),
// TENURE_TEST_SEED repeats a run's choices.
func TestTwoTenantsUnderLoad(t *testing.T) {
	t.Parallel()
	const enough = 100 // good answers, for this to be a test
	long, seed := 5*time.Second, uint64(time.Now().UnixNano())
	if text := os.Getenv("TENURE_TEST_LOAD"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("TENURE_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("TENURE_TEST_SEED=%d", seed)
	in := install(t, "teams")
	c := &crowd{installation: in, hand: in.hand(), spec: in.spec(), routes: in.router.Routes()}
	c.hand.tenant(otherTenant, otherMarker)
	c.sides = [2]*side{
		{tenant: "default", marker: ownMarker, foreign: otherMarker, workspace: "default"},
		{tenant: otherTenant, marker: otherMarker, foreign: ownMarker, workspace: otherTenant + "-default"},
	}
	c.provider(c.sides[1])
	for _, s := range c.sides {
		for range 4 {
			s.places = append(s.places, c.hand.place(s.tenant, s.marker))
		}
	}
	var wg sync.WaitGroup
	// A machine that has much else to do asks little in that time: it goes on until
	// there is something to judge, for six times as long at most.
	end := time.Now().Add(long)
	late := end.Add(5 * long)
	goesOn := func() bool {
		now := time.Now()
		return now.Before(end) || c.asked[2].Load() < enough && now.Before(late)
	}
	for i := range uint64(8) {
		w := &worker{crowd: c, side: c.sides[i%2], other: c.sides[(i+1)%2], r: rand.New(rand.NewPCG(seed, i))}
		wg.Go(func() {
			for goesOn() && !t.Failed() {
				w.step()
			}
		})
	}
	wg.Wait()
	for _, s := range c.sides {
		if strings.Contains(c.hand.dump(s.tenant), s.foreign) {
			t.Errorf("the rows of %s have the other tenant's names in them", s.tenant)
		}
	}
	t.Logf("%d good answers, %d refused", c.asked[2].Load(), c.asked[4].Load())
	if c.asked[2].Load() < enough {
		t.Error("hardly anything was answered: this test would pass on nothing")
	}
}

// provider gives a tenant a provider of its own, with a key of its own.
func (c *crowd) provider(s *side) {
	c.t.Helper()
	key := "sk-key-of-" + s.tenant
	server := httptest.NewServer((&simulator.Server{Key: key}).Handler())
	c.t.Cleanup(server.Close)
	operator := &tenure.Standing{Kind: tenure.Operator, Tenant: tenure.TenantID(s.tenant), TenantActive: true, Role: tenure.SuperAdmin, Name: "test"}
	p, err := operator.Admit(time.Now(), 0)
	if here := "loopback"; err == nil {
		_, err = c.Policies.Set(tenure.Everywhere(context.Background()), p, map[string]*string{"provider_networks": &here})
	}
	if err == nil {
		_, err = c.Vault.Add(tenure.Everywhere(context.Background()), p, vault.Spec{Workspace: s.workspace, Name: "openai", Kind: tenure.OpenAI, BaseURL: server.URL + "/v1", Key: tenure.NewSecret(key)})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// A worker asks for one side.
type worker struct {
	*crowd
	side, other *side
	r           *rand.Rand
	who         credential
	last        string     // what it asked last
	left        int        // how often it asks as who
	chats, idp  credential // of a person who asks models, and of the identity provider
}

// step asks once.
func (w *worker) step() {
	if w.left--; w.left < 0 {
		w.who, w.left = w.somebody(), 20+w.r.IntN(40)
		user := w.hand.person(w.side.tenant, w.hand.name(w.side.marker, "asks")+"@example.com", tenure.Member)
		w.hand.member(w.side.tenant, w.side.workspace, user, tenure.Member)
		_, w.chats = w.hand.token(tenure.KindPAT, w.side.tenant, w.side.workspace, user, "", w.hand.name(w.side.marker, "chat"), tenure.DataPlane.String())
		_, w.idp = w.hand.connector(w.side.tenant, w.hand.name(w.side.marker, "idp"))
	}
	var got reply
	switch n := w.r.IntN(10); {
	case n < 6:
		got = w.anything()
	case n < 8:
		got = w.chat()
	default:
		got = w.provision()
	}
	if got.status == http.StatusUnauthorized { // revoked by somebody: another one
		w.left = 0
	}
	w.asked[got.status/100%6].Add(1)
	whole := got.body + fmt.Sprint(got.header)
	if strings.Contains(whole, w.side.foreign) {
		w.t.Errorf("%s is told of the other tenant: %s", w.side.tenant, whole)
	}
	if got.status >= 500 && got.status != http.StatusNotImplemented {
		w.t.Errorf("%s: %d: %s", w.last, got.status, got.body)
	}
}

// somebody of the side, by some credential.
func (w *worker) somebody() credential {
	s, h := w.side, w.hand
	some := func(all tenure.Scopes) string {
		return strings.Join(slices.DeleteFunc(all.Names(), func(string) bool { return w.r.IntN(3) == 0 }), " ")
	}
	pick := func(roles []tenure.Role) tenure.Role { return roles[w.r.IntN(len(roles))] }
	user := h.person(s.tenant, h.name(s.marker, "somebody")+"@example.com", pick(tenure.TenantRoles[:]))
	h.member(s.tenant, s.workspace, user, pick(tenure.WorkspaceRoles[:]))
	p := w.place(s)
	h.member(s.tenant, p["workspaces"], user, pick(tenure.WorkspaceRoles[:]))
	switch w.r.IntN(6) {
	case 0:
		_, c := h.token(tenure.KindPAT, s.tenant, s.workspace, user, "", h.name(s.marker, "pat"), some(tenure.PersonalScopes))
		return c
	case 1:
		_, c := h.token(tenure.KindService, s.tenant, p["workspaces"], "", p["service-accounts"], h.name(s.marker, "svc"), some(tenure.AdminScopes))
		return c
	case 2:
		_, c := h.connector(s.tenant, h.name(s.marker, "connector"))
		return c
	}
	_, c := h.session(s.tenant, user, time.Now(), time.Now())
	return c
}

// place gives one of a side's, and a new one now and then.
func (w *worker) place(s *side) place {
	var fresh place
	if w.r.IntN(50) == 0 {
		fresh = w.hand.place(s.tenant, s.marker)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fresh != nil {
		s.places[w.r.IntN(len(s.places))] = fresh
	}
	return s.places[w.r.IntN(len(s.places))]
}

// anything is any route, about what is one's own, the other's, or nobody's.
func (w *worker) anything() reply {
	r := w.routes[w.r.IntN(len(w.routes))]
	_, pattern, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		pattern = r.Pattern
	}
	own, other := w.place(w.side), w.place(w.other)
	mixed := place{}
	for _, part := range slices.Sorted(maps.Keys(own)) {
		switch w.r.IntN(4) {
		case 0:
			mixed[part] = other[part]
		case 1:
			mixed[part] = id()
		default:
			mixed[part] = own[part]
		}
	}
	body := w.spec.fill(w.hand, method(r), pattern, mixed)
	for name := range body {
		if name == "name" {
			body[name] = strings.ToLower(w.hand.name(w.side.marker, "made"))
		}
	}
	if r.Action == tenure.CreateOIDC && body != nil { // the page for signing in names it to everybody
		body["name"] = strings.ToLower(w.hand.name("public", "made"))
	}
	if r.Action == tenure.CreateProvider && body != nil { // one that was made up would be asked for models
		body["base_url"] = "nowhere"
	}
	target := path(r.Pattern, mixed, id)
	if method(r) == http.MethodGet && w.r.IntN(2) == 0 {
		target += "?limit=1000"
	}
	w.last = method(r) + " " + target
	return w.ask(w.who, method(r), target, text(body), w.from()...)
}

// from is some address: who fails often from one is slowed down.
func (w *worker) from() []string {
	return []string{"X-Forwarded-For", fmt.Sprintf("198.%d.%d.%d", 18+w.r.IntN(2), w.r.IntN(250), w.r.IntN(250))}
}

// chat asks the tenant's own provider.
func (w *worker) chat() reply {
	if w.r.IntN(4) == 0 {
		return w.ask(w.chats, http.MethodGet, "/v1/models", "", w.from()...)
	}
	got := w.ask(w.chats, http.MethodPost, "/v1/chat/completions",
		fmt.Sprintf(`{"model":"sim-gpt-4o","stream":%t,"messages":[{"role":"user","content":"%s"}]}`, w.r.IntN(2) == 0, w.side.marker), w.from()...)
	if got.status == http.StatusUnauthorized { // somebody of its tenant has revoked it
		return got
	}
	if got.status != http.StatusOK || !strings.Contains(got.body, w.side.marker) {
		w.t.Errorf("chat of %s: %d %s", w.side.tenant, got.status, got.body)
	}
	return got
}

// provision is what an identity provider does.
func (w *worker) provision() reply {
	if w.r.IntN(2) == 0 {
		all := [...]string{"/scim/v2/Users?count=200", "/scim/v2/Groups", `/scim/v2/Users?filter=userName%20co%20%22` + w.other.marker + `%22`}
		return w.ask(w.idp, http.MethodGet, all[w.r.IntN(len(all))], "", w.from()...)
	}
	member := w.place(w.other)["users"] // of the other's: nobody, here
	if w.r.IntN(2) == 0 {
		member = w.place(w.side)["users"]
	}
	group, _ := json.Marshal(map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": w.hand.name(w.side.marker, "pushed"), "members": []any{map[string]any{"value": member}},
	})
	return w.ask(w.idp, http.MethodPost, "/scim/v2/Groups", string(group), w.from()...)
}
