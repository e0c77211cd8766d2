package keys_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
)

// double starts a double of transit and points the client's environment at it.
func double(t *testing.T) *keystest.Transit {
	t.Helper()
	d := keystest.NewTransit(t)
	t.Setenv("VAULT_ADDR", d.URL)
	t.Setenv("VAULT_TOKEN", keystest.TransitToken)
	return d
}

// manage does what an administrator of Vault does, at the server of the environment.
func manage(t *testing.T, method, path, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, os.Getenv("VAULT_ADDR")+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Vault-Token", os.Getenv("VAULT_TOKEN"))
	r.Header.Set("X-Vault-Request", "true")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode >= 300 && !strings.HasPrefix(path, "sys/mounts/") { // it may be mounted already
		t.Fatalf("%s %s: %s", method, path, res.Status)
	}
}

// transitKey makes a key of transit, which goes with the test.
func transitKey(t *testing.T) string {
	t.Helper()
	name := "tenure-test-" + tenure.NewID(time.Now())
	manage(t, "POST", "sys/mounts/transit", `{"type":"transit"}`)
	manage(t, "POST", "transit/keys/"+name, "")
	return name
}

func open(t *testing.T, url string, o keys.Options) keys.KEK {
	t.Helper()
	kek, err := keys.Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func wrap(t *testing.T, kek keys.KEK, key []byte) (wrapped []byte, by string) {
	t.Helper()
	wrapped, by, err := kek.Wrap(t.Context(), key, []byte("bound"))
	if err != nil || bytes.Contains(wrapped, key) {
		t.Fatalf("%q, %v", wrapped, err)
	}
	return wrapped, by
}

// opens reports the error of unwrapping, and demands the key where there is none.
func opens(t *testing.T, kek keys.KEK, wrapped, key []byte) error {
	t.Helper()
	got, err := kek.Unwrap(t.Context(), wrapped, []byte("bound"))
	if err == nil && !bytes.Equal(got, key) {
		t.Errorf("another key opens: %q", got)
	}
	return err
}

var dek = []byte("0123456789abcdef0123456789abcdef")

// says demands of an error its kind, the key's name and what to do, and nothing that
// is secret.
func says(t *testing.T, err error, problem keys.Problem, parts ...string) {
	t.Helper()
	if !keys.Is(err, problem) {
		t.Errorf("%v is not of kind %d", err, problem)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	for _, secret := range []string{keystest.TransitToken, string(dek), "MDEyMzQ1Njc4OWFi"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("it shows a secret: %v", err)
		}
	}
}

// A key of transit wraps and unwraps, and goes on when it is rotated there: at the
// double or, where VAULT_ADDR and VAULT_TOKEN name one, at a real server.
func TestTransit(t *testing.T) {
	if os.Getenv("VAULT_ADDR") == "" {
		double(t)
	}
	name := transitKey(t)
	url := "hashivault://" + name
	kek := open(t, url, keys.Options{})
	one, by := wrap(t, kek, dek)
	if by != kek.About().ID+"#v1" || kek.About().Name != url || !strings.HasSuffix(by, "&engine=transit#v1") {
		t.Errorf("by %s of %s", by, kek.About().ID)
	}
	if err := opens(t, kek, one, dek); err != nil {
		t.Error(err)
	}
	manage(t, "POST", "transit/keys/"+name+"/rotate", "")
	two, by := wrap(t, kek, dek)
	if by != kek.About().ID+"#v2" {
		t.Errorf("after the rotation by %s", by)
	}
	for _, wrapped := range [][]byte{one, two} {
		if err := opens(t, kek, wrapped, dek); err != nil {
			t.Error(err)
		}
	}
	changed := bytes.Clone(two)
	changed[len(changed)-9] ^= 1
	says(t, opens(t, kek, changed, dek), keys.Wrong, url)
	says(t, opens(t, kek, []byte("no ciphertext"), dek), keys.Wrong, url)
	other := open(t, "hashivault://"+transitKey(t), keys.Options{})
	says(t, opens(t, other, one, dek), keys.Wrong)
	manage(t, "POST", "transit/keys/"+name+"/config", `{"min_decryption_version":2,"deletion_allowed":true}`)
	says(t, opens(t, kek, one, dek), keys.Denied, url, "min_decryption_version")
	if err := opens(t, kek, two, dek); err != nil {
		t.Error(err)
	}
	manage(t, "DELETE", "transit/keys/"+name, "")
	says(t, opens(t, kek, two, dek), keys.Missing, url, "that the key is there")
	says(t, opens(t, open(t, url+"?engine=elsewhere", keys.Options{}), two, dek), keys.Missing, "transit engine")
	t.Setenv("VAULT_TOKEN", "hvs.of-nobody")
	says(t, opens(t, open(t, url, keys.Options{}), two, dek), keys.Denied, url, "VAULT_TOKEN lives")
}

// What every key service must do: at those of TENURE_TEST_KEY_URLS, with the usual
// variables of each for its credentials, or else at the double of transit.
func TestServices(t *testing.T) {
	urls := strings.Fields(os.Getenv("TENURE_TEST_KEY_URLS"))
	if len(urls) == 0 {
		double(t)
		urls = []string{"hashivault://" + transitKey(t)}
	}
	for _, url := range urls {
		kek := open(t, url, keys.Options{})
		wrapped, by := wrap(t, kek, dek)
		if sure, _ := kek.About().Made(by); !sure {
			t.Errorf("%s does not know %s", url, by)
		}
		if err := opens(t, kek, wrapped, dek); err != nil {
			t.Error(err)
		}
		changed := bytes.Clone(wrapped)
		changed[len(changed)-9] ^= 1
		says(t, opens(t, kek, changed, dek), keys.Wrong)
	}
}

// A token that an agent keeps in a file is read anew for each request.
func TestTransitTokenFile(t *testing.T) {
	d := double(t)
	name := transitKey(t)
	t.Setenv("VAULT_TOKEN", "")
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(keystest.TransitToken + "\n")
	kek := open(t, "hashivault://"+name+"?token_file="+file, keys.Options{})
	wrapped, _ := wrap(t, kek, dek)
	d.Set(func(d *keystest.Transit) { d.Token = "hvs.renewed" })
	says(t, opens(t, kek, wrapped, dek), keys.Denied)
	write("hvs.renewed")
	if err := opens(t, kek, wrapped, dek); err != nil {
		t.Error(err)
	}
}

// A transit that is ill is told by what ails it, and is waited for no longer than its
// time; well again, it is used by the same KEK.
func TestTransitIll(t *testing.T) {
	d := double(t)
	url := "hashivault://" + transitKey(t)
	kek := open(t, url, keys.Options{Timeout: time.Second})
	wrapped, _ := wrap(t, kek, dek)
	ill := func(problem keys.Problem, ail func(*keystest.Transit), parts ...string) {
		t.Helper()
		d.Set(ail)
		says(t, opens(t, kek, wrapped, dek), problem, append(parts, url)...)
		_, _, err := kek.Wrap(t.Context(), dek, nil)
		says(t, err, problem, append(parts, url)...)
		d.Set(func(d *keystest.Transit) { d.Sealed, d.Cut, d.Slow, d.Odd = false, false, false, "" })
		if err := opens(t, kek, wrapped, dek); err != nil {
			t.Error("well again:", err)
		}
	}
	ill(keys.Away, func(d *keystest.Transit) { d.Sealed = true }, "Vault is sealed", "unseal it")
	ill(keys.Away, func(d *keystest.Transit) { d.Cut = true }, "cannot be reached")
	for _, odd := range []string{`{}`, `{"data":{}}`, `{"data":{"plaintext":7,"ciphertext":7}}`, `{"data":{"plaintext":"","ciphertext":""}}`, `<html>`, `{"data":null}`} {
		ill(keys.Away, func(d *keystest.Transit) { d.Odd = odd })
	}
	from := time.Now()
	d.Set(func(d *keystest.Transit) { d.Slow = true })
	says(t, opens(t, kek, wrapped, dek), keys.Away, url, "that it runs")
	if took := time.Since(from); took > 9*time.Second {
		t.Errorf("it waited for %v", took)
	}
	d.Set(func(d *keystest.Transit) { d.Slow = false })
	d.Close()
	says(t, opens(t, kek, wrapped, dek), keys.Away, url, "that it runs")
}

// Whoever asks and goes is not held.
func TestTransitLeft(t *testing.T) {
	d := double(t)
	kek := open(t, "hashivault://"+transitKey(t), keys.Options{Timeout: time.Minute})
	wrapped, _ := wrap(t, kek, dek)
	d.Set(func(d *keystest.Transit) { d.Slow = true })
	ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer leave()
	_, err := kek.Unwrap(ctx, wrapped, nil)
	says(t, err, keys.Away)
}

// A service that asks for patience is asked again, ever more rarely, and who waits in
// vain is told that it is busy, not away.
func TestTransitBusy(t *testing.T) {
	d := double(t)
	url := "hashivault://" + transitKey(t)
	kek := open(t, url, keys.Options{})
	wrapped, _ := wrap(t, kek, dek)
	d.Set(func(d *keystest.Transit) { d.Busy = 2 })
	if err := opens(t, kek, wrapped, dek); err != nil {
		t.Error(err)
	}
	d.Set(func(d *keystest.Transit) { d.Busy = 1_000_000 })
	says(t, opens(t, open(t, url, keys.Options{Timeout: time.Second}), wrapped, dek), keys.Busy, url, "rate limit quota")
	d.Set(func(d *keystest.Transit) {
		if asked := 1_000_000 - d.Busy; asked > 12 {
			t.Errorf("asked %d times in a second", asked)
		}
		d.Busy = 0
	})
}

// The token goes to whom VAULT_ADDR names, and to nobody whom that one names.
func TestTransitRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked elsewhere, with %d bytes of token", len(r.Header.Get("X-Vault-Token")))
	}))
	defer elsewhere.Close()
	d := double(t)
	url := "hashivault://" + transitKey(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(keystest.TransitToken), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{url, url + "?token_file=" + file} {
		kek := open(t, url, keys.Options{})
		d.Set(func(d *keystest.Transit) { d.Moved = "" })
		wrapped, _ := wrap(t, kek, dek)
		d.Set(func(d *keystest.Transit) { d.Moved = elsewhere.URL })
		says(t, opens(t, kek, wrapped, dek), keys.Away, "it redirects to "+elsewhere.URL, "VAULT_ADDR")
	}
}

// Keys of one name that are not the same have not the same id, and what was noted
// before ids told where a key is may still be its.
func TestWhatTellsKeysApart(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "hvs.any")
	t.Setenv("AWS_ACCESS_KEY_ID", "any")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "any")
	seen := map[string]bool{}
	for _, c := range []struct{ url, address, namespace, region, name string }{
		{"hashivault://tenure", "https://one:8200", "", "", "hashivault://tenure"},
		{"hashivault://tenure", "https://two:8200", "", "", "hashivault://tenure"},
		{"hashivault://tenure", "https://one:8200", "team-a/", "", "hashivault://tenure"},
		{"hashivault://tenure?engine=secrets/transit", "https://one:8200", "", "", "hashivault://tenure"},
		{"awskms://alias/tenure", "", "", "eu-central-1", "awskms://alias/tenure"},
		{"awskms://alias/tenure?region=us-east-1", "", "", "eu-central-1", "awskms://alias/tenure"},
		{"azurekeyvault://v.vault.azure.net/keys/tenure/0123", "", "", "", "azurekeyvault://v.vault.azure.net/keys/tenure/0123"},
		{"azurekeyvault://v.vault.azure.net/keys/tenure/0123?algorithm=RSA-OAEP", "", "", "", "azurekeyvault://v.vault.azure.net/keys/tenure/0123"},
	} {
		t.Setenv("VAULT_ADDR", c.address)
		t.Setenv("VAULT_NAMESPACE", c.namespace)
		t.Setenv("AWS_REGION", c.region)
		about := open(t, c.url, keys.Options{}).About()
		if seen[about.ID] || about.Name != c.name || !strings.HasPrefix(about.ID, c.name+"?") || strings.Contains(about.ID, "#") {
			t.Errorf("%s is %+v", c.url, about)
		}
		seen[about.ID] = true
		if sure, _ := about.Made(about.ID + "#v7"); !sure {
			t.Errorf("%s does not know itself", about.ID)
		}
		if sure, perhaps := about.Made(c.name + "#v1"); sure || !perhaps {
			t.Errorf("%s of %s: sure %t, perhaps %t", c.name, about.ID, sure, perhaps)
		}
		if _, perhaps := about.Made("hashivault://other#v1"); perhaps {
			t.Errorf("%s takes what another has made", about.ID)
		}
	}
}
