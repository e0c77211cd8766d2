package secretref

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenure-gateway/tenure"
)

func TestParse(t *testing.T) {
	for _, good := range []string{
		"vault://secret/tenure/openai#api_key", "vault://kv/a?version=3#k", "awssm://prod/tenure/openai", "awssm://openai?version=AWSPREVIOUS#key",
		"gcpsm://my-project/openai-key?version=2", "azkv://my-vault/openai-key", "k8s:///var/run/secrets/p/openai", "file:///etc/tenure/openai#key", "env://OPENAI_KEY",
	} {
		if a, err := Parse(good); err != nil || a.String() != good {
			t.Errorf("%s: %v %v", good, a, err)
		}
	}
	for _, bad := range []string{
		"", "openai", "vault://", "vault://secret#k", "vault://secret/a", "vault://secret/../sys/seal#k", "vault://secret/./a#k", "vault://secret//a#k", "vault:///secret/a#k",
		"vault://secret/a%2fb#k", "vault://secret/a?version=x#k", "vault://secret/a?list=true#k", "vault://secret/a b#k", "vault://secret/a\\b#k", "vault://secret/a#", "vault://secret/a/#k",
		"gcpsm://p", "gcpsm://p/a/b", "gcpsm://p/a:b", "azkv://evil.example.com/x", "azkv://v@w/x", "azkv://v/x/y", "file://etc/x", "file:///x", "file:///etc/../x", "file:///etc/x?version=1",
		"env://A/B", "env://TENURE_API_TOKEN", "env://AWS_SECRET_ACCESS_KEY", "env://A#b", "http://example.com/x", "awssm:///x", "vault://secret/" + strings.Repeat("a/", 600) + "b#k", "vault://secret/ü#k",
		"azkv://v/x?version=..", "azkv://v/x?version=a.b", "gcpsm://p/x?version=1:destroy",
	} {
		if a, err := Parse(bad); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%q: %v %v", bad, a, err)
		}
	}
}

func TestRules(t *testing.T) {
	rules, err := ParseRules("vault://secret/tenure/,acme=vault://secret/acme/ acme=file:///s/acme/\nenv://OPENAI_*,env://ONE acme=awssm://acme/key")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tenant  tenure.TenantID
		address string
		ok      bool
	}{
		{"default", "vault://secret/tenure/a#k", true},
		{"default", "vault://secret/tenure/a/b?version=2#k", true},
		{"default", "vault://secret/tenure-other/a#k", false},
		{"default", "vault://secret/acme/a#k", false},
		{"acme", "vault://secret/acme/a#k", true},
		{"acme", "vault://secret/tenure/a#k", false},
		{"other", "vault://secret/tenure/a#k", false},
		{"acme", "awssm://acme/key", true},
		{"acme", "awssm://acme/key2", false},
		{"acme", "file:///s/acme/a", true},
		{"acme", "k8s:///s/acme/a", false},
		{"acme", "file:///s/acme2/a", false},
		{"default", "env://OPENAI_KEY", true},
		{"default", "env://ONE", true},
		{"default", "env://ONE_MORE", false},
		{"acme", "env://ONE", false},
	} {
		if got := rules.Names(c.tenant, address(t, c.address)); got != c.ok {
			t.Errorf("%s of %s: %v", c.address, c.tenant, got)
		}
	}
	for _, bad := range []string{"*", "vault://", "vault:///", "file:///", "file://etc/", "http://x/", "acme=", "=vault://secret/", "vault://secret/../", "env://*", "file:///etc/*", "secret/"} {
		if rules, err := ParseRules(bad); err == nil {
			t.Errorf("%s: %v", bad, rules)
		}
	}
	if none, err := ParseRules(""); err != nil || none.Names(tenure.DefaultTenant, address(t, "env://ONE")) {
		t.Errorf("without a rule: %v %v", none, err)
	}
}

// A place is a system that answers as it is told.
type place struct {
	asked  atomic.Int32
	answer func() (Value, error)
}

func (p *place) Fetch(context.Context, Address) (Value, error) {
	p.asked.Add(1)
	return p.answer()
}

const at = "vault://secret/tenure/openai#key"

func resolver(p *place) *Resolver {
	return &Resolver{Allow: Rules{tenure.DefaultTenant: {"vault://secret/tenure/", "awssm://tenure/"}}, Systems: map[string]System{SchemeVault: p}, Now: time.Now}
}

func secret(text string) (Value, error) { return Value{Secret: tenure.NewSecret(text)}, nil }

func TestResolveAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{answer: func() (Value, error) { time.Sleep(time.Second); return secret("one") }}
		r := resolver(p)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				f, err := r.Resolve(t.Context(), tenure.DefaultTenant, at)
				if err != nil || f.Secret.Reveal() != "one" || time.Until(f.Back) > keepFor {
					t.Error(f.Secret.Reveal(), f.Back, err)
				}
			})
		}
		wg.Wait()
		if p.asked.Load() != 1 {
			t.Errorf("50 who wait asked %d times", p.asked.Load())
		}
		time.Sleep(50 * time.Second) // it is asked anew behind, and nobody waits
		p.answer = func() (Value, error) { return secret("two") }
		if f, err := r.Resolve(t.Context(), tenure.DefaultTenant, at); err != nil || f.Secret.Reveal() != "one" {
			t.Error(f.Secret.Reveal(), err)
		}
		synctest.Wait()
		if f, _ := r.Resolve(t.Context(), tenure.DefaultTenant, at); f.Secret.Reveal() != "two" || p.asked.Load() != 2 {
			t.Error(f.Secret.Reveal(), p.asked.Load())
		}
		p.answer = func() (Value, error) {
			return Value{Secret: tenure.NewSecret("three"), Until: time.Now().Add(10 * time.Second)}, nil
		}
		time.Sleep(2 * time.Minute)
		f, err := r.Resolve(t.Context(), tenure.DefaultTenant, at)
		if err != nil || time.Until(f.Back) != 7500*time.Millisecond {
			t.Errorf("of a secret that ends in 10 s: %v %v", f.Back, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.answer = func() (Value, error) { time.Sleep(time.Hour); return secret("late") }
		time.Sleep(time.Minute)
		if _, err := r.Resolve(ctx, tenure.DefaultTenant, at); !tenure.IsKind(err, tenure.Unavailable) {
			t.Errorf("whoever leaves: %v", err)
		}
		time.Sleep(2 * time.Hour)
	})
}

func TestCheck(t *testing.T) {
	p := &place{answer: func() (Value, error) { return secret("one") }}
	r := resolver(p)
	for address, code := range map[string]string{
		at: "", "nonsense": "invalid_address", "vault://secret/other/a#k": "secret_address_not_allowed", "awssm://tenure/a": "secret_system_not_set_up",
	} {
		err := r.Check(tenure.DefaultTenant, address)
		_, second := r.Resolve(t.Context(), tenure.DefaultTenant, address)
		if code == "" && err == nil && second == nil {
			continue
		}
		if code == "" || tenure.AsError(err).Code != code || tenure.AsError(second).Code != code {
			t.Errorf("%s: %v, %v", address, err, second)
		}
	}
	if err := r.Check("acme", at); !tenure.IsKind(err, tenure.Forbidden) || p.asked.Load() != 1 {
		t.Errorf("another tenant: %v, asked %d times", err, p.asked.Load())
	}
	p.answer = func() (Value, error) { return secret("") }
	if _, err := resolver(p).Resolve(t.Context(), tenure.DefaultTenant, at); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("an empty secret: %v", err)
	}
}

// down, gone and good are answers of a place.
func down() (Value, error) { return Value{}, unavailable(Address{}, errors.New("down")) }
func gone() (Value, error) { return Value{}, denied(Address{}, nil) }
func good() (Value, error) { return secret("one") }

// In an outage the last good secret is used for the grace, and no longer; what the
// system denies is not used at all.
func TestLasting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{answer: down}
		var told []string
		r := resolver(p)
		r.Grace, r.Told = 15*time.Minute, func(_ context.Context, _ tenure.TenantID, _ string, o Outage) { told = append(told, o.State) }
		expect := func(when, want string, states ...string) {
			t.Helper()
			f, err := r.Resolve(t.Context(), tenure.DefaultTenant, at)
			got := f.Secret.Reveal()
			if err != nil {
				got = tenure.AsError(err).Code
			} else if !f.Back.After(time.Now()) {
				t.Errorf("%s: good until %v", when, f.Back)
			}
			synctest.Wait()
			if got != want || strings.Join(told, " ") != strings.Join(states, " ") {
				t.Errorf("%s: %s, told %v", when, got, told)
			}
			told = nil
		}
		expect("never known", "secret_system_unavailable")
		p.answer = good
		time.Sleep(2 * errorFor)
		expect("first", "one")
		p.answer = down
		expect("in its minute", "one")
		time.Sleep(2 * time.Minute)
		left, leave := context.WithCancel(t.Context())
		leave()
		if _, err := r.Resolve(left, tenure.DefaultTenant, at); !tenure.IsKind(err, tenure.Unavailable) || len(told) > 0 {
			t.Errorf("whoever leaves: %v, told %v", err, told)
		}
		time.Sleep(2 * errorFor)
		expect("out", "one", OutageBegan)
		asked := p.asked.Load()
		for range 100 {
			expect("still out", "one")
		}
		if n := p.asked.Load() - asked; n != 0 {
			t.Errorf("the system that is out was asked %d times in a moment", n)
		}
		p.answer = func() (Value, error) { time.Sleep(4 * time.Second); return down() }
		time.Sleep(time.Minute)
		before := time.Now()
		expect("slow", "one")
		if time.Since(before) > 0 {
			t.Errorf("somebody waited %s for a system that is out", time.Since(before))
		}
		p.answer = good
		time.Sleep(time.Minute)
		expect("back", "one", OutageEnded)
		p.answer = down
		time.Sleep(2 * time.Minute)
		expect("out again", "one", OutageBegan)
		time.Sleep(13*time.Minute - time.Second) // since it was last confirmed, not since it was out
		expect("at the end of its grace", "one")
		time.Sleep(2 * time.Second)
		expect("after its grace", "secret_system_unavailable", OutageGaveUp)
		p.answer = good
		time.Sleep(2 * errorFor)
		expect("back again", "one")
		p.answer = gone
		time.Sleep(2 * time.Minute)
		expect("denied", "secret_denied")
		p.answer = down
		time.Sleep(2 * errorFor)
		expect("out after it was denied", "secret_system_unavailable")
		p.answer = func() (Value, error) {
			return Value{Secret: tenure.NewSecret("lease"), Until: time.Now().Add(3 * time.Minute)}, nil
		}
		time.Sleep(2 * errorFor)
		expect("with an end", "lease")
		p.answer = down
		time.Sleep(2 * time.Minute)
		expect("out before its end", "lease", OutageBegan)
		time.Sleep(time.Minute)
		expect("after its end, within the grace", "secret_system_unavailable", OutageGaveUp)
		r.Forget(tenure.DefaultTenant, at)
	})
}

// A secret that nobody asks for any more is in memory no longer than it might be used, in
// an outage, too, whose end is told.
func TestASecretThatNobodyAsksForIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{answer: good}
		var told []string
		r := resolver(p)
		r.Grace, r.Told = 15*time.Minute, func(_ context.Context, _ tenure.TenantID, _ string, o Outage) { told = append(told, o.State) }
		ask := func() {
			t.Helper()
			if _, err := r.Resolve(t.Context(), tenure.DefaultTenant, at); err != nil {
				t.Error(err)
			}
		}
		is := func(when string, kept int, states ...string) {
			t.Helper()
			r.tend(t.Context())
			if len(r.kept) != kept || strings.Join(told, " ") != strings.Join(states, " ") {
				t.Errorf("%s: %d are kept, told %v", when, len(r.kept), told)
			}
			told = nil
		}
		ask()
		time.Sleep(15*time.Minute - time.Second)
		is("before the end of the grace", 1)
		time.Sleep(2 * time.Second)
		is("after it", 0)
		ask()
		p.answer = down
		time.Sleep(2 * time.Minute)
		ask()
		is("in an outage", 1, OutageBegan)
		time.Sleep(13*time.Minute + time.Second)
		is("after the grace in an outage", 0, OutageGaveUp)
		is("later", 0)
	})
}

// A system that fails, hangs or trips over an answer costs whoever asks a bound, and is
// not asked by each of many.
func TestFaultsOfSystems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		for name, fault := range map[string]func() (Value, error){
			"down": down, "gone": gone,
			"hangs": func() (Value, error) { <-never; return down() },
			// On purpose: a client library that trips must end neither the process nor the wait
			// of the others, and what it says may be the secret.
			"panics": func() (Value, error) { panic("sk-in-the-panic") },
			"trips":  func() (Value, error) { return secret(strings.Fields("")[7]) },
		} {
			p := &place{answer: fault}
			r := resolver(p)
			began := time.Now()
			for range 50 {
				_, err := r.Resolve(t.Context(), tenure.DefaultTenant, at)
				if name == "gone" && tenure.AsError(err).Code == "secret_denied" {
					continue
				}
				if !tenure.IsKind(err, tenure.Unavailable) || strings.Contains(err.Error(), "sk-") {
					t.Errorf("%s: %v", name, err)
				}
				if name == "hangs" {
					break
				}
			}
			if took := time.Since(began); p.asked.Load() != 1 || took > fetchLimit {
				t.Errorf("%s: asked %d times in %s", name, p.asked.Load(), took)
			}
			if name == "hangs" {
				continue // the one that hangs is the only one, for as long as it does
			}
			p.answer = good
			time.Sleep(2 * errorFor)
			if f, err := r.Resolve(t.Context(), tenure.DefaultTenant, at); err != nil || f.Secret.Reveal() != "one" {
				t.Errorf("after %s: %v", name, err)
			}
		}
		// One tenant's questions that hang take no room from another's.
		p := &place{answer: func() (Value, error) { <-never; return down() }}
		r := resolver(p)
		r.Allow["acme"] = []string{"vault://secret/acme/"}
		for i := range 2 * mostAtOnce {
			go func() {
				_, _ = r.Resolve(t.Context(), tenure.DefaultTenant, strings.Replace(at, "openai", "k"+string(rune('a'+i)), 1))
			}()
		}
		synctest.Wait()
		if n := p.asked.Load(); n != mostAtOnce {
			t.Errorf("%d questions at once", n)
		}
		p.answer = good
		if f, err := r.Resolve(t.Context(), "acme", "vault://secret/acme/openai#key"); err != nil || f.Secret.Reveal() != "one" {
			t.Errorf("another tenant: %v", err)
		}
		close(never)
	})
}

// A secret that is refused is asked for anew at once, but not by each of many; whoever
// uses it is told that it is another.
func TestAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &place{answer: good}
		r := resolver(p)
		var changed atomic.Int32
		r.Changed = func(tenant tenure.TenantID, address string) {
			if tenant != tenure.DefaultTenant || address != at {
				t.Error(tenant, address)
			}
			changed.Add(1)
		}
		one := tenure.NewSecret("one")
		expect := func(when, want string, asked, told int32) {
			t.Helper()
			f, err := r.Anew(t.Context(), tenure.DefaultTenant, at, one)
			if err != nil || f.Secret.Reveal() != want || p.asked.Load() != asked || changed.Load() != told {
				t.Errorf("%s: %s (%v), asked %d times, told %d times", when, f.Secret.Reveal(), err, p.asked.Load(), changed.Load())
			}
		}
		expect("never known", "one", 1, 0)
		for range 50 {
			expect("at once again", "one", 1, 0)
		}
		time.Sleep(anewEvery)
		expect("the same", "one", 2, 0)
		p.answer = func() (Value, error) { return secret("two") }
		time.Sleep(anewEvery)
		expect("another", "two", 3, 1)
		time.Sleep(anewEvery)
		expect("another is there", "two", 3, 1)
		p.answer, one = down, tenure.NewSecret("two")
		time.Sleep(anewEvery)
		if f, err := r.Anew(t.Context(), tenure.DefaultTenant, at, one); !tenure.IsKind(err, tenure.Unavailable) {
			t.Errorf("down: %s (%v)", f.Secret.Reveal(), err)
		}
		p.answer = gone
		time.Sleep(time.Minute)
		if _, err := r.Resolve(t.Context(), tenure.DefaultTenant, at); tenure.AsError(err).Code != "secret_denied" || changed.Load() != 2 {
			t.Errorf("denied: %v, told %d times", err, changed.Load())
		}
	})
}
