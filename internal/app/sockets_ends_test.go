package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// However access ends, its sockets end within a second, and are told why; those of others
// go on.
func TestBeliefSocketEnds(t *testing.T) {
	in := install(t, "teams")
	hand := in.hand()
	ada := person(superAdmin)
	in.must(http.StatusOK, ada, http.MethodGet, "/api/v1/me", "")
	bob, _ := in.pat("bob@example.com")
	bystander := in.socket(bob)
	for name, c := range map[string]struct {
		end    func(user, token string)
		code   websocket.StatusCode
		reason string
	}{
		"by the API": {func(_, token string) {
			in.must(http.StatusOK, ada, http.MethodDelete, "/api/v1/admin/tokens/"+token, "")
		}, 4401, "access_revoked"},
		"by SQL": {func(_, token string) {
			hand.change("UPDATE api_tokens SET revoked_at = $1 WHERE id = $2", at(time.Now()), token)
		}, 4401, "access_revoked"},
		"by SCIM": {func(user, _ string) {
			in.must(http.StatusOK, credential{"Authorization", "Bearer " + scimToken}, http.MethodPatch, "/scim/v2/Users/"+user,
				`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`)
		}, 4401, "access_revoked"},
		"by the loss of its scope": {func(_, token string) {
			hand.change("UPDATE api_tokens SET scopes = 'chat' WHERE id = $1", token)
		}, 4401, "access_revoked"},
		"by its expiry": {func(_, token string) {
			hand.change("UPDATE api_tokens SET expires_at = $1 WHERE id = $2", at(time.Now().Add(200*time.Millisecond)), token)
		}, 4401, "access_revoked"},
		"by an administrator": {func(user, _ string) {
			for _, f := range in.Live.Flights(func(s *tenure.Standing) bool { return string(s.User) == user }) {
				in.must(http.StatusOK, ada, http.MethodPost, "/api/v1/admin/streams/"+f.ID+"/cut", "")
			}
		}, 4403, "ended_by_administrator"},
	} {
		who := "user-" + tenure.NewID(time.Now()) + "@example.com"
		pat, token := in.pat(who)
		w := in.socket(pat)
		began := time.Now()
		c.end(in.user(who), token)
		if took := w.ends(c.code, c.reason).Sub(began); took > time.Second+300*time.Millisecond {
			t.Errorf("%s: it took %v", name, took)
		}
	}
	bystander.must("ping", "")
	const told = `route="GET /v1/ws/beliefs",status="101"} 6`
	for late := time.Now().Add(patience); !strings.Contains(in.must(http.StatusOK, credential{}, http.MethodGet, "/metrics", "").body, told); {
		if time.Now().After(late) {
			t.Fatalf("the metrics do not tell %s", told)
		}
	}
	in.end()
	bystander.ends(websocket.StatusServiceRestart, "shutting_down")
}

// A thousand messages that are none are answered, each, and the next one is done.
func TestBeliefSocketMalformed(t *testing.T) {
	in := install(t, "teams")
	alice, _ := in.pat("alice@example.com")
	w := in.socket(alice)
	for _, c := range []struct{ text, code, request string }{
		{``, "invalid_message", ""},
		{`{`, "invalid_message", ""},
		{`[]`, "invalid_message", ""},
		{`null`, "invalid_message", ""},
		{"\xff", "invalid_message", ""},
		{`{"v":1,"type":"ping","id":"a"} {}`, "invalid_message", ""},
		{`{"v":2,"type":"ping","id":"a"}`, "invalid_message", "a"},
		{`{"v":"1","type":"ping","id":"a"}`, "invalid_message", "a"},
		{`{"v":1,"type":"ping","id":7}`, "invalid_message", ""},
		{`{"v":1,"type":"ping","id":"` + strings.Repeat("a", 101) + `"}`, "invalid_message", ""},
		{`{"v":1,"type":"pong","id":"a"}`, "unknown_message", "a"},
		{`{"v":1,"type":"ping","id":"a","extra":1}`, "invalid_message", "a"},
		{`{"v":1,"type":"subscribe","id":"a"}`, "invalid_scope", "a"},
		{`{"v":1,"type":"subscribe","id":"a","scope":7}`, "invalid_message", "a"},
		{`{"v":1,"type":"list","id":"a"}`, "invalid_scope", "a"},
		{`{"v":1,"type":"list","id":"a","scope":"project:a","limit":101}`, "invalid_limit", "a"},
		{`{"v":1,"type":"record","id":"a","belief":{"scope":"project:a","user":"u"}}`, "invalid_message", "a"},
		{`{"v":1,"type":"record","id":"a","belief":{"scope":"tenant:a","type":"decision","name":"n","content":"c"}}`, "invalid_scope", "a"},
		{`{"v":1,"type":"toggle","id":"a","extraction":"on"}`, "invalid_extraction", "a"},
		{`{"v":1,"type":"delete","id":"a","belief_id":"x"}`, "not_found", "a"},
		{`{"v":1,"type":"ping","id":"a","pad":"` + strings.Repeat("x", 1<<20) + `"}`, "message_too_large", ""},
	} {
		w.send(c.text)
		if m := w.next("error"); m.text("code") != c.code || m.text("request") != c.request || m.text("message") == "" {
			t.Errorf("%.80q: %v, want %s for %q", c.text, m, c.code, c.request)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.conn.Write(ctx, websocket.MessageBinary, []byte(`{"v":1,"type":"ping"}`)); err != nil {
		t.Fatal(err)
	}
	if m := w.next("error"); m.text("code") != "binary_message" {
		t.Errorf("a binary message: %v", m)
	}
	for i := range 1000 {
		w.send(fmt.Sprintf(`{"v":1,"type":"nonsense","id":"%d"}`, i))
	}
	codes := map[string]int{}
	for i := range 1000 {
		m := w.next("error")
		if m.text("request") != fmt.Sprint(i) {
			t.Fatalf("the answer to %d: %v", i, m)
		}
		codes[m.text("code")]++
	}
	if codes["unknown_message"] == 0 || codes["unknown_message"]+codes["rate_limit_exceeded"] != 1000 {
		t.Errorf("answered: %v", codes)
	}
	for late := time.Now().Add(patience); w.ask("ping", "").text("type") != "ack"; {
		if time.Now().After(late) {
			t.Fatal("nothing is done any more")
		}
	}
}

// Who goes on asking for more than they may is not answered for ever.
func TestBeliefSocketFlood(t *testing.T) {
	in := install(t, "teams")
	alice, _ := in.pat("alice@example.com")
	w := in.socket(alice)
	for range 10_000 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := w.conn.Write(ctx, websocket.MessageText, []byte(`{"v":1,"type":"ping"}`))
		cancel()
		if err != nil {
			break
		}
	}
	w.ends(4429, "rate_limit_exceeded")
	in.socket(alice).must("ping", "")
}

// A client that does not read is dropped, and keeps nobody waiting: neither who changes
// what it watches, nor the other sockets.
func TestBeliefSocketSlow(t *testing.T) {
	in := install(t, "teams")
	alice, _ := in.pat("alice@example.com")
	w := in.socket(alice)
	w.must("subscribe", `"scope":"project:a"`)
	slow, _, err := in.dial(alice)
	if err != nil {
		t.Fatal(err)
	}
	slow.SetReadLimit(-1)
	defer func() { _ = slow.CloseNow() }()
	if err := slow.Write(t.Context(), websocket.MessageText, []byte(`{"v":1,"type":"subscribe","scope":"project:a"}`)); err != nil {
		t.Fatal(err)
	}
	const n = 20
	for i := range n {
		w.must("record", beliefOf("project:a", fmt.Sprint("n", i), strings.Repeat("<", 1900))) // six bytes each, as JSON has it
	}
	hand := in.hand()
	open := func() int { return len(in.Live.Flights(func(s *tenure.Standing) bool { return s.User != "" })) }
	for late := time.Now().Add(time.Minute); open() == 2; {
		if time.Now().After(late) {
			t.Fatal("the slow client is not dropped")
		}
		hand.change("UPDATE beliefs SET version = version + 1")
		began := time.Now()
		for range n {
			w.next("belief.upserted")
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("the others waited for %v", took)
		}
	}
	w.must("ping", "")
	for {
		if _, _, err := slow.Read(t.Context()); err != nil {
			if code := websocket.CloseStatus(err); code != 4008 && code != -1 {
				t.Errorf("ended with %v", err)
			}
			return
		}
	}
}

// Scopes, workspaces and people are walls: whatever is recorded by whom, a socket is told
// of all that was recorded where it watches, and of nothing from where it never did.
func TestBeliefSocketWalls(t *testing.T) {
	in := install(t, "teams")
	hand := in.hand()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	scopes := []string{"user:universal", "project:a", "project:b", "domain:a"}
	type end struct {
		*wire
		who, workspace string
		watched, ever  map[string]bool
		due, told      map[string]bool
	}
	var all []*end
	for _, who := range []string{"alice@example.com", "bob@example.com"} {
		user := in.user(who)
		for _, ws := range []string{"default", "second"} {
			if ws == "second" {
				if who == "alice@example.com" {
					hand.write(row{"workspaces", map[string]any{"id": ws, "tenant_id": "default", "name": ws, "created_at": at(time.Now())}})
				}
				hand.member("default", ws, user, tenure.Member)
			}
			_, pat := hand.token(tenure.KindPAT, "default", ws, user, "", who+ws, "beliefs")
			for range 2 {
				all = append(all, &end{in.socket(pat), who, ws, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}})
			}
		}
	}
	place := func(e *end, scope string) string { return e.who + " " + e.workspace + " " + scope }
	for i := range 150 {
		e, scope := all[r.IntN(len(all))], scopes[r.IntN(len(scopes))]
		switch r.IntN(4) {
		case 0:
			e.must("subscribe", `"scope":"`+scope+`"`)
			e.watched[place(e, scope)], e.ever[place(e, scope)] = true, true
		case 1:
			if e.watched[place(e, scope)] && r.IntN(3) == 0 {
				for due := range e.due { // what was recorded before has to come first
					e.read(t, due, e.told)
				}
				e.must("unsubscribe", `"scope":"`+scope+`"`)
				delete(e.watched, place(e, scope))
			}
		default:
			text := fmt.Sprintf("%s %d", place(e, scope), i)
			e.must("record", beliefOf(scope, fmt.Sprint("n", i), text))
			for _, other := range all {
				if other.watched[place(e, scope)] {
					other.due[text] = true
				}
			}
		}
	}
	told := 0
	for _, e := range all {
		for due := range e.due {
			e.read(t, due, e.told)
		}
		e.must("ping", "")
		for len(e.in) > 0 {
			e.take(<-e.in, e.told)
		}
		for text := range e.told {
			if told++; !e.ever[text[:strings.LastIndex(text, " ")]] {
				t.Errorf("a socket of %s in %s was told: %s", e.who, e.workspace, text)
			}
		}
	}
	if told < 20 {
		t.Errorf("only %d were told: this test would pass on nothing", told)
	}
}

// read waits until it was told of something.
func (w *wire) read(t *testing.T, text string, told map[string]bool) {
	t.Helper()
	for !told[text] {
		w.take(w.next("belief.upserted"), told)
	}
}

func (w *wire) take(m message, told map[string]bool) {
	if strings.HasPrefix(m.text("type"), "belief") {
		told[m.text("belief", "content")] = true
	}
}

// What is done at one replica, sockets at another are told of within a second; and end
// there likewise.
func TestBeliefSocketReplicas(t *testing.T) {
	a := install(t, "teams")
	pat, token := a.pat("alice@example.com")
	b := a // of a SQLite database there is one: so it is between two of its sockets
	if storetest.OnPostgres() {
		b = a.replica()
	}
	here, there := a.socket(pat), b.socket(pat)
	there.must("subscribe", `"scope":"project:a"`)
	for i := range 5 {
		began := time.Now()
		here.must("record", beliefOf("project:a", "Database", fmt.Sprint("version ", i)))
		there.next("belief.upserted")
		if took := time.Since(began); took > time.Second {
			t.Errorf("pushed after %v", took)
		}
	}
	began := time.Now()
	a.must(http.StatusNoContent, person("alice@example.com"), http.MethodDelete, tokens+"/"+token, "")
	here.ends(4401, "access_revoked")
	if took := there.ends(4401, "access_revoked").Sub(began); took > time.Second+300*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// A person's own token is what a socket takes: the root token of single mode is nobody's.
func TestBeliefSocketSingle(t *testing.T) {
	in := install(t, "single")
	_, resp, err := in.dial(credential{"Authorization", "Bearer " + rootToken})
	if err == nil || resp == nil || resp.StatusCode != http.StatusConflict {
		t.Errorf("%v %v", resp, err)
	}
}
