package tenure

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxNetworks is how many networks a credential may be bound to.
const MaxNetworks = 100

// ParseNetworks reads the networks that a credential is bound to: CIDRs or single
// addresses. No networks is no bond. Invalid: one of them is no network.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	if len(texts) > MaxNetworks {
		return nil, InvalidField("cidrs", "at most %d networks", MaxNetworks)
	}
	out := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, ok := parseNetwork(strings.TrimSpace(text))
		if !ok {
			return nil, InvalidField("cidrs", "%q is no network; write for example 203.0.113.0/24 or 2001:db8::/32", Shown(text))
		}
		out = append(out, p)
	}
	return out, nil
}

func parseNetwork(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil && !p.Addr().Is4In6()
}

// NetworkNames lists networks as text.
func NetworkNames(networks []netip.Prefix) []string {
	out := make([]string, len(networks))
	for i, n := range networks {
		out[i] = n.String()
	}
	return out
}

// CheckName answers Invalid when a name that people give to a thing is empty,
// longer than most bytes, has what does not print, a wildcard, or a token in it.
// example is one that would do.
func CheckName(name string, most int, example string) error {
	if strings.TrimSpace(name) == "" || len(name) > most || !utf8.ValidString(name) {
		return InvalidField("name", "a name of 1 to %d bytes is needed, for example %q", most, example)
	}
	if strings.TrimSpace(name) != name {
		return InvalidField("name", "the name has spaces around it")
	}
	if MentionsToken(name) {
		return InvalidField("name", "the name has a token in it; a name is shown and logged")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return InvalidField("name", "the name has a character that does not print (%U)", r)
		}
		if r == '*' {
			return InvalidField("name", "the name has a wildcard in it; a * means any name where names are chosen")
		}
	}
	return nil
}

// CheckText answers Invalid when what is told about a thing is longer than
// MaxText bytes, is no text of lines, or has a token in it.
func CheckText(field, text string) error {
	bad := len(text) > MaxText || !utf8.ValidString(text) || MentionsToken(text)
	for _, r := range text {
		bad = bad || !unicode.IsPrint(r) && r != '\n'
	}
	if bad {
		return InvalidField(field, "at most %d bytes of printable text, without a token in it", MaxText)
	}
	return nil
}
