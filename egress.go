package tenure

import (
	"fmt"
	"strings"
)

// Egress is a set of kinds of addresses, beside those of the public internet, that
// may be connected to on behalf of a tenant.
type Egress uint8

// The kinds of addresses.
const (
	EgressPrivate  Egress = 1 << iota // RFC 1918, RFC 4193 and what else is not public
	EgressLoopback                    // this machine
	EgressAll      = EgressPrivate | EgressLoopback
)

// Words of a set of Egress.
const (
	egressPrivate  = "private"
	egressLoopback = "loopback"
)

// String gives the words of the set, with a space between them.
func (e Egress) String() string {
	var words []string
	if e&EgressPrivate != 0 {
		words = append(words, egressPrivate)
	}
	if e&EgressLoopback != 0 {
		words = append(words, egressLoopback)
	}
	return strings.Join(words, " ")
}

// parseEgress reads the words of a set.
func parseEgress(text string) (Egress, error) {
	var e Egress
	for word := range strings.FieldsSeq(text) {
		switch word {
		case egressPrivate:
			e |= EgressPrivate
		case egressLoopback:
			e |= EgressLoopback
		default:
			return 0, fmt.Errorf("expected %s, %s or both, with a space between, or nothing", egressPrivate, egressLoopback)
		}
	}
	return e, nil
}
