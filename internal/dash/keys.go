package dash

import (
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/ledger"
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

	Notice string
	Audit  []ledger.Key // that sign the audit log, or have signed it
	Ledger ledger.Standing
	May    bool // rotate the one that signs
}

// A wrappedRow is secrets of one kind that were wrapped in one way.
type wrappedRow struct {
	vault.Wrapped
	What    string
	By      string // the key
	Version string // of it, or ""
}

func (d *Dash) keys(w http.ResponseWriter, r *http.Request) error { return d.showKeys(w, r, "") }

func (d *Dash) showKeys(w http.ResponseWriter, r *http.Request, notice string) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	status, err := d.Vault.Status(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return err
	}
	signing, err := d.Ledger.Keys(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return err
	}
	page := keysPage{
		frame: d.frame(r, "Keys"), Status: status, Notice: notice, Audit: signing, Ledger: d.Ledger.Standing(),
		May: may(web.Principal(r.Context()), tenure.RotateAuditKey),
	}
	page.Address = keysPath
	for _, problem := range status.Problems {
		page.Wrong = append(page.Wrong, sentence(problem))
	}
	names := map[string]string{"provider_keys": "Keys of providers", "webhook_secrets": "Secrets of webhooks", "oidc_connections": "Client secrets of OpenID Connect", "audit_keys": "Signing key of the audit log", "audit_sinks": "Secrets of audit sinks"}
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

func (d *Dash) askRotateAuditKey(w http.ResponseWriter, r *http.Request) error {
	keys, err := d.Ledger.Keys(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return err
	}
	page := confirmPage{
		frame: d.frame(r, "Rotate the signing key"), Heading: "Replace the key that signs the audit log?", Button: "Rotate the key", Calm: true,
		Back: keysPath, Action: keysPath + "/audit/rotate",
		Ends: []string{
			"A new key signs from now on. The next checkpoint is signed by both, so that whoever trusts the old one can come to trust the new one.",
			"What the old key has signed verifies as before; its secret is destroyed.",
		},
	}
	page.Address = page.Action
	if len(keys) > 0 {
		page.Facts = []fact{{Name: "Signs now", Text: keys[0].Name, Code: true}, {Name: "Since", At: page.At(keys[0].CreatedAt)}}
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) rotateAuditKey(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.Ledger.RotateKey(r.Context(), web.Principal(r.Context())); err != nil {
		return err
	}
	return d.showKeys(w, r, "The audit log is signed with a new key.")
}
