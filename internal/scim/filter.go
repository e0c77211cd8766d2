package scim

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits on a filter and on a path.
const (
	maxFilterBytes = 4 << 10
	maxFilterDepth = 32
	maxFilterTerms = 32 // comparisons: each may be a scan of its own
)

// An operator joins or compares.
type operator uint8

const (
	opAnd operator = iota + 1
	opOr
	opNot
	opPresent
	opEqual
	opNotEqual
	opContains
	opStarts
	opEnds
	opGreater
	opGreaterEqual
	opLess
	opLessEqual
)

// operators are those of RFC 7644 §3.4.2.2, tables 3 and 4.
var operators = map[string]operator{
	"pr": opPresent, "eq": opEqual, "ne": opNotEqual, "co": opContains, "sw": opStarts, "ew": opEnds,
	"gt": opGreater, "ge": opGreaterEqual, "lt": opLess, "le": opLessEqual,
}

// A filter is a parsed filter of RFC 7644 §3.4.2.2. Before it can be evaluated,
// bind gives its names their meaning.
type filter struct {
	op    operator
	parts []*filter // of and, or, not
	path  path      // of a comparison
	value literal   // of a comparison

	// Set by bind.
	target target
	want   any // string, bool or time.Time; nil is null
}

// A literal is the value that is compared with, as it was written.
type literal struct {
	kind literalKind
	text string
}

type literalKind uint8

const (
	quotedLiteral literalKind = iota
	bareLiteral               // anything without quotes that is none of the below
	numberLiteral
	booleanLiteral // true or false, in any case
	nullLiteral
)

// A syntaxError says what was expected where.
type syntaxError struct {
	at    int // in bytes
	want  string
	inner bool // inside the brackets of a path
}

// in gives the error its scimType and names what was read: "filter" or "path".
func (e *syntaxError) in(what string) error {
	code := "invalidFilter"
	if what == "path" && !e.inner {
		code = "invalidPath"
	}
	return invalid(code, what, "%s: expected %s at character %d", what, e.want, e.at+1)
}

// parseFilter reads a filter. Beyond the RFC's grammar it takes a comparison
// after a value selector (emails[type eq "work"].value eq "x", as Microsoft
// Entra sends it) and, with eq, a value without quotes. Invalid: invalidFilter.
func parseFilter(s string) (*filter, error) {
	p, err := newParser(s)
	if err != nil {
		return nil, err.in("filter")
	}
	f, err := p.disjunction()
	if err == nil && p.at < len(p.text) {
		err = p.expected("\"and\", \"or\" or the end of the filter")
	}
	if err != nil {
		return nil, err.in("filter")
	}
	return f, nil
}

// parser reads filters and paths by recursive descent.
type parser struct {
	text  string
	at    int
	depth int
	terms int
	inner bool // inside a value selector
}

func newParser(s string) (*parser, *syntaxError) {
	s = strings.Trim(s, " \t")
	switch {
	case s == "":
		return nil, &syntaxError{want: "the name of an attribute"}
	case len(s) > maxFilterBytes:
		return nil, &syntaxError{at: maxFilterBytes, want: fmt.Sprintf("the end: at most %d bytes", maxFilterBytes)}
	case !utf8.ValidString(s):
		return nil, &syntaxError{want: "valid UTF-8"}
	}
	return &parser{text: s}, nil
}

func (p *parser) expected(what string) *syntaxError {
	return &syntaxError{at: p.at, want: what, inner: p.inner}
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) spaces() {
	for p.peek() == ' ' || p.peek() == '\t' {
		p.at++
	}
}

// keyword takes a word in any case, if it comes next.
func (p *parser) keyword(w string) bool {
	p.spaces()
	end := p.at + len(w)
	if end > len(p.text) || !strings.EqualFold(p.text[p.at:end], w) || end < len(p.text) && isPathByte(p.text[end]) {
		return false
	}
	p.at = end
	return true
}

func (p *parser) disjunction() (*filter, *syntaxError) {
	return p.chain("or", opOr, p.conjunction)
}

func (p *parser) conjunction() (*filter, *syntaxError) {
	return p.chain("and", opAnd, p.term)
}

func (p *parser) chain(joint string, op operator, next func() (*filter, *syntaxError)) (*filter, *syntaxError) {
	first, err := next()
	if err != nil {
		return nil, err
	}
	parts := []*filter{first}
	for p.keyword(joint) {
		part, err := next()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if len(parts) == 1 {
		return first, nil
	}
	return &filter{op: op, parts: parts}, nil
}

// term reads a comparison, a group, or the negation of a group.
func (p *parser) term() (*filter, *syntaxError) {
	p.spaces()
	start := p.at
	if p.keyword("not") {
		if p.spaces(); p.peek() == '(' {
			p.at++
			f, err := p.nested(')', "\")\"")
			return &filter{op: opNot, parts: []*filter{f}}, err
		}
		p.at = start // an attribute of that name
	}
	if p.peek() == '(' {
		p.at++
		return p.nested(')', "\")\"")
	}
	return p.comparison()
}

// nested reads a filter up to its closing bracket.
func (p *parser) nested(end byte, name string) (*filter, *syntaxError) {
	if p.depth++; p.depth > maxFilterDepth {
		return nil, p.expected(fmt.Sprintf("at most %d brackets inside each other", maxFilterDepth))
	}
	f, err := p.disjunction()
	if err != nil {
		return nil, err
	}
	if p.spaces(); p.peek() != end {
		return nil, p.expected("\"and\", \"or\" or " + name)
	}
	p.at++
	p.depth--
	return f, nil
}

// comparison reads attrExp, or valuePath, which asks whether any value is
// selected.
func (p *parser) comparison() (*filter, *syntaxError) {
	if p.terms++; p.terms > maxFilterTerms {
		return nil, p.expected(fmt.Sprintf("at most %d comparisons", maxFilterTerms))
	}
	found, err := p.path()
	if err != nil {
		return nil, err
	}
	p.spaces()
	start := p.at
	for isLetter(p.peek()) {
		p.at++
	}
	op, ok := operators[strings.ToLower(p.text[start:p.at])]
	if !ok || isPathByte(p.peek()) {
		p.at = start
		if found.selector != nil && found.sub == "" {
			return &filter{op: opPresent, path: found}, nil
		}
		return nil, p.expected("one of eq, ne, co, sw, ew, gt, ge, lt, le, pr")
	}
	f := &filter{op: op, path: found}
	if op != opPresent {
		f.value, err = p.literal(op)
	}
	return f, err
}

// literal reads a compValue: a JSON string, number, boolean or null.
func (p *parser) literal(op operator) (literal, *syntaxError) {
	p.spaces()
	start := p.at
	if p.peek() == '"' {
		return p.quoted()
	}
	for c := p.peek(); c > ' ' && c != ')' && c != ']' && c != '"'; c = p.peek() {
		p.at++
	}
	l := literal{kind: bareLiteral, text: p.text[start:p.at]}
	switch {
	case l.text == "":
		return l, p.expected("a value, for example \"x\"")
	case strings.EqualFold(l.text, "true"), strings.EqualFold(l.text, "false"):
		l.kind = booleanLiteral
	case l.text == "null":
		l.kind = nullLiteral
	case json.Valid([]byte(l.text)) && (l.text[0] == '-' || l.text[0] <= '9'):
		l.kind = numberLiteral
	case op != opEqual:
		p.at = start
		return l, p.expected("a value in quotes")
	}
	return l, nil
}

func (p *parser) quoted() (literal, *syntaxError) {
	start := p.at
	for p.at++; p.at < len(p.text) && p.text[p.at] != '"'; p.at++ {
		if p.text[p.at] == '\\' {
			p.at++
		}
	}
	l := literal{kind: quotedLiteral}
	if p.at >= len(p.text) || json.Unmarshal([]byte(p.text[start:p.at+1]), &l.text) != nil {
		p.at = start
		return l, p.expected("a string in quotes, as JSON has it")
	}
	p.at++
	return l, nil
}
