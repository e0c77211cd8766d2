package signin

import (
	"crypto/aes"
	"crypto/cipher"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

func sealing(t *testing.T) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// The longest path to return to fits into a cookie, and what does not is refused.
func TestAnAttemptFitsIntoItsCookie(t *testing.T) {
	with, now := sealing(t), time.Now()
	c := tenure.OIDCConnection{ID: "id", Name: strings.Repeat("n", 63)}
	a := attempt{ReturnTo: "/" + strings.Repeat("&", maxReturn-1)}
	a.fresh(c, "https://tenure.example.com/oidc/"+c.Name+"/callback", now)
	text, err := a.seal(with)
	if err != nil || len(text) > maxSealed {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if got, err := openAttempt(with, text, now); err != nil || got.ReturnTo != a.ReturnTo || got.ID != "id" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := openAttempt(with, text, now.Add(attemptLife)); err == nil {
		t.Error("an attempt of ten minutes ago is opened")
	}
	if _, err := openAttempt(with, text[:len(text)-2]+"AA", now); err == nil {
		t.Error("a changed attempt is opened")
	}
	a.Redirect = "https://" + strings.Repeat("h", 4000)
	if _, err := a.seal(with); err == nil {
		t.Error("an attempt that no browser keeps was sealed")
	}
}

func TestEachAttemptHasItsCookie(t *testing.T) {
	one, two := attempt{}, attempt{}
	one.fresh(tenure.OIDCConnection{}, "", time.Now())
	two.fresh(tenure.OIDCConnection{}, "", time.Now())
	if a, b := attemptCookie("s", one.State), attemptCookie("s", two.State); a == b || !strings.HasPrefix(a, attemptsOf("s")) {
		t.Errorf("%q and %q", a, b)
	}
	for _, state := range []string{"", "short", "0123456789abcde;", "0123456789abcde=", strings.Repeat("é", 20)} {
		if name := attemptCookie("s", state); name != "" {
			t.Errorf("%q: %q", state, name)
		}
	}
}

func TestWhenThePersonWasSeen(t *testing.T) {
	now := time.Unix(2_300_000_000, 0)
	for name, c := range map[string]struct {
		again bool
		at    time.Time
		want  time.Time
		ok    bool
	}{
		"not told":              {want: time.Unix(0, 0), ok: true},
		"not told, asked anew":  {again: true},
		"an hour ago":           {at: now.Add(-time.Hour), want: now.Add(-time.Hour), ok: true},
		"an hour ago, not anew": {again: true, at: now.Add(-time.Hour)},
		"just now, anew":        {again: true, at: now, want: now, ok: true},
		"longer than a session": {at: now.Add(-13 * time.Hour)},
		"a clock that is ahead": {at: now.Add(30 * time.Second), want: now, ok: true},
	} {
		a := attempt{Again: c.again, Ends: now.Add(attemptLife)}
		if got, err := a.authenticated(c.at, now, 12*time.Hour); (err == nil) != c.ok || c.ok && !got.Equal(c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestALongSessionNameIsItsDigest(t *testing.T) {
	a, b := strings.Repeat("a", 300), strings.Repeat("a", 299)+"b"
	if sessionName("s") != "s" || sessionName(a) == sessionName(b) || len(sessionName(a)) > 255 || sessionName(a) == "" {
		t.Errorf("%q, %q", sessionName(a), sessionName(b))
	}
}
