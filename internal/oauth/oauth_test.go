package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
)

func TestEncoded(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "alice@example.com": "alice@example.com", "älice": "%C3%A4lice", "a b": "a%20b", "100%": "100%25",
		"a\r\nSet-Cookie: x": "a%0D%0ASet-Cookie:%20x", `a,b;"c"\`: "a%2Cb%3B%22c%22%5C", "\x7f": "%7F",
	} {
		if got := encoded(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// Whatever a person is called, the header is one line of ASCII that gives the name back.
func FuzzEncoded(f *testing.F) {
	f.Add("älice\r\n%0A")
	f.Fuzz(func(t *testing.T, text string) {
		got := encoded(text)
		for i := range len(got) {
			if got[i] <= ' ' || got[i] > '~' || strings.IndexByte(`",;\`, got[i]) >= 0 {
				t.Fatalf("%q became %q", text, got)
			}
		}
		if back, err := url.PathUnescape(got); err != nil || back != text {
			t.Fatalf("%q became %q and then %q (%v)", text, got, back, err)
		}
	})
}

func TestDemands(t *testing.T) {
	for _, c := range []struct {
		target string
		header http.Header
		scopes tenure.Scopes
		models string
		wrong  bool
	}{
		{target: "/auth/check"},
		{target: "/auth/check?scope=chat", scopes: tenure.ScopeChat},
		{target: "/auth/check?scope=chat+messages&scope=models", scopes: tenure.ScopeChat | tenure.ScopeMessages | tenure.ScopeModels},
		{target: "/auth/check?model=openai/gpt-4o&model=o3", models: "openai/gpt-4o o3"},
		{target: "/auth/check?scope=chat", header: http.Header{headerScope: {"models"}, headerModel: {"o3"}}, scopes: tenure.ScopeChat | tenure.ScopeModels, models: "o3"},
		{target: "/auth/check/?scope=chat&utm=x", scopes: tenure.ScopeChat},
		{target: "/auth/check/v1/x?scope=openid&q=%zz"},
		{target: "/auth/check/v1/x", header: http.Header{headerScope: {"chat"}}, scopes: tenure.ScopeChat},
		{target: "/auth/check?scope=", wrong: true},
		{target: "/auth/check?scope=chat/v1/x", wrong: true},
		{target: "/auth/check?scopes=chat", wrong: true},
		{target: "/auth/check?model=", wrong: true},
		{target: "/auth/check?scope=%zz", wrong: true},
		{target: "/auth/check/v1/x", header: http.Header{headerScope: {""}}, wrong: true},
	} {
		r := httptest.NewRequest(http.MethodGet, c.target, nil)
		r.Header = c.header
		scopes, models, err := demands(r)
		if (err != nil) != c.wrong || scopes != c.scopes || strings.Join(models, " ") != c.models {
			t.Errorf("%s %v: %q, %q, %v", c.target, c.header, scopes, models, err)
		}
	}
}

// RFC 6749 §5.2: neither quotes nor backslashes nor anything beyond ASCII; and no token.
func TestDescribed(t *testing.T) {
	token := tenure.NewToken(tenure.KindPAT).Reveal()
	got := described("say \"x\" … \\ é\n" + token)
	if got != "say 'x' . ? ??"+token[:tenure.TokenPrefixLength]+"." {
		t.Errorf("%q", got)
	}
}

func TestForm(t *testing.T) {
	const kind = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		target, kind, body string
		ok                 bool
	}{
		{"/", kind, "token=x", true},
		{"/", kind + "; charset=utf-8", "token=x&token_type_hint=access_token&other=1", true},
		{"/?a=b", kind, "token=x", false},
		{"/", "", "token=x", false},
		{"/", "application/json", `{"token":"x"}`, false},
		{"/", "multipart/form-data; boundary=x", "token=x", false},
		{"/", kind, "token=", false},
		{"/", kind, "token=x&token=x", false},
		{"/", kind, "token=x&other=1&other=2", false},
		{"/", kind, "token=%zz", false},
		{"/", kind, "token=" + strings.Repeat("x", maxForm), false},
	} {
		r := httptest.NewRequest(http.MethodPost, c.target, strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		f, err := form(httptest.NewRecorder(), r)
		if (err == nil) != c.ok || c.ok && f.Get("token") != "x" {
			t.Errorf("%+.60v: %v, %v", c, f, err)
		}
	}
}

func newKey(t *testing.T, curve elliptic.Curve, id string) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	block := &pem.Block{Type: "PUBLIC KEY", Bytes: der}
	if id != "" {
		block.Headers = map[string]string{identifierHeader: id}
	}
	return key, pem.EncodeToMemory(block)
}

func TestKeys(t *testing.T) {
	named, namedPEM := newKey(t, elliptic.P256(), "one")
	plain, plainPEM := newKey(t, elliptic.P256(), "")
	stranger, _ := newKey(t, elliptic.P256(), "")
	keys, err := ParseKeys(append(append([]byte("a comment\n"), namedPEM...), plainPEM...))
	if err != nil || len(keys) != 2 {
		t.Fatal(len(keys), err)
	}
	body := []byte(`[{"token":"x"}]`)
	sign := func(k *ecdsa.PrivateKey) string {
		sum := sha256.Sum256(body)
		der, err := ecdsa.SignASN1(rand.Reader, k, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(der)
	}
	for name, c := range map[string]struct {
		id, signature string
		body          []byte
		ok            bool
	}{
		"by its identifier":             {"one", sign(named), body, true},
		"by another identifier":         {"two", sign(named), body, false},
		"a key without an identifier":   {"two", sign(plain), body, true},
		"no identifier":                 {"", sign(plain), body, false},
		"a stranger's":                  {"one", sign(stranger), body, false},
		"another body":                  {"one", sign(named), append(body, ' '), false},
		"no base64":                     {"one", "???", body, false},
		"base64 of no signature at all": {"one", "AAAA", body, false},
		"empty":                         {"one", "", body, false},
	} {
		if got := keys.Verify(c.id, c.signature, c.body); got != c.ok {
			t.Errorf("%s: %t", name, got)
		}
	}
	if Keys(nil).Verify("one", sign(named), body) {
		t.Error("no keys verify")
	}
	_, other := newKey(t, elliptic.P384(), "")
	for name, text := range map[string][]byte{"nothing": nil, "another curve": other, "no key": []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")} {
		if _, err := ParseKeys(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParseLeaks(t *testing.T) {
	for body, want := range map[string]int{
		`[]`: 0, `[{"token":"x","type":"t","url":"","source":"npm"},{"token":"y","later":{}}]`: 2,
		`{}`: -1, `null`: -1, ``: -1, `[1]`: -1, `[{"token":1}]`: -1, `[]x`: -1,
		"[" + strings.Repeat(`{},`, maxLeaks-1) + `{}]`: maxLeaks, "[" + strings.Repeat(`{},`, maxLeaks) + `{}]`: -1,
	} {
		found, err := parseLeaks([]byte(body))
		if (err != nil) != (want < 0) || err == nil && len(found) != want {
			t.Errorf("%.40s: %d, %v", body, len(found), err)
		}
	}
}
