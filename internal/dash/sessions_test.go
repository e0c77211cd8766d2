package dash

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure/internal/web"
)

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)

func TestSessionsAreListedAndEnded(t *testing.T) {
	h := open(t, false)
	p := h.as("alice@example.com").with("User-Agent", firefox).get("/settings/sessions").must(http.StatusOK)
	p.one("section[aria-labelledby=sessions] tbody tr").says("Firefox on Linux ●this browser") // opened by this very visit
	here := h.as("alice@example.com").withSession(p)
	there := h.signIn("alice@example.com", iphone)
	bob := h.signIn("bob@example.com", firefox)

	rows := here.get("/settings/sessions").all("section[aria-labelledby=sessions] tbody tr")
	var path string
	for _, row := range rows {
		mine := strings.Contains(row.text(), "this browser")
		if phone := strings.Contains(row.text(), "Safari on iPhone"); phone == mine {
			t.Errorf("marked wrongly: %s", row.text())
		} else if phone {
			path = row.all("a")[0].attrs["href"]
		}
	}
	if len(rows) != 2 || path == "" {
		t.Fatalf("%d sessions", len(rows))
	}
	bob.get(path).must(http.StatusNotFound)
	bob.post(path).must(http.StatusNotFound)
	there.get("/settings").must(http.StatusOK)

	here.get(path).must(http.StatusOK).one("h1").says("End the session on Safari on iPhone?")
	here.post(path).must(http.StatusOK).one(".notice").says("Safari on iPhone: 1 session ended in ")
	there.get("/settings").must(http.StatusUnauthorized)
	here.get(path).must(http.StatusNotFound)
}

func TestEndingOnesOwnSessionSignsOut(t *testing.T) {
	h := open(t, false)
	v := h.signIn("alice@example.com", firefox)
	path := v.get("/settings/sessions").one("section[aria-labelledby=sessions] tbody a").attrs["href"]
	v.get(path).one(".ends").says("you will be signed out")
	signedOut(t, v, v.post(path).must(http.StatusOK))

	v = h.signIn("alice@example.com", firefox)
	signedOut(t, v, v.post("/logout").must(http.StatusOK))
}

func signedOut(t *testing.T, v visitor, p page) {
	t.Helper()
	p.one(".notice").says("You are signed out: 1 session ended in ")
	p.none("nav")
	if c := p.Cookies(); len(c) != 1 || c[0].Name != web.PlainCookie || c[0].MaxAge >= 0 {
		t.Errorf("the cookie stays: %v", c)
	}
	v.get("/settings").must(http.StatusUnauthorized)
}
