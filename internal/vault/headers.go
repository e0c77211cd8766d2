package vault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/leaks"
)

// The bounds of a provider's headers.
const (
	maxHeaders     = 16
	maxHeaderName  = 64   // bytes
	maxHeaderValue = 1024 // bytes
)

// Header is a header of a provider as requests get it. Many share its value: nobody
// changes it.
type Header struct {
	Name  string // canonical
	Value []string
}

// Put has a request carry headers, in the place of what it has under their names.
func Put(to http.Header, headers []Header) {
	for _, h := range headers {
		to[h.Name] = h.Value
	}
}

// Sends prepares the headers that go to a provider with every request, once for many
// requests. What is stored and must not be sent, because it was written by hand or
// because a proxy asserts people by that name today, is left out, and told.
func (o Outside) Sends(p tenure.Provider) (headers []Header, wrong []error) {
	if len(p.Headers) > maxHeaders {
		return nil, []error{fmt.Errorf("it has %d headers; at most %d", len(p.Headers), maxHeaders)}
	}
	for _, h := range p.Headers {
		if err := o.judgeHeader(h); err != nil {
			wrong = append(wrong, err)
			continue
		}
		headers = append(headers, Header{textproto.CanonicalMIMEHeaderKey(h.Name), []string{h.Value}})
	}
	return headers, wrong
}

// Unsent tells of what is stored of headers and is not sent, in every tenant.
func (v *Vault) Unsent(ctx context.Context, tell func(tenure.Provider, error)) error {
	rows, err := v.DB.ProvidersWithHeaders(ctx)
	for _, p := range rows {
		if _, wrong := v.Sends(p); len(wrong) > 0 {
			tell(p, errors.Join(wrong...))
		}
	}
	return err
}

// headers checks those that a provider is to get, and gives them in their order.
func (o Outside) headers(byName map[string]string) ([]tenure.ProviderHeader, error) {
	if len(byName) > maxHeaders {
		return nil, tenure.InvalidField("headers", "a provider gets at most %d headers of its own", maxHeaders)
	}
	var out []tenure.ProviderHeader
	var finder leaks.Finder
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		h := tenure.ProviderHeader{Name: textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), Value: strings.TrimSpace(byName[name])}
		if err := o.judgeHeader(h); err != nil {
			return nil, err
		}
		secret := tenure.MentionsToken(h.Value)
		err := finder.Find(strings.NewReader(h.Name+": "+h.Value), func(leaks.Hit) { secret = true })
		if err != nil {
			return nil, err
		}
		if secret {
			return nil, errHeader(h.Name, "this value is a key or a token, and a header is stored and shown as it is: the provider's key belongs in the vault (rotate the key)")
		}
		if slices.ContainsFunc(out, func(other tenure.ProviderHeader) bool { return folded(other.Name) == folded(h.Name) }) {
			return nil, errHeader(h.Name, "it is there twice")
		}
		out = append(out, h)
	}
	return out, nil
}

func errHeader(name, why string) error {
	return tenure.InvalidField("headers", "the header %q: %s", tenure.Shown(name), why)
}

// judgeHeader refuses a header that no provider may get.
func (o Outside) judgeHeader(h tenure.ProviderHeader) error {
	name := folded(h.Name)
	switch {
	case h.Name == "" || strings.IndexFunc(h.Name, notInToken) >= 0:
		return errHeader(h.Name, "a name has letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 5.6.2)")
	case len(h.Name) > maxHeaderName:
		return errHeader(h.Name, fmt.Sprintf("a name has at most %d bytes", maxHeaderName))
	case h.Value == "" || strings.IndexFunc(h.Value, notPrintable) >= 0:
		return errHeader(h.Name, "a value is printable ASCII, and not empty")
	case len(h.Value) > maxHeaderValue:
		return errHeader(h.Name, fmt.Sprintf("a value has at most %d bytes", maxHeaderValue))
	case slices.ContainsFunc(o.Asserted, func(asserted string) bool { return asserted != "" && folded(asserted) == name }):
		return errHeader(h.Name, "by this name the proxy of this installation asserts who people are; no provider gets it")
	case is(name, identityHeaders):
		return errHeader(h.Name, "proxies assert by it who people are, or where they come from; no provider gets it")
	case is(name, keyHeaders):
		return errHeader(h.Name, "keys belong in the vault, sealed: give the key itself (--key-file, --key-ref, or \"key\"), and it is sent as the provider expects it")
	case is(name, ownHeaders):
		return errHeader(h.Name, "it belongs to the request or to the connection, which Tenure makes itself")
	}
	return nil
}

// Names that no header of a provider has, folded; one that ends, or begins, with * stands
// for all that begin, or end, so.
var (
	// keyHeaders carry credentials.
	keyHeaders = []string{"authorization", "*-authorization", "api-key", "*-api-key", "apikey", "*-apikey", "cookie", "cookie2", "set-cookie", "*-token", "*-secret", "*-password", "*-key", "*-auth", "*-credential", "*-credentials"}
	// identityHeaders are those by which the usual proxies and platforms assert people
	// and addresses.
	identityHeaders = []string{
		"x-forwarded-*", "forwarded", "via", "x-real-ip", "true-client-ip", "x-auth-request-*", "remote-*", "x-remote-*", "x-user", "x-user-*", "x-webauth-*",
		"x-authenticated-*", "x-authentik-*", "x-authelia-*", "x-pomerium-*", "x-vouch-*", "x-goog-authenticated-user-*", "x-goog-iap-*", "x-amzn-oidc-*", "x-ms-client-principal*", "x-ms-token-*",
		"cf-access-*", "cf-connecting-*", "tailscale-user-*", "x-client-cert*", "x-ssl-*", "ssl-client-*", "tenure-*",
	}
	// ownHeaders belong to a connection, or say how a body is to be read.
	ownHeaders = []string{
		"host", "connection", "keep-alive", "proxy-*", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "content-*", "accept", "accept-encoding", "expect", "range",
		"idempotency-key", "date", "origin", "referer", "x-http-method-override", "x-http-method", "x-method-override",
	}
)

// is reports whether a folded name is one of a list.
func is(name string, list []string) bool {
	for _, one := range list {
		if one == name {
			return true
		}
		if begin, ok := strings.CutSuffix(one, "*"); ok && strings.HasPrefix(name, begin) {
			return true
		}
		if end, ok := strings.CutPrefix(one, "*"); ok && strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// folded is the name of a header as gateways that fold names compare it: "_" and "." are
// "-" for some, and case counts for none.
func folded(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '_' || c == '.':
			return '-'
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return c
	}, name)
}

// notInToken reports what no token has (RFC 9110 5.6.2).
func notInToken(c rune) bool {
	return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

func notPrintable(c rune) bool { return c < ' ' || c > '~' }
