package access

import (
	"fmt"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// Markdown is the table as docs/reference/access.md has it.
func Markdown() string {
	var b strings.Builder
	heading := func(title string, columns ...string) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		columns = append([]string{"action", "what"}, columns...)
		fmt.Fprintf(&b, "### %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	}
	rows := Matrix()
	heading("Models and other gateways", "scope", "personal access token: role in its workspace", "service token", "root token")
	for _, r := range rows {
		if r.kind() == forTokens {
			root := map[bool]string{true: "single mode", false: mark(r.Root)}[r.Personal]
			line(&b, r, "`"+r.Scope.String()+"`", names(r.Within), mark(true), root)
		}
	}
	heading("People and administration", "role in the tenant", "or role in the workspace", "scope of a service token", "root token", "fresh")
	for _, r := range rows {
		if r.kind() == forPeople {
			scope := ""
			if r.Scope != 0 {
				scope = "`" + r.Scope.String() + "`"
			}
			line(&b, r, names(r.Roles), names(r.Within), scope, mark(r.Root), r.Fresh.String())
		}
	}
	heading("SCIM connectors")
	for _, r := range rows {
		if r.kind() == forConnectors {
			line(&b, r)
		}
	}
	heading("The operator, at the command line")
	for _, r := range rows {
		if r.kind() == forOperator {
			line(&b, r)
		}
	}
	return b.String()
}

// The kinds of row: for whom the action is there.
const (
	forPeople = iota
	forTokens
	forConnectors
	forOperator
)

func (r Row) kind() int {
	switch {
	case len(r.Roles) > 0 || len(r.Within) > 0 && !r.Personal:
		return forPeople
	case r.Scope != 0:
		return forTokens
	case r.Connector:
		return forConnectors
	}
	return forOperator
}

func line(b *strings.Builder, r Row, cells ...string) {
	fmt.Fprintf(b, "| `%s` | %s |", r.Action, r.What)
	for _, c := range cells {
		fmt.Fprintf(b, " %s |", c)
	}
	b.WriteByte('\n')
}

func mark(yes bool) string {
	if yes {
		return "✓"
	}
	return ""
}

func names(roles []tenure.Role) string {
	out := make([]string, 0, len(roles))
	for _, r := range roles {
		out = append(out, "`"+string(r)+"`")
	}
	return strings.Join(out, " ")
}
