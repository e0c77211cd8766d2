package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Headers by which a gateway says what a request needs, where it cannot say so in
// the URL. They add to the URL's demands, and take nothing away.
const (
	headerScope = "Tenure-Require-Scope"
	headerModel = "Tenure-Require-Model"
)

// subjectError is an error of the request that is asked about, not of the gateway
// that asks.
type subjectError struct{ error }

// Unwrap gives the error.
func (e subjectError) Unwrap() error { return e.error }

// check answers for another gateway whether a request may pass: 200 with who it
// is, 401, or 403. The gateway has been authenticated by its own token; the
// request's credential is where its sender put it.
func (o *OAuth) check(w http.ResponseWriter, r *http.Request) error {
	scopes, models, err := demands(r)
	if err != nil {
		return err
	}
	c, err := o.Carriers.Caller(r)
	if err != nil {
		return subjectError{err}
	}
	from, told := o.Carriers.Client(r)
	if !told {
		from = netip.Addr{}
	}
	ctx := r.Context()
	p, err := o.Tokens.Inspect(ctx, web.Principal(ctx), tenure.CheckAccess, c.Token, from)
	if err != nil {
		if tenure.AsError(err).Code == "address_not_allowed" {
			o.Log.Count("token.refused", "a token came to another gateway from outside of its networks", o.Carriers.Address(r))
		}
		return subjectError{err}
	}
	o.Tokens.Used(ctx, p)
	if err := access.Holds(p, scopes); err != nil {
		return subjectError{err}
	}
	for _, name := range models {
		provider, model, found := strings.Cut(name, "/")
		if !found {
			provider, model = "", name
		}
		if !access.Model(p, provider, model) {
			return subjectError{&tenure.Error{Kind: tenure.Forbidden, Code: "model_not_allowed", Msg: "this token, or its workspace, does not allow the model"}}
		}
	}
	tell(w.Header(), p)
	w.WriteHeader(http.StatusOK)
	return nil
}

// demands reads what the request must be good for. On /auth/check the query is the
// gateway's, and what is not known there is an error: a misspelt demand must not be
// none. Below it path and query are the client's, for Envoy sends them so, and only
// the headers count; /auth/check/ may be either, so what it demands is heeded, which
// can but narrow, and the rest is not looked at.
func demands(r *http.Request) (tenure.Scopes, []string, error) {
	query := url.Values{}
	if path := r.URL.Path; path == "/auth/check" || path == "/auth/check/" {
		var err error
		if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return 0, nil, badRequest("the query cannot be read")
		}
		for name := range query {
			if path == "/auth/check" && name != "scope" && name != "model" {
				return 0, nil, badRequest(fmt.Sprintf("there is no parameter %q; the parameters are scope and model", name))
			}
		}
	}
	var scopes tenure.Scopes
	for _, text := range slices.Concat(query["scope"], r.Header[headerScope]) {
		set, err := tenure.ParseScopes(text)
		if err != nil {
			return 0, nil, err
		}
		if set == 0 {
			return 0, nil, badRequest("an empty scope: leave it out where any live token will do")
		}
		scopes |= set
	}
	models := slices.Concat(query["model"], r.Header[headerModel])
	if slices.Contains(models, "") {
		return 0, nil, badRequest("an empty model: leave it out where no model is asked for")
	}
	return scopes, models, nil
}

// tell says who it is. Every header is always there, be it empty: a gateway that
// copies them overwrites what its client may have sent under these names.
func tell(h http.Header, p tenure.Principal) {
	s := p.Standing()
	subject := string(s.User)
	if s.ServiceAccount != "" {
		subject = string(s.ServiceAccount)
	}
	h.Set("Tenure-User", encoded(s.UserName))
	h.Set("Tenure-Subject", encoded(subject))
	h.Set("Tenure-Tenant", encoded(string(s.Tenant)))
	h.Set("Tenure-Workspace", encoded(string(s.Workspace)))
	h.Set("Tenure-Scopes", access.Scopes(p).String())
	h.Set("Tenure-Token-Id", encoded(string(s.Token)))
	h.Set("Cache-Control", "no-store")
}

// encoded makes a header's value of any text: what is not printable ASCII, and
// what parts the values of headers, is percent-encoded by its UTF-8 bytes, the
// percent sign too.
func encoded(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || strings.IndexByte(`%",;\`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// failCheck answers with an error, and says whose it is: codes that begin with
// "gateway_" are of the gateway that asks, whose operator must mend them.
func failCheck(w http.ResponseWriter, _ *http.Request, err error) {
	e := tenure.AsError(err)
	h := w.Header()
	web.RetryAfter(h, e)
	status, code, msg := web.Status(e.Kind), codeOf(e), e.Msg
	_, asked := errors.AsType[subjectError](err)
	switch {
	case e.Code == "two_credentials" || e.Code == "token_in_query":
		// The client's doing. nginx takes all but 401 and 403 for a fault of its own.
		status, code = http.StatusUnauthorized, e.Code
		h.Set("WWW-Authenticate", `Bearer error="invalid_request"`)
	case asked:
		web.Challenge(h, e)
		if e.Kind == tenure.Forbidden && e.Field != "" {
			h.Set("WWW-Authenticate", fmt.Sprintf("Bearer error=%q, scope=%q", e.Code, e.Field))
		}
	case e.Code == tenure.ErrNoCredential.Code:
		code = "gateway_token_missing"
		msg = "the header " + web.GatewayHeader + " is missing: it carries the service token, with the scope introspect, of the gateway that asks"
	case e.Kind == tenure.Unauthenticated:
		code, msg = "gateway_token_invalid", "the token in "+web.GatewayHeader+" is invalid, expired or revoked"
	case e.Kind == tenure.Forbidden:
		code, msg = "gateway_"+e.Code, "the token in "+web.GatewayHeader+": "+e.Msg
	}
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Bearer realm="gateway"`)
	}
	web.WriteJSON(w, "application/json", status, problem{code, described(msg)})
}
