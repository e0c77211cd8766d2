package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/secretref"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
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

// references looks whether each key that is kept elsewhere can be had, as the server
// would have it. None is shown.
func (d *Doctor) references(ctx context.Context) findings {
	const area, name = "secrets", "addresses"
	var f findings
	var all []store.ProviderKeyRow
	_, err := d.eachProvider(ctx, func(p tenure.Provider) error {
		rows, err := d.db.ProviderKeys(ctx, p.Tenant, p.ID)
		for _, row := range rows {
			if row.Reference != "" && row.State != tenure.KeyRetired {
				all = append(all, row)
			}
		}
		return err
	})
	if err != nil {
		f.fail(area, name, cause(err), "see what the database says.")
		return f
	}
	if len(all) == 0 {
		f.ok(area, name, "no key is kept elsewhere")
		return f
	}
	faults := make([]string, len(all))
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, row := range all {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if _, err := d.elsewhere(ctx, row); err != nil {
				faults[i] = row.Reference + ": " + strings.TrimPrefix(cause(err), row.Reference+": ")
			}
		})
	}
	wg.Wait()
	faults = slices.DeleteFunc(faults, func(s string) bool { return s == "" })
	if len(faults) > 0 {
		f.fail(area, name, "these keys cannot be had: "+some(faults), "see that the system answers, that it lets Tenure read there, and that TENURE_SECRET_ADDRESSES allows the address to the tenant.")
		return f
	}
	f.ok(area, name, count(len(all), "key is kept elsewhere", "keys are kept elsewhere")+", and every one can be had")
	return f
}

// elsewhere gets a key that is kept elsewhere.
func (d *Doctor) elsewhere(ctx context.Context, row store.ProviderKeyRow) (tenure.Secret, error) {
	r, err := d.resolver()
	if err != nil {
		return tenure.Secret{}, err
	}
	found, err := r.Resolve(ctx, row.Tenant, row.Reference)
	if err == nil && !vault.Printable(found.Secret) {
		err = fmt.Errorf("what is at %s is no key", row.Reference)
	}
	return found.Secret, err
}
