package dash

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A keyUseRow is how one version of a key was used: last of all, and in the last 30 days.
type keyUseRow struct {
	Key     tenure.ProviderKey
	At      moment
	Who     string
	WhoPath string // their page, or "": there is none
	Token   string
	Sum     usageRow
}

// keyUse tells of the keys that were used, in their order.
func (d *Dash) keyUse(r *http.Request, f frame, keys []tenure.ProviderKey) ([]keyUseRow, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	rows, err := d.Directory.KeyUses(r.Context(), web.Principal(r.Context()), keys[0].Provider)
	if err != nil {
		return nil, err
	}
	currency, err := d.Prices.Currency(r.Context())
	if err != nil {
		return nil, err
	}
	uses := map[tenure.KeyID]tenure.KeyUse{}
	for _, u := range rows {
		uses[u.Key] = u
	}
	var out []keyUseRow
	for _, k := range keys {
		u := uses[k.ID]
		if u.LastAt.IsZero() && u.Requests == 0 {
			continue
		}
		row := keyUseRow{
			Key: k, At: f.At(u.LastAt), Who: cmp.Or(u.Who, string(u.User), string(u.Account), "root token"), Token: u.TokenName,
			Sum: f.usageRow(tenure.ModelUses{Requests: u.Requests, ModelUse: u.ModelUse, Spend: u.Spend, Unpriced: u.Unpriced}, currency),
		}
		switch {
		case d.Single || u.Who == "":
		case u.User != "":
			row.WhoPath = "/admin/people/" + string(u.User)
		case u.Account != "":
			row.WhoPath = accountsPath + "/" + string(u.Account)
		}
		out = append(out, row)
	}
	return out, nil
}

// useKey asks the provider with a staged version, and brings it into use if the provider
// accepts it.
func (d *Dash) useKey(w http.ResponseWriter, r *http.Request) error {
	ctx, by, provider, id := r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")), tenure.KeyID(r.PathValue("key"))
	k, err := d.Vault.CheckKey(ctx, by, provider, id)
	if err != nil {
		return err
	}
	if k.Check != tenure.CheckPassed {
		return d.showProvider(w, r, fmt.Sprintf("Version %d of “%s” is not used: %s", k.Version, k.Name, sentence(k.CheckError)))
	}
	if k, err = d.Vault.Activate(ctx, by, provider, id, vault.Taking{Overlap: vault.DefaultOverlap}); err != nil {
		return err
	}
	return d.showProvider(w, r, fmt.Sprintf("The provider accepts the key: version %d of “%s” is in use.", k.Version, k.Name))
}
