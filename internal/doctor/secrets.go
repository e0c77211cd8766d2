package doctor

import (
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/secretref"
)

// secrets looks at which addresses of secrets may be named, and whether what they need
// is set up. No secret is read.
func (d *Doctor) secrets(f *findings) {
	const area, name = "settings", "TENURE_SECRET_ADDRESSES"
	s := d.cfg.Secrets
	rules, err := secretref.ParseRules(s.Addresses)
	if err != nil {
		f.fail(area, name, err.Error(), "\"tenure serve\" does not start with it: correct it.")
		return
	}
	if len(rules) == 0 {
		return // the usual case: no secret is kept elsewhere
	}
	var tenants []string
	for tenant := range rules {
		tenants = append(tenants, string(tenant))
	}
	slices.Sort(tenants)
	f.ok(area, name, "addresses may be named by: "+strings.Join(tenants, ", "))
	if rules.Uses(secretref.SchemeEnv) {
		f.warn(area, name, "env:// addresses are allowed: whoever may look at the process sees such secrets", "keep them for development.")
	}
	if rules.Uses(secretref.SchemeVault) && s.VaultAddr == "" {
		f.fail(area, "VAULT_ADDR", "vault:// addresses are allowed, and it is not set", "set it to the URL of Vault or OpenBao.")
	}
	if rules.Uses(secretref.SchemeVault) && s.VaultAddr != "" && s.VaultAuth == secretref.VaultToken && s.VaultFile == "" && s.VaultToken.IsZero() {
		f.fail(area, "VAULT_TOKEN", "there is no token for Vault", "set VAULT_TOKEN or TENURE_VAULT_FILE, or prove Tenure by TENURE_VAULT_AUTH=kubernetes or approle.")
	}
	if rules.Uses(secretref.SchemeVault) && strings.HasPrefix(s.VaultAddr, "http:") && !tenure.OnThisMachine(s.VaultAddr) {
		f.warn(area, "VAULT_ADDR", s.VaultAddr+" is plain HTTP: secrets and Tenure's token can be read on their way", "use https.")
	}
	if rules.Uses(secretref.SchemeAWS) && s.AWSRegion == "" {
		f.fail(area, "AWS_REGION", "awssm:// addresses are allowed, and it is not set", "set it to the region of the secrets.")
	}
}
