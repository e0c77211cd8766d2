package gateway

import (
	"bytes"

	"github.com/tenure-gateway/tenure"
)

// meter reads what an answer says of its use of tokens while it passes: the "usage" of
// the answer itself, of its "message" or of its "response", of which there may be
// several in a stream, and the last word counts. What stands elsewhere under that name
// is the model's or the caller's, and no figure of the provider's. It keeps no part of
// the answer, so it does not matter how the answer is cut into reads.
type meter struct {
	use    *tenure.ModelUse // where it goes
	apart  bool             // what the cache gave and took is counted beside the input, as Anthropic does
	events bool             // each line is an event, with a document of its own

	within  bool // the object with the figures
	outer   int  // depth of the object that it stands in
	depth   int  // inside the object: 1 is its own members
	parent  name // under which the object at depth 2 stands
	said    name // the last string
	coming  name // the key whose value comes next
	midLine bool // the beginning of this line has passed
	inText  bool
	escaped bool
	digits  bool // a number is under way
	long    byte // of key
	key     [32]byte
	number  int64
	// What was read; what one object does not say stays as one before it had it.
	input, output, reads, writes int64
}

// name is what a key is to a meter.
type name byte

const (
	ofNoUse name = iota
	ofUsage
	ofAnswer // "message" or "response", in which the usage may stand
)

var needle = []byte(`"usage"`)

// mostTokens is more than an answer can use; a figure beyond it is no figure.
const mostTokens = 1 << 31

// pass looks at the next part of the answer. Of events, a line that is here as a whole
// and says nothing of use is passed over.
func (m *meter) pass(b []byte) {
	if !m.events {
		m.walk(b)
		return
	}
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n') + 1
		if whole := end > 0 && !m.midLine; whole && !says(b[:end]) {
			b = b[end:]
			continue
		}
		if end == 0 {
			m.walk(b)
			m.midLine = true
			return
		}
		m.walk(b[:end])
		m.midLine, m.within, m.depth, m.inText, m.escaped, m.digits = false, false, 0, false, false, false
		m.parent, m.said, m.coming = ofNoUse, ofNoUse, ofNoUse
		b = b[end:]
	}
}

// says reports whether a line may tell of use: whether the key has another value than
// null, which most events have where the figures were asked for.
func says(line []byte) bool {
	for {
		i := find(line)
		if i < 0 {
			return false
		}
		line = line[i+len(needle):]
		if !bytes.HasPrefix(line, []byte(":null")) {
			return true
		}
	}
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

// walk follows the structure of a document, and reads the figures in it.
func (m *meter) walk(b []byte) {
	for len(b) > 0 {
		switch {
		case m.within:
			b = b[m.inside(b):]
		case m.inText:
			b = b[m.literal(b):]
		default:
			b = b[m.structure(b):]
		}
	}
}

// structure goes on to behind the beginning of a string, or of the figures.
func (m *meter) structure(b []byte) int {
	for i, c := range b {
		switch c {
		case '"':
			m.inText, m.escaped, m.long = true, false, 0
			return i + 1
		case ':':
			m.coming = m.said
		case ',':
			m.coming, m.said = ofNoUse, ofNoUse
		case '{':
			if m.coming == ofUsage {
				m.within, m.outer, m.depth = true, m.depth, 1
				m.long, m.inText, m.escaped, m.digits = 0, false, false, false
				return i + 1
			}
			fallthrough
		case '[':
			if m.depth++; m.depth == 2 {
				m.parent = ofNoUse
				if c == '{' {
					m.parent = m.coming
				}
			}
			m.coming, m.said = ofNoUse, ofNoUse
		case '}', ']':
			m.depth = max(0, m.depth-1)
			m.coming, m.said = ofNoUse, ofNoUse
		case ' ', '\t', '\r', '\n':
		default:
			m.coming, m.said = ofNoUse, ofNoUse
		}
	}
	return len(b)
}

// literal goes on to behind the end of a string, and tells how far that is. Only at the
// depths where figures may stand is it known which string it was.
func (m *meter) literal(b []byte) int {
	for i := 0; i < len(b); {
		if m.escaped {
			m.escaped, m.long = false, byte(len(m.key)) // none that is known
			i++
			continue
		}
		end := bytes.IndexByte(b[i:], '"')
		part := b[i:]
		if end >= 0 {
			part = b[i : i+end]
		}
		if slash := bytes.IndexByte(part, '\\'); slash >= 0 {
			m.escaped, m.long = true, byte(len(m.key))
			i += slash + 1
			continue
		}
		m.long = byte(min(len(m.key), int(m.long)+copy(m.key[m.long:], part)))
		if len(part) > len(m.key) {
			m.long = byte(len(m.key))
		}
		if end < 0 {
			return len(b)
		}
		m.inText, m.said = false, ofNoUse
		if m.depth == 1 || m.depth == 2 && m.parent == ofAnswer {
			m.said = named(m.key[:m.long])
		}
		return i + end + 1
	}
	return len(b)
}

// named tells what a key is to a meter.
func named(key []byte) name {
	switch string(key) {
	case "usage":
		return ofUsage
	case "message", "response":
		return ofAnswer
	}
	return ofNoUse
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
		case c == ',' || c == '}' || c == ']':
			m.figure()
			if c == ',' {
				break
			}
			if m.depth--; m.depth == 0 {
				m.within, m.depth = false, m.outer
				m.coming, m.said = ofNoUse, ofNoUse
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
