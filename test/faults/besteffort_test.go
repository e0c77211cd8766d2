package faults

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// grace is how long the workspace "default" goes on without the database in these
// tests: for longer than streams do anywhere else.
const grace = 11 * time.Second

// goesOn makes the workspace "default" one that chose best effort, and beside it a
// strict one that has a provider too.
func goesOn(t *testing.T, w *world, r *replica) {
	t.Helper()
	for _, c := range [][3]string{
		{"PATCH", "/api/v1/admin/policy", `{"best_effort_max":"5m"}`},
		{"POST", "/api/v1/admin/workspaces", `{"name":"Strict"}`},
		{"POST", "/api/v1/admin/providers", fmt.Sprintf(`{"workspace":"Strict","name":"openai","kind":"openai","base_url":"%s/v1","key":"%s"}`, w.provider.URL, providerKey)},
	} {
		if a := ask(r.url, c[0], c[1], c[2], bearer(rootToken)); a.status >= 300 {
			t.Fatal(a)
		}
	}
	// By an exception, which one asks for and another approves.
	as := "X-User-Id: " + admin
	if a := ask(r.url, "GET", "/api/v1/me", "", as); a.status != 200 {
		t.Fatal(a)
	}
	asked := ask(r.url, "POST", "/api/v1/admin/exceptions", `{"title":"x","rule":"best_effort","subject_kind":"workspace","subject":"default","owner":"`+admin+`",
		"reason":"x","controls":"x","plan":"x","risk_before":{"likelihood":"low","impact":"low"},"risk_after":{"likelihood":"low","impact":"low"},
		"expires_at":"`+time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339)+`"}`, bearer(rootToken))
	var exception struct{ ID string }
	if err := json.Unmarshal([]byte(asked.body), &exception); err != nil || asked.status != 201 {
		t.Fatal(asked)
	}
	if a := ask(r.url, "POST", "/api/v1/admin/exceptions/"+exception.ID+"/approve", `{"reason":"x"}`, as); a.status != 200 {
		t.Fatal(a)
	}
	body := fmt.Sprintf(`{"outage_grace_seconds":%d,"exception":%q}`, grace/time.Second, exception.ID)
	if a := ask(r.url, "PATCH", "/api/v1/admin/workspaces/default", body, bearer(rootToken)); a.status != 200 {
		t.Fatal(a)
	}
}

// mintStrict makes a token of the workspace "Strict".
func mintStrict(t *testing.T, r *replica, userName string) string {
	t.Helper()
	me := ask(r.url, "GET", "/api/v1/me", "", "X-User-Id: "+userName)
	var id struct{ ID string }
	if err := json.Unmarshal([]byte(me.body), &id); err != nil || id.ID == "" {
		t.Fatal(me)
	}
	if a := ask(r.url, "PUT", "/api/v1/admin/workspaces/Strict/members/"+id.ID, `{"role":"member"}`, bearer(rootToken)); a.status != 200 {
		t.Fatal(a)
	}
	a := ask(r.url, "POST", "/api/v1/tokens", `{"name":"strict","workspace":"Strict"}`, "X-User-Id: "+userName)
	var minted struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &minted); err != nil || minted.Token == "" {
		t.Fatal(a)
	}
	return minted.Token
}

// used are the events that tell of uses during an outage, by who used.
func used(t *testing.T, r *replica) map[string]int {
	t.Helper()
	a := ask(r.url, "GET", "/api/v1/admin/audit?action=token.used_in_outage&limit=100", "", bearer(rootToken))
	var page struct {
		Items []struct {
			Actor  string
			Detail map[string]string
		}
	}
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != 200 {
		t.Fatal(a)
	}
	out := map[string]int{}
	for _, e := range page.Items {
		n := 0
		_, _ = fmt.Sscan(e.Detail["count"], &n)
		out[e.Actor] += n
	}
	return out
}

func TestBestEffortWhileTheDatabaseIsStopped(t *testing.T) {
	server := postgrestest.Server(t)
	bestEffort(t, server, func() error { return server.Stop(syscall.SIGQUIT) }, server.Start)
}

func TestBestEffortWhileTheDatabaseHangs(t *testing.T) {
	server := postgrestest.Server(t)
	bestEffort(t, server, server.Pause, server.Resume)
}

// bestEffort goes through one outage: a workspace that chose to go on does so for as
// long as it chose, by what is in memory; another, and all else, is refused as ever.
func bestEffort(t *testing.T, server *postgrestest.Instance, breaks, mends func() error) {
	w := newWorld(t, server.Database(t))
	r := w.replica(soon...)
	goesOn(t, w, r)
	alice, bob, unknown := w.mint(r, "alice@example.com"), w.mint(r, "bob@example.com"), w.mint(r, "carol@example.com")
	strict := mintStrict(t, r, "alice@example.com")
	time.Sleep(settle)
	goes, stops := []*stream{openChat(t, r, alice.secret), openMessages(t, r, bob.secret)}, openChat(t, r, strict)
	going := under(20*time.Millisecond, func() answer { return chat(r, alice.secret) }, func() answer { return messages(r, bob.secret) })
	refused := under(20*time.Millisecond, func() answer { return chat(r, strict) })
	time.Sleep(settle)
	if err := breaks(); err != nil {
		t.Fatal(err)
	}
	down := time.Now()

	time.Sleep(time.Until(down.Add(maxStaleness + time.Second)))
	closedAtOnce(t, r)
	for name, a := range map[string]answer{"of a strict workspace": chat(r, strict), "that is not in memory": chat(r, unknown.secret)} {
		if a.status != 503 || a.header.Get("Retry-After") == "" || a.took() > atOnce {
			t.Errorf("a token %s: %v", name, a)
		}
	}
	if a := ask(r.url, "GET", "/readyz", ""); a.status != 200 || !strings.Contains(a.body, "degraded") {
		t.Errorf("/readyz: %v", a)
	}
	if a := ask(r.url, "GET", "/readyz?strict", ""); a.status != 503 {
		t.Errorf("/readyz?strict: %v", a)
	}
	stops.cutWithin(t, down, streamStaleness-time.Second, streamStaleness+1500*time.Millisecond, "authority_unavailable")
	for _, s := range goes {
		if !s.flows() {
			t.Errorf("a stream of the workspace that chose so does not go on: %v", s.err)
		}
	}
	for _, s := range goes {
		s.cutWithin(t, down, grace-time.Second, grace+1500*time.Millisecond, "authority_unavailable")
	}
	time.Sleep(time.Until(down.Add(grace + 2*time.Second)))
	over := time.Now()
	refusesToGuess(t, r, alice.secret)
	time.Sleep(time.Second)
	all, others := going.stop(), refused.stop()
	uses := 0
	for _, span := range []struct {
		name     string
		of       []answer
		from, to time.Time
		only     int
	}{
		{"before its time is over", all, time.Time{}, down.Add(grace - time.Second), 200},
		{"after", all, over, time.Now(), 503},
		{"strict, once it is unknown", others, down.Add(maxStaleness + time.Second), time.Now(), 503},
	} {
		in := between(span.of, span.from, span.to)
		got := statuses(in)
		t.Logf("%s: %v, the slowest after %v", span.name, got, slowest(in).Round(time.Millisecond))
		if got[span.only] != len(in) || len(in) < 5 || slowest(in) > atOnce {
			t.Errorf("%s: %v, and only %d is allowed", span.name, got, span.only)
		}
	}
	uses = statuses(between(all, down.Add(maxStaleness+time.Second), over))[200]
	if err := mends(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "it serves again", func() bool { return chat(r, strict).status == 200 && chat(r, unknown.secret).status == 200 })
	var told map[string]int
	eventually(t, 10*time.Second, "the audit tells of the uses", func() bool {
		told = used(t, r)
		return told["alice@example.com"]+told["bob@example.com"] >= uses && told["bob@example.com"] > 0
	})
	t.Logf("%d uses beyond a doubt, told: %v", uses, told)
	if len(told) != 2 {
		t.Errorf("told of %v", told)
	}
}

// One replica is cut off, and somebody is ended by the other: there they go on for as
// long as their workspace chose and no longer, and end at once when there is news.
func TestBestEffortOfAReplicaCutOff(t *testing.T) {
	database := postgrestest.URL(t)
	way := newRelay(t, "127.0.0.1:0", hostOf(t, database))
	w := newWorld(t, database)
	here := w.replica(soon...)
	there := w.replica(append(soon, "TENURE_DATABASE_URL="+at(t, database, way.address()))...)
	goesOn(t, w, here)
	for round, until := range []time.Duration{streamStaleness + 2*time.Second, grace + 2*time.Second} {
		name := fmt.Sprintf("user%d@example.com", round)
		p := w.mint(here, name)
		time.Sleep(settle)
		s := openChat(t, there, p.secret)
		time.Sleep(settle)
		way.cut.Store(true)
		down := time.Now()
		query(t, database, "UPDATE users SET active = false WHERE id = '"+p.user+"'")
		eventually(t, time.Second, "it is ended here", func() bool { return refused(chat(here, p.secret)) })
		time.Sleep(time.Until(down.Add(streamStaleness + time.Second)))
		if a := chat(there, p.secret); a.status != 200 || !s.flows() {
			t.Errorf("cut off, it goes on: %v", a)
		}
		if until > grace {
			s.cutWithin(t, down, grace-time.Second, grace+1500*time.Millisecond, "authority_unavailable")
			if a := chat(there, p.secret); a.status != 503 {
				t.Errorf("its time is over: %v", a)
			}
		}
		time.Sleep(time.Until(down.Add(until)))
		way.cut.Store(false)
		eventually(t, 20*time.Second, "there is news there again", func() bool { return ask(there.url, "GET", "/readyz?strict", "").status == 200 })
		news := time.Now()
		if until < grace {
			s.cutWithin(t, news, -time.Minute, time.Second, "access_revoked")
		}
		if a := chat(there, p.secret); !refused(a) {
			t.Errorf("what ended meanwhile: %v", a)
		}
		eventually(t, 10*time.Second, "the audit tells of the use", func() bool { return used(t, here)[name] > 0 })
	}
}
