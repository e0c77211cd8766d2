package scim

import (
	"maps"
	"slices"
	"strings"
)

// opKind is what an operation does (RFC 7644 §3.5.2).
type opKind uint8

const (
	opAdd opKind = iota + 1
	opReplace
	opRemove
)

// An operation is one change of one attribute, after normalisation: whatever
// way it was spelt, the target is resolved and the value coerced by schema.
type operation struct {
	kind opKind
	target
	selector *filter // which values of a multi-valued attribute; nil is all
	value    any     // nil for most removals
}

// changes are what a request asks for, in order. They are not modified once
// they are made: a transaction may apply them twice.
type changes struct {
	ops     []operation
	dropped int // attributes that no schema knows
}

// normaliser gathers the operations of one request.
type normaliser struct {
	coercion
	resource *resourceType
	whole    bool // the request is a resource, not a PATCH
	ops      []operation
	known    bool   // some attribute was known, if only to be ignored
	unknown  string // the first name that should have been known and was not
}

// parsePatch normalises the body of a PATCH (RFC 7644 §3.5.2).
func parsePatch(t *resourceType, body map[string]any) (changes, error) {
	if err := checkSchemas(body, patchURN); err != nil {
		return changes{}, err
	}
	v, _, err := member(body, "Operations")
	if err != nil {
		return changes{}, err
	}
	list, _ := v.([]any)
	if len(list) == 0 {
		return changes{}, invalid("invalidSyntax", "Operations", "Operations: expected a list of at least one operation")
	}
	if len(list) > maxOperations {
		return changes{}, invalid("invalidValue", "Operations", "Operations: expected at most %d in one PATCH", maxOperations)
	}
	n := normaliser{resource: t}
	for _, v := range list {
		object, ok := v.(map[string]any)
		if !ok {
			return changes{}, invalid("invalidSyntax", "Operations", "Operations: expected objects, got %s", jsonType(v))
		}
		if err := n.operation(object); err != nil {
			return changes{}, err
		}
	}
	// 200 would say that something was done.
	if !n.known && n.unknown != "" {
		return changes{}, invalid("invalidPath", "path", "path: %s has no attribute %q", t.name, n.unknown)
	}
	return changes{ops: n.ops, dropped: n.dropped}, nil
}

// parseResource normalises a whole resource, as POST and PUT have it: everything
// is added to nothing, and what is null is as what is absent (RFC 7643 §2.5).
func parseResource(t *resourceType, body map[string]any) (changes, error) {
	if err := checkSchemas(body, t.core()); err != nil {
		return changes{}, err
	}
	n := normaliser{resource: t, whole: true}
	if err := n.object(opAdd, "", body, map[string]bool{}); err != nil {
		return changes{}, err
	}
	return changes{ops: n.ops, dropped: n.dropped}, nil
}

// operation normalises one member of Operations.
func (n *normaliser) operation(object map[string]any) error {
	kind, err := kindOf(object)
	if err != nil {
		return err
	}
	value, given, err := member(object, "value")
	if err != nil {
		return err
	}
	if kind != opRemove && !given {
		return invalid("invalidValue", "value", "value: expected one with every add and replace")
	}
	v, _, err := member(object, "path")
	if err != nil {
		return err
	}
	name, ok := v.(string)
	switch {
	case v != nil && !ok:
		return invalid("invalidPath", "path", "path: expected a string, got %s", jsonType(v))
	case strings.TrimSpace(name) != "":
		p, err := parsePath(name)
		if err != nil {
			return err
		}
		if t, ok := n.resource.resolve(p); ok && t.attr != nil && t.attr.mutability == "readOnly" && strings.EqualFold(p.attr, "groups") {
			return invalid("mutability", "path", "path: %s is changed by changing the groups", p.attr) // RFC 7644 §3.5.2
		}
		return n.change(kind, p, value, map[string]bool{})
	case kind == opRemove:
		return invalid("noTarget", "path", "path: expected one with every remove")
	}
	attributes, ok := value.(map[string]any)
	if !ok {
		return invalid("invalidValue", "value", "value: expected an object when there is no path, got %s", jsonType(value))
	}
	return n.object(kind, "", attributes, map[string]bool{})
}

// maxOperations is how many operations one PATCH may have.
const maxOperations = 5000

// meansActive reports whether a name that no schema knows has "active" for one of
// its parts. Dropped like other unknown names, it would keep a leaver in, with 200.
func meansActive(name string) bool {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '.' || r == ':' || r == '/' || r == ' ' || r == '[' || r == ']' })
	return slices.ContainsFunc(parts, func(part string) bool { return strings.EqualFold(part, "active") })
}

func errActiveMissed(name string) error {
	return invalid("invalidPath", "path", "path: %q is not the attribute active; expected \"active\"", clip(name))
}

// kindOf reads the op, in any case: Entra capitalises it.
func kindOf(object map[string]any) (opKind, error) {
	v, _, err := member(object, "op")
	if err != nil {
		return 0, err
	}
	op, _ := v.(string)
	switch strings.ToLower(op) {
	case "add":
		return opAdd, nil
	case "replace":
		return opReplace, nil
	case "remove":
		return opRemove, nil
	}
	return 0, invalid("invalidSyntax", "op", "op: expected add, replace or remove, got %s", quote(v))
}

// object normalises attributes that stand together: each key is a path, dotted
// or with a URN as it may be. seen holds what they have named so far: of two
// spellings of one attribute nobody can tell which one counts.
func (n *normaliser) object(kind opKind, urn string, attributes map[string]any, seen map[string]bool) error {
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		p, err := parsePath(key)
		if err != nil {
			if meansActive(key) {
				return errActiveMissed(key)
			}
			n.dropped++ // no name of SCIM: no schema can know it
			if n.unknown == "" {
				n.unknown = clip(key)
			}
			continue
		}
		if urn != "" {
			p.urn = urn
		}
		if err := n.change(kind, p, attributes[key], seen); err != nil {
			return err
		}
	}
	return nil
}

// change normalises one change of one attribute.
func (n *normaliser) change(kind opKind, p path, v any, seen map[string]bool) error {
	t, ok := n.resource.resolve(p)
	if !ok {
		if meansActive(p.name()) {
			return errActiveMissed(p.name())
		}
		n.dropped++
		if n.unknown == "" && n.resource.owns(p) {
			n.unknown = clip(p.name())
		}
		return nil
	}
	n.known = true
	if p.selector == nil {
		if seen[t.String()] {
			return invalid("invalidSyntax", t.String(), "%s: stands twice in one object", t)
		}
		seen[t.String()] = true
	}
	switch {
	case t.attr == nil:
		return n.extension(kind, t, p, v, seen)
	case !t.attr.kept() || !t.leaf().kept():
		return nil // clients send id, meta and groups as they have read them
	}
	if p.selector != nil {
		if !t.attr.multi {
			return invalid("invalidPath", "path", "path: %s has one value: expected no brackets", t)
		}
		if err := p.selector.bind(t.attr.member); err != nil {
			return err
		}
	}
	op := operation{kind: kind, target: t, selector: p.selector}
	if !n.whole && (!t.attr.multi || t.sub != nil || p.selector != nil) {
		v = unwrap(t.leaf(), v)
	}
	if object, ok := v.(map[string]any); ok && kind != opRemove && t.leaf().kind == complexType && !t.attr.multi {
		return n.members(kind, p, object, seen)
	}
	var err error
	if op.value, err = n.value(op, v); err != nil {
		return err
	}
	return n.emit(op, v)
}

// extension normalises a change of all that an extension holds. Without an
// extension the URN was that of the core schema.
func (n *normaliser) extension(kind opKind, t target, p path, v any, seen map[string]bool) error {
	attributes, ok := v.(map[string]any)
	switch {
	case ok && kind != opRemove:
		return n.object(kind, p.urn+":"+p.attr, attributes, seen)
	case v != nil && kind != opRemove:
		return invalid("invalidValue", p.name(), "%s: expected an object, got %s", clip(p.name()), jsonType(v))
	case n.whole:
		return nil
	case t.extension == "":
		return invalid("noTarget", "path", "path: expected an attribute, not all of the %s schema", n.resource.name)
	}
	n.ops = append(n.ops, operation{kind: opRemove, target: t})
	return nil
}

// members normalises a change of a complex attribute by each of its
// sub-attributes: those that are not named stay (RFC 7644 §3.5.2.3).
func (n *normaliser) members(kind opKind, p path, object map[string]any, seen map[string]bool) error {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if err := n.change(kind, path{urn: p.urn, attr: p.attr, sub: key}, object[key], seen); err != nil {
			return err
		}
	}
	return nil
}

// value coerces the value of an operation.
func (n *normaliser) value(op operation, v any) (any, error) {
	switch list := op.attr.multi && op.sub == nil && op.selector == nil; {
	case op.kind == opRemove && !list:
		return nil, nil // whatever stands beside the path
	case op.selector != nil && op.sub == nil:
		return n.coercion.value(op.attr, v, op.String())
	}
	return n.attribute(op.leaf(), v, op.String())
}

// unwrap takes a single value out of the list, and a simple one out of the
// object, that Entra wraps it in: [{"$ref": null, "value": "x"}].
func unwrap(a *attribute, v any) any {
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	if object, ok := v.(map[string]any); ok && a.kind != complexType {
		if inner, ok, err := member(object, "value"); ok && err == nil {
			return inner
		}
	}
	return v
}

// emit adds an operation. Without a value it removes: null, an empty string and
// an empty list leave an attribute unassigned (RFC 7643 §2.5). sent is the value
// before coercion.
func (n *normaliser) emit(op operation, sent any) error {
	if op.value != nil {
		n.ops = append(n.ops, op)
		return nil
	}
	list := op.attr.multi && op.sub == nil
	switch {
	case n.whole:
		return nil // absent
	case list && op.kind == opAdd:
		return nil // none to add
	case list && op.kind == opRemove && op.selector == nil && sent != nil && sent != "":
		return nil // none of those that are there
	case op.attr.required || op.attr.kind == booleanType:
		return invalid("mutability", op.String(), "%s: expected a value: it cannot be removed", op.target)
	}
	op.kind = opRemove
	n.ops = append(n.ops, op)
	return nil
}
