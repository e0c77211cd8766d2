package app

import (
	"net/http"
	"os"

	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/oauth"
	"github.com/tenure-gateway/tenure/internal/signin"
	"github.com/tenure-gateway/tenure/internal/web"
)

// others is the edge for other gateways, scanners and holders of leaked tokens.
func (a *App) others(base func(*http.Request) string, si *signin.Signin) ([]web.Route, error) {
	o := &oauth.OAuth{Tokens: a.Tokens, Carriers: si.Carriers, Log: a.events, Base: base, Refuse: si.Refuse, Single: !a.Config.Teams}
	if file := a.Config.LeakKeys; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, config.Wrong("TENURE_LEAK_KEYS", err.Error(), "/etc/tenure/github-keys.pem")
		}
		if o.Keys, err = oauth.ParseKeys(text); err != nil {
			return nil, config.Wrong("TENURE_LEAK_KEYS", file+": "+err.Error(), "/etc/tenure/github-keys.pem")
		}
	}
	return o.Routes(), nil
}
