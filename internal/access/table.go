package access

import (
	"fmt"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// A Table is a part of the matrix, for people.
type Table struct {
	Title   string
	Columns []string // after the action and what it is
	Rows    []TableRow
}

// A TableRow is an action with one cell for each column.
type TableRow struct {
	Action tenure.Action
	What   string
	Cells  []Cell
}

// A Cell is words, each of them a role or a scope where Code is set; or a mark.
type Cell struct {
	Text string
	Code bool
}

// Tables are the whole matrix in four parts, one for each kind of asker.
func Tables() []Table {
	tokens := Table{Title: "Models and other gateways", Columns: []string{"scope", "personal access token: role in its workspace", "service token", "root token"}}
	people := Table{Title: "People and administration", Columns: []string{"role in the tenant", "or role in the workspace", "scope of a service token", "root token", "fresh"}}
	connectors, operator := Table{Title: "SCIM connectors"}, Table{Title: "The operator, at the command line"}
	for _, r := range Matrix() {
		switch {
		case len(r.Roles) > 0 || len(r.Within) > 0 && !r.Personal:
			people.add(r, roleCell(r.Roles), roleCell(r.Within), Cell{r.Scope.String(), true}, mark(r.Root), Cell{Text: r.Fresh.String()})
		case r.Personal:
			tokens.add(r, Cell{r.Scope.String(), true}, roleCell(r.Within), mark(true), Cell{Text: "single mode"})
		case r.Scope != 0:
			tokens.add(r, Cell{r.Scope.String(), true}, Cell{}, mark(true), mark(r.Root))
		case r.Connector:
			connectors.add(r)
		default:
			operator.add(r)
		}
	}
	return []Table{tokens, people, connectors, operator}
}

func (t *Table) add(r Row, cells ...Cell) {
	t.Rows = append(t.Rows, TableRow{r.Action, r.What, cells})
}

func roleCell(roles []tenure.Role) Cell {
	words := make([]string, 0, len(roles))
	for _, r := range roles {
		words = append(words, string(r))
	}
	return Cell{strings.Join(words, " "), true}
}

func mark(yes bool) Cell {
	if yes {
		return Cell{Text: "✓"}
	}
	return Cell{}
}

// Markdown is the tables as docs/reference/access.md has them.
func Markdown() string {
	var b strings.Builder
	for i, t := range Tables() {
		if i > 0 {
			b.WriteByte('\n')
		}
		columns := append([]string{"action", "what"}, t.Columns...)
		fmt.Fprintf(&b, "### %s\n\n| %s |\n|%s\n", t.Title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
		for _, r := range t.Rows {
			fmt.Fprintf(&b, "| `%s` | %s |", r.Action, r.What)
			for _, c := range r.Cells {
				text := c.Text
				if c.Code && text != "" {
					text = "`" + strings.ReplaceAll(text, " ", "` `") + "`"
				}
				fmt.Fprintf(&b, " %s |", text)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
