package app

import (
	"os"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
)

// table reads docs/reference/access.md: what people are told is what is tried.
func table(t *testing.T) map[tenure.Action]access.Row {
	t.Helper()
	text, err := os.ReadFile("../../docs/reference/access.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, ok := strings.Cut(string(text), "\n### ")
	if !ok {
		t.Fatal("docs/reference/access.md has no tables")
	}
	rows := map[tenure.Action]access.Row{}
	for section := range strings.SplitSeq(tables, "\n### ") {
		title, _, _ := strings.Cut(section, "\n")
		section, _, _ = strings.Cut(section, "\n## ")
		var columns []string
		for line := range strings.SplitSeq(section, "\n") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "`", "")
			}
			switch {
			case !strings.HasPrefix(line, "|"):
				columns = nil
			case cells[0] == "action":
				columns = cells
			case columns != nil && !strings.HasPrefix(cells[0], "---"):
				rows[tenure.Action(cells[0])] = readRow(t, title, columns, cells)
			}
		}
	}
	if len(rows) < 60 {
		t.Fatalf("docs/reference/access.md has %d rows: this test would pass on nothing", len(rows))
	}
	return rows
}

func readRow(t *testing.T, title string, columns, cells []string) access.Row {
	t.Helper()
	row := access.Row{Action: tenure.Action(cells[0]), Connector: title == "SCIM connectors" || cells[0] == string(tenure.Unrouted)}
	for i, column := range columns {
		switch cell := cells[i]; column {
		case "role in the tenant":
			row.Roles = readRoles(cell)
		case "or role in the workspace":
			row.Within = readRoles(cell)
		case "personal access token: role in its workspace":
			row.Within, row.Personal = readRoles(cell), cell != ""
		case "scope", "scope of a service token":
			scope, err := tenure.ParseScopes(cell)
			if err != nil {
				t.Fatal(err)
			}
			row.Scope = scope
			row.Personal = row.Personal || scope&tenure.PersonalScopes != 0 // also where a role opens it, to whoever is signed in
		case "root token":
			row.Root = cell == "✓"
		case "fresh":
			for _, f := range []access.Freshness{access.NotIdle, access.Recent} {
				if cell == f.String() {
					row.Fresh = f
				}
			}
		case "action", "what", "service token":
		default:
			t.Fatalf("docs/reference/access.md has a column %q, which nothing tries", column)
		}
	}
	return row
}

func readRoles(cell string) []tenure.Role {
	var out []tenure.Role
	for name := range strings.FieldsSeq(cell) {
		out = append(out, tenure.Role(name))
	}
	return out
}
