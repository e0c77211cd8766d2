package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// settings looks at what "tenure serve" would be started with.
func (d *Doctor) settings(context.Context) findings {
	const area = "settings"
	var f findings
	cfg, faults := d.Settings.CheckAll()
	d.cfg = cfg
	for _, err := range faults {
		name := area
		var e *tenure.Error
		if errors.As(err, &e) {
			name = e.Field
		}
		f.fail(area, name, err.Error(), "\"tenure serve\" does not start with it: correct it.")
	}
	if len(faults) == 0 {
		f.ok(area, "values", "every setting can be used")
	}
	if cfg == nil {
		return f
	}
	for _, name := range cfg.Unheeded {
		f.warn(area, name, "it is set, and this version does not heed it", "unset it.")
	}
	if cfg.Teams {
		d.teams(&f)
	}
	if cfg.TLSCert != "" && cfg.TLSKey != "" {
		if _, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey); err != nil {
			f.fail(area, "TENURE_TLS_CERT", err.Error(), "name a certificate chain and its private key, in PEM, that this user may read.")
		}
	}
	d.secrets(&f)
	d.modes(&f)
	return f
}

// teams looks at what only matters where people sign in.
func (d *Doctor) teams(f *findings) {
	const area = "settings"
	switch u := d.cfg.PublicURL; {
	case u == nil:
		f.warn(area, "TENURE_PUBLIC_URL", "it is not set: links, cookies and the check of cross-site writes go by what each request says", "set it to the URL that people use.")
	case u.Scheme == "https":
		f.ok(area, "TENURE_PUBLIC_URL", u.String())
	case tenure.OnThisMachine(u.String()):
		f.ok(area, "TENURE_PUBLIC_URL", u.String()+" (plain HTTP, on this machine only)")
	default:
		f.fail(area, "TENURE_PUBLIC_URL", u.String()+" is plain HTTP: tokens and sessions can be read on their way", "put TLS before it, or set TENURE_TLS_CERT and TENURE_TLS_KEY.")
	}
	if !d.cfg.APIToken.IsZero() {
		f.warn(area, "TENURE_API_TOKEN", "the root token is set by the environment, and does all that administration can", "once somebody else is super admin, unset it or run: tenure policy set root_token=off")
	}
	if d.cfg.IdentityHeader == "" || d.cfg.Assertion != nil {
		return
	}
	var wide []string
	for _, p := range d.cfg.Trusted {
		if tooWide(p) {
			wide = append(wide, p.String())
		}
	}
	f.either(len(wide) == 0, area, "TENURE_TRUSTED_PROXIES", map[bool]string{
		true:  "narrow: " + prefixes(d.cfg.Trusted),
		false: strings.Join(wide, ", ") + ": whoever has any of these addresses can be anybody",
	}[len(wide) == 0], "name the proxies alone, for example 10.0.3.7/32.")
}

// tooWide reports whether a network holds more than a few proxies. All of the
// loopback is one machine.
func tooWide(p netip.Prefix) bool {
	if p.Addr().IsLoopback() {
		return false
	}
	return p.Addr().Is4() && p.Bits() < 24 || !p.Addr().Is4() && p.Bits() < 64
}

func prefixes(list []netip.Prefix) string {
	text := make([]string, 0, len(list))
	for _, p := range list {
		text = append(text, p.String())
	}
	return strings.Join(text, ", ")
}

// modes looks at who else on this machine may read what is kept.
func (d *Doctor) modes(f *findings) {
	const area = "settings"
	info, err := os.Stat(d.cfg.Home)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.skip(area, "TENURE_HOME", d.cfg.Home+" is not there yet: the first start makes it")
	case err != nil:
		f.fail(area, "TENURE_HOME", err.Error(), "let the user that serves read it.")
	case !info.IsDir():
		f.fail(area, "TENURE_HOME", d.cfg.Home+" is no directory", "name a directory.")
	default:
		mode := info.Mode().Perm()
		f.either(mode&0o077 == 0, area, "TENURE_HOME", fmt.Sprintf("%s, mode %#o", d.cfg.Home, mode), "others can look into it: chmod 700 "+d.cfg.Home)
	}
}
