package config

import (
	"cmp"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// reader keeps what is wrong, in the order in which it was found.
type reader struct{ faults []error }

func (r *reader) fail(name, what, example string) {
	r.faults = append(r.faults, Wrong(name, what, example))
}

// first is the first thing that is wrong, or nil.
func (r *reader) first() error {
	if len(r.faults) == 0 {
		return nil
	}
	return r.faults[0]
}

func (r *reader) mode(mode string, c *Checked) {
	if mode != "single" && mode != "teams" {
		r.fail("TENURE_MODE", fmt.Sprintf("%q is no mode; the modes are single and teams", mode), "teams")
	}
	c.Teams = mode == "teams"
}

func (r *reader) listen(s Serve, c *Checked) {
	_, port, err := net.SplitHostPort(s.Listen)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		r.fail("TENURE_LISTEN", fmt.Sprintf("%q is not host:port with a port up to 65535", s.Listen), "127.0.0.1:5757")
	}
	if (s.TLSCert == "") != (s.TLSKey == "") {
		r.fail("TENURE_TLS_CERT", "it goes together with TENURE_TLS_KEY, and only one of them is set", "/etc/tenure/tls.crt")
	}
	if s.PublicURL == "" {
		return
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		r.fail("TENURE_PUBLIC_URL", "it must be http(s)://host without path or query", "https://tenure.example.com")
		return
	}
	c.PublicURL = &url.URL{Scheme: u.Scheme, Host: u.Host}
}

// identity fails closed: a header is believed only from peers that are named.
func (r *reader) identity(s Serve, c *Checked) {
	header := s.ProxyHeader
	c.HeaderIsSet = header != ""
	if header != "" && !c.Teams {
		r.fail("OIDC_PROXY_HEADER", "single mode has no people to assert; unset it, or set TENURE_MODE=teams", "")
	}
	if header == "" && c.Teams && s.OIDCIssuer == "" { // a mere TLS proxy in front of direct sign-in strips nothing
		header = "x-user-id"
	}
	c.IdentityHeader = r.header("OIDC_PROXY_HEADER", header, "x-user-id")
	if s.ProxyTenantHeader != "" && !c.Teams {
		r.fail("TENURE_PROXY_TENANT_HEADER", "single mode has one tenant; unset it, or set TENURE_MODE=teams", "")
	}
	c.TenantHeader = r.header("TENURE_PROXY_TENANT_HEADER", s.ProxyTenantHeader, "x-tenant-id")
	if c.TenantHeader != "" && c.TenantHeader == c.IdentityHeader {
		r.fail("TENURE_PROXY_TENANT_HEADER", fmt.Sprintf("%q is the header of the identity too (OIDC_PROXY_HEADER)", c.TenantHeader), "x-tenant-id")
	}
	list := s.TrustedProxies
	if strings.TrimSpace(list) == "" {
		list = "127.0.0.0/8,::1/128"
	}
	for item := range strings.SplitSeq(list, ",") {
		p, err := prefix(strings.TrimSpace(item))
		if err != nil {
			r.fail("TENURE_TRUSTED_PROXIES", err.Error(), "10.0.3.7/32,10.0.4.0/24")
			return
		}
		c.Trusted = append(c.Trusted, p)
	}
}

// header reads the name of a header that the proxy sets.
func (r *reader) header(setting, name, example string) string {
	for i := range len(name) {
		ch := name[i]
		if plain := ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9' || ch == '-'; !plain {
			r.fail(setting, fmt.Sprintf("%q is no plain header name of letters, digits and dashes", name), example)
			return ""
		}
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	switch name {
	case "Authorization", "X-Api-Key", "Cookie", "Host", "Connection", "Content-Type", "Content-Length", "X-Forwarded-For", "X-Forwarded-Proto":
		r.fail(setting, fmt.Sprintf("%q has a meaning of its own", name), example)
	case "Accept", "User-Agent", "Anthropic-Version", "Anthropic-Beta", "Openai-Beta", "X-Client-Request-Id": // the provider gets these as they come
		r.fail(setting, fmt.Sprintf("%q is passed on to model providers", name), example)
	}
	return name
}

func (r *reader) files(s Local, c *Checked) {
	file, isFile := strings.CutPrefix(s.DatabaseURL, "sqlite:")
	file = strings.TrimPrefix(file, "//")
	switch {
	case s.DatabaseURL == "":
		c.Database = filepath.Join(c.Home, "tenure.db")
	case strings.HasPrefix(s.DatabaseURL, "postgres://"), strings.HasPrefix(s.DatabaseURL, "postgresql://"):
		c.Postgres = tenure.NewSecret(s.DatabaseURL)
	case !isFile || file == "" || strings.ContainsAny(file, "?#"):
		r.fail("TENURE_DATABASE_URL", "it is neither sqlite:FILE nor postgres://…", "postgres://tenure:password@db.internal/tenure?sslmode=verify-full")
	default:
		c.Database = absolute(c.Home, file)
	}
	c.KeyURL = r.keyURL("TENURE_KEY_URL", cmp.Or(s.KeyURL, "file:master.key"), c.Home)
	for url := range strings.FieldsSeq(s.KeyURLPrevious) {
		c.KeyURLsPrevious = append(c.KeyURLsPrevious, r.keyURL("TENURE_KEY_URL_PREVIOUS", url, c.Home))
	}
}

// keyURL reads the URL of a key-encryption key, of a file as an absolute path.
func (r *reader) keyURL(setting, value, home string) string {
	scheme, rest, _ := strings.Cut(value, ":")
	switch scheme {
	case "hashivault", "awskms", "gcpkms", "azurekeyvault":
		if strings.TrimLeft(rest, "/") != "" {
			return value // what else may be wrong with it, its client knows
		}
	case "file":
		if file := strings.TrimPrefix(rest, "//"); file != "" {
			return "file:" + absolute(home, file)
		}
	}
	r.fail(setting, "it is none of file:FILE, hashivault://KEY, awskms://KEY, gcpkms://KEY and azurekeyvault://KEY", "file:/etc/tenure/master.key")
	return value
}

func absolute(home, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(home, file)
}

// minSecret is the least length of a token that the operator sets.
const minSecret = 24

func (r *reader) tokens(s Serve, c *Checked) {
	check := func(name, value string) tenure.Secret {
		if value != "" && (len(value) < minSecret || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })) {
			r.fail(name, fmt.Sprintf("it must have at least %d printable characters without spaces", minSecret), "$(openssl rand -hex 24)")
		}
		return tenure.NewSecret(value)
	}
	c.APIToken = check("TENURE_API_TOKEN", s.APIToken)
	if s.SCIMTokenPrevious != "" && s.SCIMToken == "" {
		r.fail("TENURE_SCIM_TOKEN_PREVIOUS", "it is set and TENURE_SCIM_TOKEN is not", "$(openssl rand -hex 24)")
	}
	for _, t := range [...][2]string{{"TENURE_SCIM_TOKEN", s.SCIMToken}, {"TENURE_SCIM_TOKEN_PREVIOUS", s.SCIMTokenPrevious}} {
		if t[1] == "" {
			continue
		}
		if t[1] == s.APIToken {
			r.fail(t[0], "it is the same as TENURE_API_TOKEN", "$(openssl rand -hex 24)")
		}
		c.SCIMTokens = append(c.SCIMTokens, check(t[0], t[1]))
	}
}
