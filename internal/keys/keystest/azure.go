package keystest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What a KeyVault is asked with, and for.
const (
	AzureTenant = "11111111-2222-3333-4444-555555555555"
	AzureClient = "tenure"
	AzureSecret = "client-secret-of-the-double"
	AzureKey    = "tenure-vault.vault.azure.net/keys/tenure/fedcba9876543210fedcba9876543210"

	azureToken = "token-of-the-double"
)

// KeyVault is Entra's token endpoint and one version of a key of Azure Key Vault: it
// challenges who shows no token, and encrypts and decrypts for whoever has one. (It
// wraps by a cipher of its own: of what RSA-OAEP does nothing is shown.)
type KeyVault struct {
	cloud
	challenged int
}

// NewKeyVault starts one. What Azure would not understand fails the test.
func NewKeyVault(t testing.TB) *KeyVault {
	d := &KeyVault{}
	d.start(t, d.serve)
	return d
}

// Challenged tells how many calls were challenged.
func (d *KeyVault) Challenged() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.challenged
}

func (d *KeyVault) serve(w http.ResponseWriter, r *http.Request) (fault string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	const entra = "https://login.microsoftonline.com/" + AzureTenant
	switch {
	case r.Host != "login.microsoftonline.com" && r.Host != "login.microsoft.com":
		return d.vault(w, r)
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		answer(w, http.StatusOK, map[string]any{"tenant_discovery_endpoint": entra + "/v2.0/.well-known/openid-configuration", "metadata": []any{}})
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		answer(w, http.StatusOK, map[string]any{"issuer": entra + "/v2.0", "authorization_endpoint": entra + "/oauth2/v2.0/authorize", "token_endpoint": entra + "/oauth2/v2.0/token"})
	case r.URL.Path == "/"+AzureTenant+"/oauth2/v2.0/token":
		if r.PostFormValue("client_id") != AzureClient || !strings.Contains(r.PostFormValue("scope"), "https://vault.azure.net/.default") {
			return fmt.Sprint(r.PostForm["client_id"], r.PostForm["scope"])
		}
		if r.PostFormValue("client_secret") != AzureSecret {
			answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
			return ""
		}
		answer(w, http.StatusOK, map[string]any{"access_token": azureToken, "token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600})
	default:
		return r.Host + r.URL.String()
	}
	return ""
}

// vault is the data plane of Key Vault.
func (d *KeyVault) vault(w http.ResponseWriter, r *http.Request) (fault string) {
	host, key, _ := strings.Cut(AzureKey, "/")
	body, _ := io.ReadAll(r.Body)
	if r.Method != http.MethodPost || r.Host != host || r.URL.Query().Get("api-version") == "" {
		return fmt.Sprint(r.Method, " ", r.Host, r.URL)
	}
	if r.Header.Get("Authorization") != "Bearer "+azureToken {
		d.challenged++
		if len(body) > 0 {
			return "a request without a token, and with what is to be encrypted"
		}
		w.Header().Set("WWW-Authenticate", `Bearer authorization="https://login.microsoftonline.com/`+AzureTenant+`", resource="https://vault.azure.net"`)
		azureError(w, http.StatusUnauthorized, "Unauthorized")
		return ""
	}
	var in struct{ Alg, Value string }
	if err := json.Unmarshal(body, &in); err != nil || in.Alg != "RSA-OAEP-256" {
		return string(body)
	}
	value, err := base64.RawURLEncoding.DecodeString(in.Value)
	if err != nil {
		return err.Error()
	}
	var out []byte
	switch {
	case d.fails != 0:
		azureError(w, d.fails, "AsToldToTheDouble")
		return ""
	case r.URL.Path == "/"+key+"/encrypt":
		out = seal(d.key, value)
	case r.URL.Path == "/"+key+"/decrypt":
		var ok bool
		if out, ok = open(d.key, value); !ok {
			azureError(w, http.StatusBadRequest, "BadParameter")
			return ""
		}
	default:
		azureError(w, http.StatusNotFound, "KeyNotFound")
		return ""
	}
	answer(w, http.StatusOK, map[string]any{"kid": "https://" + AzureKey, "value": base64.RawURLEncoding.EncodeToString(out)})
	return ""
}

func azureError(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]any{"error": map[string]any{"code": code, "message": "as the double was told"}})
}
