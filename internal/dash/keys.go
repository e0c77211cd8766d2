package dash

import (
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

const keysPath = "/admin/keys"

// A keysPage shows what secrets are sealed with: of the whole installation, and so for
// the default tenant alone.
type keysPage struct {
	frame
	vault.Status
	Wrong []string // what is wrong, and what to do
	Rows  []wrappedRow
	Total int
	Old   int // that are to be wrapped anew
	Lost  int // whose key is not at hand
}

// A wrappedRow is secrets of one kind that were wrapped in one way.
type wrappedRow struct {
	vault.Wrapped
	What    string
	By      string // the key
	Version string // of it, or ""
}

func (d *Dash) keys(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	status, err := d.Vault.Status(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return err
	}
	page := keysPage{frame: d.frame(r, "Keys"), Status: status}
	page.Address = keysPath
	for _, problem := range status.Problems {
		page.Wrong = append(page.Wrong, sentence(problem))
	}
	names := map[string]string{"provider_keys": "Keys of providers", "webhook_secrets": "Secrets of webhooks", "oidc_connections": "Client secrets of OpenID Connect"}
	for _, one := range status.Wrapped {
		row := wrappedRow{Wrapped: one, What: names[one.Table], By: one.KEK}
		row.By, row.Version, _ = strings.Cut(one.KEK, "#")
		if row.By == "" {
			row.By = "a file, in the form of before"
		}
		page.Rows = append(page.Rows, row)
		page.Total += one.Count
		switch {
		case !one.Opens:
			page.Lost += one.Count
		case one.Old:
			page.Old += one.Count
		}
	}
	return d.show(w, http.StatusOK, "keys", page)
}
