// Package oauth is the edge for other gateways, for scanners, and for whoever
// holds a leaked token: introspection (RFC 7662), revocation (RFC 7009),
// forward-auth, and reports of leaks. It owns their forms, their answers, and the
// verification of who reports a leak.
//
// It keeps no answer: every question is asked of internal/token anew, by the way
// that every other request goes. It decides neither what is alive nor what a
// scope permits.
package oauth

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// OAuth serves /oauth, /auth/check and /api/v1/leaks. Its fields are set before
// first use.
type OAuth struct {
	Tokens   *token.Tokens
	Carriers *web.Carriers
	Log      *audit.Log
	// Base is the URL under which the caller reaches this installation.
	Base func(*http.Request) string
	// Refuse slows down whoever presents too many bad credentials: it gives the error
	// to answer with.
	Refuse func(r *http.Request, presented string, err error) error
	// Keys are those that reports of leaks are signed with; with none, the route
	// answers as if it were not there.
	Keys Keys
	// Single leaves out what is about personal and service tokens.
	Single bool
}

// Routes are the routes of this edge.
func (o *OAuth) Routes() []web.Route {
	routes := []web.Route{{Pattern: "POST /api/v1/leaks", Action: tenure.Public, Handle: o.leaks, Fail: failLeaks}}
	if o.Single {
		return routes
	}
	return append(
		routes,
		web.Route{Pattern: "POST /oauth/introspect", Action: tenure.Introspect, Handle: o.introspect, Fail: Fail},
		web.Route{Pattern: "POST /oauth/revoke", Action: tenure.RevokeHeld, Handle: o.revoke, Fail: Fail},
		web.Route{Pattern: "/oauth/", Action: tenure.Unrouted, Handle: nothingHere, Fail: Fail},
		web.Route{Pattern: "/auth/check/", Action: tenure.CheckAccess, Handle: o.check, Fail: failCheck},
	)
}

func nothingHere(http.ResponseWriter, *http.Request) error { return tenure.ErrNotFound }

// maxForm is the largest form, in bytes.
const maxForm = 16 << 10

// form reads the parameters of a request, which come in its body and nowhere else
// (RFC 7662 §2.1, RFC 7009 §2.1), each at most once (RFC 6749 §3.2).
func form(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.URL.RawQuery != "" {
		return nil, badRequest("parameters go into the body, never into the URL: that ends up in logs")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, badRequest("the body must be a form: Content-Type: application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, &tenure.Error{Kind: tenure.TooLarge, Code: "request_too_large", Msg: "the form is larger than 16 KiB"}
		}
		return nil, badRequest("the form cannot be read")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, badRequest("the parameter " + tenure.Redact(name) + " is there more than once")
		}
	}
	if r.PostForm.Get("token") == "" {
		return nil, badRequest("the parameter token is missing")
	}
	return r.PostForm, nil
}

func badRequest(msg string) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: "invalid_request", Msg: msg}
}

// revoke ends the token that the caller holds (RFC 7009 §2.1). What is none, or
// is dead already, is answered alike (§2.2).
func (o *OAuth) revoke(w http.ResponseWriter, r *http.Request) error {
	f, err := form(w, r)
	if err != nil {
		return err
	}
	ended, err := o.Tokens.RevokeHeld(r.Context(), f.Get("token"))
	if err == nil && ended.Tokens == 0 { // no error, but a guess if it happens often
		if e := o.Refuse(r, f.Get("token"), tenure.ErrInvalidToken); tenure.IsKind(e, tenure.TooMany) {
			err = e
		}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// problem is an error in the shape of RFC 6749 §5.2.
type problem struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// Fail answers an error in the shape of RFC 6749 §5.2.
func Fail(w http.ResponseWriter, _ *http.Request, err error) {
	e := tenure.AsError(err)
	web.Challenge(w.Header(), e)
	web.RetryAfter(w.Header(), e)
	web.WriteJSON(w, "application/json", web.Status(e.Kind), problem{codeOf(e), described(e.Msg)})
}

// codeOf is the error code: of RFC 6749 §5.2, RFC 7009 §2.2.1 and RFC 6750 §3.1
// where one fits, else the product's own.
func codeOf(e *tenure.Error) string {
	switch e.Kind { //nolint:exhaustive // the rest has words of its own
	case tenure.Invalid:
		if e.Code == "unsupported_token_type" {
			return e.Code
		}
		return "invalid_request"
	case tenure.Unauthenticated:
		return "invalid_token"
	case tenure.Unavailable:
		return "temporarily_unavailable"
	case tenure.Internal:
		return "server_error"
	}
	return e.Code
}

// described keeps a description within the characters that RFC 6749 §5.2 allows.
func described(msg string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '…':
			return '.'
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, tenure.Redact(msg))
}
