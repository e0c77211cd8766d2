package tenure

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// TokenKind is the kind of a token; its text is stored and shown.
type TokenKind string

// The kinds of token and, in TokenKind.Prefix, what each begins with.
const (
	KindPAT     TokenKind = "pat"
	KindService TokenKind = "svc"
	KindSCIM    TokenKind = "scim"
	KindRoot    TokenKind = "root"
)

// Prefix is what a token of this kind begins with, for example "tpat_".
func (k TokenKind) Prefix() string {
	switch k {
	case KindPAT:
		return "tpat_"
	case KindService:
		return "tsvc_"
	case KindSCIM:
		return "tscim_"
	case KindRoot:
		return "troot_"
	}
	return ""
}

// The form of a token: prefix, random part, checksum, the last two in base62.
const (
	tokenRandom   = 40
	tokenChecksum = 6
	base62        = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	// TokenPrefixLength is how many characters of a token are kept for people.
	TokenPrefixLength = 9
	// MaxTokenName is the longest name of a token, in bytes.
	MaxTokenName = 100
)

// Limits on the life of a token.
const (
	DefaultTokenLife = 90 * 24 * time.Hour
	MaxTokenLife     = 365 * 24 * time.Hour
)

// Digest is the SHA-256 of a whole token or session secret: what is stored of
// it, and the key of every look-up.
type Digest [sha256.Size]byte

// DigestOf hashes a presented credential.
func DigestOf(credential string) Digest { return sha256.Sum256([]byte(credential)) }

// String is the digest in lower-case hexadecimal, as it is stored.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// NewToken makes a token of 238 random bits with its checksum.
func NewToken(kind TokenKind) Secret {
	body := kind.Prefix() + randomBase62(tokenRandom)
	sum := checksum(body)
	return NewSecret(body + string(sum[:]))
}

// SessionSecretLength is how many characters the value of a session cookie has.
const SessionSecretLength = 43

// NewSessionSecret makes the value of a session cookie: 256 random bits in
// base62, without a prefix, so that it is never taken for a token.
func NewSessionSecret() Secret { return NewSecret(randomBase62(SessionSecretLength)) }

// KindOfToken reports the kind by the prefix alone, so that a caller can tell
// "looks like a token of ours" from "is well formed".
func KindOfToken(s string) (TokenKind, bool) {
	for _, k := range [...]TokenKind{KindPAT, KindService, KindSCIM, KindRoot} {
		if strings.HasPrefix(s, k.Prefix()) {
			return k, true
		}
	}
	return "", false
}

// Redact takes tokens of ours out of a text that is shown or logged, where
// somebody may have put one by mistake: what is left is what may be kept of one.
func Redact(text string) string {
	if !MentionsToken(text) {
		return text
	}
	return tokenLike.ReplaceAllStringFunc(text, func(t string) string { return t[:min(len(t), TokenPrefixLength)] + "…" })
}

// maxShown is how much of what somebody sent goes back to them, in bytes.
const maxShown = 100

// Shown is what a message repeats of what somebody sent: without tokens of ours,
// and cut where it is long.
func Shown(text string) string {
	text = Redact(text)
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "…"
}

var tokenLike = regexp.MustCompile(`t(pat|svc|scim|root)_[0-9A-Za-z]+`)

// MentionsToken reports whether text has the beginning of a token of ours in it.
func MentionsToken(text string) bool {
	for _, k := range [...]TokenKind{KindPAT, KindService, KindSCIM, KindRoot} {
		if strings.Contains(text, k.Prefix()) {
			return true
		}
	}
	return false
}

// HoldsToken reports whether text has more of a token of ours in it than the
// prefix that is shown.
func HoldsToken(text string) bool {
	if !MentionsToken(text) {
		return false
	}
	for _, t := range tokenLike.FindAllString(text, -1) {
		if len(t) > TokenPrefixLength {
			return true
		}
	}
	return false
}

// ParseToken checks the form and the checksum of a token and reports its kind.
// What it refuses cannot be in the store and need not be looked up.
func ParseToken(s string) (TokenKind, bool) {
	kind, ok := KindOfToken(s)
	if !ok || len(s) != len(kind.Prefix())+tokenRandom+tokenChecksum {
		return "", false
	}
	for i := len(kind.Prefix()); i < len(s); i++ {
		if !isBase62(s[i]) {
			return "", false
		}
	}
	body := s[:len(s)-tokenChecksum]
	sum := checksum(body)
	return kind, string(sum[:]) == s[len(body):]
}

// Token is a token's row, without anything that could be used to authenticate.
type Token struct {
	ID             TokenID
	Tenant         TenantID
	Workspace      WorkspaceID
	User           UserID
	UserName       string // read along with the token
	ServiceAccount ServiceAccountID
	AccountName    string // read along with the token
	Name           string
	Kind           TokenKind
	Prefix         string
	Scopes         Scopes
	Models         Models         // narrows what the workspace allows
	Networks       []netip.Prefix // from where it is good; empty: from anywhere
	Family         TokenID        // the first token of its line of rotations; its own id when there was none
	CreatedAt      time.Time
	CreatedBy      string
	MadeBy         UserID    // the person who made it and has seen the secret, or empty
	RotatedAt      time.Time // when a newer secret took its place; zero: it is the newest
	RotatedTo      TokenID
	ExpiresAt      time.Time // zero: never
	LastUsedAt     time.Time // zero: never; right to the second
	RevokedAt      time.Time // zero: not revoked
	RevokedBy      string
	RevokedReason  string
	Exception      ExceptionID // that lets it live for so long, or empty
	ExceptionFrom  time.Time   // read along: from when, and until when, it does; both zero: it does not
	ExceptionEnds  time.Time
}

// Live reports whether the token itself, its owner apart, is good at now: by its own end,
// and by the exception that it hangs on.
func (t Token) Live(now time.Time) bool {
	held := t.Exception == "" || !now.Before(t.ExceptionFrom) && now.Before(t.ExceptionEnds)
	return held && !t.Over(now)
}

// Over reports whether the token has ended for good: it is revoked, or past its own end.
// One whose exception is not in force is not good now, and may be good again.
func (t Token) Over(now time.Time) bool {
	return !t.RevokedAt.IsZero() || !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt)
}

// Ends is when the token ends by the clock: its own end, or that of the exception that it
// hangs on; zero: never.
func (t Token) Ends() time.Time {
	if t.Exception != "" && (t.ExpiresAt.IsZero() || t.ExceptionEnds.Before(t.ExpiresAt)) {
		return t.ExceptionEnds
	}
	return t.ExpiresAt
}

// State says in one word what Live decides by.
func (t Token) State(now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case t.Live(now):
		return "active"
	}
	return "expired"
}

// ParseLifetime reads a duration with a unit of h, m, s or, alone, d for days.
func ParseLifetime(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err == nil && n <= 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no length of time; write for example 90d or 12h", Shown(text))
	}
	return d, nil
}

// checksum is the CRC-32 (IEEE) of body in base62. It walks the text itself: the
// library's function would have it copied to the heap, for every request.
func checksum(body string) [tokenChecksum]byte {
	n := ^uint32(0)
	for i := range len(body) {
		n = crc32.IEEETable[byte(n)^body[i]] ^ n>>8
	}
	n = ^n
	var out [tokenChecksum]byte
	for i := tokenChecksum - 1; i >= 0; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	return out
}

func isBase62(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// randomBase62 draws n characters without bias: bytes of 248 and above are
// thrown away, 248 being the largest multiple of 62 in a byte.
func randomBase62(n int) string {
	out := make([]byte, 0, n)
	var buf [64]byte
	for len(out) < n {
		_, _ = rand.Read(buf[:]) // crypto/rand never fails (Go 1.24 and later)
		for _, b := range buf {
			if b < 248 && len(out) < n {
				out = append(out, base62[b%62])
			}
		}
	}
	return string(out)
}
