package scim

import (
	"time"

	"github.com/tenure-gateway/tenure/internal/directory"
)

// Conditions that hold for everybody, and for nobody.
var (
	everybody = directory.Cond{Op: directory.CondTrue}
	nobody    = directory.Cond{Op: directory.CondFalse}
)

// columns are the attributes that stand in a column of their own.
var columns = map[string]string{
	"id": directory.FieldID, "userName": directory.FieldUserName, "displayName": directory.FieldDisplayName,
	"externalId": directory.FieldExternalID, "active": directory.FieldActive,
	"meta.created": directory.FieldCreated, "meta.lastModified": directory.FieldUpdated,
}

// relations are the attributes that have rows of their own, and which of their
// sub-attributes those rows have.
var relations = map[string]struct {
	name   string
	fields map[string]string
}{
	"emails":         {directory.RelationEmails, map[string]string{"value": directory.FieldValue, "type": directory.FieldType}},
	"groups":         {directory.RelationGroups, map[string]string{"value": directory.FieldValue}},
	membersAttribute: {directory.RelationMembers, map[string]string{"value": directory.FieldValue}},
}

// comparisons are the operators that a Cond has too.
var comparisons = map[operator]directory.CondOp{
	opEqual: directory.CondEqual, opContains: directory.CondContains, opStarts: directory.CondStarts, opEnds: directory.CondEnds,
	opGreater: directory.CondGreater, opGreaterEqual: directory.CondGreaterEqual, opLess: directory.CondLess, opLessEqual: directory.CondLessEqual,
}

// compile turns a bound filter into a condition. exact tells that the condition
// chooses what match chooses; otherwise it chooses some more, and match must
// judge each.
func (f *filter) compile(t *resourceType) (cond directory.Cond, exact bool) {
	switch f.op {
	case opAnd:
		out, exact := directory.Cond{Op: directory.CondAnd}, true
		for _, part := range f.parts {
			c, whole := part.compile(t)
			out.Parts, exact = append(out.Parts, c), exact && whole
		}
		return out, exact
	case opOr:
		out := directory.Cond{Op: directory.CondOr}
		exact := true
		for _, part := range f.parts {
			c, whole := part.compile(t)
			out.Parts, exact = append(out.Parts, c), exact && whole
		}
		return out, exact
	case opNot:
		if c, exact := f.parts[0].compile(t); exact {
			return not(c), true
		}
		return everybody, false
	default:
	}
	if c, ok := f.leaf(t); ok {
		return c, true
	}
	return everybody, false
}

// leaf compiles one comparison, if it can be.
func (f *filter) leaf(t *resourceType) (directory.Cond, bool) {
	attr := f.target.attr
	switch r, rows := relations[attr.name]; {
	case !t.has(f.target):
		return constant(f.match(map[string]any{})), true
	case f.target.extension != "":
		return nobody, false
	case rows:
		return f.any(r.name, r.fields)
	case f.target.String() == "meta.resourceType":
		return constant(f.match(map[string]any{"meta": map[string]any{"resourceType": t.name}})), true
	case attr.name == "schemas" && len(t.schemas) == 1:
		return constant(f.match(map[string]any{"schemas": []any{t.core()}})), true
	}
	field, ok := columns[f.target.String()]
	if !ok || f.path.selector != nil {
		return nobody, false
	}
	return f.column(field), true
}

// has reports whether the target is of this resource type.
func (t *resourceType) has(x target) bool {
	list := t.schemas[0].attributes
	if x.extension != "" {
		list = nil
		for i := range t.schemas {
			if t.schemas[i].id == x.extension {
				list = t.schemas[i].attributes
			}
		}
	}
	return lookup(list, x.attr.name) != nil || x.extension == "" && lookup(commonAttributes, x.attr.name) != nil
}

// column compiles a comparison of a column.
func (f *filter) column(field string) directory.Cond {
	present := directory.Cond{Op: directory.CondPresent, Field: field}
	if field == directory.FieldActive {
		present = everybody
	}
	switch want := f.want.(type) {
	case nil:
		if f.op == opEqual {
			return not(present)
		}
		return present
	case time.Time:
		return during(f.op, field, want)
	}
	if f.op == opNotEqual { // what is absent is unequal too
		return not(directory.Cond{Op: directory.CondEqual, Field: field, Value: f.want})
	}
	return directory.Cond{Op: comparisons[f.op], Field: field, Value: f.want}
}

// during compiles a comparison with a time. Times are answered to the
// millisecond, and stored more exactly: what is compared is the millisecond that
// they are in.
func during(op operator, field string, want time.Time) directory.Cond {
	from := want.UTC().Truncate(time.Millisecond)
	end := from.Add(time.Millisecond)
	if from.Year() > 9998 || from.Year() < 2 { // beyond what text can order; Go's zero, in the year 1, is stored as absent
		from = time.Date(min(max(from.Year(), 2), 9999), 1, 1, 0, 0, 0, 0, time.UTC)
		end = from
	}
	whole := from.Equal(want)
	since := func(t time.Time) directory.Cond {
		return directory.Cond{Op: directory.CondGreaterEqual, Field: field, Value: t}
	}
	before := func(t time.Time) directory.Cond {
		return directory.Cond{Op: directory.CondLess, Field: field, Value: t}
	}
	switch within := and(since(from), before(end)); {
	case op == opEqual && whole:
		return within
	case op == opEqual:
		return nobody
	case op == opNotEqual && whole:
		return not(within)
	case op == opNotEqual:
		return everybody
	case op == opGreaterEqual && whole:
		return since(from)
	case op == opGreater, op == opGreaterEqual:
		return since(end)
	case op == opLess && whole:
		return before(from)
	default:
		return before(end)
	}
}

// any compiles a comparison of an attribute that has several values, if its rows
// have all that the comparison needs.
func (f *filter) any(relation string, fields map[string]string) (directory.Cond, bool) {
	chosen := everybody
	if f.path.selector != nil {
		var ok bool
		if chosen, ok = f.path.selector.row(fields); !ok {
			return nobody, false
		}
	}
	some := func(c directory.Cond) directory.Cond {
		return directory.Cond{Op: directory.CondAny, Field: relation, Parts: []directory.Cond{and(chosen, c)}}
	}
	if f.target.sub == nil { // pr: a value is there, whatever it has
		return some(everybody), true
	}
	field, ok := fields[f.target.sub.name]
	if !ok {
		return nobody, false
	}
	present := some(directory.Cond{Op: directory.CondPresent, Field: field})
	switch {
	case f.op == opPresent, f.op == opNotEqual && f.want == nil:
		return present, true
	case f.want == nil:
		return not(present), true
	case f.op == opNotEqual: // one value that differs is enough, and so is none
		differs := and(directory.Cond{Op: directory.CondPresent, Field: field}, f.column(field))
		return directory.Cond{Op: directory.CondOr, Parts: []directory.Cond{some(differs), not(present)}}, true
	}
	return some(f.column(field)), true
}

// row compiles a filter over one value: what stands between brackets.
func (f *filter) row(fields map[string]string) (directory.Cond, bool) {
	if len(f.parts) == 0 {
		field, ok := fields[f.target.attr.name]
		if !ok {
			return nobody, false
		}
		return f.column(field), true
	}
	out := directory.Cond{Op: map[operator]directory.CondOp{opAnd: directory.CondAnd, opOr: directory.CondOr, opNot: directory.CondNot}[f.op]}
	for _, part := range f.parts {
		c, ok := part.row(fields)
		if !ok {
			return nobody, false
		}
		out.Parts = append(out.Parts, c)
	}
	return out, true
}

func constant(holds bool) directory.Cond {
	if holds {
		return everybody
	}
	return nobody
}

func not(c directory.Cond) directory.Cond {
	return directory.Cond{Op: directory.CondNot, Parts: []directory.Cond{c}}
}

func and(parts ...directory.Cond) directory.Cond {
	return directory.Cond{Op: directory.CondAnd, Parts: parts}
}
