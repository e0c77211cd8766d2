package keys_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
)

// A key of Google Cloud KMS wraps and unwraps for a service account that signs for
// itself; and each status says what it means.
func TestGCP(t *testing.T) {
	d := keystest.NewCloudKMS(t)
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, d.Credentials, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	with := keys.Options{Transport: d.Transport, Timeout: time.Second}
	url := "gcpkms://" + keystest.GCPKey
	kek := open(t, url, with)
	wrapped, by := wrap(t, kek, dek)
	if by != url || kek.About().ID != url {
		t.Errorf("by %s of %s", by, kek.About().ID)
	}
	if err := opens(t, kek, wrapped, dek); err != nil || d.Tokens() != 1 {
		t.Errorf("%v, with %d tokens", err, d.Tokens())
	}
	says(t, opens(t, kek, []byte("no ciphertext"), dek), keys.Wrong, url)
	for status, problem := range map[int]keys.Problem{
		http.StatusForbidden: keys.Denied, http.StatusTooManyRequests: keys.Busy,
		http.StatusServiceUnavailable: keys.Away, http.StatusInternalServerError: keys.Away,
	} {
		d.Fail(status)
		says(t, opens(t, kek, wrapped, dek), problem, url, "as the double was told")
	}
	d.Fail(0)
	if err := opens(t, kek, wrapped, dek); err != nil {
		t.Error("well again:", err)
	}
	_, _, err := open(t, url+"-other", with).Wrap(t.Context(), dek, nil)
	says(t, err, keys.Missing, url+"-other", "that the key is there")
	if err := os.WriteFile(file, []byte("no credentials"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = keys.Open(t.Context(), url, with)
	says(t, err, keys.Away, url, "credentials")
}
