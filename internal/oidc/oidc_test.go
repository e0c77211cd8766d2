package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/oidc"
)

// An issuer publishes keys, signs what it is told to, and counts who asks.
type issuer struct {
	t      *testing.T
	server *httptest.Server
	mu     sync.Mutex
	keys   []jose.JSONWebKey // published
	asked  int
	broken bool
	now    time.Time
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, now: time.Unix(2_300_000_000, 0)} // 2042: no time is kept in 32 bits
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.asked++
		if i.broken {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": i.keys})
	}))
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) clock() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *issuer) pass(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = i.now.Add(d)
}

func (i *issuer) set(broken bool, keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.broken, i.keys = broken, keys
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func (i *issuer) verifier() *oidc.Verifier {
	return &oidc.Verifier{
		Keys: oidc.NewKeys(i.server.URL, oidc.NewClient(nil), i.clock), Issuer: "https://idp.example.com", Audience: "tenure",
		Algs: []string{"RS256", "ES256"}, Now: i.clock,
	}
}

func public(id, alg string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: id, Algorithm: alg, Use: "sig"}
}

func (i *issuer) rsa() *rsa.PrivateKey {
	i.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		i.t.Fatal(err)
	}
	return key
}

func (i *issuer) ec() *ecdsa.PrivateKey {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	return key
}

type object = map[string]any

// sign makes a token; header replaces what would be in it.
func (i *issuer) sign(alg jose.SignatureAlgorithm, key any, header, claims object) string {
	i.t.Helper()
	options := &jose.SignerOptions{}
	for name, v := range header {
		options.WithHeader(jose.HeaderKey(name), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		i.t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// part is one part of a token, encoded.
func part(v any) string {
	body, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(body)
}

func (i *issuer) idToken(change object) object {
	at := i.clock().Unix()
	return merge(object{"iss": "https://idp.example.com", "sub": "u1", "aud": "tenure", "exp": at + 300, "iat": at, "nonce": "n-1", "email": "alice@example.com"}, change)
}

func (i *issuer) logoutToken(change object) object {
	at := i.clock().Unix()
	return merge(object{
		"iss": "https://idp.example.com", "sub": "u1", "sid": "s1", "aud": "tenure", "exp": at + 120, "iat": at, "jti": "j1",
		"events": object{"http://schemas.openid.net/event/backchannel-logout": object{}},
	}, change)
}

// merge changes claims; nil takes one out.
func merge(claims, change object) object {
	for name, v := range change {
		claims[name] = v
		if v == nil {
			delete(claims, name)
		}
	}
	return claims
}

func TestTokensOfEachKind(t *testing.T) {
	i := newIssuer(t)
	key := i.rsa()
	i.set(false, public("k1", "RS256", key))
	v := i.verifier()
	at := i.clock().Unix()
	check := map[string]func(raw string) error{
		"assertion": func(raw string) error { _, err := v.Assertion(t.Context(), raw); return err },
		"id":        func(raw string) error { _, err := v.IDToken(t.Context(), raw, "n-1"); return err },
		"logout":    func(raw string) error { _, err := v.LogoutToken(t.Context(), raw); return err },
	}
	for _, c := range []struct {
		name   string
		header object
		claims object
		good   string // the kinds that it passes as
	}{
		{"an ID token", nil, i.idToken(nil), "assertion id"},
		{"an ID token that says it is a JWT", object{"typ": "JWT"}, i.idToken(nil), "assertion id"},
		{"a logout token", object{"typ": "logout+jwt"}, i.logoutToken(nil), "logout"},
		{"a logout token with the long type", object{"typ": "application/logout+jwt"}, i.logoutToken(nil), "logout"},
		{"a logout token without a type", nil, i.logoutToken(nil), "logout"},
		{"a logout token of a subject", nil, i.logoutToken(object{"sid": nil}), "logout"},
		{"a logout token of a session", nil, i.logoutToken(object{"sub": nil}), "logout"},
		{"an access token", object{"typ": "at+jwt"}, i.idToken(nil), ""},
		{"a type that is no text", object{"typ": 7}, i.idToken(nil), ""},
		{"an ID token of the type of a logout token", object{"typ": "logout+jwt"}, i.idToken(nil), ""},
		{"a logout token with a nonce", nil, i.logoutToken(object{"nonce": "n-1"}), ""},
		{"a logout token of nobody", nil, i.logoutToken(object{"sub": nil, "sid": nil}), ""},
		{"a logout token without an id", nil, i.logoutToken(object{"jti": nil}), ""},
		{"a logout token of another event", nil, i.logoutToken(object{"events": object{"urn:other": object{}}}), ""},
		{"a logout token whose event is no object", nil, i.logoutToken(object{"events": object{"http://schemas.openid.net/event/backchannel-logout": "x"}}), ""},
		{"a logout token without a time", nil, i.logoutToken(object{"iat": nil}), ""},

		{"another issuer", nil, i.idToken(object{"iss": "https://evil.example.com"}), ""},
		{"the issuer with a slash", nil, i.idToken(object{"iss": "https://idp.example.com/"}), ""},
		{"no issuer", nil, i.idToken(object{"iss": nil}), ""},
		{"another audience", nil, i.idToken(object{"aud": "other"}), ""},
		{"no audience", nil, i.idToken(object{"aud": nil}), ""},
		{"an audience of numbers", nil, i.idToken(object{"aud": []any{"tenure", 7}}), ""},
		{"two audiences without a party", nil, i.idToken(object{"aud": []string{"tenure", "other"}}), "assertion"},
		{"two audiences and this party", nil, i.idToken(object{"aud": []string{"tenure", "other"}, "azp": "tenure"}), "assertion id"},
		{"another party", nil, i.idToken(object{"azp": "other"}), "assertion"},
		{"no subject", nil, i.idToken(object{"sub": nil}), "assertion"},
		{"a long subject", nil, i.idToken(object{"sub": strings.Repeat("x", 256)}), "assertion"},
		{"another nonce", nil, i.idToken(object{"nonce": "n-2"}), "assertion"},
		{"no nonce", nil, i.idToken(object{"nonce": nil}), "assertion"},

		{"expired within the leeway", nil, i.idToken(object{"exp": at - 59}), "assertion id"},
		{"expired at its edge", nil, i.idToken(object{"exp": at - 60}), ""},
		{"no end", nil, i.idToken(object{"exp": nil}), ""},
		{"an end that is text", nil, i.idToken(object{"exp": "tomorrow"}), ""},
		{"an end beyond all time", nil, i.idToken(object{"exp": 1e300}), ""},
		{"good within the leeway", nil, i.idToken(object{"nbf": at + 60}), "assertion id"},
		{"not good yet", nil, i.idToken(object{"nbf": at + 61}), ""},
		{"issued within the leeway", nil, i.idToken(object{"iat": at + 60}), "assertion id"},
		{"issued in the future", nil, i.idToken(object{"iat": at + 61}), ""},
		{"no time of issue", nil, i.idToken(object{"iat": nil}), ""},
		{"a sign-in within the leeway", nil, i.idToken(object{"auth_time": at + 60}), "assertion id"},
		{"a sign-in in the future", nil, i.idToken(object{"auth_time": at + 61}), ""},
		{"a logout token of some minutes ago", nil, i.logoutToken(object{"iat": at - 360}), "logout"},
		{"an old logout token that ends late", nil, i.logoutToken(object{"iat": at - 361, "exp": at + 86400}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := i.sign(jose.RS256, jose.JSONWebKey{Key: key, KeyID: "k1"}, c.header, c.claims)
			for kind, f := range check {
				if err := f(raw); (err == nil) != strings.Contains(" "+c.good+" ", " "+kind+" ") {
					t.Errorf("as %s: %v", kind, err)
				}
			}
		})
	}
}

// Whoever forges does not choose the algorithm, nor where the key is.
func TestForgedTokens(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer elsewhere.Close()
	i := newIssuer(t)
	key, curve, own := i.rsa(), i.ec(), i.rsa()
	i.set(false, public("k1", "", key), public("k2", "ES256", curve))
	v := i.verifier()
	claims := i.idToken(nil)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	good := i.sign(jose.RS256, jose.JSONWebKey{Key: key, KeyID: "k1"}, nil, claims)
	parts := strings.Split(good, ".")
	flipped := []byte(parts[2])
	flipped[10] ^= 1
	for name, raw := range map[string]string{
		"alg none":                     part(object{"alg": "none", "kid": "k1"}) + "." + part(claims) + ".",
		"alg None":                     part(object{"alg": "None", "kid": "k1"}) + "." + part(claims) + ".",
		"the signature taken off":      parts[0] + "." + parts[1] + ".",
		"the signature changed":        parts[0] + "." + parts[1] + "." + string(flipped),
		"the claims changed":           parts[0] + "." + part(i.idToken(object{"sub": "root"})) + "." + parts[2],
		"HS256 with the public key":    i.sign(jose.HS256, jose.JSONWebKey{Key: asPEM, KeyID: "k1"}, nil, claims),
		"HS256 with the DER":           i.sign(jose.HS256, jose.JSONWebKey{Key: der, KeyID: "k1"}, nil, claims),
		"an algorithm not on the list": i.sign(jose.PS256, jose.JSONWebKey{Key: key, KeyID: "k1"}, nil, claims),
		"another key by that name":     i.sign(jose.RS256, jose.JSONWebKey{Key: own, KeyID: "k1"}, nil, claims),
		"another key by no name":       i.sign(jose.RS256, own, nil, claims),
		"a key of the wrong algorithm": i.sign(jose.RS256, jose.JSONWebKey{Key: own, KeyID: "k2"}, nil, claims),
		"jku":                          i.sign(jose.RS256, jose.JSONWebKey{Key: own, KeyID: "evil"}, object{"jku": elsewhere.URL}, claims),
		"x5u":                          i.sign(jose.RS256, jose.JSONWebKey{Key: own, KeyID: "evil"}, object{"x5u": elsewhere.URL}, claims),
		"jwk":                          i.sign(jose.RS256, own, object{"jwk": public("k1", "RS256", own)}, claims),
		"a name that is a path":        i.sign(jose.RS256, jose.JSONWebKey{Key: own, KeyID: "../../" + elsewhere.URL}, nil, claims),
		"crit":                         i.sign(jose.RS256, jose.JSONWebKey{Key: key, KeyID: "k1"}, object{"crit": []string{"x"}, "x": 1}, claims),
		"no token":                     "x",
		"two tokens":                   good + " " + good,
		"a token in JSON":              `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"too long":                     good + strings.Repeat("A", oidc.MaxToken),
	} {
		if _, err := v.Assertion(t.Context(), raw); err == nil {
			t.Errorf("%s is believed", name)
		}
	}
	if asked != 0 {
		t.Errorf("a host that a token names was asked %d times", asked)
	}
	for name, raw := range map[string]string{
		"RS256": good, "ES256": i.sign(jose.ES256, jose.JSONWebKey{Key: curve, KeyID: "k2"}, nil, claims),
		"a key without a name": i.sign(jose.RS256, key, nil, claims),
	} {
		if _, err := v.Assertion(t.Context(), raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024) // too short on purpose
	if err != nil {
		t.Fatal(err)
	}
	i.pass(time.Minute)
	i.set(false, public("k1", "RS256", key), public("small", "RS256", small))
	if _, err := v.Assertion(t.Context(), i.sign(jose.RS256, jose.JSONWebKey{Key: small, KeyID: "small"}, nil, i.idToken(nil))); err == nil {
		t.Error("a key of 1024 bits is believed")
	}
}

func TestKeysAreFetchedSeldom(t *testing.T) {
	i := newIssuer(t)
	one, two := i.rsa(), i.rsa()
	i.set(false, public("k1", "RS256", one))
	v := i.verifier()
	by := func(id string, key *rsa.PrivateKey) error {
		_, err := v.Assertion(t.Context(), i.sign(jose.RS256, jose.JSONWebKey{Key: key, KeyID: id}, nil, i.idToken(nil)))
		return err
	}
	if err := by("k1", one); err != nil || i.count() != 1 {
		t.Fatalf("the first: %v, asked %d times", err, i.count())
	}
	// A flood of unknown keys, at once.
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { _ = by("unknown", two) })
	}
	wg.Wait()
	if i.count() != 1 {
		t.Errorf("unknown keys within ten seconds had them fetched %d times", i.count()-1)
	}
	// The issuer has a new key: whoever brings it is believed ten seconds later.
	i.set(false, public("k1", "RS256", one), public("k2", "RS256", two))
	i.pass(10 * time.Second)
	if err := by("k2", two); err != nil || i.count() != 2 {
		t.Errorf("a new key: %v, asked %d times", err, i.count())
	}
	for range 50 {
		_ = by("unknown", two)
		i.pass(time.Second)
	}
	if n := i.count() - 2; n > 5 {
		t.Errorf("fifty seconds of unknown keys had them fetched %d times", n)
	}
	// A key that is withdrawn is believed for ten minutes at most, once it can be known.
	i.set(false, public("k2", "RS256", two))
	i.pass(10 * time.Minute)
	_ = by("k2", two) // has them fetched, and waits for nobody
	deadline := time.Now().Add(5 * time.Second)
	for by("k1", one) == nil && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if by("k1", one) == nil {
		t.Error("a withdrawn key is believed")
	}
	// Not even when nobody came for hours: then they are fetched first.
	three := i.rsa()
	i.set(false, public("k3", "RS256", three))
	i.pass(5 * time.Hour)
	if by("k2", two) == nil {
		t.Error("a key that was withdrawn while nobody asked is believed")
	}
	i.set(false, public("k2", "RS256", two))
	i.pass(11 * time.Second)
	if err := by("k2", two); err != nil {
		t.Fatal(err)
	}
	// Nobody answers: what is known serves for a day, and no longer.
	i.set(true)
	i.pass(23 * time.Hour)
	if err := by("k2", two); err != nil {
		t.Errorf("within a day of silence: %v", err)
	}
	i.pass(2 * time.Hour)
	if err := by("k2", two); !tenure.IsKind(err, tenure.Unavailable) {
		t.Errorf("after a day of silence: %v", err)
	}
}

// A name that is written twice, or in other letters, is not read as the other.
func TestClaimsAreReadToTheLetter(t *testing.T) {
	i := newIssuer(t)
	key := i.rsa()
	i.set(false, public("k1", "RS256", key))
	v := i.verifier()
	token, err := v.Assertion(t.Context(), i.sign(jose.RS256, jose.JSONWebKey{Key: key, KeyID: "k1"}, nil, i.idToken(object{"Email": "root@example.com", "n": 1})))
	if err != nil || token.Text("email") != "alice@example.com" || token.Text("n") != "" {
		t.Errorf("%+v, %v", token, err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(i.idToken(nil))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(strings.Replace(string(body), "{", `{"sub":"root",`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Assertion(t.Context(), raw); err == nil {
		t.Error("a claim that is there twice is believed")
	}
	for claim, want := range map[string]bool{"false": true, "true": false, "x": true} {
		token, err := v.Assertion(t.Context(), i.sign(jose.RS256, jose.JSONWebKey{Key: key, KeyID: "k1"}, nil, i.idToken(object{"email_verified": claim})))
		if err != nil || token.Denies("email_verified") != want {
			t.Errorf("email_verified %q: %v", claim, err)
		}
	}
}
