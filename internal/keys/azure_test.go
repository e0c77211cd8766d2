package keys_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
)

// A version of a key of Azure Key Vault wraps and unwraps for a client that proves
// itself by its secret, after the vault has told it where; and each status says what it
// means.
func TestAzure(t *testing.T) {
	d := keystest.NewKeyVault(t)
	for name, value := range map[string]string{
		"AZURE_TENANT_ID": keystest.AzureTenant, "AZURE_CLIENT_ID": keystest.AzureClient, "AZURE_CLIENT_SECRET": keystest.AzureSecret,
		"AZURE_AUTHORITY_HOST": "", "AZURE_FEDERATED_TOKEN_FILE": "", "AZURE_CLIENT_CERTIFICATE_PATH": "", "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
	} {
		t.Setenv(name, value)
	}
	url := "azurekeyvault://" + keystest.AzureKey
	with := keys.Options{Transport: d.Transport, Timeout: time.Second}
	kek := open(t, url, with)
	wrapped, by := wrap(t, kek, dek)
	if by != url+"?algorithm=RSA-OAEP-256" || kek.About().ID != by || d.Challenged() != 1 {
		t.Errorf("by %s of %s, challenged %d times", by, kek.About().ID, d.Challenged())
	}
	if err := opens(t, kek, wrapped, dek); err != nil {
		t.Error(err)
	}
	says(t, opens(t, kek, []byte("no ciphertext"), dek), keys.Wrong, url)
	for status, problem := range map[int]keys.Problem{
		http.StatusForbidden: keys.Denied, http.StatusNotFound: keys.Missing, http.StatusConflict: keys.Missing,
		http.StatusTooManyRequests: keys.Busy, http.StatusServiceUnavailable: keys.Away,
	} {
		d.Fail(status)
		err := opens(t, kek, wrapped, dek)
		says(t, err, problem, url)
		if strings.Contains(err.Error(), "---") {
			t.Errorf("it has rules: %v", err)
		}
	}
	d.Fail(0)
	if err := opens(t, kek, wrapped, dek); err != nil {
		t.Error("well again:", err)
	}
	t.Setenv("AZURE_CLIENT_SECRET", "another")
	says(t, opens(t, open(t, url, with), wrapped, dek), keys.Denied, url, "credentials")
	if err := keys.Check("azurekeyvault://tenure.managedhsm.azure.net/keys/tenure/0123456789abcdef"); err == nil {
		t.Error("a URL that never opens is taken")
	}
}
