package tenure

import "regexp"

// TokenPattern is a regular expression of all tokens of ours. It says nothing of
// the checksum: see TokensIn.
const TokenPattern = `t(pat|svc|scim|root)_[0-9A-Za-z]{46}`

// MaxToken is the length of the longest token, in bytes.
const MaxToken = len("tscim_") + tokenRandom + tokenChecksum

var tokenShape = regexp.MustCompile(TokenPattern)

// TokensIn finds the tokens of ours in a text, as pairs of offsets. Only those whose
// checksum holds count: one in four thousand million of what merely looks like one.
func TokensIn(text []byte) [][]int {
	var found [][]int
	for _, at := range tokenShape.FindAllIndex(text, -1) {
		if _, ok := ParseToken(string(text[at[0]:at[1]])); ok {
			found = append(found, at)
		}
	}
	return found
}
