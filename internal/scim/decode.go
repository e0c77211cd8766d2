package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
)

// Limits on what a client sends.
const (
	maxBodyBytes = 1 << 20
	maxBodyDepth = 32
)

// readBody reads the JSON object that a request carries. The content type may
// be that of SCIM or of JSON, or absent; its parameters say nothing, since JSON
// is UTF-8 (RFC 8259 §8.1). most is in bytes.
func readBody(w http.ResponseWriter, r *http.Request, most int64) (map[string]any, error) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case "", contentType, "application/json":
	default:
		return nil, &tenure.Error{
			Kind: tenure.UnsupportedMedia, Field: "Content-Type",
			Msg: "Content-Type: expected application/scim+json or application/json",
		}
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &tenure.Error{Kind: tenure.TooLarge, Msg: fmt.Sprintf("the body: expected at most %d bytes", most)}
	case err != nil:
		return nil, &tenure.Error{Kind: tenure.ClientClosed, Msg: "the body did not arrive whole", Err: err}
	}
	return decodeObject(data)
}

// decodeObject reads one JSON object and nothing after it. It refuses what
// encoding/json lets pass: a key that stands twice in an object, since nobody
// can tell which one counts, and text that is not UTF-8.
func decodeObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, invalid("invalidSyntax", "", "the body: expected UTF-8")
	}
	if !json.Valid(data) {
		return nil, invalid("invalidSyntax", "", "the body: expected one JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decodeValue(dec, 0)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("invalidSyntax", "", "the body: expected a JSON object, got %s", jsonType(v))
	}
	return object, nil
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxBodyDepth {
		return nil, invalid("invalidSyntax", "", "the body: expected at most %d values inside each other", maxBodyDepth)
	}
	t, err := dec.Token()
	if err != nil {
		return nil, invalid("invalidSyntax", "", "the body: expected one JSON object")
	}
	switch t {
	case json.Delim('{'):
		return decodeMembers(dec, depth)
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	return t, nil
}

func decodeMembers(dec *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if _, twice := object[key]; twice {
			return nil, invalid("invalidSyntax", key, "%s: stands twice in one object", clip(key))
		}
		if object[key], err = decodeValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err
}

// member finds a member of an object without regard to case. Of two spellings
// in one object nobody can tell which one counts: invalidSyntax.
func member(object map[string]any, name string) (v any, ok bool, err error) {
	for key := range object {
		if !strings.EqualFold(key, name) {
			continue
		}
		if ok {
			return nil, false, invalid("invalidSyntax", name, "%s: stands twice in one object", name)
		}
		v, ok = object[key], true
	}
	return v, ok, nil
}

// checkSchemas refuses a body that says of itself that it is something else
// (RFC 7643 §3.1). A body that says nothing is taken for what it is sent as.
func checkSchemas(body map[string]any, want string) error {
	v, ok, err := member(body, "schemas")
	if err != nil || !ok || v == nil {
		return err
	}
	list, _ := v.([]any)
	for _, v := range list {
		if s, _ := v.(string); strings.EqualFold(s, want) {
			return nil
		}
	}
	return invalid("invalidSyntax", "schemas", "schemas: expected a list with %q", want)
}

// jsonType names the type of a decoded value, for messages.
func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}

// clip shortens what a client sent, for messages.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
