package faults

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The room of the replica in TestOverload.
const (
	roomOfAll = 60
	roomOfOne = 20
)

// Five times more requests than there is room for, a third of them by one person: what
// is too much is refused at once in its protocol's own shape, by 503, and by 429 whoever
// takes more than their share; all that there is room for is used. Whoever operates it is
// answered meanwhile, the identity provider too, and what ends somebody's access cuts and
// refuses them.
func TestOverload(t *testing.T) {
	w := newWorld(t, "")
	r := w.replica(fmt.Sprint("TENURE_MAX_INFLIGHT=", roomOfAll), fmt.Sprint("TENURE_MAX_INFLIGHT_PER_OWNER=", roomOfOne))
	greedy, bob := w.mint(r, "greedy@example.com"), w.mint(r, "bob@example.com")
	s := openChat(t, r, bob.secret)
	const prompt = "count to 5 every 60ms" // a third of a second
	var asks, bobs []func() answer
	for range roomOfAll * 5 / 3 {
		asks = append(asks, func() answer {
			return ask(r.url, "POST", "/v1/chat/completions", chatBody(prompt, true), bearer(greedy.secret))
		})
	}
	for i := range 8 {
		p := w.mint(r, fmt.Sprintf("user%d@example.com", i))
		for range roomOfAll * 10 / 3 / 8 {
			asks = append(asks, func() answer {
				return ask(r.url, "POST", "/v1/messages", messagesBody(prompt, true), "X-Api-Key: "+p.secret, "Anthropic-Version: 2023-06-01")
			})
		}
	}
	for range 5 {
		bobs = append(bobs, func() answer { return chat(r, bob.secret) })
	}
	l, his := under(20*time.Millisecond, asks...), under(20*time.Millisecond, bobs...)
	began := time.Now()
	time.Sleep(2 * time.Second)
	probes := operate(r, times(10, 100))
	cut := time.Now()
	a := scimOf(r.url, "PATCH", "/Users/"+bob.user, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`)
	if a.status != 200 || a.took() > time.Second {
		t.Errorf("SCIM: %v", a)
	}
	ended := time.Now()
	s.cutWithin(t, cut, 0, 2*time.Second, "access_revoked")
	time.Sleep(2 * time.Second)
	took := time.Since(began)
	all, of := l.stop(), his.stop()
	judgeShed(t, all, took)
	if got := statuses(between(of, ended.Add(time.Second), time.Now())); got[200] > 0 || got[401]+got[429]+got[503] == 0 {
		t.Errorf("whose access had ended: %v", got)
	}
	judgeProbes(t, probes)
	metrics := ask(r.url, "GET", "/metrics", "").body
	for _, line := range []string{`tenure_shed_total{lane="models",reason="full"}`, `tenure_shed_total{lane="models",reason="owner"}`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("no figure %s", line)
		}
	}
	eventually(t, 5*time.Second, "all is answered again", func() bool { return chat(r, greedy.secret).status == 200 })
}

// operate asks what whoever looks after an installation asks.
func operate(r *replica, rounds int) []answer {
	var out []answer
	for range rounds {
		out = append(out, ask(r.url, "GET", "/healthz", ""), ask(r.url, "GET", "/metrics", ""),
			ask(r.url, "GET", "/api/v1/admin/users", "", bearer(rootToken)), scimOf(r.url, "GET", "/Users?count=5", ""))
	}
	return out
}

func judgeProbes(t *testing.T, probes []answer) {
	t.Helper()
	t.Logf("of those who operate it the slowest was answered after %v", slowest(probes).Round(time.Millisecond))
	if got := statuses(probes); got[200] != len(probes) || slowest(probes) > 3*time.Second {
		t.Errorf("who operates it: %v, the slowest after %v", got, slowest(probes))
	}
}

// judgeShed compares what was answered under too much load with what was promised.
func judgeShed(t *testing.T, all []answer, took time.Duration) {
	t.Helper()
	var shed, served []answer
	shapes := map[string]int{}
	for _, a := range all {
		if a.status == 200 {
			served = append(served, a)
			continue
		}
		shed = append(shed, a)
		after, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || after < 1 || after > 60 {
			t.Fatalf("without a time to come again: %v", a)
		}
		shape := ""
		for name, text := range map[string]string{
			"OpenAI 503":    `{"error":{"code":"overloaded","message":"the gateway has`,
			"OpenAI 429":    `{"error":{"code":"rate_limit_exceeded","message":"the owner of this token`,
			"Anthropic 503": `{"error":{"code":"overloaded","details":{"error_code":"overloaded"},"message":"the gateway has`,
			"Anthropic 429": `{"error":{"code":"rate_limit_exceeded","details":{"error_code":"rate_limit_exceeded"},"message":"the owner`,
		} {
			kind := map[bool]string{true: `"type":"error"}`, false: `"param":null`}[strings.HasPrefix(name, "Anthropic")]
			if strings.HasPrefix(a.body, text) && strings.Contains(a.body, kind) && strings.HasSuffix(name, strconv.Itoa(a.status)) {
				shape = name
			}
		}
		if shape == "" {
			t.Fatalf("refused in no shape that was promised: %v", a)
		}
		shapes[shape]++
	}
	t.Logf("%v of %d callers, %d served a second; refused: %v, the slowest after %v", statuses(all), roomOfAll*5, len(served)*int(time.Second)/int(took), shapes, slowest(shed).Round(time.Millisecond))
	if shapes["OpenAI 503"]+shapes["Anthropic 503"] == 0 || shapes["OpenAI 429"] == 0 {
		t.Errorf("refused: %v", shapes)
	}
	// Of about 0.35 seconds each; whatever is free is taken at once.
	if least := int(took.Seconds() * roomOfAll / 2); len(served) < least {
		t.Errorf("%d were served, where there was room for %d and more", len(served), least)
	}
	if slowest(shed) > 2*time.Second {
		t.Errorf("a refusal took %v", slowest(shed))
	}
}

// Many times more requests than there are cores for: whoever operates it is answered
// meanwhile, and a revocation takes hold.
func TestTooManyForTheProcessors(t *testing.T) {
	w := newWorld(t, "")
	r := w.replica()
	alice, bob := w.mint(r, "alice@example.com"), w.mint(r, "bob@example.com")
	s := openChat(t, r, bob.secret)
	var asks []func() answer
	for range times(200, 1000) {
		asks = append(asks, func() answer { return chat(r, alice.secret) })
	}
	l := under(0, asks...)
	time.Sleep(time.Second)
	var probes []answer
	for range times(20, 200) {
		probes = append(probes, ask(r.url, "GET", "/healthz", ""), ask(r.url, "GET", "/api/v1/admin/users", "", bearer(rootToken)))
	}
	began := time.Now()
	if a := revoke(r, "bob@example.com", bob); a.status != 204 && a.status != 200 {
		t.Error(a)
	}
	s.cutWithin(t, began, 0, 2*time.Second, "access_revoked")
	all := l.stop()
	t.Logf("%v by %d at once, the slowest after %v; of those who operate it the slowest after %v", statuses(all), len(asks), slowest(all).Round(time.Millisecond), slowest(probes).Round(time.Millisecond))
	if got := statuses(probes); got[200] != len(probes) || slowest(probes) > 3*time.Second {
		t.Errorf("who operates it: %v, the slowest after %v", got, slowest(probes))
	}
	for status := range statuses(all) {
		if status != 200 && status != 429 && status != 503 {
			t.Errorf("under overload: %d", status)
		}
	}
}
