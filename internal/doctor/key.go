package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// key looks at whether the master key opens what is sealed.
func (d *Doctor) key(ctx context.Context) findings {
	const area = "key"
	const lost = "put back the key that belongs to this database (TENURE_KEY_URL). If it is lost, so is everything that it has sealed."
	what := "file"
	if keys.FileOf(d.cfg.KeyURL) == "" {
		what = "service"
	}
	var f findings
	key, err := d.masterKey(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.skip(area, what, d.cfg.KeyURL+" is not there, and nothing is sealed: the first start makes it")
		return f
	case err != nil:
		do := lost
		if keys.Is(err, keys.Away) || keys.Is(err, keys.Denied) || keys.Is(err, keys.Exposed) {
			do = "nothing is lost: what is sealed opens as soon as the key can be had."
		}
		f.fail(area, what, cause(err), do)
		return f
	}
	f.ok(area, what, d.cfg.KeyURL+" is the one that the database knows")
	opened, faults, err := d.eachKey(ctx, key, func(tenure.Provider, tenure.ProviderKey, tenure.Secret) {})
	switch {
	case err != nil:
		f.fail(area, "sealed", cause(err), "see what the database says.")
	case len(faults) > 0:
		f.fail(area, "sealed", fmt.Sprintf("these provider keys do not open: %s", some(faults)), "the key that wrapped them is missing (TENURE_KEY_URL_PREVIOUS) or its service is away; if not, their rows were changed or moved in the database, and only then remove these providers and add them anew.")
	case opened == 0:
		f.ok(area, "sealed", "no provider key is sealed")
	default:
		f.ok(area, "sealed", fmt.Sprintf("%s, and every one opens", count(opened, "provider key is sealed", "provider keys are sealed")))
	}
	return f
}

// masterKey opens the keys of the settings, and changes nothing.
func (d *Doctor) masterKey(ctx context.Context) (*vault.MasterKey, error) {
	return vault.LookAtKey(ctx, d.db, vault.KeyURLs{Present: d.cfg.KeyURL, Previous: d.cfg.KeyURLsPrevious}, keys.Options{})
}

// eachKey calls at for every sealed key of every provider that opens: for those that are
// used, and for those that are staged or in overlap, which the provider accepts as well.
// It gives how many there are, and the names of the providers of the others.
func (d *Doctor) eachKey(ctx context.Context, key *vault.MasterKey, at func(tenure.Provider, tenure.ProviderKey, tenure.Secret)) (int, []string, error) {
	n := 0
	faults, err := d.eachProvider(ctx, func(p tenure.Provider) error {
		rows, err := d.db.ProviderKeys(ctx, p.Tenant, p.ID)
		for _, row := range rows {
			if row.Reference != "" || row.State == tenure.KeyRetired {
				continue
			}
			secret, fault := key.OpenProvider(ctx, row)
			if fault != nil {
				err = fault
				continue
			}
			n++
			at(p, row.ProviderKey, secret)
		}
		return err
	})
	return n, faults, err
}

// eachProvider calls at for every provider of every tenant. It gives the names of those
// that did not go well.
func (d *Doctor) eachProvider(ctx context.Context, at func(tenure.Provider) error) ([]string, error) {
	const page = 500
	var faults []string
	tenants, err := d.db.Tenants(ctx)
	for _, t := range tenants {
		var after tenure.ProviderID
		for more := true; more && err == nil; {
			var rows []tenure.Provider
			rows, err = d.db.AllProviders(ctx, t.ID, after, page)
			for _, p := range rows {
				if after = p.ID; at(p) != nil {
					faults = append(faults, d.called(t, p.Name))
				}
			}
			more = len(rows) == page
		}
	}
	return faults, err
}

// called names a thing of a tenant.
func (d *Doctor) called(t tenure.Tenant, name string) string {
	if t.ID == tenure.DefaultTenant {
		return name
	}
	return t.Name + "/" + name
}

func count(n int, one, more string) string {
	switch n {
	case 0:
		return "no " + one
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
