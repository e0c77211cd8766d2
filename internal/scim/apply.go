package scim

import (
	"maps"
	"reflect"
	"slices"
)

// apply changes a resource by all operations in order. An error leaves the
// resource half changed: the caller throws it away (RFC 7644 §3.5.2: all or
// nothing). Nothing of the operations is shared with the resource afterwards.
func (c changes) apply(resource map[string]any) error {
	for _, op := range c.ops {
		if err := op.apply(resource); err != nil {
			return err
		}
	}
	prune(resource)
	return nil
}

func (o operation) apply(resource map[string]any) error {
	box := resource
	if o.extension != "" {
		if o.attr == nil {
			delete(resource, o.extension)
			return nil
		}
		inner, ok := resource[o.extension].(map[string]any)
		if !ok {
			inner = map[string]any{}
			resource[o.extension] = inner
		}
		box = inner
	}
	name := o.attr.name
	switch {
	case o.attr.multi:
		list, _ := box[name].([]any)
		changed, err := o.values(list)
		box[name] = changed
		return err
	case o.kind == opRemove && o.sub == nil:
		delete(box, name)
	case o.sub == nil:
		box[name] = clone(o.value)
	default:
		entry, ok := box[name].(map[string]any)
		if !ok {
			entry = map[string]any{}
			box[name] = entry
		}
		o.merge(entry)
	}
	return nil
}

// merge changes one complex value. What the operation does not name stays.
func (o operation) merge(entry map[string]any) {
	switch {
	case o.sub == nil:
		value, _ := clone(o.value).(map[string]any)
		maps.Copy(entry, value)
	case o.kind == opRemove:
		delete(entry, o.sub.name)
	default:
		entry[o.sub.name] = clone(o.value)
	}
}

// values changes the values of a multi-valued attribute.
func (o operation) values(list []any) ([]any, error) {
	if o.selector == nil && o.sub == nil {
		if list = o.wholeList(list); len(list) > maxValues {
			return nil, errTooManyValues(o.attr.name)
		}
		return list, nil
	}
	var out []any
	touched := map[int]bool{} // places in out
	hit := false
	for _, v := range list {
		entry, ok := v.(map[string]any)
		if !ok || o.selector != nil && !o.selector.match(entry) {
			out = append(out, v)
			continue
		}
		hit = true
		if entry = o.entry(entry); entry != nil {
			touched[len(out)] = true
			out = append(out, entry)
		}
	}
	if !hit && o.kind != opRemove {
		entry, ok := o.fresh()
		if !ok {
			return nil, invalid("noTarget", "path", "path: no value of %s is selected, and the selection does not tell what to create", o.attr.name)
		}
		touched[len(out)] = true
		if out = append(out, entry); len(out) > maxValues {
			return nil, errTooManyValues(o.attr.name)
		}
	}
	onePrimary(out, touched)
	return out, nil
}

// entry changes one selected value, or gives nil when nothing is left of it.
func (o operation) entry(entry map[string]any) map[string]any {
	switch {
	case o.sub == nil && o.kind == opRemove:
		return nil
	case o.sub == nil && o.kind == opReplace:
		// The record is replaced; what selected it holds of the new one too.
		fresh, _ := o.fresh()
		return fresh
	}
	o.merge(entry)
	for name := range entry {
		if name != "type" && name != "primary" {
			return entry
		}
	}
	if o.kind == opRemove {
		return nil // a type of nothing
	}
	return entry
}

// fresh makes the value that a selector describes and that is not there yet:
// Entra adds, and replaces, phoneNumbers[type eq "mobile"].value without asking.
// A selector by value describes one that must be there.
func (o operation) fresh() (map[string]any, bool) {
	entry := map[string]any{}
	told := true
	if o.selector != nil {
		facts, ok := o.selector.facts()
		if ok {
			entry = facts
		}
		_, byValue := facts["value"]
		told = ok && !byValue
	}
	o.merge(entry)
	return entry, told
}

// wholeList changes all values at once.
func (o operation) wholeList(list []any) []any {
	given, _ := clone(o.value).([]any)
	switch {
	case o.kind == opReplace:
		list = nil
	case o.kind == opRemove && o.value == nil:
		return nil
	case o.kind == opRemove:
		return o.without(list, given)
	}
	touched := map[int]bool{}
	for _, v := range given {
		i := o.attr.index(list, v)
		if i < 0 {
			i = len(list)
			list = append(list, v)
		} else if entry, ok := list[i].(map[string]any); ok {
			value, _ := v.(map[string]any)
			maps.Copy(entry, value)
		}
		touched[i] = true
	}
	onePrimary(list, touched)
	return list
}

// without removes the values that a remove names beside its path, as Entra does.
func (o operation) without(list, named []any) []any {
	var out []any
	for _, v := range list {
		if o.attr.index(named, v) < 0 {
			out = append(out, v)
		}
	}
	return out
}

// index finds the value of a list that is the same as v, or gives -1. Two are
// the same when they are equal, or when their "value" is, and their "type" if
// both have one (RFC 7643 §2.4).
func (a *attribute) index(list []any, v any) int {
	for i := range list {
		if reflect.DeepEqual(list[i], v) {
			return i
		}
		x, isEntry := list[i].(map[string]any)
		y, too := v.(map[string]any)
		if isEntry && too && a.same(x, y, "value", false) && a.same(x, y, "type", true) {
			return i
		}
	}
	return -1
}

// same compares a sub-attribute of two values; absent says what it means when
// one of them lacks it.
func (a *attribute) same(x, y map[string]any, name string, absent bool) bool {
	s, ok := x[name].(string)
	t, too := y[name].(string)
	if !ok || !too {
		return absent
	}
	sub := a.lookup(name)
	return sub != nil && sub.fold(s) == sub.fold(t)
}

// onePrimary keeps "primary" true for one value at the most: for the first of
// those that were touched, if one of them says so (RFC 7644 §3.5.2).
func onePrimary(list []any, touched map[int]bool) {
	winner := -1
	for i, v := range list {
		if entry, ok := v.(map[string]any); ok && touched[i] && entry["primary"] == true {
			winner = i
			break
		}
	}
	if winner < 0 {
		return
	}
	for i, v := range list {
		if entry, ok := v.(map[string]any); ok && i != winner && entry["primary"] == true {
			entry["primary"] = false
		}
	}
}

// clone copies a value, so that later changes do not reach the operation that
// it came from.
func clone(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clone(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key := range v {
			out[key] = clone(v[key])
		}
		return out
	}
	return v
}

// prune takes out what is empty: nothing null or empty is stored or answered.
func prune(m map[string]any) {
	for key, v := range m {
		switch v := v.(type) {
		case map[string]any:
			prune(v)
		case []any:
			m[key] = slices.DeleteFunc(v, func(v any) bool {
				if entry, ok := v.(map[string]any); ok {
					prune(entry)
				}
				return isEmpty(v)
			})
		}
		if isEmpty(m[key]) {
			delete(m, key)
		}
	}
}
