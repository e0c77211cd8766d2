package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Watch gives the routes with their requests told to note, for the connector's
// figures: what was asked for, how it was answered, and of an error the shape of
// what was sent. It changes no answer.
func Watch(routes []web.Route, note func(tenure.Principal, tenure.ConnectorRequest)) []web.Route {
	out := make([]web.Route, len(routes))
	for i, route := range routes {
		out[i] = watched(route, note)
	}
	return out
}

func watched(route web.Route, note func(tenure.Principal, tenure.ConnectorRequest)) web.Route {
	name := operationOf(route.Pattern)
	handle, fail := route.Handle, route.Fail
	route.Handle = func(w http.ResponseWriter, r *http.Request) error {
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &keeper{ReadCloser: r.Body}
		}
		err := handle(w, r)
		if err == nil {
			note(web.Principal(r.Context()), tenure.ConnectorRequest{Operation: name, At: time.Now()})
		}
		return err
	}
	route.Fail = func(w http.ResponseWriter, r *http.Request, err error) {
		fail(w, r, err)
		p := web.Principal(r.Context())
		if p.Kind() != tenure.ConnectorToken {
			return // a stranger
		}
		ev, e := web.EventOf(r.Context()), tenure.AsError(err)
		failed := &tenure.ConnectorError{At: time.Now(), Operation: name, Status: ev.Status, RequestID: ev.ID}
		if slices.Contains(scimTypes, e.Code) {
			failed.ScimType = e.Code
		}
		if k, ok := r.Body.(*keeper); ok {
			failed.Shape = shapeOf(k.kept.Bytes(), k.more)
		}
		note(p, tenure.ConnectorRequest{Operation: name, At: failed.At, Error: failed})
	}
	return route
}

// operationOf names what a route does: "users.create", "groups.list".
func operationOf(pattern string) string {
	method, path, _ := strings.Cut(pattern, " ")
	path = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(path, prefix+"/"), "/{$}"))
	resource, rest, item := strings.Cut(path, "/")
	switch {
	case path == "":
		return "elsewhere"
	case path == ".search":
		return "search"
	case resource != "users" && resource != "groups":
		return resource // "bulk", "schemas"
	case item && rest != "":
		verbs := map[string]string{http.MethodPost: "search", http.MethodGet: "read", http.MethodPut: "replace", http.MethodPatch: "update", http.MethodDelete: "delete"}
		return resource + "." + verbs[method]
	case method == http.MethodPost:
		return resource + ".create"
	}
	return resource + ".list"
}

// Limits of what is kept and told of a body.
const (
	keptBytes  = 64 << 10
	shapeBytes = 2 << 10
	shapeKinds = 3  // different elements of a list that are told
	shapeKey   = 64 // bytes of a key
)

// keeper keeps the beginning of a body that somebody else reads.
type keeper struct {
	io.ReadCloser
	kept bytes.Buffer
	more bool // there was more than is kept
}

// Read implements io.Reader.
func (k *keeper) Read(b []byte) (int, error) {
	n, err := k.ReadCloser.Read(b)
	room := min(n, keptBytes-k.kept.Len())
	k.kept.Write(b[:room])
	k.more = k.more || room < n
	return n, err
}

// shapeOf tells the keys and types of a JSON text, and none of its values.
func shapeOf(data []byte, more bool) string {
	if len(data) == 0 {
		return ""
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var b strings.Builder
	err := shapeValue(dec, &b, 0)
	if err == nil && !more {
		if _, extra := dec.Token(); !errors.Is(extra, io.EOF) {
			err = errors.New("more than one value")
		}
	}
	out := strings.TrimRight(b.String(), " ")
	if len(out) > shapeBytes {
		out = strings.ToValidUTF8(out[:shapeBytes], "") + "…"
	}
	switch {
	case more:
		return out + " (of the first " + fmt.Sprint(keptBytes>>10) + " KiB)"
	case err != nil:
		return strings.TrimSpace(out + fmt.Sprintf(" (no JSON after byte %d of %d)", dec.InputOffset(), len(data)))
	}
	return out
}

func shapeValue(dec *json.Decoder, b *strings.Builder, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if depth > maxBodyDepth {
		return errors.New("too deep")
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return shapeObject(dec, b, depth)
		}
		return shapeList(dec, b, depth)
	case string:
		b.WriteString("string")
	case json.Number:
		b.WriteString("number")
	case bool:
		b.WriteString("boolean")
	default:
		b.WriteString("null")
	}
	return nil
}

func shapeObject(dec *json.Decoder, b *strings.Builder, depth int) error {
	b.WriteByte('{')
	for first := true; dec.More(); first = false {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		if !first {
			b.WriteString(", ")
		}
		key, _ := t.(string)
		b.WriteString(plainKey(key) + ": ")
		if err := shapeValue(dec, b, depth+1); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	_, err := dec.Token()
	return err
}

// shapeList tells each kind of element once.
func shapeList(dec *json.Decoder, b *strings.Builder, depth int) error {
	var kinds []string
	n := 0
	for ; dec.More(); n++ {
		var element strings.Builder
		err := shapeValue(dec, &element, depth+1)
		if kind := element.String(); !slices.Contains(kinds, kind) && len(kinds) <= shapeKinds {
			kinds = append(kinds, kind)
		}
		if err != nil {
			b.WriteString("[" + strings.Join(kinds, ", "))
			return err
		}
	}
	if len(kinds) > shapeKinds {
		kinds[shapeKinds] = "…"
	}
	b.WriteString("[" + strings.Join(kinds, ", ") + "]")
	if n > 1 {
		fmt.Fprintf(b, "×%d", n)
	}
	_, err := dec.Token()
	return err
}

// plainKey shows a key that could be an attribute's name. Another one may be a
// value that stands in the wrong place.
func plainKey(key string) string {
	if !isAttributeLike(key) || tenure.MentionsToken(key) {
		return fmt.Sprintf("(a key of %d bytes)", len(key))
	}
	return key
}

func isAttributeLike(key string) bool {
	urn := strings.HasPrefix(strings.ToLower(key), "urn:")
	if key == "" || !urn && len(key) > shapeKey || len(key) > 2*shapeKey {
		return false
	}
	if first := rune(key[0]); first != '$' && !unicode.IsLetter(first) { // a number is a value
		return false
	}
	for _, r := range key {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("$-_.:", r) {
			return false
		}
	}
	return true
}
