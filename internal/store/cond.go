package store

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
)

// CondOp is what a Cond does.
type CondOp uint8

// The operations. Text is compared byte by byte; an empty text is absent, and
// what is absent is neither equal to anything nor before or after it.
const (
	CondTrue CondOp = iota + 1
	CondFalse
	CondAnd // of Parts
	CondOr  // of Parts
	CondNot // of Parts[0]
	CondAny // whether any row of the relation Field fits Parts[0]
	CondPresent
	CondEqual
	CondContains
	CondStarts
	CondEnds
	CondGreater
	CondGreaterEqual
	CondLess
	CondLessEqual
)

// The columns and relations that a Cond may name. Those of names and of e-mail
// addresses hold the folded form: so must the value that is compared with them.
const (
	FieldID          = "id"
	FieldUserName    = "user_name"    // of a person
	FieldDisplayName = "display_name" // of a person or a group
	FieldExternalID  = "external_id"
	FieldActive      = "active" // of a person
	FieldCreated     = "created_at"
	FieldUpdated     = "updated_at"

	RelationEmails  = "emails"  // of a person: FieldValue, FieldType
	RelationGroups  = "groups"  // of a person: FieldValue is the group's id
	RelationMembers = "members" // of a group: FieldValue is the person's id
	FieldValue      = "value"
	FieldType       = "type"
)

// A Cond is a condition on people or groups: a tree that has only what every
// supported database can say.
type Cond struct {
	Op    CondOp
	Parts []Cond
	Field string
	Value any // string, bool or time.Time
}

// simple reports whether a condition is one comparison. Statements of such
// conditions are few, and are kept prepared.
func (c *Cond) simple() bool { return c == nil || len(c.Parts) == 0 }

// A shape is what a condition may name: SQL expressions by field, and relations.
type shape struct {
	fields    map[string]string
	relations map[string]relation
}

// A relation is a table with several rows for one of another.
type relation struct {
	ids    string // SELECT … FROM …: the ids that are related, up to its WHERE
	fields map[string]string
}

var userShape = shape{
	fields: map[string]string{
		FieldID: "id", FieldUserName: "user_name_fold", FieldDisplayName: "display_name_fold", FieldExternalID: "external_id",
		FieldActive: "active", FieldCreated: "created_at", FieldUpdated: "updated_at",
	},
	relations: map[string]relation{
		RelationEmails: {`SELECT user_id FROM user_emails`, map[string]string{FieldValue: "value_fold", FieldType: "type_fold"}},
		RelationGroups: {`SELECT user_id FROM group_members`, map[string]string{FieldValue: "group_id"}},
	},
}

var groupShape = shape{
	fields: map[string]string{
		FieldID: "id", FieldDisplayName: "display_name_fold", FieldExternalID: "external_id",
		FieldCreated: "created_at", FieldUpdated: "updated_at",
	},
	relations: map[string]relation{
		RelationMembers: {`SELECT group_id FROM group_members`, map[string]string{FieldValue: "user_id"}},
	},
}

// cond adds a condition. What the shape does not have holds for nobody.
func (w *where) cond(s shape, c *Cond) {
	if c != nil {
		var b strings.Builder
		w.write(&b, s, *c)
		w.conds = append(w.conds, b.String())
	}
}

func (w *where) write(b *strings.Builder, s shape, c Cond) {
	switch c.Op {
	case CondTrue:
		b.WriteString("1 = 1")
	case CondAnd, CondOr:
		joint := " AND "
		if c.Op == CondOr {
			joint = " OR "
		}
		b.WriteByte('(')
		for i, part := range c.Parts {
			if i > 0 {
				b.WriteString(joint)
			}
			w.write(b, s, part)
		}
		b.WriteByte(')')
	case CondNot:
		b.WriteString("NOT (")
		w.write(b, s, c.Parts[0])
		b.WriteByte(')')
	case CondAny:
		r, ok := s.relations[c.Field]
		if !ok {
			b.WriteString("1 = 0")
			return
		}
		b.WriteString("id IN (" + r.ids + " WHERE ")
		w.write(b, shape{fields: r.fields}, c.Parts[0])
		b.WriteByte(')')
	default:
		w.compare(b, s.fields[c.Field], c)
	}
}

// isTime tells that a column holds times. They are never absent.
func isTime(column string) bool { return column == FieldCreated || column == FieldUpdated }

// compare writes one comparison.
func (w *where) compare(b *strings.Builder, column string, c Cond) {
	text, isText := c.Value.(string)
	switch v := c.Value.(type) {
	case time.Time:
		w.compareTime(b, column, c.Op, v)
		return
	case bool:
		b.WriteString("(" + column + " = " + w.arg(v) + ")")
		return
	}
	if isTime(column) {
		b.WriteString(map[bool]string{true: "1 = 1", false: "1 = 0"}[c.Op == CondPresent])
		return
	}
	partial := c.Op == CondContains || c.Op == CondStarts || c.Op == CondEnds
	switch {
	case column == "" || c.Op == CondFalse || text == "" && c.Op == CondEqual:
		b.WriteString("1 = 0")
		return
	case c.Op == CondPresent || isText && text == "" && partial:
		b.WriteString("(" + column + " <> '')")
		return
	}
	// "<> ''" is said even where it follows: an index that leaves out what is
	// absent serves only those who say so.
	b.WriteString("(" + column + " <> '' AND ")
	at := w.arg(text)
	switch c.Op {
	case CondContains:
		b.WriteString("replace(" + column + ", " + at + ", '') <> " + column)
	case CondStarts: // as a range, which an index can serve
		b.WriteString(column + " >= " + at)
		if end := successor(text); end != "" {
			b.WriteString(" AND " + column + " < " + w.arg(end))
		}
	case CondEnds:
		b.WriteString("substr(" + column + ", length(" + column + ") - length(" + at + ") + 1) = " + at)
	default:
		sign, ok := signs[c.Op]
		if !ok {
			b.WriteString("1 = 0)")
			return
		}
		b.WriteString(column + sign + at)
	}
	b.WriteByte(')')
}

// signs are the comparisons by order.
var signs = map[CondOp]string{CondEqual: " = ", CondGreater: " > ", CondGreaterEqual: " >= ", CondLess: " < ", CondLessEqual: " <= "}

func (w *where) compareTime(b *strings.Builder, column string, op CondOp, at time.Time) {
	switch sign, ok := signs[op]; {
	case op == CondPresent && isTime(column):
		b.WriteString("1 = 1")
	case !ok || !isTime(column):
		b.WriteString("1 = 0")
	default:
		b.WriteString("(" + column + sign + w.arg(stamp(at)) + ")")
	}
}

// successor is the first text after all that begin with prefix, or "" when there
// is none. The order of UTF-8 is that of its characters.
func successor(prefix string) string {
	chars := []rune(prefix)
	for len(chars) > 0 {
		last := &chars[len(chars)-1]
		if *last < utf8.MaxRune {
			if *last++; *last == 0xD800 { // these are no characters
				*last = 0xE000
			}
			break
		}
		chars = chars[:len(chars)-1]
	}
	return string(chars)
}

// An Order says in which order rows are listed: by a field, and by id among
// equals. What is absent comes last, or first when Descending (RFC 7644
// §3.4.2.3). The zero Order is by id.
type Order struct {
	By         string // FieldID, FieldUserName, FieldDisplayName, FieldExternalID, FieldCreated, FieldUpdated or ""
	Descending bool
}

// A Place is where a list goes on: after the row with this value of the order's
// field, and this id.
type Place struct {
	Key string
	ID  string
}

// page adds the place, and gives ORDER BY, LIMIT and OFFSET.
func (w *where) page(s shape, o Order, after Place, limit, offset int) string {
	column, direction, than := s.fields[o.By], "", ">"
	if o.Descending {
		direction, than = " DESC", "<"
	}
	order := ` ORDER BY id` + direction
	switch {
	case o.By == FieldUserName, isTime(column): // never absent, so that an index gives the order
		order = ` ORDER BY ` + column + direction + `, id` + direction
		if after.ID != "" {
			w.and(`(`+column+`, id) `+than+` (?, ?)`, after.Key, after.ID)
		}
	case column != "" && column != "id":
		order = ` ORDER BY ` + column + ` = ''` + direction + `, ` + column + direction + `, id` + direction
		if after.ID != "" {
			w.and(`(`+column+` = '', `+column+`, id) `+than+` (?, ?, ?)`, after.Key == "", after.Key, after.ID)
		}
	case after.ID != "":
		w.and(`id `+than+` ?`, after.ID)
	}
	return order + ` LIMIT ` + w.arg(limit) + ` OFFSET ` + w.arg(offset)
}

// PlaceOfUser is the place of a person in a list of this order.
func (o Order) PlaceOfUser(u tenure.User) Place {
	p := Place{ID: string(u.ID)}
	switch o.By {
	case FieldUserName:
		p.Key = tenure.FoldUserName(u.UserName)
	case FieldDisplayName:
		p.Key = tenure.FoldUserName(u.DisplayName)
	case FieldExternalID:
		p.Key = u.ExternalID
	case FieldCreated:
		p.Key, _ = stamp(u.CreatedAt).(string)
	case FieldUpdated:
		p.Key, _ = stamp(u.UpdatedAt).(string)
	}
	return p
}

// PlaceOfGroup is the place of a group in a list of this order.
func (o Order) PlaceOfGroup(g tenure.Group) Place {
	p := o.PlaceOfUser(tenure.User{DisplayName: g.DisplayName, ExternalID: g.ExternalID, CreatedAt: g.CreatedAt, UpdatedAt: g.UpdatedAt})
	p.ID = string(g.ID)
	return p
}
