package scim

import (
	"net/url"
	"slices"
	"strings"
)

// A view is the part of a resource that a client asks for by attributes or
// excludedAttributes (RFC 7644 §3.9). The zero view shows everything.
type view struct {
	only    []target // show these only; nil shows all
	without []target
}

// viewOf reads the parameters of a request. Names that no schema knows choose
// nothing. When both parameters are given, attributes counts. Nothing in a query
// string keeps a write from being done.
func viewOf(t *resourceType, query url.Values) view {
	if list := query.Get("attributes"); list != "" {
		return view{only: targets(t, list)}
	}
	return view{without: targets(t, query.Get("excludedAttributes"))}
}

func targets(t *resourceType, list string) []target {
	out := []target{}
	for name := range strings.SplitSeq(list, ",") {
		p, err := parsePath(name)
		if err != nil || p.selector != nil {
			continue
		}
		if found, ok := t.resolve(p); ok && (found.attr != nil || found.extension != "") {
			out = append(out, found)
		}
	}
	return out
}

// shows reports whether the view may show an attribute of the resource itself.
func (v view) shows(name string) bool {
	is := func(t target) bool { return t.extension == "" && t.attr != nil && t.attr.name == name }
	if v.only != nil {
		return slices.ContainsFunc(v.only, is)
	}
	return !slices.ContainsFunc(v.without, func(t target) bool { return is(t) && t.sub == nil })
}

// of gives the part of a resource that the view shows. What is always returned
// (RFC 7643 §2.2) is shown in any case. The resource may be changed.
func (v view) of(resource map[string]any) map[string]any {
	if v.only == nil {
		for _, t := range v.without {
			t.hide(resource)
		}
		return resource
	}
	out := map[string]any{"id": resource["id"], "schemas": resource["schemas"]}
	for _, t := range v.only {
		t.show(resource, out)
	}
	prune(out)
	return out
}

// hide takes the target out of a resource.
func (t target) hide(m map[string]any) {
	if t.attr == nil {
		delete(m, t.extension)
		return
	}
	if t.leaf().returned == "always" {
		return
	}
	if t.extension != "" {
		m, _ = m[t.extension].(map[string]any)
	}
	if t.sub == nil {
		delete(m, t.attr.name)
	} else {
		each(m[t.attr.name], func(entry map[string]any) { delete(entry, t.sub.name) })
	}
	prune(m)
}

// show copies the target from one resource to another.
func (t target) show(from, to map[string]any) {
	if t.attr == nil {
		to[t.extension] = from[t.extension]
		return
	}
	if t.extension != "" {
		inner, _ := to[t.extension].(map[string]any)
		if inner == nil {
			inner = map[string]any{}
			to[t.extension] = inner
		}
		from, _ = from[t.extension].(map[string]any)
		to = inner
	}
	name := t.attr.name
	if t.sub == nil {
		to[name] = from[name]
		return
	}
	var chosen []any
	each(from[name], func(entry map[string]any) {
		chosen = append(chosen, entry[t.sub.name])
	})
	to[name] = t.join(to[name], chosen)
}

// join adds one sub-attribute to what is shown of an attribute already.
func (t target) join(shown any, values []any) any {
	if !t.attr.multi {
		entry, _ := shown.(map[string]any)
		if entry == nil {
			entry = map[string]any{}
		}
		for _, v := range values {
			entry[t.sub.name] = v
		}
		return entry
	}
	list, _ := shown.([]any)
	for i, v := range values {
		if i == len(list) {
			list = append(list, map[string]any{})
		}
		if entry, ok := list[i].(map[string]any); ok {
			entry[t.sub.name] = v
		}
	}
	return list
}

// each calls do with a complex value, or with each of a list of them.
func each(v any, do func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		do(v)
	case []any:
		for _, v := range v {
			if entry, ok := v.(map[string]any); ok {
				do(entry)
			}
		}
	}
}
