package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
)

// found is what the gateway needs to know of a request body.
type found struct {
	model    string
	from, to int  // where the model's name stands, quotes included
	thread   bool // a "thread" that is not null is asked for
	stream   bool // an answer as a stream is asked for
	options  span // the value of "stream_options"
}

// span is where a value stands in a document, if to is not 0.
type span struct{ from, to int }

// maxModel is the longest name of a model, in bytes.
const maxModel = 256

func badBody(code, format string, args ...any) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: code, Field: "model", Msg: fmt.Sprintf(format, args...)}
}

// findModel finds the model's name among the top-level members of a JSON object
// and decodes nothing else. It walks the whole object, so that a second "model",
// also under another spelling that some provider would take for it, is seen and
// refused: else what is judged here might not be what is asked there.
func findModel(doc []byte) (found, error) {
	f := found{}
	s := scanner{doc: doc}
	if !s.open('{') {
		return f, badBody("invalid_json", "the body must be a JSON object")
	}
	seen := false
	for first := true; !s.close('}'); first = false {
		if !first && !s.open(',') {
			return f, s.broken()
		}
		s.space()
		key := s.key()
		if key == nil {
			return f, s.broken()
		}
		from := s.at
		if !s.skip(0) {
			return f, s.broken()
		}
		value := doc[from:s.at]
		switch {
		case is(key, "thread"):
			f.thread = f.thread || string(value) != "null"
		case string(key) == "stream":
			f.stream = string(value) == "true"
		case string(key) == "stream_options":
			f.options = span{from, s.at}
		case !is(key, "model"):
		case seen || string(key) != "model":
			return f, badBody("ambiguous_model", "the body names a model more than once, or under another spelling of \"model\"")
		default:
			seen = true
			f.from, f.to = from, s.at
			var ok bool
			if f.model, ok = unquote(value); !ok {
				return f, badBody("invalid_model", "model: expected a string")
			}
		}
	}
	if s.space(); s.at != len(doc) {
		return f, s.broken()
	}
	if f.model == "" || len(f.model) > maxModel || !utf8.ValidString(f.model) || strings.ContainsFunc(f.model, unicode.IsControl) {
		return f, badBody("missing_model", "model: expected the name of a model, for example \"gpt-4o\"")
	}
	return f, nil
}

// scanner walks JSON. It checks the structure, not the spelling of numbers and
// literals: the provider does that.
type scanner struct {
	doc []byte
	at  int
}

// maxDepth is how deep JSON may nest, as in encoding/json.
const maxDepth = 10000

func (s *scanner) broken() error {
	return badBody("invalid_json", "the body is not valid JSON near byte %d", s.at)
}

func (s *scanner) space() {
	for s.at < len(s.doc) {
		switch s.doc[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// open passes c, after white space.
func (s *scanner) open(c byte) bool {
	s.space()
	if s.at < len(s.doc) && s.doc[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) close(c byte) bool { return s.open(c) }

// unquote decodes a JSON string; null is the empty one.
func unquote(value []byte) (string, bool) {
	if len(value) >= 2 && value[0] == '"' && bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	var decoded string
	return decoded, json.Unmarshal(value, &decoded) == nil
}

// quoted passes a string. Long ones, images for example, are passed at the speed
// of memory.
func (s *scanner) quoted() bool {
	if s.at >= len(s.doc) || s.doc[s.at] != '"' {
		return false
	}
	for i := s.at + 1; ; {
		end := bytes.IndexByte(s.doc[i:], '"')
		if end < 0 {
			return false
		}
		i += end
		back := 0
		for s.doc[i-1-back] == '\\' {
			back++
		}
		i++
		if back%2 == 0 {
			s.at = i
			return true
		}
	}
}

// skip passes any value.
func (s *scanner) skip(depth int) bool {
	if s.at >= len(s.doc) || depth > maxDepth {
		return false
	}
	switch s.doc[s.at] {
	case '"':
		return s.quoted()
	case '{':
		return s.members('}', true, depth)
	case '[':
		return s.members(']', false, depth)
	}
	from := s.at
	for s.at < len(s.doc) && !bytes.ContainsRune([]byte(",]} \t\r\n:\"{["), rune(s.doc[s.at])) {
		s.at++
	}
	return s.at > from
}

// members passes the inside of an object or an array.
func (s *scanner) members(end byte, keys bool, depth int) bool {
	s.at++
	for first := true; !s.close(end); first = false {
		if !first && !s.open(',') {
			return false
		}
		s.space()
		if keys && (!s.quoted() || !s.open(':')) {
			return false
		}
		s.space()
		if !s.skip(depth + 1) {
			return false
		}
	}
	return true
}

// quote gives text as JSON.
func quote(text string) []byte {
	b, _ := json.Marshal(text) // a string always marshals
	return b
}

func sizeText(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
