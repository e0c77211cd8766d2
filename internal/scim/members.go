package scim

import (
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// members folds the changes of a group's members into one, and gives the other
// changes back. A member is added, removed or replaced as a whole: however many
// operations there are, the last that names a member counts.
func (c changes) members() (tenure.MemberChange, changes, error) {
	rest := changes{dropped: c.dropped}
	f := memberFold{in: map[tenure.UserID]bool{}}
	for _, op := range c.ops {
		if op.attr == nil || op.attr.name != membersAttribute {
			rest.ops = append(rest.ops, op)
			continue
		}
		if err := f.operation(op); err != nil {
			return tenure.MemberChange{}, changes{}, err
		}
	}
	return f.change(), rest, nil
}

// memberFold is what the operations so far come to.
type memberFold struct {
	only  bool                   // nobody else is left
	in    map[tenure.UserID]bool // true: in, false: out
	order []tenure.UserID        // of first naming
}

func (f *memberFold) set(id tenure.UserID, in bool) {
	if _, named := f.in[id]; !named {
		f.order = append(f.order, id)
	}
	f.in[id] = in
}

// reset forgets all: whoever was in the group is not.
func (f *memberFold) reset() {
	f.only, f.order = true, nil
	clear(f.in)
}

func (f *memberFold) change() tenure.MemberChange {
	c := tenure.MemberChange{Only: f.only}
	for _, id := range f.order {
		switch {
		case f.in[id]:
			c.Add = append(c.Add, id)
		case !f.only:
			c.Remove = append(c.Remove, id)
		}
	}
	return c
}

func (f *memberFold) operation(op operation) error {
	if op.selector != nil {
		return f.selected(op)
	}
	if op.sub != nil {
		return errMemberImmutable
	}
	given, _ := op.value.([]any)
	if op.kind == opReplace || op.kind == opRemove && op.value == nil {
		f.reset()
	}
	for _, v := range given {
		id, err := memberID(v)
		if err != nil {
			return err
		}
		f.set(id, op.kind != opRemove)
	}
	return nil
}

// selected does an operation on members[value eq "x"].
func (f *memberFold) selected(op operation) error {
	ids, ok := op.selector.chosen()
	switch {
	case !ok:
		return invalid("invalidFilter", "path", "path: members are selected by their value, for example members[value eq \"2819c223\"]")
	case op.kind == opRemove && (op.sub == nil || op.sub.name == "value"):
		for _, id := range ids {
			f.set(tenure.UserID(id), false)
		}
		return nil
	case op.kind == opRemove || op.sub != nil || len(ids) != 1:
		return errMemberImmutable
	}
	if entry, _ := op.value.(map[string]any); entry["value"] != nil && entry["value"] != ids[0] {
		return errMemberImmutable
	}
	f.set(tenure.UserID(ids[0]), true)
	return nil
}

var errMemberImmutable = invalid("mutability", membersAttribute,
	"members: a member is immutable; expected to add or remove whole members")

// memberID reads one member. Its type and display may be missing; a group is
// refused.
func memberID(v any) (tenure.UserID, error) {
	entry, _ := v.(map[string]any)
	kind, _ := entry["type"].(string)
	id, _ := entry["value"].(string)
	ref, _ := entry["$ref"].(string)
	switch {
	case strings.EqualFold(kind, groupType.name), kind == "" && strings.Contains(ref, groupType.endpoint+"/"):
		return "", invalid("invalidValue", membersAttribute, "members: expected users only: groups inside groups are not supported")
	case id == "":
		return "", invalid("invalidValue", "members.value", "members.value: expected the id of a user")
	}
	return tenure.UserID(id), nil
}

// chosen are the values that a filter made of value eq, and, or selects.
func (f *filter) chosen() ([]string, bool) {
	var out []string
	switch f.op {
	case opEqual:
		id, ok := f.want.(string)
		return []string{id}, ok && id != "" && f.target.attr.name == "value"
	case opOr:
		for _, part := range f.parts {
			ids, ok := part.chosen()
			if !ok {
				return nil, false
			}
			out = append(out, ids...)
		}
		return out, true
	case opAnd:
		for i, part := range f.parts {
			ids, ok := part.chosen()
			switch {
			case !ok:
				return nil, false
			case i == 0:
				out = ids
			default:
				out = slices.DeleteFunc(out, func(id string) bool { return !slices.Contains(ids, id) })
			}
		}
		return out, true
	default:
		return nil, false
	}
}
