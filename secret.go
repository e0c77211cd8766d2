package tenure

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
)

const redacted = "[redacted]"

// ErrSecret is what marshalling a Secret gives.
var ErrSecret = errors.New("tenure: a secret does not marshal")

// Secret is text that refuses to be printed, logged, compared with == or
// marshalled. It holds a pointer, so that == never compares what it holds.
// Reveal is the one way to its text, and easy to search for.
type Secret struct {
	_    [0]func() // not comparable
	held *held
}

// held is what a secret points to.
type held struct {
	text  string
	forms atomic.Pointer[[][]byte]
}

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{held: &held{text: text}} }

// Reveal gives the text.
func (s Secret) Reveal() string {
	if s.held == nil {
		return ""
	}
	return s.held.text
}

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Forms are the ways in which the text may be written by others: as it is, in JSON, in a
// URL; none of the empty one. They are made once. The caller changes nothing in them.
func (s Secret) Forms() [][]byte {
	if s.IsZero() {
		return nil
	}
	if known := s.held.forms.Load(); known != nil {
		return *known
	}
	text := s.held.text
	out := [][]byte{[]byte(text)}
	if strings.IndexFunc(text, rewritten) >= 0 { // almost never
		quoted, _ := json.Marshal(text) // a string always marshals
		for _, form := range []string{string(quoted[1 : len(quoted)-1]), strings.ReplaceAll(text, "/", `\/`), url.QueryEscape(text)} {
			if form != text {
				out = append(out, []byte(form))
			}
		}
	}
	s.held.forms.Store(&out)
	return out
}

// rewritten reports a character that JSON or a URL may write otherwise.
func rewritten(c rune) bool {
	return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' && c != '.'
}

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// String refuses.
func (s Secret) String() string { return redacted }

// GoString refuses.
func (s Secret) GoString() string { return redacted }

// Format refuses for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue refuses.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText refuses; so encoding/json and encoding/xml do too.
func (s Secret) MarshalText() ([]byte, error) { return nil, ErrSecret }
