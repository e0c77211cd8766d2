package vault_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/secretref"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

const address = "vault://secret/tenure/openai#api_key"

// elsewhere lets the world's keys be kept in a Vault.
func (w *world) elsewhere(t *testing.T) *keystest.KV {
	t.Helper()
	kv := keystest.NewKV(t)
	kv.Put("tenure/openai", "api_key", secret)
	w.Secrets = w.resolver(kv)
	w.Secrets.Changed = w.Elsewhere
	return kv
}

func (w *world) resolver(kv *keystest.KV) *secretref.Resolver {
	return &secretref.Resolver{
		Allow: secretref.Rules{tenure.DefaultTenant: {"vault://secret/tenure/"}, "acme": {"vault://secret/acme/"}}, Grace: 15 * time.Minute, Now: w.DB.Now,
		Systems: map[string]secretref.System{secretref.SchemeVault: &secretref.Vault{
			Client: http.DefaultClient, Address: kv.URL, Auth: secretref.VaultToken, Token: tenure.NewSecret(keystest.KVToken), Now: w.DB.Now,
		}},
	}
}

// byAddress adds a provider whose key is kept elsewhere.
func (w *world) byAddress(t *testing.T) tenure.Provider {
	t.Helper()
	p, err := w.Add(w.ctx, w.by, vault.Spec{Name: "openai", Kind: tenure.OpenAI, KeyReference: address})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rotations are what was written down of keys that changed elsewhere.
func (w *world) rotations(t *testing.T) []tenure.AuditEvent {
	t.Helper()
	events, err := w.DB.AuditEvents(tenure.Everywhere(w.ctx), store.AuditFilter{Tenant: tenure.DefaultTenant, Action: "provider_key.rotated_elsewhere", Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func (w *world) expect(t *testing.T, when string, p tenure.Provider, want string) {
	t.Helper()
	got, err := w.first(p.Tenant, p.ID)
	text := got.Reveal()
	if err != nil {
		text = tenure.AsError(err).Code
	}
	if text != want {
		t.Errorf("%s: %s (%v)", when, text, err)
	}
}

func TestAKeyIsKeptElsewhere(t *testing.T) {
	w := newWorld(t)
	kv := w.elsewhere(t)
	p := w.byAddress(t)
	if p.Reference != address || p.Last4 != "cdef" {
		t.Errorf("%+v", p)
	}
	w.expect(t, "first", p, secret)
	asked := kv.Calls("GET /v1/secret/data/tenure/openai")
	for range 100 {
		w.expect(t, "again", p, secret)
	}
	if n := kv.Calls("GET /v1/secret/data/tenure/openai"); n != asked || asked != 1 {
		t.Errorf("Vault was asked %d times", n)
	}
	for _, name := range []string{"tenure.db", "tenure.db-wal"} {
		file, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil || bytes.Contains(file, []byte(secret)) {
			t.Errorf("%s has the key in it (%v)", name, err)
		}
	}
	kv.Put("tenure/broken", "api_key", "a key\r\nX-Evil: 1")
	for reference, code := range map[string]string{
		"nonsense": "invalid_address", "vault://secret/acme/openai#api_key": "secret_address_not_allowed", "awssm://tenure/openai": "secret_address_not_allowed",
		"vault://secret/tenure/none#api_key": "secret_not_found", "vault://secret/tenure/openai#other": "secret_not_found", "vault://secret/tenure/broken#api_key": "secret_is_no_key",
	} {
		_, err := w.Add(w.ctx, w.by, vault.Spec{Name: "other", Kind: tenure.OpenAI, KeyReference: reference})
		e := tenure.AsError(err)
		if e.Code != code || e.Kind == tenure.NotFound || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "X-Evil") {
			t.Errorf("%s: %v %v", reference, e.Code, err)
		}
	}
	if _, err := w.Add(w.ctx, w.by, vault.Spec{Name: "other", Kind: tenure.OpenAI, KeyReference: address, Key: tenure.NewSecret(secret)}); tenure.AsError(err).Field != "key_reference" {
		t.Errorf("both: %v", err)
	}
	kv.Set(func() { kv.Sealed = true })
	w.ahead.Add(int64(2 * time.Minute))
	if _, err := w.Add(w.ctx, w.by, vault.Spec{Name: "other", Kind: tenure.OpenAI, KeyReference: address}); err != nil {
		t.Errorf("in an outage, an address that is known: %v", err)
	}
	if _, err := w.Add(w.ctx, w.by, vault.Spec{Name: "third", Kind: tenure.OpenAI, KeyReference: "vault://secret/tenure/third#api_key"}); !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("in an outage, another: %v", err)
	}
}

// A key that its system has rotated is used within a minute, at once where the provider
// refuses the one before, and written down once, however many replicas learn of it.
func TestAKeyIsRotatedElsewhere(t *testing.T) {
	w := newWorld(t)
	kv := w.elsewhere(t)
	p := w.byAddress(t)
	// Another replica, with a memory of its own.
	other := &vault.Vault{DB: w.DB, Live: &live.Live{DB: w.DB, Options: live.Options{Now: w.DB.Now}}, Key: w.Key, Secrets: w.resolver(kv)}
	use := func(v *vault.Vault) vault.OpenedKey {
		t.Helper()
		all, err := v.Keys(w.ctx, p.Tenant, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		return all[0]
	}
	use(w.Vault)
	use(other)
	const second, third = "sk-second-0123456789-second", "sk-third-0123456789abc-third"
	kv.Put("tenure/openai", "api_key", second)
	w.ahead.Add(int64(50 * time.Second)) // it is asked for anew, behind the one that asks
	use(w.Vault)
	w.ahead.Add(int64(11 * time.Second))
	if got := use(w.Vault); got.Secret.Reveal() != second {
		t.Errorf("after a minute: %s", got.Secret.Reveal())
	}
	if got := use(other); got.Secret.Reveal() != second {
		t.Errorf("after a minute, another replica: %s", got.Secret.Reveal())
	}
	events := w.rotations(t)
	if len(events) != 1 {
		t.Fatalf("%d events: %v", len(events), events)
	}
	d := events[0].Detail
	if d["fingerprint"] == "" || d["fingerprint_before"] == "" || d["fingerprint"] == d["fingerprint_before"] || d["reference"] != address {
		t.Errorf("%v", d)
	}
	if shown, err := w.Get(w.ctx, w.by, p.ID); err != nil || shown.Last4 != "cond" {
		t.Errorf("%s (%v)", shown.Last4, err)
	}
	// The other replica's memory is a few seconds old when this one is refused.
	w.ahead.Add(int64(10 * time.Second))
	old := use(w.Vault)
	kv.Put("tenure/openai", "api_key", third)
	if got, ok := w.Anew(w.ctx, p.Tenant, old); !ok || got.Secret.Reveal() != third || got.ID != old.ID {
		t.Errorf("refused: %v %s", ok, got.Secret.Reveal())
	}
	if got := use(w.Vault); got.Secret.Reveal() != third {
		t.Errorf("the next request: %s", got.Secret.Reveal())
	}
	other.Forget(store.Change{Kind: "provider", ID: string(p.ID)}) // it reads the row anew, with a memory of the second key
	use(other)
	if events = w.rotations(t); len(events) != 2 {
		t.Errorf("a replica that was behind took a rotation back: %v", events)
	}
	asked := kv.Calls("GET /v1/secret/data/tenure/openai")
	for range 20 { // the key that is there is refused, too
		if got, ok := w.Anew(w.ctx, p.Tenant, use(w.Vault)); ok {
			t.Errorf("another: %s", got.Secret.Reveal())
		}
	}
	if n := kv.Calls("GET /v1/secret/data/tenure/openai") - asked; n > 1 {
		t.Errorf("refusals asked Vault %d times", n)
	}
	if got, ok := w.Anew(w.ctx, p.Tenant, vault.OpenedKey{Secret: tenure.NewSecret(secret)}); ok {
		t.Errorf("a sealed key: %s", got.Secret.Reveal())
	}
}

// In an outage of its system a key is used for the grace; what is denied, is not.
func TestAKeyInAnOutageOfItsSystem(t *testing.T) {
	w := newWorld(t)
	kv := w.elsewhere(t)
	p := w.byAddress(t)
	w.expect(t, "first", p, secret)
	kv.Set(func() { kv.Sealed = true })
	for range 14 {
		w.ahead.Add(int64(time.Minute))
		w.expect(t, "sealed", p, secret)
	}
	w.hand("UPDATE provider_credentials SET base_url = 'https://other.example.com/v1'") // a change of something else forgets nothing
	w.Forget(store.Change{Kind: "provider", ID: string(p.ID)})
	time.Sleep(50 * time.Millisecond)
	w.expect(t, "sealed, after a change", p, secret)
	w.ahead.Add(int64(2 * time.Minute))
	w.expect(t, "after the grace", p, "secret_system_unavailable")
	kv.Set(func() { kv.Sealed = false })
	w.ahead.Add(int64(time.Minute))
	w.expect(t, "back", p, secret)
	kv.Set(func() { delete(kv.Tokens, keystest.KVToken) })
	w.ahead.Add(int64(2 * time.Minute))
	w.expect(t, "denied", p, "secret_denied")
}

// Whoever may write to the table gets no key of another tenant by an address.
func TestAnAddressOfAnotherTenant(t *testing.T) {
	w := newWorld(t)
	kv := w.elsewhere(t)
	kv.Put("acme/openai", "api_key", "sk-of-acme-0123456789")
	p := w.byAddress(t)
	w.expect(t, "first", p, secret)
	w.hand("UPDATE provider_keys SET reference = 'vault://secret/acme/openai#api_key'")
	w.Forget(store.Change{Kind: "provider", ID: string(p.ID)})
	w.expect(t, "moved", p, "secret_address_not_allowed")
	if n := kv.Calls("GET /v1/secret/data/acme/openai"); n != 0 {
		t.Errorf("Vault was asked for another tenant's secret")
	}
}

// What no key is any more is forgotten: it is not kept for the grace.
func TestAnAddressThatNobodyUses(t *testing.T) {
	w := newWorld(t)
	kv := w.elsewhere(t)
	p := w.byAddress(t)
	w.expect(t, "first", p, secret)
	if err := w.Remove(w.ctx, w.by, p.ID); err != nil {
		t.Fatal(err)
	}
	kv.Set(func() { kv.Sealed = true })
	w.ahead.Add(int64(2 * time.Minute))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := w.Secrets.Resolve(w.ctx, tenure.DefaultTenant, address)
		if tenure.IsKind(err, tenure.Unavailable) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the secret of a key that was removed is still kept")
		}
	}
}

// A key that is kept elsewhere needs no key-encryption key: it is used while the vault is
// sealed.
func TestAKeyElsewhereWhileTheVaultIsSealed(t *testing.T) {
	w := newWorld(t)
	kv := w.elsewhere(t)
	p := w.byAddress(t)
	if err := os.Remove(filepath.Join(w.dir, "master.key")); err != nil {
		t.Fatal(err)
	}
	key, err := vault.OpenKey(w.ctx, w.DB, w.urls(), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Vault = &vault.Vault{DB: w.DB, Live: w.Live, Key: key, Secrets: w.resolver(kv)}
	w.expect(t, "sealed", p, secret)
	kv.Put("tenure/openai", "api_key", "sk-second-0123456789-second")
	w.ahead.Add(int64(2 * time.Minute))
	w.expect(t, "sealed, and rotated there", p, "sk-second-0123456789-second")
	if _, err := w.Add(w.ctx, w.by, vault.Spec{Name: "other", Kind: tenure.OpenAI, KeyReference: address}); tenure.AsError(err).Code != "vault_sealed" {
		t.Errorf("another is added: %v", err)
	}
}

// A key whose system hangs holds up nobody who may go out with another, neither the first
// nor those after its minute, and is used when its system answers again.
func TestAKeyThatHangsBesideAnother(t *testing.T) {
	w := newWorld(t)
	kv := w.elsewhere(t)
	p := w.provider(t, newProvider(t, secret, second).url)
	kv.Put("tenure/openai", "api_key", second)
	if _, err := w.Rotate(w.ctx, w.by, p.ID, vault.NewKey{Name: "elsewhere", Reference: address}, vault.Taking{}); err != nil {
		t.Fatal(err)
	}
	slow := make(chan struct{})
	kv.Set(func() { kv.Slow = slow })
	w.Secrets = w.resolver(kv) // as after a start: nothing is known yet
	w.Forget(store.Change{})
	for round := range 3 {
		began := time.Now()
		got, err := w.Keys(w.ctx, p.Tenant, p.ID)
		if err != nil || len(got) != 1 || got[0].Name != "default" {
			t.Fatalf("round %d: %d keys, %v", round, len(got), err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("round %d: it took %s", round, took)
		}
		w.ahead.Add(int64(61 * time.Second))
	}
	close(slow)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		got, err := w.Keys(w.ctx, p.Tenant, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 2 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the key whose system answers again is not used")
		}
		w.ahead.Add(int64(time.Second))
	}
}

// The providers of the settings are stored all together, or not yet: one that cannot be
// stored now is not forgotten because another was.
func TestSeedIsWhole(t *testing.T) {
	w := newWorld(t)
	kv := w.elsewhere(t)
	kv.Set(func() { kv.Sealed = true })
	specs := []vault.Spec{
		{Name: "openai", Kind: tenure.OpenAI, Key: tenure.NewSecret(secret)},
		{Name: "anthropic", Kind: tenure.Anthropic, KeyReference: address},
	}
	for _, want := range []int{0, 2, 2} {
		err := w.Seed(w.ctx, specs)
		have, listed := w.DB.Providers(w.ctx, tenure.DefaultTenant, tenure.DefaultWorkspace)
		if listed != nil || len(have) != want || (err == nil) != (want > 0) {
			t.Fatalf("%d providers (%v), want %d: %v", len(have), listed, want, err)
		}
		kv.Set(func() { kv.Sealed = false })
		w.ahead.Add(int64(2 * time.Minute)) // it is asked again
	}
}
