package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

const transitURL = "hashivault://tenure"

// soon is how long a key service may take in these tests.
var soon = keys.Options{Timeout: 500 * time.Millisecond} //nolint:gochecknoglobals // a constant in all but its kind

// transit is a key service that has the key of transitURL.
func transit(t *testing.T) *keystest.Transit {
	t.Helper()
	d := keystest.NewTransit(t)
	t.Setenv("VAULT_ADDR", d.URL)
	t.Setenv("VAULT_TOKEN", keystest.TransitToken)
	manage(t, d, "sys/mounts/transit", `{"type":"transit"}`)
	manage(t, d, "transit/keys/tenure", "")
	return d
}

// manage does what an administrator of Vault does.
func manage(t *testing.T, d *keystest.Transit, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Vault-Token", keystest.TransitToken)
	r.Header.Set("X-Vault-Request", "true")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

// key opens the keys of a world, which must not be sealed.
func (w *world) key(t *testing.T, o keys.Options, present string, previous ...string) *vault.MasterKey {
	t.Helper()
	key, err := vault.OpenKey(w.ctx, w.DB, vault.KeyURLs{Present: present, Previous: previous}, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, why := key.Sealed(); why != nil {
		t.Fatal(why)
	}
	return key
}

// bound is a place of a secret.
func bound(name string) store.Bound {
	return store.Bound{Tenant: tenure.DefaultTenant, Credential: name, Purpose: "a test"}
}

func seal(t *testing.T, key *vault.MasterKey, to store.Bound) store.SealedKey {
	t.Helper()
	sealer, err := key.Sealer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sealer(tenure.NewSecret(secret), to)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// opens demands that it does.
func opens(t *testing.T, key *vault.MasterKey, s store.SealedKey, to store.Bound) {
	t.Helper()
	if got, err := key.Open(t.Context(), s, to); err != nil || got.Reveal() != secret {
		t.Errorf("it does not open: %v", err)
	}
}

// stays demands that the key is not sealed, and that a secret does not open for a
// reason of that code.
func stays(t *testing.T, key *vault.MasterKey, s store.SealedKey, code string) {
	t.Helper()
	if _, err := key.Open(t.Context(), s, bound("a")); tenure.AsError(err).Code != code {
		t.Errorf("%v is not %s", err, code)
	}
	if _, why := key.Sealed(); why != nil {
		t.Errorf("sealed for everybody: %v", why)
	}
}

// heard is what is told next.
func heard(t *testing.T, told <-chan error) error {
	t.Helper()
	select {
	case why := <-told:
		return why
	case <-time.After(time.Minute):
		t.Fatal("nothing is told")
		return nil
	}
}

// Who hangs up, or is cut, while a key service is asked for them, seals nothing for
// anybody else.
func TestWhoLeavesSealsNothing(t *testing.T) {
	w, service := newWorld(t), transit(t)
	w.Key = w.key(t, keys.Options{}, transitURL, w.urls().Present)
	p := w.add(t, "openai")

	service.Set(func(d *keystest.Transit) { d.Slow = true })
	leaving, leave := context.WithCancel(w.ctx)
	time.AfterFunc(200*time.Millisecond, leave)
	if _, err := w.Keys(leaving, p.Tenant, p.ID); err == nil {
		t.Fatal("it was not slow")
	}
	if _, why := w.Key.Sealed(); why != nil {
		t.Errorf("sealed for everybody: %v", why)
	}
	service.Set(func(d *keystest.Transit) { d.Slow = false })
	if got, err := w.first(p.Tenant, p.ID); err != nil || got.Reveal() != secret {
		t.Error(tenure.AsError(err), err)
	}
}

// A key service that asks for patience, however long, seals nothing.
func TestABusyServiceSealsNothing(t *testing.T) {
	w, service := newWorld(t), transit(t)
	key := w.key(t, soon, transitURL, w.urls().Present)
	sealed := seal(t, key, bound("a"))
	service.Set(func(d *keystest.Transit) { d.Busy = 1_000 })
	stays(t, key, sealed, "vault_busy")
	if _, err := key.Sealer(w.ctx); tenure.AsError(err).Code != "vault_busy" {
		t.Error(err)
	}
	service.Set(func(d *keystest.Transit) { d.Busy = 1 })
	opens(t, key, sealed, bound("a"))
}

// The service of a previous key that is away closes what that key has wrapped, at once
// for all but the first who ask, and nothing else.
func TestAPreviousKeyThatIsAway(t *testing.T) {
	w, service := newWorld(t), transit(t)
	before := seal(t, w.key(t, soon, transitURL, w.urls().Present), bound("a"))
	key := w.key(t, soon, w.urls().Present, transitURL)
	opens(t, key, before, bound("a"))
	service.Set(func(d *keystest.Transit) { d.Slow = true })
	stays(t, key, before, "vault_sealed")
	from := time.Now()
	for range 100 {
		stays(t, key, before, "vault_sealed")
	}
	if took := time.Since(from); took > 10*time.Second {
		t.Errorf("each of them waits: %v", took)
	}
	opens(t, key, seal(t, key, bound("b")), bound("b"))
	service.Set(func(d *keystest.Transit) { d.Slow = false })
	w.ahead.Add(int64(time.Minute))
	opens(t, key, before, bound("a"))
}

// Fault 13: a key service that is sealed, slow, refuses or is gone amid the work. What
// is open stays so for its minute, and what is derived of the root key for as long as
// the process lives; then what is stored answers 503, and nothing else does. It is told
// once, and opens by itself. A key that is rotated there meanwhile closes nothing.
func TestKeyServiceFailsAmid(t *testing.T) {
	for name, ail := range map[string]func(*keystest.Transit){
		"sealed":  func(d *keystest.Transit) { d.Sealed = true },
		"slow":    func(d *keystest.Transit) { d.Slow = true },
		"refuses": func(d *keystest.Transit) { d.Token = "hvs.another" },
	} {
		t.Run(name, func(t *testing.T) {
			w, service := newWorld(t), transit(t)
			w.Key = w.key(t, soon, transitURL, w.urls().Present)
			p, other := w.add(t, "openai"), seal(t, w.Key, bound("a"))
			if _, err := w.first(p.Tenant, p.ID); err != nil {
				t.Fatal(err)
			}
			manage(t, service, "transit/keys/tenure/rotate", "")
			opens(t, w.Key, other, bound("a"))
			told, ctx := make(chan error, 10), t.Context()
			var keeping sync.WaitGroup
			ctx, stop := context.WithCancel(ctx)
			keeping.Go(func() { w.Key.Keep(ctx, func(_ context.Context, why error) { told <- why }) })
			defer keeping.Wait()
			defer stop()
			if why := heard(t, told); why != nil {
				t.Fatal(why)
			}

			service.Set(ail)
			for range 3 {
				if _, err := w.Key.Open(w.ctx, other, bound("a")); tenure.AsError(err).Code != "vault_sealed" {
					t.Errorf("%v", err)
				}
			}
			if why := heard(t, told); why == nil || len(told) > 0 {
				t.Errorf("told %v, and %d more", why, len(told))
			}
			if got, err := w.first(p.Tenant, p.ID); err != nil || got.Reveal() != secret {
				t.Errorf("what was open: %v", err)
			}
			if _, err := w.Key.Derive("sign-in attempts"); err != nil {
				t.Errorf("a sign-in: %v", err)
			}
			if err := w.Key.NeverOpened(); err != nil {
				t.Errorf("it is said that it never opened: %v", err)
			}
			w.ahead.Add(int64(61 * time.Second))
			if _, err := w.first(p.Tenant, p.ID); !sealed(err) {
				t.Errorf("after its minute: %v", err)
			}

			service.Set(func(d *keystest.Transit) {
				d.Sealed, d.Slow, d.Cut, d.Token = false, false, false, keystest.TransitToken
			})
			if why := heard(t, told); why != nil {
				t.Error(why)
			}
			if got, err := w.first(p.Tenant, p.ID); err != nil || got.Reveal() != secret {
				t.Errorf("well again: %v", err)
			}
		})
	}
}

// A replica that goes on while another process wraps the root key anew asks for the
// root key of the day: the version that it started with may be refused by then.
func TestTheRootKeyOfTheDayIsAskedFor(t *testing.T) {
	w, service := newWorld(t), transit(t)
	serving := w.key(t, soon, transitURL, w.urls().Present)
	if _, err := serving.Rewrap(w.ctx, func(vault.Progress) {}); err != nil {
		t.Fatal(err)
	}
	serving = w.key(t, soon, transitURL)
	first := seal(t, serving, bound("a"))
	manage(t, service, "transit/keys/tenure/rotate", "")
	if _, err := w.key(t, soon, transitURL).Rewrap(w.ctx, func(vault.Progress) {}); err != nil {
		t.Fatal(err)
	}
	manage(t, service, "transit/keys/tenure/config", `{"min_decryption_version":2}`)
	stays(t, serving, first, "vault_sealed")
	opens(t, serving, seal(t, serving, bound("b")), bound("b"))
}

// A key service that has moved is known again by what it opens, and says that it moved;
// one of the same name that is another is told from it.
func TestAKeyServiceThatMoved(t *testing.T) {
	w, service := newWorld(t), transit(t)
	w.Key = w.key(t, soon, transitURL, w.urls().Present)
	p := w.add(t, "openai")
	if _, err := w.Key.Rewrap(w.ctx, func(vault.Progress) {}); err != nil {
		t.Fatal(err)
	}
	if s, err := w.Status(w.ctx, w.by); err != nil || len(s.Problems) > 0 || !strings.Contains(s.RootBy, service.URL) {
		t.Errorf("%+v, %v", s, err)
	}
	t.Setenv("VAULT_ADDR", strings.Replace(service.URL, "127.0.0.1", "localhost", 1))
	w.Key = w.key(t, soon, transitURL)
	if got, err := w.first(p.Tenant, p.ID); err != nil || got.Reveal() != secret {
		t.Errorf("moved: %v", err)
	}
	s, err := w.Status(w.ctx, w.by)
	if err != nil || !slices.ContainsFunc(s.Problems, func(p string) bool { return strings.Contains(p, service.URL) && strings.Contains(p, "vault rewrap") }) {
		t.Errorf("nothing tells that it moved: %q, %v", s.Problems, err)
	}
	if _, err := w.Key.Rewrap(w.ctx, func(vault.Progress) {}); err != nil {
		t.Fatal(err)
	}
	if s, err := w.Status(w.ctx, w.by); err != nil || len(s.Problems) > 0 {
		t.Errorf("%q, %v", s.Problems, err)
	}
	transit(t) // another, with a key of the same name
	key, err := vault.OpenKey(w.ctx, w.DB, vault.KeyURLs{Present: transitURL}, soon)
	if _, why := key.Sealed(); err != nil || !keys.Is(why, keys.Wrong) || !strings.Contains(fmt.Sprint(why), "has the same name and is another key") {
		t.Errorf("%v, %v", err, why)
	}
}

// What was noted before ids told where a key is opens as before, and is brought up to
// date by a rewrap.
func TestIdsOfBefore(t *testing.T) {
	w := newWorld(t)
	transit(t)
	w.Key = w.key(t, soon, transitURL, w.urls().Present)
	p := w.add(t, "openai")
	if _, err := w.Key.Rewrap(w.ctx, func(vault.Progress) {}); err != nil {
		t.Fatal(err)
	}
	for _, table := range store.SealedTables() {
		w.hand(`UPDATE ` + table + ` SET kek = '` + transitURL + `#v1' WHERE kek LIKE 'hashivault%'`)
	}
	w.hand(`UPDATE meta SET value = replace(value, substr(value, instr(value, '?'), instr(value, '#') - instr(value, '?')), '') WHERE key = 'vault.root'`)
	w.Key = w.key(t, soon, transitURL)
	if s, err := w.Status(w.ctx, w.by); err != nil || s.RootBy != transitURL+"#v1" || len(s.Problems) == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if got, err := w.first(p.Tenant, p.ID); err != nil || got.Reveal() != secret {
		t.Error(err)
	}
	if p, err := w.Key.Rewrap(w.ctx, func(vault.Progress) {}); err != nil || p.Written != 1 || p.Failed+p.Left > 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if s, err := w.Status(w.ctx, w.by); err != nil || len(s.Problems) > 0 {
		t.Errorf("%q, %v", s.Problems, err)
	}
}

// Whoever works on data that is there already makes no key, and needs none before a
// secret is asked for.
func TestFindKeyMakesNothing(t *testing.T) {
	w := newWorld(t)
	w.hand(`DELETE FROM meta WHERE key = 'vault.root'`)
	file := filepath.Join(w.dir, "master.key")
	key := vault.FindKey(w.DB, w.urls(), keys.Options{})
	if _, err := key.Sealer(w.ctx); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("without a root key: %v", err)
	}
	if root, err := w.DB.Meta(w.ctx, "vault.root"); err != nil || root != "" {
		t.Errorf("a root key was made, %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	key = vault.FindKey(w.DB, w.urls(), keys.Options{})
	if _, why := key.Sealed(); why != nil {
		t.Errorf("a file that nobody needs is asked for: %v", why)
	}
	if _, err := key.Sealer(w.ctx); !strings.Contains(fmt.Sprint(err), "can be read by others") {
		t.Errorf("a file that others may read is used: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.FindKey(w.DB, w.urls(), keys.Options{}).Sealer(w.ctx); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("without a file: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a file was made")
	}
}

// While secrets are sealed, a root key that is gone is not made anew.
func TestNoNewRootKeyWhileSecretsAreSealed(t *testing.T) {
	w := newWorld(t)
	w.add(t, "openai")
	w.hand(`DELETE FROM meta WHERE key = 'vault.root'`)
	key, err := vault.OpenKey(w.ctx, w.DB, w.urls(), keys.Options{})
	if _, why := key.Sealed(); err != nil || !strings.Contains(fmt.Sprint(why), "the root key of this database is gone") {
		t.Errorf("%v, %v", err, why)
	}
	if root, err := w.DB.Meta(w.ctx, "vault.root"); err != nil || root != "" {
		t.Errorf("it was made, %v", err)
	}
}

// What a key may open that is away, or refuses Tenure, is not lost; what is lost goes
// alone, and what another key has sealed stays as it is.
func TestResetDestroysNothingThatMayOpen(t *testing.T) {
	w, service := newWorld(t), transit(t)
	file := w.urls().Present
	kept := w.add(t, "kept")
	w.Key = w.key(t, soon, transitURL, file)
	lost := w.add(t, "lost")
	for name, ail := range map[string]func(*keystest.Transit){
		"away": func(d *keystest.Transit) { d.Sealed = true }, "busy": func(d *keystest.Transit) { d.Busy = 1000 }, "refuses": func(d *keystest.Transit) { d.Token = "hvs.another" },
	} {
		service.Set(ail)
		if loss, err := w.Loss(w.ctx, w.by); !tenure.IsKind(err, tenure.Unavailable) {
			t.Errorf("%s: %d lost, %v", name, len(loss.Secrets), err)
		}
		service.Set(func(d *keystest.Transit) { d.Sealed, d.Busy, d.Token = false, 0, keystest.TransitToken })
	}
	if _, err := w.Loss(w.ctx, w.by); tenure.AsError(err).Code != "nothing_lost" {
		t.Errorf("all is there: %v", err)
	}
	root, err := w.DB.Meta(w.ctx, "vault.root")
	if err != nil {
		t.Fatal(err)
	}

	transit(t) // another, with a key of the same name: the first is gone
	w.Key = w.key(t, soon, transitURL, file)
	loss, err := w.Loss(w.ctx, w.by)
	if err != nil || loss.Root || loss.Total != 2 || len(loss.Secrets) != 1 || loss.Secrets[0].Row.Provider != string(lost.ID) {
		t.Fatalf("%+v, %v", loss, err)
	}
	if _, err := w.Reset(w.ctx, w.by, "000000000000"); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("another confirmation: %v", err)
	}
	other := w.add(t, "other")
	if _, err := w.Reset(w.ctx, w.by, loss.Confirm); err != nil {
		t.Fatal(err)
	}
	for _, p := range []tenure.Provider{kept, other} {
		if got, err := w.first(p.Tenant, p.ID); err != nil || got.Reveal() != secret {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	if rows, err := w.DB.Sealed(w.ctx, "provider_keys", "", 10); err != nil || len(rows) != 2 {
		t.Errorf("%d are sealed, %v", len(rows), err)
	}
	if after, err := w.DB.Meta(w.ctx, "vault.root"); err != nil || after != root {
		t.Errorf("a root key that opens was made anew, %v", err)
	}
	if _, err := w.Loss(w.ctx, w.by); tenure.AsError(err).Code != "nothing_lost" {
		t.Errorf("afterwards: %v", err)
	}
}
