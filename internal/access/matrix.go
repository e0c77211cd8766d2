package access

import (
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// A Row is one action of the table, for people: who may do it.
type Row struct {
	Action    tenure.Action
	What      string        // in words
	Roles     []tenure.Role // of the tenant
	Within    []tenure.Role // of the workspace that the thing lies in
	Scope     tenure.Scopes // by which a token may; 0: no token may
	Personal  bool          // whether a personal access token may carry the scope
	Connector bool
	Root      bool // in teams mode
	Fresh     Freshness
}

// Matrix is the whole table, in the order of the actions' names.
func Matrix() []Row {
	out := make([]Row, 0, len(rules))
	for a, r := range rules {
		row := Row{
			Action: a, What: r.what, Roles: slices.Clone(r.roles), Within: slices.Clone(r.within), Scope: r.scope,
			Personal: r.scope&tenure.PersonalScopes != 0, Connector: r.scim || r.everyone,
			Root: !r.noRoot && r.scope&tenure.PersonalScopes == 0, Fresh: r.fresh,
		}
		if r.everyone {
			row.Roles = slices.Clone(anyone)
		}
		if row.Personal {
			row.Within = slices.Clone(workspaceUsers)
		}
		out = append(out, row)
	}
	slices.SortFunc(out, func(a, b Row) int { return strings.Compare(string(a.Action), string(b.Action)) })
	return out
}

// RowOf is the row of one action; false when no rule opens it.
func RowOf(a tenure.Action) (Row, bool) {
	for _, row := range Matrix() {
		if row.Action == a {
			return row, true
		}
	}
	return Row{}, false
}
