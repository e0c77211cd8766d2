// Package leaks finds secrets where none must be: tokens of ours, keys of model
// providers by their form, and whatever a caller knows by its digest, in texts, in the
// files of a directory and in everything that a git repository has kept. It owns the
// forms, and how a repository is read.
//
// It does not know what is alive, and judges nothing. It never gives a secret to
// anybody but its caller, and holds no more of a file than one window.
package leaks

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/tenure-gateway/tenure"
)

// Hit is a secret that was found.
type Hit struct {
	Kind   string // such as "Anthropic key", or Known's own words
	Secret string
	Line   int  // from 1
	Ours   bool // a token of ours: its checksum holds
	Known  bool // by its digest
}

// Finder finds secrets. The zero value finds those that are known by their form.
type Finder struct {
	// TokensOnly looks for tokens of ours alone.
	TokensOnly bool
	// Known says what has this digest; "": nothing. It is asked about every word that
	// could be a secret; nil asks nobody.
	Known func(tenure.Digest) string
	// Session says the same of every word of the form of a session's cookie.
	Session func(tenure.Digest) string
}

// Bounds of what is looked at, in bytes.
const (
	window    = 1 << 20
	maxSecret = 512 // the longest form that is known
	minWord   = 20  // the shortest word whose digest is asked about
	maxWord   = 256
)

// found is a hit at its place in a window.
type found struct {
	from, to int
	Hit
}

// Find gives each the secrets in a text of any length and any kind, in their order.
// Bytes of zero are passed over, so that UTF-16 is read, too.
func (f *Finder) Find(r io.Reader, each func(Hit)) error {
	line, begin := 1, 0 // begin: before it stands what was looked at, for the eye alone
	buf := make([]byte, 0, window+maxSecret+1)
	for {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		old := len(buf)
		buf = append(buf[:old], slices.DeleteFunc(buf[old:old+n], func(b byte) bool { return b == 0 })...)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		limit := len(buf) // what begins before it is whole
		if !last {
			limit = max(begin, len(buf)-maxSecret)
		}
		done := begin
		for _, h := range f.in(buf, begin, limit) {
			if h.from < done {
				continue // a part of what was found
			}
			line += bytes.Count(buf[done:h.from], []byte{'\n'})
			h.Line, h.Secret = line, string(buf[h.from:h.to])
			each(h.Hit)
			done = h.to
		}
		if last {
			return nil
		}
		next := max(done, limit)
		line += bytes.Count(buf[done:next], []byte{'\n'})
		keep := max(0, next-1) // one more, which tells where a word begins
		begin = next - keep
		buf = slices.Delete(buf, 0, keep)
	}
}

// in finds what begins in a part of a window, in its order; of two that begin together
// the one that says more.
func (f *Finder) in(buf []byte, from, to int) []found {
	var out []found
	for _, at := range tenure.TokensIn(buf[from:]) {
		if at[0] += from; at[0] < to {
			kind, _ := tenure.KindOfToken(string(buf[at[0] : at[1]+from]))
			out = append(out, found{at[0], at[1] + from, Hit{Kind: ourKinds[kind], Ours: true}})
		}
	}
	if f.TokensOnly {
		return out
	}
	for _, s := range shapes {
		out = s.in(out, buf, from, to)
	}
	for _, n := range named {
		out = n.in(out, buf, from, to)
	}
	if f.Known != nil {
		out = f.known(out, buf, from, to)
	}
	slices.SortStableFunc(out, func(a, b found) int {
		if a.from == b.from && a.Known != b.Known {
			return map[bool]int{true: -1, false: 1}[a.Known]
		}
		return a.from - b.from
	})
	return out
}

// ourKinds are the tokens of ours in words.
var ourKinds = map[tenure.TokenKind]string{
	tenure.KindPAT: "personal access token of Tenure", tenure.KindService: "service token of Tenure",
	tenure.KindSCIM: "SCIM connector token of Tenure", tenure.KindRoot: "root token of Tenure",
}

// known asks about every word: with its punctuation, and without.
func (f *Finder) known(out []found, buf []byte, from, to int) []found {
	for i := from; i < to; i++ {
		if !wide(buf[i]) || i > 0 && wide(buf[i-1]) {
			continue
		}
		end := i
		for end < len(buf) && end-i <= maxWord && wide(buf[end]) {
			end++
		}
		if end-i <= maxWord {
			out = f.word(out, buf, i, end)
		}
		i = end
	}
	return out
}

func (f *Finder) word(out []found, buf []byte, from, to int) []found {
	ask := func(from, to int) bool {
		if to-from < minWord {
			return false
		}
		digest := tenure.DigestOf(string(buf[from:to]))
		what := f.Known(digest)
		if what == "" && f.Session != nil && cookie(buf[from:to]) {
			what = f.Session(digest)
		}
		if what != "" {
			out = append(out, found{from, to, Hit{Kind: what, Known: true}})
		}
		return what != ""
	}
	if ask(from, to) {
		return out
	}
	for pad := to; pad < len(buf) && pad < to+2 && buf[pad] == '='; pad++ { // base64
		if ask(from, pad+1) {
			return out
		}
	}
	for i := from; i < to; { // its parts
		end := i
		for end < to && narrow(buf[end]) {
			end++
		}
		if (i != from || end != to) && ask(i, end) {
			return out
		}
		i = end + 1
	}
	return out
}

// cookie reports whether a word has the form of a session's cookie.
func cookie(word []byte) bool {
	return len(word) == tenure.SessionSecretLength && !slices.ContainsFunc(word, func(b byte) bool { return !alnum(b) }) && random(word)
}

// entropy of a text, in bits a byte.
func entropy(text []byte) float64 {
	var count [256]int
	for _, b := range text {
		count[b]++
	}
	var out float64
	for _, n := range count {
		if n > 0 {
			p := float64(n) / float64(len(text))
			out -= p * math.Log2(p)
		}
	}
	return out
}

// Mask is what is shown of a secret: how it begins, where that is no secret, and its
// last four characters, where that leaves enough.
func (h Hit) Mask() string {
	switch {
	case h.Ours:
		return h.Secret[:tenure.TokenPrefixLength] + "…"
	case len(h.Secret) < minWord:
		return "…"
	}
	begin := ""
	for _, s := range shapes {
		if bytes.HasPrefix([]byte(h.Secret), []byte(s.prefix)) {
			begin = s.prefix
			break
		}
	}
	return begin + "…" + h.Secret[len(h.Secret)-4:]
}

// ID names a secret without telling it.
func (h Hit) ID() string { return tenure.DigestOf(h.Secret).String()[:16] }
