package secretref

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
)

// kv is Vault with KV version 2 at secret/: the double, or the server that VAULT_ADDR
// and VAULT_TOKEN name. Only the double can be made ill, so that it is nil there.
func kv(t *testing.T) (*Vault, *keystest.KV) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	if at := os.Getenv("VAULT_ADDR"); at != "" {
		return &Vault{Client: client, Address: at, Namespace: os.Getenv("VAULT_NAMESPACE"), Auth: VaultToken, Token: tenure.NewSecret(os.Getenv("VAULT_TOKEN")), Now: time.Now}, nil
	}
	d := keystest.NewKV(t)
	return &Vault{Client: client, Address: d.URL, Auth: VaultToken, Token: tenure.NewSecret(keystest.KVToken), Now: d.Now}, d
}

// write stores a version, or with nil deletes the newest.
func write(t *testing.T, v *Vault, path string, data map[string]any) {
	t.Helper()
	method, body := http.MethodPost, any(map[string]any{"data": data})
	if data == nil {
		method, body = http.MethodDelete, nil
	}
	w, err := v.ask(t.Context(), method, v.Address+"/v1/secret/data/"+path, v.Token, body)
	if err != nil || w.status >= 300 {
		t.Fatal(w.status, err)
	}
}

func address(t *testing.T, text string) Address {
	t.Helper()
	a, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// get fetches, and gives the secret or the kind of the error as text.
func get(t *testing.T, s System, text string) string {
	t.Helper()
	return fetch(t, s, address(t, text))
}

func fetch(t *testing.T, s System, a Address) string {
	t.Helper()
	v, err := s.Fetch(t.Context(), a)
	if err != nil {
		e := tenure.AsError(err)
		for _, bad := range []string{"sk-", "hvs."} {
			if strings.Contains(err.Error(), bad) {
				t.Errorf("the error shows a secret: %v", err)
			}
		}
		return e.Code
	}
	return v.Secret.Reveal()
}

func TestVaultKV(t *testing.T) {
	v, _ := kv(t)
	path := "tenure-test/" + tenure.NewID(time.Now())
	write(t, v, path, map[string]any{"api_key": "sk-one", "number": 7})
	write(t, v, path, map[string]any{"api_key": "sk-two", "number": 7})
	base := "vault://secret/" + path
	for text, want := range map[string]string{
		base + "#api_key": "sk-two", base + "?version=1#api_key": "sk-one", base + "?version=2#api_key": "sk-two",
		base + "?version=3#api_key": "secret_not_found", base + "#other": "secret_not_found", base + "#number": "secret_not_found",
		"vault://secret/" + path + "-none#api_key": "secret_not_found",
	} {
		if got := get(t, v, text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	write(t, v, path, nil)
	if got := get(t, v, base+"#api_key"); got != "secret_not_found" {
		t.Errorf("a deleted version: %s", got)
	}
	if got := get(t, v, base+"?version=1#api_key"); got != "sk-one" {
		t.Errorf("the version before a deleted one: %s", got)
	}
	v.Token, v.held = tenure.NewSecret("hvs.nobodys"), session{}
	if got := get(t, v, base+"#api_key"); got != "secret_denied" {
		t.Errorf("with a token of nobody: %s", got)
	}
}

func TestVaultIsIll(t *testing.T) {
	d := keystest.NewKV(t)
	v := &Vault{Client: &http.Client{Timeout: 200 * time.Millisecond}, Address: d.URL, Namespace: "ns1", Auth: VaultToken, Token: tenure.NewSecret(keystest.KVToken), Now: d.Now}
	d.Namespace = "ns1"
	write(t, v, "tenure/openai", map[string]any{"api_key": "sk-one"})
	const at = "vault://secret/tenure/openai#api_key"
	hang := make(chan struct{})
	for name, ill := range map[string]struct {
		set  func()
		want string
	}{
		"sealed":    {func() { d.Sealed = true }, "secret_system_unavailable"},
		"cut":       {func() { d.Cut = true }, "secret_system_unavailable"},
		"slow":      {func() { d.Slow = hang }, "secret_system_unavailable"},
		"namespace": {func() { d.Namespace = "other" }, "secret_denied"},
		"destroyed": {func() { d.Secrets["tenure/openai"][0].Destroyed = true }, "secret_not_found"},
	} {
		d.Set(ill.set)
		if got := get(t, v, at); got != ill.want {
			t.Errorf("%s: %s", name, got)
		}
		d.Set(func() {
			d.Sealed, d.Cut, d.Slow, d.Namespace = false, false, nil, "ns1"
			d.Secrets["tenure/openai"][0].Destroyed = false
			d.Time = d.Time.Add(2 * errorFor) // a login that failed is not tried at once again
		})
		if got := get(t, v, at); got != "sk-one" {
			t.Errorf("after %s: %s", name, got)
		}
	}
	close(hang)
	d.Close()
	if got := get(t, v, at); got != "secret_system_unavailable" {
		t.Errorf("gone: %s", got)
	}
}

// A version that ends by itself is used no longer than it lasts.
func TestVaultVersionThatEnds(t *testing.T) {
	d := keystest.NewKV(t)
	v := &Vault{Client: http.DefaultClient, Address: d.URL, Auth: VaultToken, Token: tenure.NewSecret(keystest.KVToken), Now: d.Now}
	write(t, v, "tenure/openai", map[string]any{"api_key": "sk-one"})
	end := d.Time.Add(20 * time.Second)
	d.Set(func() { d.Secrets["tenure/openai"][0].Deletion = end.UTC().Format(time.RFC3339Nano) })
	got, err := v.Fetch(t.Context(), address(t, "vault://secret/tenure/openai#api_key"))
	if err != nil || !got.Until.Equal(end) {
		t.Errorf("until %v, want %v (%v)", got.Until, end, err)
	}
}

func TestVaultLogins(t *testing.T) {
	for method, proof := range map[string][2]string{
		VaultKubernetes: {"tenure", "service-account-token\n"}, VaultAppRole: {"role-of-tenure", "secret-of-tenure"},
	} {
		d := keystest.NewKV(t)
		d.Secrets["tenure/openai"] = []keystest.KVVersion{{Data: map[string]any{"api_key": "sk-one"}}}
		d.Secrets["others/openai"] = []keystest.KVVersion{{Data: map[string]any{"api_key": "sk-other"}}}
		file := filepath.Join(t.TempDir(), "proof")
		put := func(text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		put(proof[1])
		v := &Vault{Client: http.DefaultClient, Address: d.URL, Auth: method, Mount: method, Role: proof[0], File: file, Now: d.Now}
		const at = "vault://secret/tenure/openai#api_key"
		login := "POST /v1/auth/" + method + "/login"
		expect := func(when, want string, logins, renewals int) {
			t.Helper()
			if got := get(t, v, at); got != want || d.Calls(login) != logins || d.Calls("POST /v1/auth/token/renew-self") != renewals {
				t.Errorf("%s, %s: %s, %d logins, %d renewals", method, when, got, d.Calls(login), d.Calls("POST /v1/auth/token/renew-self"))
			}
		}
		// What is renewed behind whoever asks has ended when it is looked at.
		forward := func(by time.Duration) {
			d.Set(func() { d.Time = d.Time.Add(by) })
			v.Tend(t.Context())
			_, _ = v.entering.start(t.Context(), v.Now, false, func(context.Context) (session, error) { return session{}, nil }).wait(t.Context())
		}
		expect("first", "sk-one", 1, 0)
		expect("again", "sk-one", 1, 0)
		if got := get(t, v, "vault://secret/others/openai#api_key"); got != "secret_denied" {
			t.Errorf("%s: what its policy does not cover: %s", method, got)
		}
		expect("what is denied costs no login", "sk-one", 1, 0)
		forward(45 * time.Minute)
		expect("in the last third", "sk-one", 1, 1)
		forward(45 * time.Minute)
		expect("in the last third again", "sk-one", 1, 2)
		forward(45 * time.Minute)
		expect("renewed for the last time", "sk-one", 2, 3)
		forward(2 * time.Hour)
		expect("after its end", "sk-one", 3, 3)
		d.Set(func() { clear(d.Tokens) })
		expect("after it was revoked there", "sk-one", 4, 3)
		put("forged")
		d.Set(func() { clear(d.Tokens) })
		for range 20 {
			expect("with a proof that is none", "secret_denied", 5, 3)
		}
		put(proof[1])
		forward(2 * errorFor)
		expect("with one again", "sk-one", 6, 3)
		d.Set(func() { clear(d.Tokens) })
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		expect("without a proof", "secret_system_unavailable", 6, 3)
		put(proof[1])
		forward(2 * errorFor)
		expect("with one once more", "sk-one", 7, 3)
	}
}

// To a login, too, only what says no is a denial, on which the last good secret is used
// no more: what says "not now" or "elsewhere" is an outage, for the renewal and the look at
// a token as for the login itself.
func TestWhatIsADenialAtALogin(t *testing.T) {
	var status atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "proof")
	if err := os.WriteFile(file, []byte("proof"), 0o600); err != nil {
		t.Fatal(err)
	}
	for code, want := range map[int]string{
		400: "secret_denied", 401: "secret_denied", 403: "secret_denied", 404: "secret_denied",
		307: "secret_system_unavailable", 405: "secret_system_unavailable", 408: "secret_system_unavailable", 410: "secret_system_unavailable", 412: "secret_system_unavailable",
		418: "secret_system_unavailable", 425: "secret_system_unavailable", 429: "secret_system_unavailable", 472: "secret_system_unavailable", 473: "secret_system_unavailable", 503: "secret_system_unavailable",
	} {
		status.Store(int32(code))
		for _, method := range []string{VaultToken, VaultKubernetes} {
			v := &Vault{Client: srv.Client(), Address: srv.URL, Auth: method, Mount: method, Role: "tenure", File: file, Now: time.Now}
			if got := get(t, v, at2); got != want {
				t.Errorf("%s, %d: %s, want %s", method, code, got, want)
			}
		}
	}
}

// A token in a file that somebody else renews is read again when it is refused.
func TestVaultTokenInAFile(t *testing.T) {
	d := keystest.NewKV(t)
	d.Secrets["tenure/openai"] = []keystest.KVVersion{{Data: map[string]any{"api_key": "sk-one"}}}
	d.Tokens["hvs.second"] = &keystest.KVGrant{}
	file := filepath.Join(t.TempDir(), "token")
	put := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(keystest.KVToken + "\n")
	v := &Vault{Client: http.DefaultClient, Address: d.URL, Auth: VaultToken, File: file, Now: d.Now}
	expect := func(when, want string) {
		t.Helper()
		if got := get(t, v, at2); got != want {
			t.Errorf("%s: %s", when, got)
		}
	}
	expect("first", "sk-one")
	d.Set(func() { delete(d.Tokens, keystest.KVToken) })
	expect("revoked", "secret_denied")
	put("hvs.second\n")
	expect("replaced", "sk-one")
	put("hvs.nobodys")
	expect("replaced while the one before is alive", "sk-one")
	d.Set(func() { delete(d.Tokens, "hvs.second") })
	for range 20 {
		expect("replaced by nobody's", "secret_denied")
	}
	if n := d.Calls("GET /v1/auth/token/lookup-self"); n != 3 {
		t.Errorf("%d looks at tokens", n)
	}
	put("hvs.third")
	d.Set(func() { d.Tokens["hvs.third"], d.Time = &keystest.KVGrant{}, d.Time.Add(2*errorFor) })
	expect("replaced again", "sk-one")
}

const at2 = "vault://secret/tenure/openai#api_key"

// Of many who need a token one logs in, and no lock is held while Vault is asked: who
// leaves, leaves.
func TestVaultLoginIsOneForAll(t *testing.T) {
	d := keystest.NewKV(t)
	d.Secrets["tenure/openai"] = []keystest.KVVersion{{Data: map[string]any{"api_key": "sk-one"}}}
	file := filepath.Join(t.TempDir(), "proof")
	if err := os.WriteFile(file, []byte("service-account-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := &Vault{Client: http.DefaultClient, Address: d.URL, Auth: VaultKubernetes, Mount: VaultKubernetes, Role: "tenure", File: file, Now: d.Now}
	hang := make(chan struct{})
	d.Set(func() { d.Slow = hang })
	left, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	if _, err := v.Fetch(left, address(t, at2)); !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("who leaves: %v", err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got := get(t, v, at2); got != "sk-one" {
				t.Error(got)
			}
		})
	}
	close(hang)
	wg.Wait()
	if n := d.Calls("POST /v1/auth/kubernetes/login"); n != 1 {
		t.Errorf("%d logins", n)
	}
}
