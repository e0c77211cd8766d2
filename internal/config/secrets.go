package config

import (
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Secrets are the settings of systems that keep secrets elsewhere, and of how they are
// known.
type Secrets struct {
	SecretAddresses string `name:"secret-addresses" env:"TENURE_SECRET_ADDRESSES" placeholder:"ADDRESS,…" help:"Addresses of secrets that may be named, one that ends in / with all below it; TENANT=ADDRESS for a tenant beside the installation's own (default: none)."`
	SecretGrace     string `name:"secret-grace" env:"TENURE_SECRET_GRACE" default:"15m" placeholder:"DURATION" help:"How long the last good secret is used while its system cannot be asked (default: ${default})."`
	VaultAddr       string `name:"vault-addr" env:"VAULT_ADDR" placeholder:"URL" help:"HashiCorp Vault or OpenBao, for vault:// addresses."`
	VaultNamespace  string `name:"vault-namespace" env:"VAULT_NAMESPACE" placeholder:"NAME" help:"Its namespace."`
	VaultToken      string `name:"vault-token" env:"VAULT_TOKEN" secret:"yes" placeholder:"TOKEN" help:"Token for it. Prefer vault-file, or the environment."`
	VaultAuth       string `name:"vault-auth" env:"TENURE_VAULT_AUTH" default:"token" placeholder:"token|kubernetes|approle" help:"How Tenure proves itself there (default: ${default})."`
	VaultMount      string `name:"vault-mount" env:"TENURE_VAULT_MOUNT" placeholder:"PATH" help:"Where that method is mounted (default: by its own name)."`
	VaultRole       string `name:"vault-role" env:"TENURE_VAULT_ROLE" placeholder:"NAME" help:"The role; of approle the role id."`
	VaultFile       string `name:"vault-file" env:"TENURE_VAULT_FILE" placeholder:"FILE" help:"File with the token, or the secret id (default for kubernetes: the service account's token)."`
	AWSRegion       string `name:"aws-region" env:"AWS_REGION" placeholder:"REGION" help:"Region of AWS Secrets Manager, for awssm:// addresses."`
	CAFile          string `name:"ca-file" env:"TENURE_CA_FILE" placeholder:"FILE" help:"Certificates, PEM, of authorities that are believed beside those of the system (default: none)."`
}

// Into makes them typed, for a verb that resolves secrets beside the server, or gives
// the first thing that is wrong with them.
func (s Secrets) Into(c *Checked) error {
	var r reader
	r.secrets(s, c)
	return r.first()
}

// SecretSources are those settings, typed and complete.
type SecretSources struct {
	Addresses      string // the rules, as written
	Grace          time.Duration
	VaultAddr      string // without a slash at its end; "": none
	VaultNamespace string
	VaultToken     tenure.Secret
	VaultAuth      string
	VaultMount     string
	VaultRole      string
	VaultFile      string
	AWSRegion      string // "": none
}

// serviceAccount is where Kubernetes puts the token of a pod's service account.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// mostGrace is the longest that a secret is used without being confirmed.
const mostGrace = 24 * time.Hour

func (r *reader) secrets(s Secrets, c *Checked) {
	c.Secrets = SecretSources{
		Addresses: s.SecretAddresses, Grace: r.duration("TENURE_SECRET_GRACE", cmp.Or(s.SecretGrace, "15m"), 0, mostGrace),
		VaultAddr: strings.TrimRight(s.VaultAddr, "/"), VaultNamespace: s.VaultNamespace, VaultToken: tenure.NewSecret(s.VaultToken),
		VaultAuth: cmp.Or(s.VaultAuth, "token"), VaultRole: s.VaultRole, VaultFile: s.VaultFile, AWSRegion: s.AWSRegion,
	}
	c.CAFile = s.CAFile
	out := &c.Secrets
	out.VaultMount = strings.Trim(cmp.Or(s.VaultMount, out.VaultAuth), "/")
	if !plainPath(out.VaultMount) {
		r.fail("TENURE_VAULT_MOUNT", fmt.Sprintf("%q is no path of letters, digits, dashes and slashes", out.VaultMount), "kubernetes")
	}
	if strings.ContainsFunc(s.VaultToken+s.VaultNamespace, func(r rune) bool { return r <= ' ' || r > '~' }) {
		r.fail("VAULT_TOKEN", "it, or VAULT_NAMESPACE, has characters that do not print", "hvs.…")
	}
	if strings.ContainsFunc(out.AWSRegion, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }) {
		r.fail("AWS_REGION", fmt.Sprintf("%q is no region", out.AWSRegion), "eu-central-1")
	}
	if out.VaultAddr == "" || !strings.Contains(s.SecretAddresses, "vault://") { // others read that variable, too
		return
	}
	u, err := url.Parse(out.VaultAddr)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		r.fail("VAULT_ADDR", "it must be https or http with a host, without path or user", "https://vault.example.com:8200")
	}
	r.vaultAuth(out)
}

func (r *reader) vaultAuth(out *SecretSources) {
	switch out.VaultAuth {
	case "token": // Tenure starts without one: what needs it says so
	case "kubernetes":
		out.VaultFile = cmp.Or(out.VaultFile, serviceAccount)
		if out.VaultRole == "" {
			r.fail("TENURE_VAULT_ROLE", "kubernetes needs the role", "tenure")
		}
	case "approle":
		if out.VaultRole == "" || out.VaultFile == "" {
			r.fail("TENURE_VAULT_ROLE", "approle needs the role id, and TENURE_VAULT_FILE with the secret id", "8c7e…")
		}
	default:
		r.fail("TENURE_VAULT_AUTH", fmt.Sprintf("%q is no way of proving oneself; the ways are token, kubernetes and approle", out.VaultAuth), "kubernetes")
	}
	if out.VaultFile != "" && !filepath.IsAbs(out.VaultFile) {
		r.fail("TENURE_VAULT_FILE", "the path must be absolute", "/etc/tenure/vault-token")
	}
}

func plainPath(path string) bool {
	return path != "" && !strings.ContainsFunc(path, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '/'
	}) && !strings.Contains(path, "//")
}
