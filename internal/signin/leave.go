package signin

import (
	"net/http"

	"github.com/tenure-gateway/tenure/internal/web"
)

// SignOut ends the session that the request came with, and gives where a browser
// signs out of the provider too, or "".
func (o *OIDC) SignOut(w http.ResponseWriter, r *http.Request) (string, error) {
	next := o.leave(r)
	return next, o.Signin.SignOut(w, r)
}

func (o *OIDC) leave(r *http.Request) string {
	by := web.Principal(r.Context())
	if by.Session() == "" {
		return ""
	}
	c, err := o.Connections.Of(r.Context(), by.Tenant(), by.Session())
	if err != nil {
		return "" // the session was opened otherwise
	}
	p, err := o.provider(r, c)
	if err != nil {
		return ""
	}
	return p.EndSessionURL(r.Context(), o.Base(r)+"/login")
}
