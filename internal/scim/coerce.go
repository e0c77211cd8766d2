package scim

import (
	"maps"
	"slices"
	"strings"
)

// coercion turns what a client sent into what the schema says, and counts what
// no schema knows. Nothing of what it is given is changed or kept.
type coercion struct {
	dropped int
}

// maxValues is how many values an attribute of a person may have: what changes
// them compares each with each, while everybody else's changes wait.
const maxValues = 200

func errTooManyValues(at string) error {
	return invalid("invalidValue", at, "%s: expected at most %d values", at, maxValues)
}

// attribute coerces the value of a whole attribute. nil means unassigned
// (RFC 7643 §2.5). at is the attribute's name in messages. A single value
// stands for a list of one.
func (c *coercion) attribute(a *attribute, v any, at string) (any, error) {
	if !a.multi {
		return c.value(a, v, at)
	}
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	if len(list) > maxValues && a.name != membersAttribute {
		return nil, errTooManyValues(at)
	}
	out := []any{}
	for _, sent := range list {
		v, err := c.value(a, sent, at)
		if err != nil {
			return nil, err
		}
		if v == nil && sent != nil && a.name == membersAttribute {
			// Taken for nobody, it would empty the group, or leave a leaver in it.
			return nil, invalid("invalidValue", at, "%s: expected objects with a value, the id of a user", at)
		}
		if v != nil {
			out = append(out, v)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// value coerces one value.
func (c *coercion) value(a *attribute, v any, at string) (any, error) {
	if v == nil || a.kind != booleanType && isEmpty(v) {
		return nil, nil // an empty text or list is no answer to yes or no
	}
	switch a.kind {
	case booleanType:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		s, _ := v.(string)
		if b, ok := parseBoolean(s); ok {
			return b, nil
		}
		return nil, invalid("invalidValue", at, "%s: expected true or false, got %s", at, quote(v))
	case complexType:
		return c.complex(a, v, at)
	default:
		s, ok := v.(string)
		if !ok {
			return nil, invalid("invalidValue", at, "%s: expected a string, got %s", at, jsonType(v))
		}
		if strings.ContainsRune(s, 0) {
			return nil, invalid("invalidValue", at, "%s: expected text without the character U+0000", at)
		}
		return s, nil
	}
}

// complex coerces an object; a plain string stands for its "value", as Entra
// sends a manager.
func (c *coercion) complex(a *attribute, v any, at string) (any, error) {
	if s, ok := v.(string); ok && a.lookup("value") != nil {
		v = map[string]any{"value": s}
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("invalidValue", at, "%s: expected an object, got %s", at, jsonType(v))
	}
	out := map[string]any{}
	named := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		sub := a.lookup(key)
		if sub == nil {
			c.dropped++
			continue
		}
		name := at + "." + sub.name
		if named[sub.name] {
			return nil, invalid("invalidSyntax", name, "%s: stands twice in one object", name)
		}
		named[sub.name] = true
		if !sub.kept() {
			continue
		}
		v, err := c.attribute(sub, object[key], name)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out[sub.name] = v
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// parseBoolean reads a boolean that came as a string: Entra sends "True" and
// "False".
func parseBoolean(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

func quote(v any) string {
	if s, ok := v.(string); ok {
		return "\"" + clip(s) + "\""
	}
	return jsonType(v)
}
