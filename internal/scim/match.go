package scim

import (
	"cmp"
	"strings"
	"time"
)

// bind gives the names in f their meaning by resolve and makes its values
// comparable: a boolean may be a string (primary eq "True"), a date must be one.
// Invalid: invalidFilter, when a name is unknown or cannot be compared so.
func (f *filter) bind(resolve func(path) (target, bool)) error {
	for _, part := range f.parts {
		if err := part.bind(resolve); err != nil {
			return err
		}
	}
	if len(f.parts) > 0 {
		return nil
	}
	t, ok := resolve(f.path)
	if !ok || t.attr == nil {
		return invalid("invalidFilter", "filter", "filter: no attribute is called %q", f.path.name())
	}
	f.target = t
	if f.path.selector != nil {
		if !t.attr.multi || t.attr.kind != complexType {
			return invalid("invalidFilter", "filter", "filter: %s has no values to select from", t.attr.name)
		}
		if err := f.path.selector.bind(t.attr.member); err != nil {
			return err
		}
	}
	if f.op == opPresent {
		return nil
	}
	if t.leaf().kind == complexType {
		if f.target.sub = t.attr.lookup("value"); f.target.sub == nil {
			return invalid("invalidFilter", "filter", "filter: %s is compared by one of its sub-attributes, for example %s.%s",
				t.attr.name, t.attr.name, t.attr.sub[0].name)
		}
	}
	return f.bindValue(f.target.leaf())
}

// member resolves a name inside the brackets of a value selector.
func (a *attribute) member(p path) (target, bool) {
	if p.urn != "" || p.sub != "" || p.selector != nil {
		return target{}, false
	}
	found := a.lookup(p.attr)
	return target{attr: found}, found != nil
}

// name is the path as it was written, without its selector.
func (p path) name() string {
	s := p.attr
	if p.urn != "" {
		s = p.urn + ":" + s
	}
	if p.sub != "" {
		s += "." + p.sub
	}
	return s
}

// bindValue coerces the value by the type of the attribute that it is compared
// with (RFC 7644 §3.4.2.2).
func (f *filter) bindValue(a *attribute) error {
	wrong := func(want string) error {
		return invalid("invalidFilter", "filter", "filter: %s: expected %s", f.target, want)
	}
	ordering := f.op >= opGreater
	if f.value.kind == nullLiteral {
		if f.op != opEqual && f.op != opNotEqual {
			return wrong("eq or ne before null")
		}
		return nil
	}
	switch a.kind {
	case booleanType:
		value, ok := parseBoolean(f.value.text)
		if !ok || f.op != opEqual && f.op != opNotEqual {
			return wrong("eq or ne, and true or false")
		}
		f.want = value
	case dateTimeType:
		value, err := time.Parse(time.RFC3339, f.value.text)
		if err != nil || !ordering && f.op != opEqual && f.op != opNotEqual {
			return wrong("eq, ne, gt, ge, lt or le, and a time such as \"2026-11-22T10:00:00Z\"")
		}
		f.want = value
	default:
		if ordering && a.kind == binaryType {
			return wrong("no ordering: the attribute is binary")
		}
		if f.value.kind != quotedLiteral && f.op != opEqual {
			return wrong("a string in quotes")
		}
		f.want = a.fold(f.value.text)
	}
	return nil
}

// fold is the form by which two values of the attribute are compared.
func (a *attribute) fold(s string) string {
	if a.caseExact {
		return s
	}
	return strings.ToLower(s)
}

// match evaluates a bound filter over a resource or over one value of a
// multi-valued attribute. One value that fits is enough; what is absent is
// equal to null and unequal to everything else.
func (f *filter) match(m map[string]any) bool {
	switch f.op {
	case opAnd:
		for _, part := range f.parts {
			if !part.match(m) {
				return false
			}
		}
		return true
	case opOr:
		for _, part := range f.parts {
			if part.match(m) {
				return true
			}
		}
		return false
	case opNot:
		return !f.parts[0].match(m)
	default:
	}
	values := f.target.values(m, f.path.selector)
	switch {
	case f.op == opPresent:
		return len(values) > 0
	case f.want == nil:
		return (f.op == opEqual) == (len(values) == 0)
	case len(values) == 0:
		return f.op == opNotEqual
	}
	for _, v := range values {
		if f.compare(v) {
			return true
		}
	}
	return false
}

// values are what m has at the target, without what is empty.
func (t target) values(m map[string]any, selector *filter) []any {
	if t.extension != "" {
		m, _ = m[t.extension].(map[string]any)
	}
	all, isList := m[t.attr.name].([]any)
	if !isList {
		all = []any{m[t.attr.name]}
	}
	var out []any
	for _, v := range all {
		entry, isEntry := v.(map[string]any)
		if selector != nil && (!isEntry || !selector.match(entry)) {
			continue
		}
		if t.sub != nil {
			v = entry[t.sub.name]
		}
		if !isEmpty(v) {
			out = append(out, v)
		}
	}
	return out
}

// isEmpty reports whether v is unassigned (RFC 7643 §2.5); an empty string is
// taken as such too.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func (f *filter) compare(have any) bool {
	switch want := f.want.(type) {
	case bool:
		return (have == want) == (f.op == opEqual)
	case time.Time:
		s, _ := have.(string)
		at, err := time.Parse(time.RFC3339, s)
		return err == nil && f.holds(at.Compare(want))
	case string:
		s, ok := have.(string)
		s = f.target.leaf().fold(s)
		switch f.op {
		case opContains:
			return ok && strings.Contains(s, want)
		case opStarts:
			return ok && strings.HasPrefix(s, want)
		case opEnds:
			return ok && strings.HasSuffix(s, want)
		default:
			return ok && f.holds(cmp.Compare(s, want))
		}
	}
	return false
}

// holds judges an order: negative is less, zero is equal.
func (f *filter) holds(order int) bool {
	switch f.op {
	case opEqual:
		return order == 0
	case opNotEqual:
		return order != 0
	case opGreater:
		return order > 0
	case opGreaterEqual:
		return order >= 0
	case opLess:
		return order < 0
	case opLessEqual:
		return order <= 0
	default:
		return false
	}
}

// facts are what an entry must have to be selected by f, when f is made of
// nothing but eq joined by and; otherwise there is no telling.
func (f *filter) facts() (map[string]any, bool) {
	out := map[string]any{}
	parts := []*filter{f}
	if f.op == opAnd {
		parts = f.parts
	}
	for _, part := range parts {
		if part.op != opEqual || part.want == nil {
			return nil, false
		}
		var v any = part.value.text // as it was written, not folded
		if b, ok := part.want.(bool); ok {
			v = b
		}
		name := part.target.attr.name
		if old, twice := out[name]; twice && old != v {
			return nil, false
		}
		out[name] = v
	}
	return out, true
}
