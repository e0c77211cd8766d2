package vault_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

const secret = "sk-canary-0123456789abcdef"

type world struct {
	*vault.Vault
	ctx  context.Context //nolint:containedctx // a test's own
	dir  string
	by   tenure.Principal
	hand func(string)
	// ahead is how far the clock is ahead of the real one.
	ahead atomic.Int64
}

// urls name the file that the world's secrets are sealed with.
func (w *world) urls() vault.KeyURLs {
	return vault.KeyURLs{Present: "file:" + filepath.Join(w.dir, "master.key")}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{ctx: context.Background(), dir: t.TempDir()}
	path := filepath.Join(w.dir, "tenure.db")
	now := func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	db, err := store.OpenSQLite(w.ctx, path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := &live.Live{
		Check: func(tenure.Principal, tenure.Action) error { return nil },
		DB:    db, Log: slog.New(slog.DiscardHandler), Forget: func(c store.Change) { w.Forget(c) },
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil }, Options: live.Options{Now: now},
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	key, err := vault.OpenKey(w.ctx, db, w.urls(), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Vault = &vault.Vault{DB: db, Live: l, Key: key}
	w.by, err = (&tenure.Standing{Kind: tenure.Operator, Tenant: tenure.DefaultTenant, TenantActive: true}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	w.hand = func(statement string) {
		t.Helper()
		if out, err := exec.Command("sqlite3", "-bail", "-cmd", ".timeout 5000", path, statement).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return w
}

func (w *world) add(t *testing.T, name string) tenure.Provider {
	t.Helper()
	p, err := w.Add(w.ctx, w.by, vault.Spec{Name: name, Kind: tenure.OpenAI, Key: tenure.NewSecret(secret)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// first is the key that a request is sent with.
func (w *world) first(tenant tenure.TenantID, id tenure.ProviderID) (tenure.Secret, error) {
	all, err := w.Keys(w.ctx, tenant, id)
	if err != nil {
		return tenure.Secret{}, err
	}
	return all[0].Secret, nil
}

// keyID is the id of a provider's first key.
func (w *world) keyID(t *testing.T, tenant tenure.TenantID, id tenure.ProviderID) string {
	t.Helper()
	rows, err := w.DB.UsableKeys(w.ctx, tenant, id)
	if err != nil || len(rows) == 0 {
		t.Fatal(rows, err)
	}
	return string(rows[0].ID)
}

func TestSealAndOpen(t *testing.T) {
	w := newWorld(t)
	p := w.add(t, "openai")
	if p.BaseURL != "https://api.openai.com/v1" || p.Last4 != "cdef" {
		t.Errorf("%+v", p)
	}
	key, err := w.first(p.Tenant, p.ID)
	if err != nil || key.Reveal() != secret {
		t.Errorf("opened %q, %v", key.Reveal(), err)
	}
	files, _ := filepath.Glob(filepath.Join(w.dir, "*"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err != nil || bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s holds the key in plain text (%v)", filepath.Base(f), err)
		}
	}
}

// Whatever is changed or moved in the database does not open.
func TestTamperingIsNoticed(t *testing.T) {
	for name, edit := range map[string]string{
		"a flipped byte of the key":      `UPDATE provider_keys SET key_sealed = CAST(substr(key_sealed,1,length(key_sealed)-1) || CASE WHEN substr(key_sealed,-1)=X'00' THEN X'01' ELSE X'00' END AS BLOB) WHERE provider_id=(SELECT id FROM provider_credentials WHERE name='a')`,
		"a flipped byte of the data key": `UPDATE provider_keys SET data_key = CAST(CASE WHEN substr(data_key,1,1)=X'00' THEN X'01' ELSE X'00' END || substr(data_key,2) AS BLOB) WHERE provider_id=(SELECT id FROM provider_credentials WHERE name='a')`,
		"another row's ciphertext":       `UPDATE provider_keys SET key_sealed=(SELECT key_sealed FROM provider_keys WHERE provider_id=(SELECT id FROM provider_credentials WHERE name='b')) WHERE provider_id=(SELECT id FROM provider_credentials WHERE name='a')`,
		"another row's both":             `UPDATE provider_keys SET (key_sealed,data_key)=(SELECT key_sealed,data_key FROM provider_keys WHERE provider_id=(SELECT id FROM provider_credentials WHERE name='b')) WHERE provider_id=(SELECT id FROM provider_credentials WHERE name='a')`,
		"another workspace":              `UPDATE provider_credentials SET workspace_id='w2' WHERE name='a'`,
		"an older version":               `UPDATE provider_keys SET version=2 WHERE provider_id=(SELECT id FROM provider_credentials WHERE name='a')`,
		"nothing at all":                 `UPDATE provider_keys SET key_sealed=X'' WHERE provider_id=(SELECT id FROM provider_credentials WHERE name='a')`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.add(t, "a")
			b := w.add(t, "b")
			w.hand(edit)
			key, err := w.first(a.Tenant, a.ID)
			if err == nil || key.Reveal() != "" || strings.Contains(err.Error(), secret) {
				t.Errorf("it opens: %v", err)
			}
			if key, err := w.first(b.Tenant, b.ID); err != nil || key.Reveal() != secret {
				t.Errorf("the other does not open any more: %v", err)
			}
		})
	}
}

// What the database could not tell is no fault of whoever adds a provider.
func TestAFaultIsNoMissingWorkspace(t *testing.T) {
	w := newWorld(t)
	w.hand(`ALTER TABLE workspaces RENAME TO gone`)
	_, err := w.Add(w.ctx, w.by, vault.Spec{Name: "openai", Kind: tenure.OpenAI, Key: tenure.NewSecret(secret)})
	if err == nil || tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("%v", err)
	}
}

// With a key that is missing or is not the right one nothing opens, nothing is made,
// and the reason is told. A file that others may read is refused.
func TestMasterKey(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.dir, "master.key")
	p := w.add(t, "a")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil   func() error
		want    string
		refused bool
	}{
		"missing":            {func() error { return os.Remove(path) }, "missing", false},
		"readable by others": {func() error { return os.Chmod(path, 0o644) }, "chmod 600", true},
		"by one's own group": {func() error { return os.Chmod(path, 0o640) }, "chmod 600", true},
		"another key":        {func() error { return os.WriteFile(path, []byte(strings.Repeat("QUJD", 10)+"QUI=\n"), 0o600) }, "sealed with", false},
		"not a key":          {func() error { return os.WriteFile(path, []byte("hello\n"), 0o600) }, "base64", false},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		key, err := vault.OpenKey(w.ctx, w.DB, w.urls(), keys.Options{})
		_, why := key.Sealed()
		if (err != nil) != c.refused || why == nil || !strings.Contains(why.Error(), c.want) {
			t.Errorf("%s: refused with %v, sealed for %v", name, err, why)
		}
		v := &vault.Vault{DB: w.DB, Live: w.Live, Key: key}
		if secret, err := v.Keys(w.ctx, p.Tenant, p.ID); !sealed(err) || len(secret) != 0 {
			t.Errorf("%s: a provider's key opens: %v", name, err)
		}
		if _, err := v.Add(w.ctx, w.by, vault.Spec{Name: "b", Kind: tenure.OpenAI, Key: tenure.NewSecret(secret)}); !sealed(err) {
			t.Errorf("%s: a provider is added: %v", name, err)
		}
		if name == "missing" {
			if _, err := os.Stat(path); err == nil {
				t.Error("a new key was made while sealed rows exist")
			}
		}
		_ = os.Remove(path)
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := vault.OpenKey(w.ctx, w.DB, w.urls(), keys.Options{})
	if _, why := key.Sealed(); err != nil || why != nil {
		t.Errorf("the right key: %v, %v", err, why)
	}
}

// sealed tells that an error is the one that says so, and when to try again.
func sealed(err error) bool {
	e := tenure.AsError(err)
	return err != nil && e.Kind == tenure.Unavailable && e.Code == "vault_sealed" && e.RetryAfter > 0
}

func TestSpecIsChecked(t *testing.T) {
	w := newWorld(t)
	for field, spec := range map[string]vault.Spec{
		"name":      {Name: "Open AI", Kind: tenure.OpenAI, Key: tenure.NewSecret("k")},
		"kind":      {Name: "a", Kind: "gemini", Key: tenure.NewSecret("k")},
		"key":       {Name: "a", Kind: tenure.OpenAI, Key: tenure.NewSecret("has space")},
		"base_url":  {Name: "a", Kind: tenure.OpenAI, BaseURL: "file:///etc/passwd", Key: tenure.NewSecret("k")},
		"workspace": {Name: "a", Kind: tenure.OpenAI, Workspace: "nowhere", Key: tenure.NewSecret("k")},
	} {
		if _, err := w.Add(w.ctx, w.by, spec); tenure.AsError(err).Field != field || !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := w.Add(w.ctx, tenure.Principal{}, vault.Spec{Name: "a", Kind: tenure.OpenAI, Key: tenure.NewSecret("k")}); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("nobody: %v", err)
	}
}

// A key that was opened stays open while there is no news from the database, and no
// longer than anybody may be served without; a key that was not, does not open.
func TestOpenWithoutTheDatabase(t *testing.T) {
	w := newWorld(t)
	p, other := w.add(t, "openai"), w.add(t, "other")
	ctx, stop := context.WithCancel(w.ctx)
	var wg sync.WaitGroup
	ready := make(chan struct{})
	wg.Go(func() {
		if err := w.Live.Follow(ctx, func() { close(ready) }); err != nil {
			t.Error(err)
		}
	})
	<-ready
	time.Sleep(4 * store.FeedPoll) // its making has been told
	if _, err := w.first(p.Tenant, p.ID); err != nil {
		t.Fatal(err)
	}
	stop()
	wg.Wait()
	if err := w.DB.Close(); err != nil {
		t.Fatal(err)
	}
	for late, opens := range map[time.Duration]bool{30 * time.Second: true, 2 * time.Minute: true, 6 * time.Minute: false} {
		w.ahead.Store(int64(late))
		if _, err := w.first(p.Tenant, p.ID); (err == nil) != opens {
			t.Errorf("%v later: %v", late, err)
		}
	}
	w.ahead.Store(int64(2 * time.Minute))
	if _, err := w.first(other.Tenant, other.ID); err == nil {
		t.Error("a key that was not opened before opens")
	}
}

// Tenure is no provider of its own, however its public address is spelled.
func TestAddRefusesTenureItself(t *testing.T) {
	w := newWorld(t)
	w.Public = &url.URL{Scheme: "https", Host: "Tenure.example.com"}
	for base, itself := range map[string]bool{
		"https://tenure.example.com/v1": true, "https://TENURE.example.com:443/v1": true, "https://tenure.example.com./v1": true,
		"https://tenure.example.com:8443/v1": false, "https://other.example.com/v1": false,
	} {
		_, err := w.Add(w.ctx, w.by, vault.Spec{Name: "p" + tenure.NewID(time.Now()), Kind: tenure.OpenAI, BaseURL: base, Key: tenure.NewSecret(secret)})
		if refused := tenure.IsKind(err, tenure.Invalid); refused != itself || !itself && err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// However many ask at once, the keys are read once; on a hit nothing is allocated; and
// what is typed by hand takes effect without a restart.
func TestKeysAreReadOnce(t *testing.T) {
	w := newWorld(t)
	p := w.add(t, "openai")
	ctx, stop := context.WithCancel(w.ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	ready := make(chan struct{})
	wg.Go(func() {
		if err := w.Live.Follow(ctx, func() { close(ready) }); err != nil {
			t.Error(err)
		}
	})
	<-ready
	time.Sleep(4 * store.FeedPoll)
	for round := range 200 {
		w.Forget(store.Change{Kind: "provider", ID: string(p.ID)})
		var all sync.Map
		var many sync.WaitGroup
		for i := range 50 {
			many.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Microsecond) // some come while a reading ends
				keys, err := w.Keys(w.ctx, p.Tenant, p.ID)
				if err != nil || len(keys) != 1 {
					t.Error(keys, err)
					return
				}
				all.Store(&keys[0], true)
			})
		}
		many.Wait()
		readings := 0
		all.Range(func(any, any) bool { readings++; return true })
		if readings != 1 {
			t.Fatalf("%d readings for those who asked at once, round %d", readings, round)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = w.Keys(w.ctx, p.Tenant, p.ID) }); n != 0 {
		t.Errorf("%v allocations on a hit", n)
	}
	if _, err := w.Keys(w.ctx, "other", p.ID); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("another tenant: %v", err)
	}
	w.hand(`UPDATE provider_keys SET state = 'retired'`)
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		_, err := w.Keys(w.ctx, p.Tenant, p.ID)
		if tenure.AsError(err).Code == "no_provider_key" {
			break
		}
		if time.Since(begin) > 5*time.Second {
			t.Fatalf("a retired key is used: %v", err)
		}
	}
	if n, err := w.DB.CountSealed(w.ctx); n != 0 || err != nil {
		t.Errorf("%d are sealed, %v: what was retired is there", n, err)
	}
	w.hand(`UPDATE provider_keys SET state = 'active'`)
	if _, err := w.Keys(w.ctx, p.Tenant, p.ID); err == nil {
		t.Error("a retired key comes back")
	}
}
