package gateway

import (
	"bytes"

	"github.com/tenure-gateway/tenure"
)

// meter reads what an answer says of its use of tokens while it passes: the
// "usage" objects, of which there may be several, and the last word counts. It
// keeps no part of the answer, so it does not matter how the answer is cut into
// reads. A quote inside a JSON string is escaped, so "usage" in quotes stands
// nowhere but at a key, or as a value that no colon follows.
type meter struct {
	use   *tenure.ModelUse // where it goes
	apart bool             // what the cache gave and took is counted beside the input, as Anthropic does

	state   byte
	matched byte // of the needle
	depth   byte // inside the object: 1 is its own members
	inText  bool
	escaped bool
	digits  bool // a number is under way
	long    byte // of key
	key     [32]byte
	number  int64
	// What was read; what one object does not say stays as one before it had it.
	input, output, reads, writes int64
}

// States of a meter.
const (
	seeking byte = iota // the key
	keyed               // past it, before the colon
	valued              // past the colon
	within              // the object
)

var needle = []byte(`"usage"`)

const (
	// mostTokens is more than an answer can use; a figure beyond it is no figure.
	mostTokens = 1 << 40
	// deepest is how deep a "usage" object nests at most.
	deepest = 16
)

// pass looks at the next part of the answer.
func (m *meter) pass(b []byte) {
	for len(b) > 0 {
		switch m.state {
		case within:
			b = b[m.inside(b):]
		case seeking:
			b = b[m.seek(b):]
		default:
			c := b[0]
			switch {
			case c == ' ' || c == '\t' || c == '\n' || c == '\r':
				b = b[1:]
			case m.state == keyed && c == ':':
				m.state, b = valued, b[1:]
			case m.state == valued && c == '{':
				m.state, m.depth, b = within, 1, b[1:]
				m.long, m.inText, m.escaped, m.digits = 0, false, false, false
			default:
				m.state = seeking
			}
		}
	}
}

// seek goes on to behind the key, and tells how far that is.
func (m *meter) seek(b []byte) int {
	if m.matched == 0 {
		if i := find(b); i >= 0 {
			m.state = keyed
			return i + len(needle)
		}
		for _, c := range b[max(0, len(b)-len(needle)+1):] {
			m.match(c)
		}
		return len(b)
	}
	for i, c := range b {
		if m.match(c); int(m.matched) == len(needle) {
			m.state, m.matched = keyed, 0
			return i + 1
		}
		if m.matched == 0 {
			return i + 1
		}
	}
	return len(b)
}

// find tells where the key begins, or -1. There are many quotes in JSON, and the
// search for what begins with a letter is faster.
func find(b []byte) int {
	for from := 1; from < len(b); {
		i := bytes.Index(b[from:], needle[1:])
		if i < 0 {
			return -1
		}
		if from += i; b[from-1] == '"' {
			return from - 1
		}
		from++
	}
	return -1
}

func (m *meter) match(c byte) {
	switch c {
	case needle[m.matched]:
		m.matched++
	case '"':
		m.matched = 1
	default:
		m.matched = 0
	}
}

// inside reads the object, and tells how much of b belongs to it.
func (m *meter) inside(b []byte) int {
	for i, c := range b {
		switch {
		case m.inText:
			m.text(c)
		case c >= '0' && c <= '9':
			if !m.digits {
				m.digits, m.number = true, 0
			}
			m.number = min(m.number*10+int64(c-'0'), mostTokens)
		case c == '"':
			m.inText, m.long = true, 0
		case c == '{' || c == '[':
			m.depth, m.long = m.depth+1, 0
			if m.depth > deepest {
				m.state = seeking
				return i + 1
			}
		case c == ',' || c == '}' || c == ']':
			m.figure()
			if c == ',' {
				break
			}
			if m.depth--; m.depth == 0 {
				m.state = seeking
				m.take()
				return i + 1
			}
		case c == '-' || c == '.' || c == 'e' || c == 'E':
			m.number, m.digits, m.long = 0, false, 0 // no count of tokens
		}
	}
	return len(b)
}

// text reads a character of a string: of a key, or of a value that is none.
func (m *meter) text(c byte) {
	switch {
	case m.escaped:
		m.escaped, m.long = false, byte(len(m.key)) // none that is known
	case c == '\\':
		m.escaped = true
	case c == '"':
		m.inText = false
	case int(m.long) < len(m.key):
		m.key[m.long] = c
		m.long++
	}
}

// figure keeps the number that has just ended, if it is one of those that count.
func (m *meter) figure() {
	n := m.number
	said := m.digits && n > 0 && n < mostTokens
	m.digits = false
	if !said {
		return
	}
	switch key := string(m.key[:m.long]); { // compared, never kept: no allocation
	case m.depth == 2 && key == "cached_tokens":
		m.reads = n
	case m.depth != 1:
	case key == "prompt_tokens" || key == "input_tokens":
		m.input = n
	case key == "completion_tokens" || key == "output_tokens":
		m.output = n
	case key == "cache_read_input_tokens":
		m.reads = n
	case key == "cache_creation_input_tokens":
		m.writes = n
	}
}

// take makes the answer's use of what was read so far.
func (m *meter) take() {
	*m.use = tenure.ModelUse{Input: m.input, CacheReads: m.reads, CacheWrites: m.writes, Output: m.output}
	if m.apart {
		m.use.Input += m.reads + m.writes
	}
	m.use.CacheReads = min(m.use.CacheReads, m.use.Input)
	m.use.CacheWrites = min(m.use.CacheWrites, m.use.Input-m.use.CacheReads)
}
