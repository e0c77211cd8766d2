package keys

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"
	"gocloud.dev/secrets/hashivault"
)

// openVault opens a key of the transit engine of Vault or OpenBao. The server and the
// token are those of VAULT_ADDR and VAULT_TOKEN, with what else Vault's own client
// reads from the environment; token_file names a file that an agent keeps a token in.
func openVault(_ context.Context, s *service, u *url.URL, o Options) error {
	cfg := api.DefaultConfig()
	if cfg.Error != nil {
		return cfg.Error
	}
	cfg.Timeout, cfg.MaxRetries = o.Timeout, 1
	file := u.Query().Get("token_file")
	base := cfg.HttpClient.Transport
	if o.Transport != nil {
		base = o.Transport
	}
	cfg.HttpClient.Transport = tokenFrom{base, file}
	if os.Getenv("VAULT_ADDR") == "" {
		return errors.New("VAULT_ADDR is not set")
	}
	client, err := api.NewClient(cfg)
	if err != nil {
		return err
	}
	if client.Token() == "" && file == "" {
		return errors.New("VAULT_TOKEN is not set")
	}
	s.keeper = hashivault.OpenKeeper(client, nameOf(u), &hashivault.KeeperOptions{Engine: strings.Trim(u.Query().Get("engine"), "/")})
	s.version, s.problem = vaultVersion, vaultProblem
	return nil
}

// tokenFrom sends the token that is in a file at this moment: agents renew theirs.
type tokenFrom struct {
	base http.RoundTripper
	file string
}

// RoundTrip implements http.RoundTripper.
func (t tokenFrom) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.file == "" {
		return t.base.RoundTrip(r)
	}
	token, err := os.ReadFile(t.file)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set(api.AuthHeaderName, strings.TrimSpace(string(token)))
	return t.base.RoundTrip(r)
}

// vaultVersion is the version in "vault:v3:…".
func vaultVersion(wrapped []byte) string {
	parts := bytes.SplitN(wrapped, []byte(":"), 3)
	if len(parts) != 3 {
		return ""
	}
	return string(parts[1])
}

// vaultProblem reads the answers of Vault's HTTP API: 400 is what does not decrypt,
// 403 a token that may not, 404 a key or an engine that is not there, 503 sealed.
func vaultProblem(err error) (Problem, string) {
	var res *api.ResponseError
	if !errors.As(err, &res) {
		return 0, ""
	}
	said := strings.Join(res.Errors, " ")
	switch {
	case res.StatusCode == http.StatusForbidden:
		return Denied, "see that VAULT_TOKEN lives, and that its policy allows update on the engine's encrypt/KEY and decrypt/KEY"
	case res.StatusCode == http.StatusNotFound, strings.Contains(said, "encryption key not found"):
		return Missing, "see that the transit engine is enabled, and that the key is there"
	case strings.Contains(said, "min_decryption_version"), strings.Contains(said, "too old"), strings.Contains(said, "disallowed by policy"):
		return Denied, "its version is below min_decryption_version: lower that, run \"tenure vault rewrap\", and raise it again"
	case res.StatusCode == http.StatusBadRequest:
		return Wrong, "it is of another key, or was changed in the database"
	case res.StatusCode == http.StatusServiceUnavailable:
		return Away, "Vault is sealed, or has no leader: unseal it; Tenure tries again by itself"
	}
	return 0, ""
}
