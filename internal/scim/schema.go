package scim

import (
	"cmp"
	"strings"
)

// dataType is the type of an attribute (RFC 7643 §2.3).
type dataType string

const (
	stringType    dataType = "string"
	booleanType   dataType = "boolean"
	dateTimeType  dataType = "dateTime"
	binaryType    dataType = "binary"
	referenceType dataType = "reference"
	complexType   dataType = "complex"
)

// An attribute is one row of a schema (RFC 7643 §7). What is empty has the
// default of RFC 7643 §2.2.
type attribute struct {
	name       string
	about      string
	kind       dataType
	multi      bool
	required   bool
	caseExact  bool
	mutability string   // "" is readWrite
	returned   string   // "" is default
	uniqueness string   // "" is none
	canonical  []string // suggested values; others are taken too
	refers     []string // of a reference
	sub        []attribute
	// ignored is an attribute that clients send and that is neither kept nor
	// announced.
	ignored bool
}

// kept reports whether what a client sends for the attribute is stored.
func (a *attribute) kept() bool { return !a.ignored && a.mutability != "readOnly" }

// lookup finds a sub-attribute without regard to case (RFC 7643 §2.1), or nil.
func (a *attribute) lookup(name string) *attribute { return lookup(a.sub, name) }

func lookup(list []attribute, name string) *attribute {
	for i := range list {
		if strings.EqualFold(list[i].name, name) {
			return &list[i]
		}
	}
	return nil
}

// A schema is a set of attributes under a URN.
type schema struct {
	id         string
	name       string
	about      string
	attributes []attribute
}

// A resourceType is an endpoint and what is kept there (RFC 7643 §6). Its first
// schema is the core one, the others are extensions.
type resourceType struct {
	name     string
	endpoint string
	about    string
	schemas  []schema
}

// core is the URN of the resource type's own schema.
func (t *resourceType) core() string { return t.schemas[0].id }

// A target is what a path means in a resource type.
type target struct {
	extension string     // URN of the extension that the attribute is in; "" is the resource itself
	attr      *attribute // nil: all of the extension, or of the resource
	sub       *attribute // nil: all of the attribute
}

// leaf is the innermost attribute of the target.
func (t target) leaf() *attribute {
	if t.sub != nil {
		return t.sub
	}
	return t.attr
}

// String is the target in the canonical spelling of its schema.
func (t target) String() string {
	s := t.extension
	if t.attr != nil {
		if s != "" {
			s += ":"
		}
		s += t.attr.name
	}
	if t.sub != nil {
		s += "." + t.sub.name
	}
	return s
}

// resolve finds what p means. A name is compared without regard to case; a URN
// may stand before it, also that of the core schema (RFC 7644 §3.10).
func (t *resourceType) resolve(p path) (target, bool) {
	if p.urn == "" {
		if found, ok := find(commonAttributes, p); ok {
			return found, true
		}
		return find(t.schemas[0].attributes, p)
	}
	for i := range t.schemas {
		s, extension := &t.schemas[i], ""
		if i > 0 {
			extension = s.id
		}
		if p.sub == "" && p.selector == nil && strings.EqualFold(s.id, p.urn+":"+p.attr) {
			return target{extension: extension}, true
		}
		if !strings.EqualFold(s.id, p.urn) {
			continue
		}
		found, ok := find(s.attributes, p)
		if !ok && i == 0 {
			found, ok = find(commonAttributes, p)
		}
		found.extension = extension
		return found, ok
	}
	return target{}, false
}

// owns reports whether a path claims to be of a schema that is known here.
func (t *resourceType) owns(p path) bool {
	if p.urn == "" {
		return true
	}
	for i := range t.schemas {
		if strings.EqualFold(t.schemas[i].id, p.urn) {
			return true
		}
	}
	return false
}

func find(list []attribute, p path) (target, bool) {
	a := lookup(list, p.attr)
	if a == nil {
		return target{}, false
	}
	if p.sub == "" {
		return target{attr: a}, true
	}
	sub := a.lookup(p.sub)
	return target{attr: a, sub: sub}, sub != nil
}

// published is the attribute as /Schemas tells it (RFC 7643 §7).
func (a *attribute) published() map[string]any {
	m := map[string]any{
		"name": a.name, "type": string(a.kind), "multiValued": a.multi, "description": a.about, "required": a.required,
		"mutability": cmp.Or(a.mutability, "readWrite"), "returned": cmp.Or(a.returned, "default"), "uniqueness": cmp.Or(a.uniqueness, "none"),
	}
	if a.kind != complexType && a.kind != booleanType {
		m["caseExact"] = a.caseExact
	}
	if len(a.canonical) > 0 {
		m["canonicalValues"] = a.canonical
	}
	if len(a.refers) > 0 {
		m["referenceTypes"] = a.refers
	}
	if len(a.sub) > 0 {
		m["subAttributes"] = publishAll(a.sub)
	}
	return m
}

func publishAll(list []attribute) []map[string]any {
	out := make([]map[string]any, 0, len(list))
	for i := range list {
		if !list[i].ignored {
			out = append(out, list[i].published())
		}
	}
	return out
}
