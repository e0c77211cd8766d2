package scim

import "strings"

// A path names an attribute, a sub-attribute or some of an attribute's values:
// RFC 7644 §3.5.2, figure 7, and attrPath of §3.4.2.2.
type path struct {
	urn      string // of the schema, as written; "" when none is
	attr     string
	sub      string  // "" is all of the attribute
	selector *filter // between brackets; nil is every value
}

// parsePath reads the path of a PATCH operation. Invalid: invalidPath, or
// invalidFilter when the fault is inside the brackets (RFC 7644 §3.12).
func parsePath(s string) (path, error) {
	p, err := newParser(s)
	if err != nil {
		return path{}, err.in("path")
	}
	found, err := p.path()
	if err == nil && p.at < len(p.text) {
		err = p.expected("the end of the path")
	}
	if err != nil {
		return path{}, err.in("path")
	}
	return found, nil
}

// path reads attrPath, and a value selector with its sub-attribute.
func (p *parser) path() (path, *syntaxError) {
	start := p.at
	for p.at < len(p.text) && isPathByte(p.text[p.at]) {
		p.at++
	}
	found, ok := splitName(p.text[start:p.at])
	if !ok {
		p.at = start
		return path{}, p.expected("the name of an attribute")
	}
	if p.peek() != '[' {
		return found, nil
	}
	if found.sub != "" || p.inner {
		return path{}, p.expected("no bracket here: only an attribute's values can be selected")
	}
	var err *syntaxError
	if found.selector, err = p.selector(); err != nil {
		return path{}, err
	}
	if p.peek() != '.' {
		return found, nil
	}
	p.at++
	start = p.at
	for p.at < len(p.text) && isNameByte(p.text[p.at]) {
		p.at++
	}
	if found.sub = p.text[start:p.at]; !isName(found.sub) {
		return path{}, p.expected("the name of a sub-attribute")
	}
	return found, nil
}

// selector reads a filter between brackets.
func (p *parser) selector() (*filter, *syntaxError) {
	p.at++
	p.inner = true
	defer func() { p.inner = false }()
	f, err := p.nested(']', "\"]\"")
	return f, err
}

// splitName takes [URN:]name[.sub] apart. The name begins after the last colon:
// the URNs of SCIM have dots in them (…:2.0:User), and names have no colon.
func splitName(s string) (path, bool) {
	var found path
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if len(s) < 4 || !strings.EqualFold(s[:4], "urn:") || i < 4 {
			return path{}, false
		}
		found.urn, s = s[:i], s[i+1:]
	}
	var dotted bool
	found.attr, found.sub, dotted = strings.Cut(s, ".")
	return found, isName(found.attr) && (!dotted || isName(found.sub))
}

// isName tells an ATTRNAME of RFC 7644 §3.4.2.2, or one that begins with "$" as
// "$ref" does.
func isName(s string) bool {
	if s == "" || !isLetter(s[0]) && s[0] != '$' {
		return false
	}
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isNameByte(c byte) bool {
	return isLetter(c) || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '$'
}

func isPathByte(c byte) bool { return isNameByte(c) || c == '.' || c == ':' }
