package keys

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
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
	cfg.Timeout, cfg.MaxRetries, cfg.DisableRedirects = o.Timeout, 0, true
	file := u.Query().Get("token_file")
	base := cfg.HttpClient.Transport
	if o.Transport != nil {
		base = o.Transport
	}
	cfg.HttpClient.Transport = carrier{base, file}
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
	engine := cmp.Or(strings.Trim(u.Query().Get("engine"), "/"), "transit")
	s.keeper = hashivault.OpenKeeper(client, nameOf(u), &hashivault.KeeperOptions{Engine: engine})
	s.version, s.problem = vaultVersion, vaultProblem
	s.about.Algorithm = "Vault transit, by default AES-256-GCM"
	s.by("address", placeOf(client.Address()), "namespace", strings.Trim(client.Namespace(), "/"), "engine", engine)
	return nil
}

// placeOf is an address without user, path and what else is no place.
func placeOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

// A carrier sends the token that is in a file at this moment, for agents renew theirs,
// and takes it nowhere else: who may use the key tells nobody whom Vault names.
type carrier struct {
	base http.RoundTripper
	file string
}

// RoundTrip implements http.RoundTripper.
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.file != "" {
		token, err := os.ReadFile(c.file)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Header.Set(api.AuthHeaderName, strings.TrimSpace(string(token)))
	}
	res, err := c.base.RoundTrip(r)
	if err == nil && res.StatusCode >= 300 && res.StatusCode < 400 {
		err = fmt.Errorf("it redirects to %s, which is not followed: let VAULT_ADDR name that", placeOf(res.Header.Get("Location")))
		return nil, errors.Join(err, res.Body.Close())
	}
	return res, err
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
	case res.StatusCode == http.StatusTooManyRequests:
		return Busy, "a rate limit quota of Vault is too low for it; Tenure goes on by itself"
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
