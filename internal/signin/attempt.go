package signin

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/oidc"
	"github.com/tenure-gateway/tenure/internal/web"
)

// attemptLife is how long a person may take at the provider.
const attemptLife = 10 * time.Minute

// attempt is a sign-in under way. The browser that began it carries it, encrypted:
// nobody else can end it, and it cannot be told or changed on the way.
type attempt struct {
	Connection string    `json:"c"`
	ID         string    `json:"i"` // of the connection: another may come to have its name
	Redirect   string    `json:"u"`
	State      string    `json:"s"`
	Nonce      string    `json:"n"`
	Verifier   string    `json:"v"`
	ReturnTo   string    `json:"r"`
	Again      bool      `json:"a,omitempty"`
	Ends       time.Time `json:"e"`
}

// Errors of signing in.
var (
	errNotBegun = &tenure.Error{
		Kind: tenure.Invalid, Code: "signin_not_begun",
		Msg: "this sign-in was not begun in this browser, or was ended already, or took more than ten minutes; start again",
	}
	errPlainHTTP = &tenure.Error{
		Kind: tenure.Forbidden, Code: "insecure_address",
		Msg: "nobody signs in over plain http to another machine: open Tenure over https, or as http://127.0.0.1 on the machine itself",
	}
	errNotAgain = &tenure.Error{
		Kind: tenure.Forbidden, Code: "reauth_refused",
		Msg: "the identity provider did not say that you have just signed in anew (auth_time); what needs that cannot be done by this sign-in",
	}
	errLongAddress = &tenure.Error{
		Kind: tenure.Invalid, Code: "signin_not_begun",
		Msg: "the address of Tenure is too long to sign in by",
	}
	errTooLong = &tenure.Error{
		Kind: tenure.Forbidden, Code: "signin_refused",
		Msg: "the identity provider signed you in too long ago; sign out there, and sign in again",
	}
	errNoName = refusal{
		Kind: tenure.Forbidden, Code: "no_user_name",
		Msg: "the identity provider did not say a userName that Tenure can use; an administrator can look at the claim that the connection names",
	}
)

// refusal is an error that is given with its cause.
type refusal tenure.Error

func (r refusal) with(cause error) error {
	e := tenure.Error(r)
	e.Err = cause
	return &e
}

// Bounds of what browsers keep of attempts.
const (
	maxAttempts = 4    // at once, in one browser; one more makes it forget the others
	maxSealed   = 3800 // bytes of one: browsers drop a cookie of more than 4096
)

// attemptsOf begins the names of the cookies of attempts, beside that of a session.
func attemptsOf(session string) string {
	if session == "" {
		return ""
	}
	return session + "-signin-"
}

// attemptCookie names the cookie of the attempt with a state, so that two windows do
// not disturb each other. "": no attempt of ours has that state.
func attemptCookie(session, state string) string {
	const told = 16 // of its characters: enough to tell a few apart
	if session == "" || len(state) < told || strings.ContainsFunc(state[:told], func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return ""
	}
	return attemptsOf(session) + state[:told]
}

// fresh fills in what is drawn anew for each attempt: 256 random bits each.
func (a *attempt) fresh(c tenure.OIDCConnection, redirect string, now time.Time) {
	draw := func() string { secret := tenure.NewSessionSecret(); return secret.Reveal() }
	a.Connection, a.ID, a.Redirect, a.ReturnTo = c.Name, string(c.ID), redirect, ownPath(a.ReturnTo)
	a.State, a.Nonce, a.Verifier, a.Ends = draw(), draw(), draw(), now.Add(attemptLife)
}

// bindAttempt is what the encryption is bound to.
const bindAttempt = "tenure sign-in attempt"

// seal encrypts the attempt for its cookie. Invalid: it does not fit into one.
func (a *attempt) seal(with cipher.AEAD) (string, error) {
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false) // it would make six bytes of each "&"
	if err := e.Encode(a); err != nil {
		return "", err
	}
	//nolint:gosec // no nonce is given: NewGCMWithRandomNonce takes none
	sealed := base64.RawURLEncoding.EncodeToString(with.Seal(nil, nil, plain.Bytes(), []byte(bindAttempt)))
	if len(sealed) > maxSealed {
		return "", errLongAddress
	}
	return sealed, nil
}

func openAttempt(with cipher.AEAD, text string, now time.Time) (attempt, error) {
	var a attempt
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) < with.Overhead() {
		return a, errors.New("not of ours")
	}
	plain, err := with.Open(nil, nil, sealed, []byte(bindAttempt))
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(plain, &a); err != nil {
		return a, err
	}
	if !now.Before(a.Ends) {
		return a, errors.New("too late")
	}
	return a, nil
}

// authenticated judges when the person showed the provider who they are. A
// provider that does not tell is believed to have seen them long ago.
func (a *attempt) authenticated(at, now time.Time, life time.Duration) (time.Time, error) {
	begun := a.Ends.Add(-attemptLife)
	switch {
	case a.Again && at.Before(begun.Add(-oidc.Leeway)):
		return at, errNotAgain
	case at.IsZero():
		return time.Unix(0, 0).UTC(), nil
	case now.Sub(at) > life+oidc.Leeway:
		return at, errTooLong
	case at.After(now):
		return now, nil
	}
	return at, nil
}

// maxReturn is the longest path that a sign-in leads back to, in bytes.
const maxReturn = 1000

// ownPath gives a path of ours to lead back to, or the first page: never another
// site, and no address that does something.
func ownPath(path string) string {
	const first = "/settings"
	u, err := url.Parse(path)
	switch {
	case err != nil, u.Scheme != "", u.Host != "", u.Opaque != "", len(path) > maxReturn, tenure.MentionsToken(path),
		!strings.HasPrefix(path, "/"), strings.HasPrefix(path, "//"), strings.Contains(path, "\\"),
		strings.HasPrefix(u.Path, "//"), strings.Contains(u.Path, "\\"), !web.Plain(u.Path),
		u.Path == "/login", u.Path == "/logout", strings.HasPrefix(u.Path, "/oidc/"):
		return first
	}
	for _, r := range path {
		if r < ' ' || r == 0x7f {
			return first
		}
	}
	return path
}
