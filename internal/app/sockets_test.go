package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/beliefs"
)

// A wire is a client of the WebSocket of beliefs.
type wire struct {
	t     testing.TB
	conn  *websocket.Conn
	in    chan message
	ended chan websocket.CloseError
	n     int
}

type message map[string]any

func (m message) text(path ...string) string {
	var v any = map[string]any(m)
	for _, name := range path {
		inner, _ := v.(map[string]any)
		v = inner[name]
	}
	text, _ := v.(string)
	return text
}

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// dial opens a socket, or gives what it was refused with.
func (in *installation) dial(c credential, header ...string) (*websocket.Conn, *http.Response, error) {
	in.t.Helper()
	r, err := http.NewRequest(http.MethodGet, in.url, http.NoBody)
	if err != nil {
		in.t.Fatal(err)
	}
	c.put(r)
	options := &websocket.DialOptions{HTTPHeader: r.Header, HTTPClient: &http.Client{Transport: in.client.Transport}}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Sec-WebSocket-Protocol" {
			options.Subprotocols = append(options.Subprotocols, header[i+1])
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return websocket.Dial(ctx, strings.Replace(in.url, "http", "ws", 1)+"/v1/ws/beliefs", options)
}

// socket opens a socket whose messages are read as they come.
func (in *installation) socket(c credential, header ...string) *wire {
	in.t.Helper()
	conn, resp, err := in.dial(c, header...)
	if err != nil {
		in.t.Fatalf("dial: %v (%v)", err, resp)
	}
	w := &wire{t: in.t, conn: conn, in: make(chan message, 10_000), ended: make(chan websocket.CloseError, 1)}
	conn.SetReadLimit(-1)
	in.t.Cleanup(func() { _ = conn.CloseNow() })
	go func() {
		for {
			_, data, err := conn.Read(context.Background())
			if err != nil {
				var end websocket.CloseError
				errors.As(err, &end)
				w.ended <- end
				return
			}
			m := message{}
			if err := json.Unmarshal(data, &m); err != nil || m["v"] != 1.0 {
				w.t.Errorf("no message: %s", data)
			}
			w.in <- m
		}
	}()
	w.next("ready")
	return w
}

func (w *wire) send(text string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// next gives the next message of a type, and passes over others.
func (w *wire) next(kind string) message {
	w.t.Helper()
	late := time.After(patience)
	for {
		select {
		case m := <-w.in:
			if m.text("type") == kind {
				return m
			}
		case end := <-w.ended:
			w.t.Fatalf("the socket ended with %d %q while %s was waited for", end.Code, end.Reason, kind)
		case <-late:
			w.t.Fatalf("no %s came", kind)
		}
	}
}

// ask sends a request of a type with members, and gives its answer.
func (w *wire) ask(kind, members string) message {
	w.t.Helper()
	w.n++
	id := strconv.Itoa(w.n)
	if members != "" {
		members = "," + members
	}
	w.send(`{"v":1,"type":"` + kind + `","id":"` + id + `"` + members + `}`)
	late := time.After(patience)
	var others []message
	defer func() {
		for _, m := range others {
			w.in <- m
		}
	}()
	for {
		select {
		case m := <-w.in:
			if m.text("request") == id {
				return m
			}
			others = append(others, m)
		case end := <-w.ended:
			w.t.Fatalf("%s: the socket ended with %d %q", kind, end.Code, end.Reason)
		case <-late:
			w.t.Fatalf("%s: no answer", kind)
		}
	}
}

// must is ask, of what must be done.
func (w *wire) must(kind, members string) message {
	w.t.Helper()
	m := w.ask(kind, members)
	if m.text("type") != "ack" {
		w.t.Fatalf("%s {%s}: %v", kind, members, m)
	}
	return m
}

// quiet asks something, and fails where anything came before the answer: what was told
// before it would have come by then.
func (w *wire) quiet() {
	w.t.Helper()
	w.must("ping", "")
	select {
	case m := <-w.in:
		w.t.Errorf("told: %v", m)
	default:
	}
}

// ends waits for a socket to be closed, and with what.
func (w *wire) ends(code websocket.StatusCode, reason string) time.Time {
	w.t.Helper()
	select {
	case end := <-w.ended:
		if end.Code != code || end.Reason != reason {
			w.t.Errorf("ended with %d %q, want %d %q", end.Code, end.Reason, code, reason)
		}
	case <-time.After(patience):
		w.t.Errorf("it did not end, with %d", code)
	}
	return time.Now()
}

func beliefOf(scope, name, content string) string {
	return `"belief":{"scope":"` + scope + `","type":"decision","name":"` + name + `","content":"` + content + `"}`
}

// pat mints a personal access token for somebody.
func (in *installation) pat(userName string, members ...string) (credential, string) {
	in.t.Helper()
	r := in.must(http.StatusCreated, person(userName), http.MethodPost, tokens, `{`+strings.Join(append([]string{`"name":"socket-` + tenure.NewID(time.Now()) + `"`}, members...), ",")+`}`)
	return credential{"Authorization", "Bearer " + r.member("token")}, r.member("id")
}

// Two clients of one person: what one does, the other is told of, in the scope that it
// watches; somebody else is told nothing.
func TestBeliefSocket(t *testing.T) {
	in := install(t, "teams")
	alice, _ := in.pat("alice@example.com")
	bob, _ := in.pat("bob@example.com")
	w, other, foreign := in.socket(alice, "Sec-WebSocket-Protocol", beliefs.Protocol), in.socket(alice), in.socket(bob)
	if w.conn.Subprotocol() != beliefs.Protocol || other.conn.Subprotocol() != "" {
		t.Errorf("subprotocols %q and %q", w.conn.Subprotocol(), other.conn.Subprotocol())
	}
	for _, c := range []*wire{other, foreign} {
		c.must("subscribe", `"scope":"project:a"`)
	}
	made := w.must("record", beliefOf("project:a", "Database", "we use PostgreSQL"))
	id := made.text("belief", "id")
	if made.text("how") != "created" || id == "" {
		t.Fatalf("recorded: %v", made)
	}
	if m := other.next("belief.upserted"); m.text("belief", "id") != id || m.text("belief", "content") != "we use PostgreSQL" {
		t.Errorf("pushed: %v", m)
	}
	changed := w.must("patch", `"belief_id":"`+id+`","version":1,"belief":{"content":"we use SQLite"}`)
	if changed.text("before") != id {
		t.Errorf("patched: %v", changed)
	}
	newer := changed.text("belief", "id")
	if m := other.next("belief.superseded"); m.text("belief", "id") != id || m.text("by") != newer {
		t.Errorf("superseded: %v", m)
	}
	other.next("belief.upserted")
	if m := w.ask("patch", `"belief_id":"`+newer+`","version":9,"belief":{"why":"small"}`); m.text("code") != "belief_changed" {
		t.Errorf("a patch of another version: %v", m)
	}
	if all, _ := w.must("list", `"scope":"project:a"`)["beliefs"].([]any); len(all) != 1 {
		t.Errorf("listed: %v", all)
	}
	if all, _ := w.must("list", `"scope":"project:b"`)["beliefs"].([]any); all == nil || len(all) != 0 {
		t.Errorf("listed elsewhere: %v", all)
	}
	if all, _ := w.must("history", `"belief_id":"`+newer+`"`)["beliefs"].([]any); len(all) != 2 {
		t.Errorf("history: %v", all)
	}
	if m := foreign.ask("history", `"belief_id":"`+newer+`"`); m.text("type") != "error" || m.text("code") != "not_found" {
		t.Errorf("somebody else's: %v", m)
	}
	if m := w.must("toggle", `"extraction":"off"`); m["extraction"].(map[string]any)["said"] != "off" {
		t.Errorf("toggled: %v", m)
	}
	if m := w.ask("extract", `"scope":"project:a","messages":[{"role":"user","text":"we use Go"}]`); m.text("code") != "extraction_off" {
		t.Errorf("extract: %v", m)
	}
	w.must("delete", `"belief_id":"`+newer+`"`)
	if m := other.next("belief.deleted"); m.text("belief_id") == "" {
		t.Errorf("deleted: %v", m)
	}
	w.must("record", beliefOf("project:a", "Language", "Go"))
	other.next("belief.upserted")
	other.must("unsubscribe", `"scope":"project:a"`)
	w.must("record", beliefOf("project:a", "Editor", "vi"))
	other.must("subscribe", `"scope":"project:c"`)
	w.must("record", beliefOf("project:c", "Colour", "red"))
	if m := other.next("belief.upserted"); m.text("belief", "scope") != "project:c" {
		t.Errorf("pushed after unsubscribe: %v", m)
	}
	in.must(http.StatusOK, person(superAdmin), http.MethodGet, "/api/v1/me", "")
	if r := in.must(http.StatusOK, person(superAdmin), http.MethodGet, "/api/v1/admin/streams", ""); strings.Count(r.body, `"action":"beliefs.connect"`) != 3 {
		t.Errorf("open streams: %s", r.body)
	}
	if r := in.must(http.StatusOK, person(superAdmin), http.MethodGet, "/admin/streams", ""); strings.Count(r.body, "WebSocket of beliefs</td>") != 3 {
		t.Errorf("the page of open streams: %s", r.body)
	}
	foreign.quiet()
}

// Whoever may not open a socket is refused before there is one, in the shape of /v1.
func TestBeliefSocketRefused(t *testing.T) {
	in := install(t, "teams")
	hand := in.hand()
	alice, _ := in.pat("alice@example.com")
	chat, _ := in.pat("alice@example.com", `"scopes":["chat"]`)
	_, session := hand.session("default", in.user("alice@example.com"), time.Now(), time.Now())
	place := hand.place("default", "sockets")
	_, service := hand.token(tenure.KindService, "default", place["workspaces"], "", place["service-accounts"], "svc", "beliefs")
	const own, other = "Origin", "https://evil.example"
	for name, c := range map[string]struct {
		who    credential
		header []string
		status int
		code   string
	}{
		"nobody":                           {credential{}, nil, 401, "missing_credential"},
		"a dead token":                     {credential{"Authorization", "Bearer tpat_x"}, nil, 401, "invalid_token"},
		"a token without the scope":        {chat, nil, 403, "insufficient_scope"},
		"a service token":                  {service, nil, 409, "person_required"},
		"the root token":                   {credential{"Authorization", "Bearer " + rootToken}, nil, 403, "insufficient_scope"},
		"a token in another site's page":   {alice, []string{own, other}, 403, "cross_site"},
		"a token in a page of nowhere":     {alice, []string{own, "null"}, 403, "cross_site"},
		"a session in another site's page": {session, []string{own, other}, 403, "cross_site"},
		"a session without an origin":      {session, nil, 403, "cross_site"},
		"an asserted one without":          {person("alice@example.com"), nil, 403, "cross_site"},
		"an asserted one of another site":  {person("alice@example.com"), []string{own, other}, 403, "cross_site"},
		"another subprotocol":              {alice, []string{"Sec-WebSocket-Protocol", "graphql-ws"}, 400, "unknown_subprotocol"},
		"a token":                          {alice, nil, 101, ""},
		"a token in our own page":          {alice, []string{own, in.url}, 101, ""},
		"a session in our own page":        {session, []string{own, in.url}, 101, ""},
		"an asserted one in our own page":  {person("alice@example.com"), []string{own, in.url}, 101, ""},
		"one of two subprotocols":          {alice, []string{"Sec-WebSocket-Protocol", "x", "Sec-WebSocket-Protocol", beliefs.Protocol}, 101, ""},
	} {
		conn, resp, err := in.dial(c.who, c.header...)
		if err == nil {
			_ = conn.CloseNow()
		}
		if resp == nil || resp.StatusCode != c.status {
			t.Errorf("%s: %v %v", name, resp, err)
			continue
		}
		if c.status == 101 {
			continue
		}
		var body struct{ Error struct{ Code, Type string } }
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || body.Error.Code != c.code || body.Error.Type == "" {
			t.Errorf("%s: %v %+v, want %s", name, err, body, c.code)
		}
	}
	if r := in.must(http.StatusUpgradeRequired, alice, http.MethodGet, "/v1/ws/beliefs", ""); r.header.Get("Upgrade") != "websocket" || !strings.Contains(r.body, `"upgrade_required"`) {
		t.Errorf("no upgrade: %v %s", r.header, r.body)
	}
	var open []*wire
	carol, _ := in.pat("carol@example.com")
	for range beliefs.PerOwner {
		open = append(open, in.socket(carol))
	}
	if _, resp, err := in.dial(carol); err == nil || resp == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %v %v", resp, err)
	}
	bob, _ := in.pat("bob@example.com")
	in.socket(bob)
	_ = open[0].conn.Close(websocket.StatusNormalClosure, "")
	for late := time.Now().Add(patience); ; {
		if conn, _, err := in.dial(carol); err == nil {
			_ = conn.CloseNow()
			break
		} else if time.Now().After(late) {
			t.Fatalf("a place that was left is not free: %v", err)
		}
	}
}

// user is the id of somebody.
func (in *installation) user(userName string) string {
	in.t.Helper()
	return in.must(http.StatusOK, person(userName), http.MethodGet, "/api/v1/me", "").member("id")
}

// Whoever is signed in has a socket from our own page: of all workspaces that they are in,
// and until they sign out.
func TestBeliefSocketOfASession(t *testing.T) {
	in := install(t, "teams")
	hand := in.hand()
	pat, _ := in.pat("alice@example.com")
	session, cookie := hand.session("default", in.user("alice@example.com"), time.Now(), time.Now())
	page, program := in.socket(cookie, "Origin", in.url), in.socket(pat)
	page.must("subscribe", `"scope":"project:a"`)
	program.must("record", beliefOf("project:a", "Database", "PostgreSQL"))
	told := page.next("belief.upserted")
	if told.text("belief", "content") != "PostgreSQL" {
		t.Errorf("told: %v", told)
	}
	if m := page.ask("record", beliefOf("project:a", "Language", "Go")); m.text("code") != "invalid_workspace" {
		t.Errorf("recorded in no workspace: %v", m)
	}
	page.must("record", strings.Replace(beliefOf("project:a", "Language", "Go"), `{"scope"`, `{"workspace":"`+told.text("belief", "workspace")+`","scope"`, 1))
	if m := page.ask("extract", `"scope":"project:a","messages":[{"role":"user","text":"x"}]`); m.text("code") != "token_required" {
		t.Errorf("extract: %v", m)
	}
	hand.change("UPDATE sessions SET ended_at = $1 WHERE id = $2", at(time.Now()), session)
	page.ends(4401, "access_revoked")
	program.must("ping", "")
}
