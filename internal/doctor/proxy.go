package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure/internal/federation"
)

// Bounds of looking through the proxy.
const (
	certificateWarn = 21 * 24 * time.Hour
	certificateFail = 3 * 24 * time.Hour
	requestLimit    = 3 * time.Second // one request
	answerLimit     = 64 << 10        // bytes of an answer that are read
)

// proxy looks at Tenure from where people are: through whatever stands before it.
func (d *Doctor) proxy(ctx context.Context) findings {
	const area = "proxy"
	var f findings
	at := d.URL
	if at == nil {
		at = d.cfg.PublicURL
	}
	if at == nil {
		f.skip(area, "reach", "no URL: set TENURE_PUBLIC_URL, or give --url https://tenure.example.com")
		return f
	}
	v := &visitor{at: strings.TrimSuffix(at.String(), "/"), header: d.Header, client: visitorClient()}
	defer v.client.CloseIdleConnections()
	for _, path := range []string{"/healthz", "/readyz"} {
		a, err := v.get(ctx, path, nil)
		switch {
		case err != nil:
			f.fail(area, path, fmt.Sprintf("%s%s: %s", v.at, path, err), "see that the server and its proxy run, and that the name and the certificate are right.")
			return f
		case a.status >= http.StatusInternalServerError:
			f.fail(area, path, fmt.Sprintf("%s%s answers %d: %s", v.at, path, a.status, first(a.body)), "see the log of the server, and that of its proxy.")
		case a.status != http.StatusOK:
			f.ok(area, path, fmt.Sprintf("%s%s answers %d: the proxy keeps it for the inside", v.at, path, a.status))
		default:
			f.ok(area, path, fmt.Sprintf("%s%s answers 200", v.at, path))
		}
		if path == "/healthz" && at.Scheme == "https" {
			d.tls(&f, a)
		}
	}
	d.forged(ctx, &f, v)
	return f
}

// first is the beginning of an answer that is told.
func first(body string) string {
	const most = 120
	line, _, _ := strings.Cut(strings.TrimSpace(body), "\n")
	return line[:min(len(line), most)]
}

// tls looks at the certificate, and at whether browsers are told to insist on one.
func (d *Doctor) tls(f *findings, a answer) {
	const area = "proxy"
	if a.tls != nil && len(a.tls.PeerCertificates) > 0 {
		left := time.Until(a.tls.PeerCertificates[0].NotAfter)
		found := fmt.Sprintf("the certificate ends in %d days", int(left.Hours()/24))
		const do = "renew it: when it has ended, nobody gets in."
		if left < certificateFail {
			f.fail(area, "certificate", found, do)
		} else {
			f.either(left >= certificateWarn, area, "certificate", found, do)
		}
	}
	hsts := a.header.Get("Strict-Transport-Security")
	f.either(hsts != "", area, "hsts", map[bool]string{true: hsts, false: "no Strict-Transport-Security"}[hsts != ""], "let the proxy send: Strict-Transport-Security: max-age=31536000")
}

// forged tries to be somebody by the proxy's own header. What it asserts is no name
// that anybody can have, so that Tenure refuses it instead of making a person of it:
// that refusal is what tells that the header came through.
func (d *Doctor) forged(ctx context.Context, f *findings, v *visitor) {
	const area, check = "proxy", "forged header"
	header := d.cfg.IdentityHeader
	if header == "" {
		f.skip(area, check, "no header is believed")
		return
	}
	name := "doctor-forged-" + strings.ToLower(rand.Text()[:8]) + ";"
	var through, reached []string
	asked := 0
	for _, path := range []string{"/api/v1/me", "/v1/models", "/settings"} {
		plain, err := v.get(ctx, path, nil)
		if err != nil {
			f.fail(area, check, path+": "+err.Error(), "see that the proxy lets "+path+" through.")
			return
		}
		if plain.ours() {
			reached = append(reached, path)
		}
		for _, way := range spellings(header, name) {
			a, err := v.get(ctx, path, way.header)
			if err != nil {
				continue // a proxy may well refuse to speak about such a header
			}
			if asked++; a.believes(name) {
				through = append(through, path+" "+way.name)
			}
		}
	}
	switch {
	case asked == 0:
		f.fail(area, check, "no such request was answered", "see the proxy's log.")
	case len(through) > 0 && d.cfg.Assertion != nil:
		f.warn(area, check, fmt.Sprintf("%s of a client reaches Tenure: %s", header, some(through)), "what it says must be signed, so nobody becomes anybody; still let the proxy drop what clients send under that name.")
	case len(through) > 0 && d.disbelieved(ctx):
		f.warn(area, check, fmt.Sprintf("%s of a client reaches Tenure: %s", header, some(through)), "it is not believed, because people sign in by OpenID Connect; let the proxy drop it all the same.")
	case len(through) > 0 && !slices.ContainsFunc(through, func(way string) bool { return !strings.HasSuffix(way, underscored) }):
		f.warn(area, check, fmt.Sprintf("%s of a client reaches Tenure %s, and is refused: whoever sends it beside the proxy's own locks themselves out, and nobody else", header, underscored), "let the proxy drop it; nginx does with: underscores_in_headers off")
	case len(through) > 0:
		f.fail(area, check, fmt.Sprintf("anybody can be anybody: %s of a client reaches Tenure: %s", header, some(through)),
			"let the proxy drop what clients send under that name, in every spelling, before it sets its own: docs/guides/proxy.md. "+
				"(If the URL is that of Tenure and not of the proxy, this machine is one of TENURE_TRUSTED_PROXIES: give the proxy's.)")
	case len(reached) == 0:
		f.warn(area, check, "the proxy answers itself, and no request reached Tenure", "look once more as somebody who is signed in: --header 'Cookie: …', as the browser sends it.")
	default:
		f.ok(area, check, fmt.Sprintf("%s of a client is dropped in every spelling (%s)", header, strings.Join(reached, ", ")))
	}
}

// disbelieved reports whether the header counts for nothing, because it is only the
// default and people sign in by a connection.
func (d *Doctor) disbelieved(ctx context.Context) bool {
	if d.cfg.HeaderIsSet || d.db == nil {
		return false
	}
	used, err := (&federation.Connections{DB: d.db}).Used(ctx)
	return err == nil && used
}

// underscored is a spelling that some proxies take for another header, and programs
// behind them for the same.
const underscored = "with underscores"

// spelling is a way to send a header that a proxy might overlook.
type spelling struct {
	name   string
	header http.Header
}

func spellings(header, value string) []spelling {
	one := []string{value}
	return []spelling{
		{"as it is", http.Header{header: one}},
		{"in lower case", http.Header{strings.ToLower(header): one}},
		{"in upper case", http.Header{strings.ToUpper(header): one}},
		{underscored, http.Header{strings.ReplaceAll(header, "-", "_"): one}},
		{"twice", http.Header{header: {value, value}}},
		{"nominated by Connection", http.Header{header: one, "Connection": {header}}},
	}
}

// visitor asks as a client of the proxy does.
type visitor struct {
	at     string
	header http.Header
	client *http.Client
}

func visitorClient() *http.Client {
	return &http.Client{
		Timeout: requestLimit,
		// HTTP/1.1, where a header has a spelling. No proxy on the way out: it would tidy up.
		Transport:     &http.Transport{TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	tls    *tls.ConnectionState
	body   string
}

func (v *visitor) get(ctx context.Context, path string, more http.Header) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.at+path, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	for name, values := range v.header {
		req.Header[name] = values
	}
	for name, values := range more {
		req.Header[name] = append(slices.Clone(req.Header[name]), values...)
	}
	res, err := v.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the whole URL once more
		}
		return answer{}, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit))
	_ = res.Body.Close()
	return answer{res.StatusCode, res.Header, res.TLS, string(body)}, err
}

// believes reports whether the answer shows that Tenure has read the name: it says
// it, or refuses it as something that no proxy asserts.
func (a answer) believes(name string) bool {
	if strings.Contains(a.body, strings.TrimSuffix(name, ";")) || strings.Contains(a.body, "the proxy asserted an identity") { // a page
		return true
	}
	switch a.code() {
	case "ambiguous_identity", "missing_tenant", "foreign_host", "not_provisioned":
		return true
	}
	return false
}

// ours reports whether Tenure's API said it, and not a proxy.
func (a answer) ours() bool {
	return a.code() != "" || a.status == http.StatusOK && json.Valid([]byte(a.body))
}

// code is that of an error, in the shape of the API or of the model routes.
func (a answer) code() string {
	var problem struct {
		Code  string `json:"code"`
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal([]byte(a.body), &problem) // a page has no code
	return cmp.Or(problem.Code, problem.Error.Code)
}
