package gateway

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
)

// The Responses API keeps state at the provider, and keeps it by default. All of
// it would hang on the one key that all users of a workspace share: whoever knew,
// or guessed, an id could go on with somebody else's conversation and read
// somebody else's files. So nothing is kept, and nothing that is kept is named.

// kept are the members by which a request names what a provider keeps, wherever
// they stand.
var kept = [...]string{
	"previous_response_id", "comparison_response_id",
	"file_id", "file_ids", "vector_store_ids", "container_id", "skill_id", "tunnel_id",
}

// free are the members whose content is the caller's own: what has one of the
// names above in there is no reference.
var free = [...]string{"parameters", "schema", "input_schema", "output_schema", "arguments", "metadata", "headers", "env"}

// forgetful refuses a request of the Responses API that makes the provider keep
// something or names something that it keeps, and gives the edit that says
// "store": false. doc has been walked by findModel.
func forgetful(doc []byte) (splice, error) {
	at := bytes.IndexByte(doc, '{') + 1
	store, seen := splice{from: at, to: at, text: []byte(`"store":false,`)}, false
	err := each(doc, 0, func(key []byte, from, to int) error {
		value := doc[from:to]
		null := string(value) == "null"
		switch {
		case is(key, "store"):
			if seen || string(key) != "store" || !null && string(value) != "false" {
				return errKept("store", "answers are not kept by the provider: leave store out, or send false, once")
			}
			seen, store = true, splice{}
			if null { // which the provider takes for true
				store = splice{from: from, to: to, text: []byte("false")}
			}
			return nil
		case is(key, "background") && !null && string(value) != "false":
			return errKept("background", "an answer in the background would be kept by the provider; leave background out")
		case (is(key, "conversation") || is(key, "prompt")) && !null:
			return errKept(string(key), "what the provider keeps is not available through this gateway; send the whole of it")
		case is(key, "input"):
			if err := items(doc, from); err != nil {
				return err
			}
		}
		if reference(key, value) {
			return errReference(string(key))
		}
		if isOneOf(free[:], key) {
			return nil
		}
		s := scanner{doc: doc, at: from}
		if name := s.refers(0); name != "" {
			return errReference(string(key) + "." + name)
		}
		return nil
	})
	return store, err
}

func errReference(field string) error {
	return errKept(field, "what the provider keeps (answers, files, stores, containers, skills) is not available through this gateway; send the content itself")
}

func errKept(field, why string) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: "unsupported_parameter", Field: field, Msg: fmt.Sprintf("%s: %s", field, why)}
}

// reference reports whether a member names something that the provider keeps.
func reference(key, value []byte) bool {
	switch string(value) {
	case "null", "[]":
		return false
	}
	return isOneOf(kept[:], key) || is(key, "container") && value[0] == '"'
}

// refers passes any value and gives the name of the first reference in it, in one
// pass however deep it is.
func (s *scanner) refers(depth int) string {
	end := byte(']')
	switch s.doc[s.at] {
	case '{':
		end = '}'
	case '[':
	default:
		s.skip(depth)
		return ""
	}
	s.at++
	for s.open(','); !s.close(end); s.open(',') {
		var key []byte
		if s.space(); end == '}' {
			if key = s.key(); key == nil {
				return ""
			}
		}
		from := s.at
		if isOneOf(free[:], key) {
			if !s.skip(depth + 1) {
				return ""
			}
			continue
		}
		if name := s.refers(depth + 1); name != "" {
			return name
		}
		if reference(key, s.doc[from:s.at]) {
			return string(key)
		}
	}
	return ""
}

// items looks at the elements of "input": one that has an id and nothing of its
// own stands for what the provider keeps under that id.
func items(doc []byte, from int) error {
	if doc[from] != '[' {
		return nil
	}
	return each(doc, from, func(_ []byte, from, _ int) error {
		var it item
		if doc[from] != '{' {
			return nil
		}
		if err := each(doc, from, func(key []byte, from, to int) error {
			it.note(key, doc[from:to])
			return nil
		}); err != nil {
			return err
		}
		if it.referenced() {
			return errKept("input", "an item that is an id only (item_reference, or an item without its own content) stands for what the provider keeps; send the item itself")
		}
		return nil
	})
}

// item is what decides whether an element of "input" stands for itself.
type item struct {
	kind                       string // its type; empty: none, or not to be told
	types                      int
	id, role, content, product bool
}

func (it *item) note(key, value []byte) {
	something := true
	switch string(value) {
	case "null", `""`, "[]", "{}":
		something = false
	}
	switch {
	case is(key, "type"):
		it.types++
		it.kind, _ = unquote(value)
	case is(key, "id"):
		it.id = it.id || something
	case is(key, "role"):
		it.role = it.role || something
	case is(key, "content"), is(key, "encrypted_content"):
		it.content = it.content || something
	case is(key, "result"):
		it.product = it.product || something
	}
}

func (it *item) referenced() bool {
	switch {
	case it.types > 1, it.kind == "item_reference":
		return true
	case !it.id:
		return false
	case it.kind == "": // item_reference is the type of what has none, but for messages
		return !it.role
	case it.kind == "reasoning":
		return !it.content
	case it.kind == "image_generation_call":
		return !it.product
	}
	return false
}

// each visits the members of the object, or the elements of the array (without a
// key), that begins at from. The document is well-formed.
func each(doc []byte, from int, visit func(key []byte, from, to int) error) error {
	s := scanner{doc: doc, at: from}
	s.space()
	end := byte('}')
	if doc[s.at] == '[' {
		end = ']'
	}
	s.at++
	for !s.close(end) {
		s.open(',')
		var key []byte
		if s.space(); end == '}' {
			if key = s.key(); key == nil {
				return s.broken()
			}
		}
		from := s.at
		if !s.skip(0) {
			return s.broken()
		}
		if err := visit(key, from, s.at); err != nil {
			return err
		}
	}
	return nil
}

// key passes a member's name and the colon, up to its value, and gives the name
// decoded; nil if there is none.
func (s *scanner) key() []byte {
	from := s.at
	if !s.quoted() {
		return nil
	}
	name := s.doc[from+1 : s.at-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		decoded, ok := unquote(s.doc[from:s.at])
		if !ok {
			return nil
		}
		name = []byte(decoded)
	}
	if !s.open(':') {
		return nil
	}
	s.space()
	if name == nil {
		name = []byte{}
	}
	return name
}

// is compares as the laxest of decoders do: without regard to case. Most keys
// differ in their first letter; beyond ASCII there are letters that fold to one.
func is(key []byte, name string) bool {
	if len(key) < len(name) || key[0] < utf8.RuneSelf && key[0]|0x20 != name[0] {
		return false
	}
	return bytes.EqualFold(key, []byte(name))
}

func isOneOf(names []string, key []byte) bool {
	for _, n := range names {
		if is(key, n) {
			return true
		}
	}
	return false
}

// responsesEvent is the error event of the Responses API. Some clients look for
// its members at the top, as documented, and some for those of "error", which is
// how OpenAI sends it.
func responsesEvent(e *tenure.Error, n int) []byte {
	inner := openAIError(e)
	data := map[string]any{
		"type": "error", "sequence_number": n, "code": inner["code"], "message": inner["message"], "param": inner["param"], "error": inner,
	}
	return append(append([]byte("event: error\ndata: "), marshal(data)...), "\n\n"...)
}
