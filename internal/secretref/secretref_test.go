package secretref

import (
	"context"
	"errors"
	"os"
	"path/filepath"
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
		"env://A/B", "env://A#b", "http://example.com/x", "awssm:///x", "vault://secret/" + strings.Repeat("a/", 600) + "b#k", "vault://secret/ü#k",
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
				s, until, err := r.Resolve(t.Context(), tenure.DefaultTenant, at)
				if err != nil || s.Reveal() != "one" || time.Until(until) > keepFor {
					t.Error(s.Reveal(), until, err)
				}
			})
		}
		wg.Wait()
		if p.asked.Load() != 1 {
			t.Errorf("50 who wait asked %d times", p.asked.Load())
		}
		time.Sleep(50 * time.Second) // it is asked anew behind, and nobody waits
		p.answer = func() (Value, error) { return secret("two") }
		if s, _, err := r.Resolve(t.Context(), tenure.DefaultTenant, at); err != nil || s.Reveal() != "one" {
			t.Error(s.Reveal(), err)
		}
		synctest.Wait()
		if s, _, _ := r.Resolve(t.Context(), tenure.DefaultTenant, at); s.Reveal() != "two" || p.asked.Load() != 2 {
			t.Error(s.Reveal(), p.asked.Load())
		}
		p.answer = func() (Value, error) {
			return Value{Secret: tenure.NewSecret("three"), Until: time.Now().Add(10 * time.Second)}, nil
		}
		time.Sleep(2 * time.Minute)
		_, until, err := r.Resolve(t.Context(), tenure.DefaultTenant, at)
		if err != nil || time.Until(until) != 10*time.Second {
			t.Errorf("of a secret that ends in 10 s: %v %v", until, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.answer = func() (Value, error) { time.Sleep(time.Hour); return secret("late") }
		time.Sleep(time.Minute)
		if _, _, err := r.Resolve(ctx, tenure.DefaultTenant, at); !tenure.IsKind(err, tenure.Unavailable) {
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
		_, _, second := r.Resolve(t.Context(), tenure.DefaultTenant, address)
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
	if _, _, err := resolver(p).Resolve(t.Context(), tenure.DefaultTenant, at); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("an empty secret: %v", err)
	}
}

// In an outage the last good secret is used for the grace, and no longer; what the
// system denies is not used at all.
func TestLasting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, gone := func() (Value, error) { return Value{}, unavailable(Address{}, errors.New("down")) }, func() (Value, error) { return Value{}, denied(Address{}, nil) }
		good := func() (Value, error) { return secret("one") }
		p := &place{answer: good}
		var told []string
		l := &Lasting{Resolver: resolver(p), Grace: 15 * time.Minute, Told: func(_ context.Context, _ tenure.TenantID, _ string, o Outage) { told = append(told, o.State) }}
		expect := func(when, want string, states ...string) {
			t.Helper()
			s, until, err := l.Resolve(t.Context(), tenure.DefaultTenant, at)
			got := s.Reveal()
			if err != nil {
				got = tenure.AsError(err).Code
			} else if !until.After(time.Now()) {
				t.Errorf("%s: good until %v", when, until)
			}
			if got != want || strings.Join(told, " ") != strings.Join(states, " ") {
				t.Errorf("%s: %s, told %v", when, got, told)
			}
			told = nil
			synctest.Wait()
		}
		p.answer = out
		expect("never known", "secret_system_unavailable")
		p.answer = good
		expect("first", "one")
		p.answer = out
		expect("in its minute", "one")
		time.Sleep(2 * time.Minute)
		expect("out", "one", OutageBegan)
		asked := p.asked.Load()
		for range 100 {
			expect("still out", "one")
		}
		if n := p.asked.Load() - asked; n != 0 {
			t.Errorf("the system that is out was asked %d times in a moment", n)
		}
		time.Sleep(time.Minute)
		p.answer = func() (Value, error) { time.Sleep(4 * time.Second); return out() }
		go func() { _, _, _ = l.Resolve(t.Context(), tenure.DefaultTenant, at) }() // one waits for a system that is slow
		synctest.Wait()
		before := time.Now()
		if s, _, err := l.Resolve(t.Context(), tenure.DefaultTenant, at); err != nil || s.Reveal() != "one" || time.Since(before) > 0 {
			t.Errorf("the others wait %s: %v", time.Since(before), err)
		}
		p.answer = out
		time.Sleep(time.Minute)
		expect("still out after two minutes", "one")
		p.answer = good
		time.Sleep(time.Minute)
		expect("back", "one", OutageEnded)
		p.answer = out
		time.Sleep(2 * time.Minute)
		expect("out again", "one", OutageBegan)
		time.Sleep(14 * time.Minute)
		expect("after its grace", "secret_system_unavailable", OutageGaveUp)
		p.answer = good
		expect("back again", "one")
		p.answer = gone
		time.Sleep(2 * time.Minute)
		expect("denied", "secret_denied")
		p.answer = out
		expect("out after it was denied", "secret_system_unavailable")
	})
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		_ = os.Remove(filepath.Join(dir, name))
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	put("in/key", "sk-one\n")
	put("in/json", `{"key":"sk-json","n":1}`)
	put("outside", "sk-outside")
	link("../outside", "in/out")
	link(filepath.Join(dir, "outside"), "in/absolute")
	link("..", "in/up")
	f := &Files{Allow: Rules{tenure.DefaultTenant: {"file://" + dir + "/in/"}, "acme": {"file://" + dir + "/"}}}
	base := "file://" + dir + "/in/"
	for name, want := range map[string]string{
		"key": "sk-one", "json#key": "sk-json", "json#n": "secret_not_found", "key#key": "secret_not_found", "none": "secret_not_found",
		"out": "secret_denied", "absolute": "secret_denied", "up/outside": "secret_denied", "up": "secret_denied",
	} {
		if got := get(t, f, base+name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := get(t, f, "file://"+dir+"/in"); got != "secret_not_found" {
		t.Errorf("a directory: %s", got)
	}
	t.Setenv("A_KEY_OF_THE_TEST", "sk-env")
	if got := get(t, Environment{}, "env://A_KEY_OF_THE_TEST") + get(t, Environment{}, "env://NONE_OF_THE_TEST"); got != "sk-envsecret_not_found" {
		t.Error(got)
	}
}

// Kubelet changes a mounted secret by putting another link in the place of one.
func TestMountedFilesAreWatched(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "openai"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Symlink(version, filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	swap("..2026_1", "sk-one")
	if err := os.Symlink("..data/openai", filepath.Join(dir, "openai")); err != nil {
		t.Fatal(err)
	}
	rules := Rules{tenure.DefaultTenant: {"k8s://" + dir + "/"}}
	changed := make(chan string, 10)
	r := &Resolver{
		Allow: rules, Systems: map[string]System{SchemeK8s: &Files{Allow: rules}}, Now: time.Now,
		Changed: func(_ tenure.TenantID, address string) { changed <- address },
	}
	go r.Run(t.Context())
	where := "k8s://" + dir + "/openai"
	if s, _, err := r.Resolve(t.Context(), tenure.DefaultTenant, where); err != nil || s.Reveal() != "sk-one" {
		t.Fatal(s.Reveal(), err)
	}
	swap("..2026_2", "sk-two")
	select {
	case got := <-changed:
		if got != where {
			t.Error(got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the change was not noticed")
	}
	if s, _, err := r.Resolve(t.Context(), tenure.DefaultTenant, where); err != nil || s.Reveal() != "sk-two" {
		t.Fatal(s.Reveal(), err)
	}
}
