package dash

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A page is an answer, its HTML to be asked by selector. The pages are written
// so that a lenient XML parser reads them: every element but the void ones is
// closed.
type page struct {
	*http.Response
	t    *testing.T
	body string
}

// An element of a page.
type element struct {
	t        *testing.T
	name     string
	attrs    map[string]string
	words    *strings.Builder
	children []*element
}

// must checks the status.
func (p page) must(status int) page {
	p.t.Helper()
	if p.StatusCode != status {
		p.t.Fatalf("%s: status %d, want %d\n%s", p.Header.Get("X-Request-Id"), p.StatusCode, status, p.body)
	}
	return p
}

func (p page) root() *element {
	p.t.Helper()
	root, err := parse(p.body)
	if err != nil {
		p.t.Fatalf("parse: %v\n%s", err, p.body)
	}
	mark(root, p.t)
	return root
}

func mark(e *element, t *testing.T) {
	e.t = t
	for _, c := range e.children {
		mark(c, t)
	}
}

func parse(html string) (*element, error) {
	d := xml.NewDecoder(strings.NewReader(html))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	root := &element{words: &strings.Builder{}}
	stack := []*element{root}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) && len(stack) == 1 {
			return root, nil
		}
		if err != nil {
			return nil, fmt.Errorf("after %d elements deep: %w", len(stack), err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			e := &element{name: tok.Name.Local, attrs: map[string]string{}, words: &strings.Builder{}}
			for _, a := range tok.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			up := stack[len(stack)-1]
			up.children = append(up.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			for _, e := range stack {
				e.words.Write(tok)
			}
		}
	}
}

// text is all text below the element, its spaces made single.
func (e *element) text() string { return strings.Join(strings.Fields(e.words.String()), " ") }

// is matches "tag", ".class", "#id" and "[attr=value]", also several in a row.
func (e *element) is(selector string) bool {
	cut := func(s string) (string, string) {
		if i := strings.IndexAny(s[1:], ".#["); i >= 0 {
			return s[:i+1], s[i+1:]
		}
		return s, ""
	}
	for selector != "" {
		part, rest := cut(selector)
		selector = rest
		var ok bool
		switch part[0] {
		case '.':
			ok = slices.Contains(strings.Fields(e.attrs["class"]), part[1:])
		case '#':
			ok = e.attrs["id"] == part[1:]
		case '[':
			name, value, given := strings.Cut(strings.Trim(part, "[]"), "=")
			have, there := e.attrs[name]
			ok = there && (!given || have == value)
		default:
			ok = e.name == part
		}
		if !ok {
			return false
		}
	}
	return true
}

// all gives the elements below that a selector finds, "a b" meaning b in a.
func (e *element) all(selector string) []*element {
	first, rest, _ := strings.Cut(selector, " ")
	var found []*element
	for _, c := range e.children {
		switch {
		case !c.is(first):
			found = append(found, c.all(selector)...)
		case rest != "":
			found = append(found, c.all(rest)...)
		default:
			found = append(found, c)
			found = append(found, c.all(selector)...)
		}
	}
	return found
}

func (p page) all(selector string) []*element { p.t.Helper(); return p.root().all(selector) }

// one gives the only element that a selector finds.
func (p page) one(selector string) *element {
	p.t.Helper()
	found := p.all(selector)
	if len(found) != 1 {
		p.t.Fatalf("%d elements %q, want one\n%s", len(found), selector, p.body)
	}
	return found[0]
}

// none checks that a selector finds nothing.
func (p page) none(selector string) {
	p.t.Helper()
	if n := len(p.all(selector)); n != 0 {
		p.t.Errorf("%d elements %q, want none", n, selector)
	}
}

// says checks that an element's text has a part.
func (e *element) says(part string) {
	e.t.Helper()
	if !strings.Contains(e.text(), part) {
		e.t.Errorf("<%s> says %q, want %q in it", e.name, e.text(), part)
	}
}
