package web_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

var carriers = &web.Carriers{IdentityHeader: "X-User-Id", Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func request(peer, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr, r.Host = peer, "localhost:5757"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	return r
}

func TestTokens(t *testing.T) {
	const a, b = "tpat_a", "tpat_b"
	for name, c := range map[string]struct {
		headers []string
		want    string
		code    string
	}{
		"none":                     {nil, "", ""},
		"bearer":                   {[]string{"Authorization", "Bearer " + a}, a, ""},
		"bearer in another case":   {[]string{"Authorization", "bEARER  " + a}, a, ""},
		"without a scheme":         {[]string{"Authorization", a}, a, ""},
		"x-api-key":                {[]string{"X-Api-Key", a}, a, ""},
		"the same twice":           {[]string{"Authorization", "Bearer " + a, "X-Api-Key", a}, a, ""},
		"two different":            {[]string{"Authorization", "Bearer " + a, "X-Api-Key", b}, "", "two_credentials"},
		"two Authorizations":       {[]string{"Authorization", "Bearer " + a, "Authorization", "Bearer " + b}, "", "two_credentials"},
		"two keys":                 {[]string{"X-Api-Key", a, "X-Api-Key", b}, "", "two_credentials"},
		"another scheme is no PAT": {[]string{"Authorization", "Basic " + a}, "", ""},
		"empty beside one":         {[]string{"Authorization", "Bearer " + a, "X-Api-Key", ""}, a, ""},
	} {
		p, err := carriers.Extract(request("192.0.2.1:1", "/", c.headers...))
		if c.code == "" && (err != nil || p.Token != c.want) || c.code != "" && tenure.AsError(err).Code != c.code {
			t.Errorf("%s: %q, %v", name, p.Token, err)
		}
	}
	for _, q := range []string{"?key=" + tenure.NewToken(tenure.KindPAT).Reveal(), "?access_token=x", "?Access_Token=x", "?x=%74pat_abc", "?tpat_abc", "?a;b=tsvc_x", "?a=b&c=xxtroot_yy"} {
		if _, err := carriers.Extract(request("192.0.2.1:1", "/"+q)); tenure.AsError(err).Code != "token_in_query" {
			t.Errorf("%s: %v", q, err)
		}
	}
	if _, err := carriers.Extract(request("192.0.2.1:1", "/?beta=true&api-version=1")); err != nil {
		t.Error(err)
	}
}

func TestIdentityFromATrustedPeer(t *testing.T) {
	for name, c := range map[string]struct {
		headers []string
		want    string
		ok      bool
	}{
		"plain":               {[]string{"X-User-Id", "Alice@example.com"}, "Alice@example.com", true},
		"absent":              {nil, "", true},
		"empty":               {[]string{"X-User-Id", ""}, "", true},
		"doubled":             {[]string{"X-User-Id", "alice", "X-User-Id", "admin"}, "", false},
		"doubled, the same":   {[]string{"X-User-Id", "alice", "X-User-Id", "alice"}, "", false},
		"comma":               {[]string{"X-User-Id", "alice, admin"}, "", false},
		"underscore alias":    {[]string{"X_user_id", "admin"}, "", false},
		"dot alias beside it": {[]string{"X-User-Id", "alice", "X.user.id", "admin"}, "", false},
		"nominated":           {[]string{"X-User-Id", "alice", "Connection", "close, x-user-id"}, "", false},
		"nominated by alias":  {[]string{"X-User-Id", "alice", "Connection", "X_User_Id"}, "", false},
		"not ASCII":           {[]string{"X-User-Id", "ali\u00e7e"}, "", false},
		"dotless i":           {[]string{"X-User-Id", "admın"}, "", false},
		"a tab":               {[]string{"X-User-Id", "alice\tadmin"}, "", false},
		"obs-fold":            {[]string{"X-User-Id", "alice admin"}, "", false},
		"too long":            {[]string{"X-User-Id", strings.Repeat("a", 256)}, "", false},
		"as long as may be":   {[]string{"X-User-Id", strings.Repeat("a", 255)}, strings.Repeat("a", 255), true},
	} {
		for _, peer := range []string{"10.1.2.3:4", "[::ffff:10.1.2.3]:4", "[::1]:4"} {
			p, err := carriers.Extract(request(peer, "/", c.headers...))
			if (err == nil) != c.ok || p.Identity != c.want || p.Forged {
				t.Errorf("%s from %s: %q, forged %t, %v", name, peer, p.Identity, p.Forged, err)
			}
			if !c.ok && tenure.AsError(err).Code != "ambiguous_identity" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// A name that points to this machine from outside is not the operator's.
func TestForeignHost(t *testing.T) {
	with := *carriers
	with.Public = &url.URL{Scheme: "http", Host: "tenure.example.com"}
	for _, c := range []struct {
		carriers   *web.Carriers
		peer, host string
		ok         bool
	}{
		{carriers, "[::1]:4", "evil.example", false},
		{carriers, "[::1]:4", "127.0.0.1:5757", true},
		{&with, "[::1]:4", "evil.example", false},
		{&with, "[::1]:4", "tenure.example.com", true},
		{carriers, "10.0.0.1:4", "tenure.example.com", true}, // a proxy that was named
	} {
		r := request(c.peer, "/", "X-User-Id", "alice")
		r.Host = c.host
		if p, err := c.carriers.Extract(r); (err == nil) != c.ok || (p.Identity == "alice") != c.ok {
			t.Errorf("%s from %s: %+v, %v", c.host, c.peer, p, err)
		}
	}
}

func TestIdentityFromAnybodyElseIsDropped(t *testing.T) {
	for _, name := range []string{"X-User-Id", "X_user_id", "X.user.id", "x-user-id", "X-User_id"} {
		r := request("192.0.2.1:4", "/", name, "admin", "X-Forwarded-For", "10.0.0.1")
		p, err := carriers.Extract(r)
		if err != nil || p.Identity != "" || !p.Forged {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if len(r.Header[name]) != 0 {
			t.Errorf("%s is still on the request", name)
		}
	}
	if p, _ := carriers.Extract(request("unix", "/", "X-User-Id", "admin")); p.Identity != "" {
		t.Error("a peer without an address is trusted")
	}
}

func TestAddress(t *testing.T) {
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:4", "", "192.0.2.1"},
		{"192.0.2.1:4", "8.8.8.8", "192.0.2.1"}, // from somebody who is not trusted
		{"10.0.0.1:4", "8.8.8.8", "8.8.8.8"},
		{"10.0.0.1:4", "1.1.1.1, 8.8.8.8, 10.0.0.2", "8.8.8.8"}, // the first is what the client says
		{"10.0.0.1:4", "nonsense", "10.0.0.1"},
	} {
		r := request(c.peer, "/")
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := carriers.Address(r); got != c.want {
			t.Errorf("%s, %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

// The plain cookie counts on this machine only, the __Host- one over TLS only:
// a neighbour can plant neither.
func TestSessionCookies(t *testing.T) {
	for _, c := range []struct {
		host, cookies, want string
		tls                 bool
	}{
		{"localhost:5757", "tenure=a", "a", false},
		{"localhost:5757", "__Host-tenure=a", "", false},
		{"tenure.example.com", "tenure=a", "", false},
		{"tenure.example.com", "__Host-tenure=a", "a", true},
		{"tenure.example.com", "tenure=b; __Host-tenure=a", "a", true},
		{"tenure.example.com", "tenure=b", "", true},
	} {
		r := request("192.0.2.1:4", "/", "Cookie", c.cookies)
		r.Host = c.host
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		if p, err := carriers.Extract(r); err != nil || p.Cookie != c.want {
			t.Errorf("%+v: %q, %v", c, p.Cookie, err)
		}
	}
	for cookies, want := range map[string]string{"tenure=b": "b", "tenure=a; tenure=b": "", "other=x": "", "tenure=a; tenure=a": "a"} {
		p, err := carriers.Extract(request("192.0.2.1:4", "/", "Cookie", cookies))
		if err != nil || p.Cookie != want {
			t.Errorf("%s: %q, %v", cookies, p.Cookie, err)
		}
	}
}
