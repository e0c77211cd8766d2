package app

import (
	"strings"

	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/trust"
)

// A way is one in which people sign in by the settings.
type way struct {
	trust.Way
	evidence string // how an auditor is told of it
}

// waysOf are the ways that the settings of teams open.
func waysOf(cfg *config.Checked) []way {
	var out []way
	switch {
	case !cfg.Teams:
		return nil
	case cfg.Assertion != nil:
		out = append(out, way{trust.Way{Says: "as a proxy tells it in a signed assertion"}, "an assertion that the trusted proxy's identity provider has signed"})
	case cfg.IdentityHeader != "":
		out = append(out, way{
			trust.Way{Says: "as a trusted proxy tells it", Everyone: cfg.TenantHeader != "", Presumed: !cfg.HeaderIsSet},
			"a header of the trusted proxy, believed from its addresses alone",
		})
	}
	if cfg.OIDC != nil {
		out = append(out, way{trust.Way{Says: trust.ByOIDC}, "OpenID Connect, by the settings"})
	}
	return out
}

// trustFacts are what a trust page says of the settings; no address or name of them.
func trustFacts(cfg *config.Checked) trust.Facts {
	f := trust.Facts{
		RequireSCIM: cfg.RequireSCIM, SettingSCIM: len(cfg.SCIMTokens) > 0, TLS: cfg.TLSCert != "", Keys: keeperOf(cfg.KeyURL),
		SessionIdle: cfg.SessionIdle, SessionLife: cfg.SessionLife, Staleness: cfg.MaxStaleness,
	}
	for _, w := range waysOf(cfg) {
		f.Ways = append(f.Ways, w.Way)
	}
	return f
}

// keeperOf says in words what a key URL names.
func keeperOf(keyURL string) string {
	scheme, _, _ := strings.Cut(keyURL, ":")
	if words, ok := map[string]string{
		"hashivault": "a key in Vault or OpenBao", "awskms": "a key in AWS KMS", "gcpkms": "a key in Google Cloud KMS", "azurekeyvault": "a key in Azure Key Vault",
	}[scheme]; ok {
		return words
	}
	return "a key file of the operator"
}
