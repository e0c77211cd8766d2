package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Leeway is how far clocks may be apart.
const Leeway = time.Minute

// MaxToken is the longest token that is looked at, in bytes.
const MaxToken = 16 << 10

// logoutAge is how old a logout token may be: providers send it when it is made.
const logoutAge = 5 * time.Minute

// logoutEvent is the member of "events" that makes a token a logout token
// (OpenID Connect Back-Channel Logout 1.0 §2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Verifier believes tokens that one issuer has signed for one audience.
type Verifier struct {
	Keys     *Keys
	Issuer   string // compared to the letter
	Audience string
	Algs     []string // of tenure.SigningAlgorithms
	Now      func() time.Time
}

// Token is what a verified token says.
type Token struct {
	Subject   string
	SessionID string    // the provider's "sid", or empty
	ID        string    // "jti", or empty
	ACR       string    // "acr", or empty
	AMR       []string  // "amr"
	AuthTime  time.Time // zero: not told
	IssuedAt  time.Time // zero: not told
	ExpiresAt time.Time

	claims map[string]any
}

// Text gives a claim that is text; "" when it is absent or something else.
func (t Token) Text(claim string) string {
	text, _ := t.claims[claim].(string)
	return text
}

// Affirms reports whether a claim is there and true, as JSON or as text, and Denies
// whether it is there and anything else.
func (t Token) Affirms(claim string) bool {
	switch v := t.claims[claim].(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "true")
	}
	return false
}

// Denies reports whether a claim is there and not true.
func (t Token) Denies(claim string) bool { return t.has(claim) && !t.Affirms(claim) }

func (t Token) has(claim string) bool {
	_, ok := t.claims[claim]
	return ok
}

// Assertion believes what a proxy has signed of a request's person. Unavailable:
// the keys cannot be had. Any other error: it is not to be believed.
func (v *Verifier) Assertion(ctx context.Context, raw string) (Token, error) {
	t, err := v.verify(ctx, raw, "jwt")
	switch {
	case err != nil:
	case t.has("events"):
		err = errors.New("the token tells of an event and asserts nobody")
	case t.IssuedAt.IsZero(): // how fresh it is must be known
		err = errors.New("the assertion does not say when it was issued (iat)")
	}
	return t, err
}

// IDToken believes an ID token that was asked for with this nonce (OpenID Connect
// Core 1.0 §3.1.3.7).
func (v *Verifier) IDToken(ctx context.Context, raw, nonce string) (Token, error) {
	t, err := v.verify(ctx, raw, "jwt")
	if err != nil {
		return t, err
	}
	audience, _ := audiences(t.claims["aud"])
	azp, several := t.Text("azp"), len(audience) > 1
	switch {
	case t.Subject == "" || len(t.Subject) > 255:
		err = errors.New("the ID token has no subject of 1 to 255 bytes")
	case t.IssuedAt.IsZero():
		err = errors.New("the ID token does not say when it was issued")
	case t.has("azp") && azp != v.Audience, several && azp == "":
		err = errors.New("the ID token is for another party (azp)")
	case nonce == "" || t.Text("nonce") != nonce:
		err = errors.New("the ID token has not the nonce of this sign-in")
	case t.has("events"):
		err = errors.New("the token tells of an event and is no ID token")
	}
	return t, err
}

// LogoutToken believes a logout token (OpenID Connect Back-Channel Logout 1.0
// §2.6). Whether its jti has been seen before is the caller's to know.
func (v *Verifier) LogoutToken(ctx context.Context, raw string) (Token, error) {
	t, err := v.verify(ctx, raw, "jwt", "logout+jwt")
	if err != nil {
		return t, err
	}
	events, _ := t.claims["events"].(map[string]any)
	_, object := events[logoutEvent].(map[string]any)
	switch {
	case !object:
		err = errors.New("the token does not tell of a logout (events)")
	case t.has("nonce"):
		err = errors.New("a logout token has no nonce")
	case t.IssuedAt.IsZero():
		err = errors.New("the logout token does not say when it was issued")
	case v.Now().Sub(t.IssuedAt) > logoutAge+Leeway:
		err = errors.New("the logout token was issued too long ago")
	case t.ID == "":
		err = errors.New("the logout token has no jti")
	case t.Subject == "" && t.SessionID == "":
		err = errors.New("the logout token names neither a subject nor a session")
	}
	return t, err
}

// verify looks at the signature, and only then at what it signs. Nothing in the
// token says where keys come from: "jku", "x5u" and "jwk" are not read. types are
// the values of "typ" that pass, besides none (RFC 8725 §3.11).
func (v *Verifier) verify(ctx context.Context, raw string, types ...string) (Token, error) {
	if len(raw) > MaxToken {
		return Token{}, errors.New("the token is too long")
	}
	algs := make([]jose.SignatureAlgorithm, len(v.Algs))
	for i, alg := range v.Algs {
		algs[i] = jose.SignatureAlgorithm(alg)
	}
	parsed, err := jwt.ParseSigned(raw, algs)
	if err != nil {
		return Token{}, fmt.Errorf("not a signed token with an allowed algorithm: %w", err)
	}
	header := parsed.Headers[0]
	keys, err := v.Keys.find(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return Token{}, err
	}
	var claims map[string]any
	for _, key := range keys {
		if err = parsed.Claims(key.Key, &claims); err == nil {
			break
		}
	}
	if err != nil {
		return Token{}, fmt.Errorf("the signature is not the issuer's: %w", err)
	}
	if typ, ok := header.ExtraHeaders[jose.HeaderType]; ok {
		text, _ := typ.(string)
		text = strings.TrimPrefix(strings.ToLower(text), "application/")
		if !slices.Contains(types, text) {
			return Token{}, fmt.Errorf("a token of the type %q is not what is expected here", text)
		}
	}
	return v.judge(claims)
}

// judge looks at the claims that every token has.
func (v *Verifier) judge(claims map[string]any) (Token, error) {
	t := Token{claims: claims}
	t.Subject, t.SessionID, t.ID, t.ACR, t.AMR = t.Text("sub"), t.Text("sid"), t.Text("jti"), t.Text("acr"), texts(claims["amr"])
	audience, ok := audiences(claims["aud"])
	switch {
	case t.Text("iss") != v.Issuer:
		return t, errors.New("the token is of another issuer")
	case !ok || !slices.Contains(audience, v.Audience):
		return t, errors.New("the token is for another audience")
	}
	var notBefore time.Time
	for claim, at := range map[string]*time.Time{"exp": &t.ExpiresAt, "nbf": &notBefore, "iat": &t.IssuedAt, "auth_time": &t.AuthTime} {
		var err error
		if *at, err = instant(claims, claim); err != nil {
			return t, err
		}
	}
	now := v.Now()
	switch {
	case t.ExpiresAt.IsZero():
		return t, errors.New("the token does not say when it ends")
	case !now.Before(t.ExpiresAt.Add(Leeway)):
		return t, errors.New("the token has expired")
	case now.Add(Leeway).Before(notBefore):
		return t, errors.New("the token is not good yet")
	case now.Add(Leeway).Before(t.IssuedAt):
		return t, errors.New("the token was issued in the future")
	case now.Add(Leeway).Before(t.AuthTime):
		return t, errors.New("the token tells of a sign-in in the future (auth_time)")
	}
	return t, nil
}

// lastSecond is the last that a time can be written of (year 9999).
const lastSecond = 253402300799

// instant reads a NumericDate (RFC 7519 §2). Absent is the zero time.
func instant(claims map[string]any, name string) (time.Time, error) {
	v, ok := claims[name]
	if !ok || v == nil {
		return time.Time{}, nil
	}
	seconds, ok := v.(float64)
	if !ok || seconds < 0 || seconds > lastSecond {
		return time.Time{}, fmt.Errorf("the claim %s is no time", name)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// audiences reads "aud": one text, or a list of texts.
func audiences(v any) ([]string, bool) {
	if text, ok := v.(string); ok {
		return []string{text}, true
	}
	list, ok := v.([]any)
	out := texts(v)
	return out, ok && len(out) == len(list)
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, one := range list {
		if text, ok := one.(string); ok {
			out = append(out, text)
		}
	}
	return out
}
