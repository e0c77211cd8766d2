package tenure

import (
	"fmt"
	"slices"
	"strings"
)

// Of whom the policy mfa asks a sign-in with a second factor.
const (
	MFAOff   = "off"   // of nobody
	MFAAdmin = "admin" // of whoever administers
	MFAAll   = "all"   // of everybody
)

// DefaultMFAValues is the word by which a provider says that somebody showed several
// factors (RFC 8176 §2). The other words of that list each name one.
const DefaultMFAValues = "mfa"

// maxMFAValues is how many words may count.
const maxMFAValues = 20

// Shows reports whether one of values, with spaces between, is among what the provider
// said of the sign-in: its acr, or one of its amr. What it did not say is not there.
func (how SignIn) Shows(values string) bool {
	said := append(strings.Fields(how.AMR), how.ACR)
	for value := range strings.FieldsSeq(values) {
		if slices.Contains(said, value) {
			return true
		}
	}
	return false
}

// SecondFactor is what a tenant's policy asks of people who sign in. The zero value asks
// for nothing.
type SecondFactor struct {
	Of     string // of whom: MFAOff, MFAAdmin or MFAAll
	Values string // what shows one, with spaces between
	Has    bool   // the sign-in showed one, or an exception lets the person off
}

// StoredFactor reads the policies mfa and mfa_values as they are stored; "off" and "" are
// those of a tenant that has set none. What a hand wrote and nobody can read switches
// nothing off: of such a mfa it is asked of all, and such values are the default.
func StoredFactor(of, values string) SecondFactor {
	f := SecondFactor{Of: MFAAll, Values: DefaultMFAValues}
	if word, err := parseMFA(of); err == nil {
		f.Of = word
	}
	if words, err := parseMFAValues(values); err == nil {
		f.Values = words
	}
	return f
}

// Missing reports whether the policy asks for one, be it of who administers alone, and
// there is none.
func (f SecondFactor) Missing() bool { return (f.Of == MFAAdmin || f.Of == MFAAll) && !f.Has }

// ErrMFA answers Forbidden to somebody whose sign-in showed no second factor: what was
// told of it, and what would do.
func (s *Standing) ErrMFA() error {
	var said []string
	if s.AMR != "" {
		said = append(said, fmt.Sprintf("amr %q", s.AMR))
	}
	if s.ACR != "" {
		said = append(said, fmt.Sprintf("acr %q", s.ACR))
	}
	msg := fmt.Sprintf("this needs a sign-in with a second factor: the policy mfa_values wants %q in its amr or acr, and of yours ", s.Factor.Values)
	switch {
	case len(said) > 0:
		msg += "there was " + strings.Join(said, " and ")
	case s.Via == "oidc":
		msg += "the identity provider told neither"
	default:
		msg += "the proxy told neither: a signed assertion tells it, a plain header cannot"
	}
	return &Error{Kind: Forbidden, Code: "mfa_required", Msg: msg + "; sign in with a second factor, or ask an administrator for an exception (" + string(RuleMFAMissing) + ")"}
}

// parseMFA reads of whom a second factor is asked.
func parseMFA(text string) (string, error) {
	switch of := strings.TrimSpace(text); of {
	case MFAOff, MFAAdmin, MFAAll:
		return of, nil
	}
	return "", fmt.Errorf("expected off, admin or all")
}

// parseMFAValues reads the words that show a second factor.
func parseMFAValues(text string) (string, error) {
	words := strings.Fields(text)
	plain := func(r rune) bool { return r > ' ' && r <= '~' && r != '"' && r != '\\' }
	bad := func(word string) bool {
		return len(word) > 255 || strings.ContainsFunc(word, func(r rune) bool { return !plain(r) })
	}
	if len(words) == 0 || len(words) > maxMFAValues || slices.ContainsFunc(words, bad) {
		return "", fmt.Errorf("expected 1 to %d values of amr or acr with spaces between, such as mfa", maxMFAValues)
	}
	for _, word := range words {
		switch word {
		case "pwd", "pin", "kba":
			return "", fmt.Errorf("%s says that somebody knew something, which is one factor (RFC 8176 §2): expected what shows a second, such as mfa", word)
		}
	}
	return strings.Join(words, " "), nil
}
