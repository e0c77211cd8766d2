package signin

import (
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/oidc"
	"github.com/tenure-gateway/tenure/internal/web"
)

// backchannel ends the sessions that an identity provider says have ended (OpenID
// Connect Back-Channel Logout 1.0 §2.5 to §2.8). It answers once they are cut.
func (o *OIDC) backchannel(w http.ResponseWriter, r *http.Request) error {
	c, err := o.Connections.ByName(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, 2*oidc.MaxToken)
	if err := r.ParseForm(); err != nil || len(r.PostForm["logout_token"]) != 1 {
		return o.slowed(r, notLogout(err))
	}
	p, err := o.provider(r, c)
	if err != nil {
		return err
	}
	v, err := p.Verifier(r.Context())
	if err != nil {
		return err
	}
	t, err := v.LogoutToken(r.Context(), r.PostForm.Get("logout_token"))
	if err == nil {
		_, err = o.Signin.Directory.SignedOut(r.Context(), c, directory.Logout{
			Subject: t.Subject, SID: sessionName(t.SessionID), ID: t.ID,
			Until: earlier(t.ExpiresAt, t.IssuedAt.Add(time.Hour)).Add(2 * oidc.Leeway),
		})
		if e := tenure.AsError(err); err != nil && e.Kind != tenure.Invalid {
			return err // it was not done: the provider tries again
		}
	}
	if err != nil {
		if tenure.IsKind(err, tenure.Unavailable) {
			return err
		}
		o.Signin.Log.Count("oidc.logout_refused", "a logout token for the connection \""+c.Name+"\" was not valid", o.Signin.Carriers.Address(r))
		return o.slowed(r, notLogout(err))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

func notLogout(err error) error {
	return &tenure.Error{
		Kind: tenure.Invalid, Code: "invalid_request",
		Msg: "exactly one valid logout_token is needed, as a form's field, which was not sent before", Err: err,
	}
}

// failBackchannel answers as §2.8 has it: 400 with an error, and never cached.
func failBackchannel(w http.ResponseWriter, _ *http.Request, err error) {
	e := tenure.AsError(err)
	web.RetryAfter(w.Header(), e)
	web.WriteJSON(w, "application/json", web.Status(e.Kind), map[string]string{"error": e.Code, "error_description": e.Msg})
}
