package tenure

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// ErrSecret is what marshalling a Secret gives.
var ErrSecret = errors.New("tenure: a secret does not marshal")

// Secret is text that refuses to be printed, logged, compared with == or
// marshalled. It holds a pointer, so that == never compares what it holds.
// Reveal is the one way to its text, and easy to search for.
type Secret struct {
	_    [0]func() // not comparable
	text *string
}

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal gives the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s.text == nil || *s.text == "" }

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
