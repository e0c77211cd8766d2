package vault_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// A provider that accepts the keys that are named, and lists its models.
type provider struct {
	url    string
	accept atomic.Pointer[[]string]
	status atomic.Int64 // of the answer to a good key; 0: 200
	asked  atomic.Int64
}

func newProvider(t *testing.T, keys ...string) *provider {
	t.Helper()
	p := &provider{}
	p.accept.Store(&keys)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch status := int(p.status.Load()); {
		case !slices.Contains(*p.accept.Load(), key):
			http.Error(w, "the key "+key+" is wrong", http.StatusUnauthorized)
		case status != 0:
			w.WriteHeader(status)
		default:
			_, _ = w.Write([]byte(`{"data":[]}`))
		}
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL + "/v1"
	return p
}

func (w *world) provider(t *testing.T, base string) tenure.Provider {
	t.Helper()
	guard := &egress.Guard{}
	w.Client = func(allowed tenure.Egress) *http.Client {
		return guard.Client(&http.Transport{DisableKeepAlives: true}, time.Second, false, allowed)
	}
	p, err := w.Add(w.ctx, w.by, vault.Spec{Name: "openai", Kind: tenure.OpenAI, BaseURL: base, Key: tenure.NewSecret(secret)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const second = "sk-second-0123456789abcdef-wxyz"

func newKey(text string) vault.NewKey { return vault.NewKey{Secret: tenure.NewSecret(text)} }

// states are the versions that there are, as name, version and state.
func (w *world) states(t *testing.T, p tenure.Provider) []string {
	t.Helper()
	rows, err := w.ProviderKeys(w.ctx, w.by, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range rows {
		out = append(out, k.Name+string(rune('0'+k.Version))+" "+string(k.State))
	}
	return out
}

func (w *world) events(t *testing.T, action string) []tenure.AuditEvent {
	t.Helper()
	rows, err := w.DB.AuditTail(w.ctx, tenure.DefaultTenant, action, 20)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// A rotation that the provider does not confirm changes nothing, whatever it answered,
// and is audited without the key.
func TestFailedCheckChangesNothing(t *testing.T) {
	w := newWorld(t)
	up := newProvider(t, secret)
	p := w.provider(t, up.url)
	gone := newProvider(t)
	for name, c := range map[string]struct {
		spoil func()
		code  string
	}{
		"refused":  {func() {}, "key_refused"},
		"strange":  {func() { up.accept.Store(&[]string{secret, second}); up.status.Store(500) }, "key_check_failed"},
		"no lists": {func() { up.accept.Store(&[]string{secret, second}); up.status.Store(404) }, "key_check_failed"},
	} {
		c.spoil()
		k, err := w.Rotate(w.ctx, w.by, p.ID, newKey(second), vault.Taking{Overlap: time.Hour})
		if e := tenure.AsError(err); e.Kind != tenure.Conflict || e.Code != c.code || strings.Contains(err.Error(), second) {
			t.Errorf("%s: %v, %v", name, k, err)
		}
		up.accept.Store(&[]string{secret})
		up.status.Store(0)
	}
	if got := w.states(t, p); !slices.Equal(got, []string{"default1 active"}) {
		t.Errorf("keys: %v", got)
	}
	if key, err := w.first(p.Tenant, p.ID); err != nil || key.Reveal() != secret {
		t.Errorf("the key that is used: %v", err)
	}
	w.hand(`UPDATE provider_credentials SET base_url = 'http://127.0.0.1:1/v1'`)
	if _, err := w.Rotate(w.ctx, w.by, p.ID, newKey(second), vault.Taking{}); tenure.AsError(err).Code != "provider_unreachable" {
		t.Errorf("unreachable: %v", err)
	}
	events := w.events(t, "provider_key.checked")
	if len(events) != 4 || events[0].Outcome != "refused" {
		t.Errorf("events: %+v", events)
	}
	for _, e := range events {
		if strings.Contains(e.Reason, second) || e.Detail["fingerprint"] == "" || e.Detail["last4"] != "wxyz" {
			t.Errorf("%+v", e)
		}
	}
	if n := gone.asked.Load(); n != 0 {
		t.Errorf("another provider was asked %d times", n)
	}
	member, err := (&tenure.Standing{Kind: tenure.AssertedIdentity, Tenant: tenure.DefaultTenant, TenantActive: true, User: "u", UserName: "u", UserActive: true, Role: tenure.Admin}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Rotate(w.ctx, member, p.ID, newKey(second), vault.Taking{Unchecked: true}); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("an admin who is no super admin: %v", err)
	}
}

// A provider that takes the question and never answers is given up, and so is one whose
// asker leaves, which is not told as a check.
func TestAProviderThatDoesNotAnswerACheck(t *testing.T) {
	w := newWorld(t)
	asked := make(chan struct{}, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	p := w.provider(t, srv.URL+"/v1")
	leaving, leave := context.WithCancel(w.ctx)
	go func() {
		<-asked
		leave()
	}()
	if _, err := w.Rotate(leaving, w.by, p.ID, newKey(second), vault.Taking{}); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever asked has left: %v", err)
	}
	if events := w.events(t, "provider_key.checked"); len(events) != 0 {
		t.Errorf("a check that was broken off is told: %+v", events)
	}
	w.Client = func(allowed tenure.Egress) *http.Client {
		return (&egress.Guard{}).Client(&http.Transport{DisableKeepAlives: true}, 200*time.Millisecond, false, allowed)
	}
	if _, err := w.Rotate(w.ctx, w.by, p.ID, newKey(second), vault.Taking{}); tenure.AsError(err).Code != "provider_unreachable" || strings.Contains(err.Error(), second) {
		t.Errorf("no answer: %v", err)
	}
	if events := w.events(t, "provider_key.checked"); len(events) != 1 || events[0].Outcome != "refused" || strings.Contains(events[0].Reason, second) {
		t.Errorf("events: %+v", events)
	}
	if got := w.states(t, p); !slices.Equal(got, []string{"default1 active"}) {
		t.Errorf("keys: %v", got)
	}
	if key, err := w.first(p.Tenant, p.ID); err != nil || key.Reveal() != secret {
		t.Errorf("the key that is used: %v", err)
	}
}

// One call checks, uses and keeps the version before as the last resort, which the
// housekeeper retires when its time is over; nobody uses it since then.
func TestRotate(t *testing.T) {
	w := newWorld(t)
	up := newProvider(t, secret, second)
	p := w.provider(t, up.url)
	k, err := w.Rotate(w.ctx, w.by, p.ID, newKey(second), vault.Taking{Overlap: time.Hour})
	if err != nil || k.Version != 2 || k.State != tenure.KeyActive || k.Check != tenure.CheckPassed || k.Last4 != "wxyz" {
		t.Fatalf("%+v, %v", k, err)
	}
	all, err := w.Keys(w.ctx, p.Tenant, p.ID)
	if err != nil || len(all) != 2 || all[0].Secret.Reveal() != second || all[0].LastResort || all[1].Secret.Reveal() != secret || !all[1].LastResort {
		t.Fatalf("%+v, %v", all, err)
	}
	if _, err := w.Rotate(w.ctx, w.by, p.ID, newKey(second), vault.Taking{}); tenure.AsError(err).Code != "key_in_use" {
		t.Errorf("the same key again: %v", err)
	}
	if n, err := w.Housekeep(w.ctx); n != 0 || err != nil {
		t.Errorf("%d retired at once, %v", n, err)
	}
	w.ahead.Store(int64(time.Hour + time.Second))
	if all, err := w.Keys(w.ctx, p.Tenant, p.ID); err != nil || len(all) != 1 {
		t.Errorf("after the overlap: %+v, %v", all, err)
	}
	if n, err := w.Housekeep(w.ctx); n != 1 || err != nil {
		t.Errorf("%d retired, %v", n, err)
	}
	if got := w.states(t, p); !slices.Equal(got, []string{"default2 active", "default1 retired"}) {
		t.Errorf("keys: %v", got)
	}
	if n, err := w.DB.CountSealed(w.ctx); n != 1 || err != nil {
		t.Errorf("%d are sealed, %v", n, err)
	}
	if e := w.events(t, "provider_key.retired"); len(e) != 1 || e[0].Actor != "overlap" {
		t.Errorf("events: %+v", e)
	}
	// Without an overlap the version before is gone at once.
	third := second + "3"
	up.accept.Store(&[]string{third})
	if _, err := w.Rotate(w.ctx, w.by, p.ID, newKey(third), vault.Taking{}); err != nil {
		t.Fatal(err)
	}
	if all, err := w.Keys(w.ctx, p.Tenant, p.ID); err != nil || len(all) != 1 || all[0].Secret.Reveal() != third {
		t.Errorf("%+v, %v", all, err)
	}
}

// An overlap that is over sooner than opened keys are forgotten is over all the same, and
// so is that of a key which nobody has come to retire.
func TestShortOverlap(t *testing.T) {
	w := newWorld(t)
	p := w.provider(t, newProvider(t, secret, second).url)
	if _, err := w.Rotate(w.ctx, w.by, p.ID, newKey(second), vault.Taking{Overlap: 30 * time.Second}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		ahead time.Duration
		want  int
	}{{0, 2}, {31 * time.Second, 1}, {5 * time.Minute, 1}} {
		w.ahead.Store(int64(step.ahead))
		if all, err := w.Keys(w.ctx, p.Tenant, p.ID); err != nil || len(all) != step.want || all[0].Secret.Reveal() != second {
			t.Errorf("after %s: %d of %d keys, %v", step.ahead, len(all), step.want, err)
		}
	}
}

// Several who add a key of one name at once add one, and destroy none: the others are told.
func TestAddedAtOnce(t *testing.T) {
	w := newWorld(t)
	keys := []string{second + "1", second + "2", second + "3"}
	p := w.provider(t, newProvider(t, keys...).url)
	var wg sync.WaitGroup
	var added atomic.Int32
	for _, key := range keys {
		wg.Go(func() {
			_, err := w.Rotate(w.ctx, w.by, p.ID, vault.NewKey{Name: "spare", Secret: tenure.NewSecret(key), Added: true}, vault.Taking{})
			if err == nil {
				added.Add(1)
			} else if e := tenure.AsError(err); e.Code != "key_exists" || e.Field != "name" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := w.states(t, p); added.Load() != 1 || !slices.Equal(got, []string{"default1 active", "spare1 active"}) {
		t.Errorf("%d were told that theirs was added; keys: %v", added.Load(), got)
	}
}

// The steps one by one: staged, checked, used, arranged, retired.
func TestKeyBySteps(t *testing.T) {
	w := newWorld(t)
	up := newProvider(t, secret)
	p := w.provider(t, up.url)
	first, err := w.Stage(w.ctx, w.by, p.ID, newKey("sk-a-mistake-0123456789"))
	if err != nil || first.State != tenure.KeyStaged {
		t.Fatalf("%+v, %v", first, err)
	}
	k, err := w.Stage(w.ctx, w.by, p.ID, newKey(second))
	if err != nil || k.Version != 3 {
		t.Fatalf("%+v, %v", k, err)
	}
	if got := w.states(t, p); !slices.Equal(got, []string{"default3 staged", "default2 retired", "default1 active"}) {
		t.Errorf("keys: %v", got)
	}
	if all, err := w.Keys(w.ctx, p.Tenant, p.ID); err != nil || len(all) != 1 || all[0].Secret.Reveal() != secret {
		t.Errorf("with a staged one, those that are used are %+v, %v", all, err)
	}
	if _, err := w.Activate(w.ctx, w.by, p.ID, k.ID, vault.Taking{}); tenure.AsError(err).Code != "key_unchecked" {
		t.Errorf("unchecked: %v", err)
	}
	if k, err = w.CheckKey(w.ctx, w.by, p.ID, k.ID); err != nil || k.Check != tenure.CheckRefused {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := w.Activate(w.ctx, w.by, p.ID, k.ID, vault.Taking{}); tenure.AsError(err).Code != "key_unchecked" {
		t.Errorf("refused: %v", err)
	}
	up.accept.Store(&[]string{secret, second})
	if k, err = w.CheckKey(w.ctx, w.by, p.ID, k.ID); err != nil || k.Check != tenure.CheckPassed {
		t.Errorf("%+v, %v", k, err)
	}
	if k, err = w.Activate(w.ctx, w.by, p.ID, k.ID, vault.Taking{Overlap: time.Minute}); err != nil || k.State != tenure.KeyActive {
		t.Errorf("%+v, %v", k, err)
	}
	spare, err := w.Rotate(w.ctx, w.by, p.ID, vault.NewKey{Name: "spare", Secret: tenure.NewSecret("sk-spare-0123456789abcdef")}, vault.Taking{Unchecked: true})
	if err != nil || spare.Version != 1 || spare.Position != 1 {
		t.Fatalf("%+v, %v", spare, err)
	}
	two, nine := 2, 9
	if spare, err = w.Arrange(w.ctx, w.by, p.ID, spare.ID, vault.Arrangement{Position: &two, Weight: &nine}); err != nil || spare.Position != 2 || spare.Weight != 9 {
		t.Errorf("%+v, %v", spare, err)
	}
	all, err := w.Keys(w.ctx, p.Tenant, p.ID)
	if err != nil || len(all) != 3 || all[0].Secret.Reveal() != second || all[1].Name != "spare" || all[1].Weight != 9 || !all[2].LastResort {
		t.Errorf("%+v, %v", all, err)
	}
	if k, err = w.Retire(w.ctx, w.by, p.ID, k.ID); err != nil || k.State != tenure.KeyRetired {
		t.Errorf("%+v, %v", k, err)
	}
	if all, err := w.Keys(w.ctx, p.Tenant, p.ID); err != nil || all[0].Name != "spare" {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := w.Activate(w.ctx, w.by, p.ID, k.ID, vault.Taking{Unchecked: true}); tenure.AsError(err).Code != "key_not_staged" {
		t.Errorf("a retired version: %v", err)
	}
	if _, err := w.CheckKey(w.ctx, w.by, p.ID, k.ID); tenure.AsError(err).Code != "key_retired" {
		t.Errorf("a retired version: %v", err)
	}
	if p, err = w.Change(w.ctx, w.by, p.ID, vault.ProviderChange{Name: new("elsewhere")}); err != nil || p.Name != "elsewhere" || p.BaseURL != up.url {
		t.Errorf("%+v, %v", p, err)
	}
	for field, a := range map[string]vault.Arrangement{"position": {Position: new(int)}, "weight": {Weight: new(int)}} {
		if _, err := w.Arrange(w.ctx, w.by, p.ID, spare.ID, a); tenure.AsError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// A key that was stored before there were fingerprints is given its own.
func TestFormerKeysAreMarked(t *testing.T) {
	w := newWorld(t)
	a, b := w.add(t, "a"), w.add(t, "b")
	mark := func(p tenure.Provider) string {
		rows, err := w.ProviderKeys(w.ctx, w.by, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		return rows[0].Fingerprint
	}
	want := mark(b)
	w.hand(`UPDATE provider_keys SET fingerprint = '' WHERE provider_id = '` + string(a.ID) + `'`)
	if _, err := w.Housekeep(w.ctx); err != nil {
		t.Fatal(err)
	}
	if got := mark(a); got == "" || got != want || strings.Contains(secret, got) {
		t.Errorf("%q, and of the same key elsewhere %q", got, want)
	}
}

// Those that do not open, however many, keep none of the others from being marked; and
// the rounds begin anew at their end.
func TestKeysThatDoNotOpenHoldUpNoMark(t *testing.T) {
	w := newWorld(t)
	p := w.add(t, "a")
	w.hand(`UPDATE provider_keys SET fingerprint = '';
		INSERT INTO provider_keys (id, tenant_id, workspace_id, provider_id, name, version, state, key_sealed, data_key, created_at)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250)
		SELECT printf('0-%03d', i), tenant_id, workspace_id, provider_id, 'broken', i, 'staged', X'00', X'00', created_at FROM provider_keys, n`)
	unmarked := func(rounds int) int {
		for range rounds {
			if _, err := w.Housekeep(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := w.DB.KeysUnmarked(w.ctx, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	if n := unmarked(3); n != 250 {
		t.Errorf("after three rounds %d have no fingerprint, want those that do not open, 250", n)
	}
	w.hand(`DELETE FROM provider_keys WHERE version > 250 OR version BETWEEN 3 AND 250;
		UPDATE provider_keys SET fingerprint = '' WHERE provider_id = '` + string(p.ID) + `' AND name = 'default'`)
	if n := unmarked(1); n != 2 {
		t.Errorf("%d have no fingerprint after the rounds began anew, want 2", n)
	}
}
