package tenure

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sink reports whether notices can be posted to a URL.
func sink(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Contains(text, "#") {
		return false
	}
	if _, port, found := strings.Cut(strings.TrimPrefix(u.Host, "["+u.Hostname()+"]"), ":"); found {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

func span(what string, low, high time.Duration, at func(*Policy) *time.Duration) setting {
	return setting{
		what: what,
		get:  func(p *Policy) string { return FormatSpan(*at(p)) },
		set: func(p *Policy, v string) error {
			d, err := ParseLifetime(v)
			if err != nil {
				return err
			}
			if d < low || d > high {
				return fmt.Errorf("expected %s to %s", FormatSpan(low), FormatSpan(high))
			}
			*at(p) = d
			return nil
		},
	}
}

// spanOrNone is a span that may be 0, too.
func spanOrNone(what string, low, high time.Duration, at func(*Policy) *time.Duration) setting {
	s := span(what, 0, high, at)
	s.set = func(p *Policy, v string) error {
		d, err := ParseLifetime(v)
		if err == nil && d != 0 && (d < low || d > high) {
			err = fmt.Errorf("expected 0, or %s to %s", FormatSpan(low), FormatSpan(high))
		}
		if err == nil {
			*at(p) = d
		}
		return err
	}
	return s
}

func number(what string, low, high int, at func(*Policy) *int) setting {
	return setting{
		what: what,
		get:  func(p *Policy) string { return strconv.Itoa(*at(p)) },
		set: func(p *Policy, v string) error {
			n, err := strconv.Atoi(v)
			if err != nil || n < low || n > high {
				return fmt.Errorf("expected a number from %d to %d", low, high)
			}
			*at(p) = n
			return nil
		},
	}
}

// scopes is a set of at least so many scopes.
func scopes(what string, within Scopes, least int, at func(*Policy) *Scopes) setting {
	return setting{
		what: what, of: within.Names(), many: true,
		get: func(p *Policy) string { return at(p).String() },
		set: func(p *Policy, v string) error {
			set, err := ParseScopes(v)
			if err != nil {
				return err
			}
			if set&^within != 0 || len(set.Names()) < least {
				return fmt.Errorf("expected scopes of %s, with spaces between", within)
			}
			*at(p) = set
			return nil
		},
	}
}

func roles(what string, at func(*Policy) *[]Role) setting {
	return setting{
		what: what, of: []string{string(WorkspaceAdmin), string(Member), string(Viewer)}, many: true,
		get: func(p *Policy) string {
			var names []string
			for _, r := range *at(p) {
				names = append(names, string(r))
			}
			return strings.Join(names, " ")
		},
		set: func(p *Policy, v string) error {
			var set []Role
			for name := range strings.FieldsSeq(v) {
				r, err := ParseWorkspaceRole(name)
				if err != nil {
					return err
				}
				if !slices.Contains(set, r) {
					set = append(set, r)
				}
			}
			*at(p) = set
			return nil
		},
	}
}

// choice is a setting of two words, the first of which sets the flag.
func choice(what, yes, no string, at func(*Policy) *bool) setting {
	return setting{
		what: what, of: []string{yes, no},
		get: func(p *Policy) string {
			if *at(p) {
				return yes
			}
			return no
		},
		set: func(p *Policy, v string) error {
			if v != yes && v != no {
				return fmt.Errorf("expected %s or %s", yes, no)
			}
			*at(p) = v == yes
			return nil
		},
	}
}
