package signin

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tenure-gateway/tenure/internal/oidc"
)

// An assertion is as old as its auth_time, or else as its issue: never as the request.
func TestWhenAnAssertionsPersonWasSeen(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{jose.JSONWebKey{Key: key.Public(), KeyID: "k", Use: "sig"}}})
	}))
	defer keys.Close()
	now := time.Unix(2_300_000_000, 0)
	clock := func() time.Time { return now }
	a := &Assertions{Claim: "email", Verifier: &oidc.Verifier{
		Keys: oidc.NewKeys(keys.URL, oidc.NewClient(nil), clock), Issuer: "i", Audience: "a", Algs: []string{"RS256"}, Now: clock,
	}}
	at := now.Unix()
	for name, c := range map[string]struct {
		claims map[string]any
		want   int64 // 0: refused
	}{
		"issued an hour ago":                {map[string]any{"iat": at - 3600}, at - 3600},
		"issued now, signed in a day ago":   {map[string]any{"iat": at, "auth_time": at - 86400}, at - 86400},
		"a clock that is ahead":             {map[string]any{"iat": at + 30}, at},
		"no time":                           {map[string]any{}, 0},
		"only the time of the sign-in":      {map[string]any{"auth_time": at}, 0},
		"a sign-in in the future":           {map[string]any{"iat": at, "auth_time": at + 3600}, 0},
		"an address that is not verified":   {map[string]any{"iat": at, "email_verified": false}, 0},
		"an address that is verified":       {map[string]any{"iat": at, "email_verified": "true"}, at},
		"an address that is perhaps so":     {map[string]any{"iat": at, "email_verified": 1}, 0},
		"another claim than the one wanted": {map[string]any{"iat": at, "email": nil}, 0},
	} {
		claims := map[string]any{"iss": "i", "aud": "a", "exp": at + 60, "email": "alice@example.com", "acr": "2", "amr": []string{"pwd", "x mfa", "otp"}}
		for claim, v := range c.claims {
			claims[claim] = v
		}
		body, _ := json.Marshal(claims)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, _ := signer.Sign(body)
		raw, _ := signed.CompactSerialize()
		got, seen, err := a.identity(t.Context(), raw)
		if (err == nil) != (c.want != 0) || err == nil && (got != "alice@example.com" || seen.AuthAt.Unix() != c.want || seen.ACR != "2" || seen.AMR != "pwd otp") {
			t.Errorf("%s: %q, %v, %v", name, got, seen, err)
		}
	}
}
