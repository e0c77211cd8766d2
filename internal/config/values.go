package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// prefix reads a network; a bare address is a network of one.
func prefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("%q is no address and no network", text)
	case p.Addr().Is4In6() && p.Bits() >= 96:
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	// The widest private networks are 10.0.0.0/8 and fc00::/7.
	if widest := map[bool]int{true: 8, false: 7}[p.Addr().Is4()]; p.Bits() < widest || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q would believe an identity header from everybody, or nearly", text)
	}
	return p.Masked(), nil
}

func (r *reader) duration(name, text string, least, most time.Duration) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		r.fail(name, fmt.Sprintf("%q is no duration from %s to %s", text, least, most), max(least, min(most, 30*time.Second)).String())
	}
	return d
}

func (r *reader) size(name, text string, least, most int64) int64 {
	number, unit := strings.TrimRight(text, "BKMGi"), int64(1)
	switch strings.TrimPrefix(text, number) {
	case "", "B":
	case "KiB":
		unit = 1 << 10
	case "MiB":
		unit = 1 << 20
	case "GiB":
		unit = 1 << 30
	default:
		unit = 0
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || unit == 0 || n < 0 || n > most/unit || n*unit < least {
		r.fail(name, fmt.Sprintf("%q is no size from %d to %d bytes", text, least, most), "32MiB")
		return least
	}
	return n * unit
}

// count reads a number from 1 on; 0 is what is not set.
func (r *reader) count(name, text string, most int) int {
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		r.fail(name, fmt.Sprintf("%q is no number from 1 to %d", text, most), "5000")
		return 0
	}
	return n
}

func (r *reader) boolean(name, text string) bool {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		return true
	case "false", "0", "no", "":
	default:
		r.fail(name, fmt.Sprintf("%q is neither true nor false", text), "true")
	}
	return false
}

func (r *reader) seed(name, key, base, example string) Seed {
	if key == "" {
		return Seed{}
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		r.fail(name+"_API_KEY", "it must be printable characters without spaces", "sk-…")
	}
	if base != "" {
		u, err := url.Parse(base)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			r.fail(name+"_BASE_URL", "it must be http or https with a host, and without user, query or fragment", example)
		}
	}
	return Seed{Key: tenure.NewSecret(key), BaseURL: base}
}
