package signin

import (
	"fmt"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// distrust is the answer to what a provider, or somebody in its name, said and
// that does not hold. What it was is in the log.
func distrust(err error) error {
	if tenure.IsKind(err, tenure.Unavailable) || tenure.IsKind(err, tenure.Internal) {
		return err // nobody's word was doubted
	}
	return &tenure.Error{
		Kind: tenure.Forbidden, Code: "signin_refused",
		Msg: "the identity provider's answer could not be verified, so nobody was signed in; try again", Err: err,
	}
}

// providerSaid is the answer to an error that the provider gives (RFC 6749 §4.1.2.1).
func providerSaid(code string) error {
	if len(code) > 60 || strings.ContainsFunc(code, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
		code = "unknown"
	}
	return &tenure.Error{
		Kind: tenure.Forbidden, Code: "signin_refused",
		Msg: fmt.Sprintf("the identity provider did not sign you in: %s", code),
	}
}
