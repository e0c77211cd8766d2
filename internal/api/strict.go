package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/tenure-gateway/tenure"
)

// plainQuery refuses what an operation would pass over in its query: a misspelt or
// an empty filter chooses everything, and of one that is said twice only one counts.
func plainQuery(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if wrong := wrongQuery(ctx); len(wrong) > 0 {
			_ = huma.WriteErr(api, ctx, http.StatusUnprocessableEntity, "validation failed", wrong...)
			return
		}
		next(ctx)
	}
}

func wrongQuery(ctx huma.Context) []error {
	u := ctx.URL()
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return []error{&huma.ErrorDetail{Location: "query", Message: "this is no query: write %25 for a percent sign and %3B for a semicolon"}}
	}
	var known []string
	for _, p := range ctx.Operation().Parameters {
		if p.In == "query" {
			known = append(known, p.Name)
		}
	}
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		var message string
		switch {
		case !slices.Contains(known, name) && len(known) == 0:
			message = "unknown parameter; this takes none"
		case !slices.Contains(known, name):
			message = "unknown parameter; this takes " + strings.Join(known, ", ")
		case len(values[name]) > 1:
			message = "this parameter is given more than once"
		case values[name][0] == "" && name != "cursor":
			message = "this parameter is empty: leave it out, or give it a value"
		default:
			continue
		}
		wrong = append(wrong, &huma.ErrorDetail{Location: "query." + name, Message: message})
	}
	return wrong
}

// strictJSON is huma's JSON, except that a member which stands twice in an object
// is refused: encoding/json takes the last one, in any case, and others the first.
func strictJSON() huma.Format {
	f := huma.DefaultJSONFormat
	plain := f.Unmarshal
	f.Unmarshal = func(data []byte, v any) error {
		if _, first := v.(*any); first { // huma decodes to look at it, and once more to use it
			if err := noTwins(data); err != nil {
				return err
			}
		}
		return plain(data, v)
	}
	return f
}

// noTwins answers an error if an object has two members whose names differ in case
// at most. What is no JSON is for the decoder to tell.
func noTwins(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	var open []map[string]bool // of each object the names so far; nil for an array
	name := false              // whether a member's name comes next
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return nil //nolint:nilerr // the decoder tells
		}
		switch t := t.(type) {
		case json.Delim:
			switch t {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
		case string:
			if name {
				key := folded(t)
				if open[len(open)-1][key] {
					return fmt.Errorf("the member %q is there twice", tenure.Shown(t))
				}
				open[len(open)-1][key] = true
				name = false
				continue
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}

// folded is the same for all names that encoding/json takes for one another.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}

var missing = regexp.MustCompile(`^` + strings.Replace(regexp.QuoteMeta(validation.MsgExpectedRequiredProperty), "%s", `(\S+)`, 1) + `$`)

// fieldDetail is one of huma's own, naming the field that is missing too. Neither
// what was sent nor much of a name that was made up goes back.
func fieldDetail(d *huma.ErrorDetail) FieldDetail {
	at := d.Location
	if m := missing.FindStringSubmatch(d.Message); m != nil {
		at += "." + m[1]
	}
	return FieldDetail{Message: tenure.Redact(d.Message), Location: tenure.Shown(at)}
}

// place is where a field of a request is: without a body, in the query.
func place(method, field string) string {
	switch {
	case field == keyHeader:
		return "header." + field
	case method == http.MethodGet || method == http.MethodDelete:
		return "query." + field
	}
	return "body." + field
}
