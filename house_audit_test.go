package tenure_test

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var actionName = regexp.MustCompile(`^[a-z_]+\.[a-z_]*$`)

// marks are no events (audit.Mark), and events have them nowhere.
var marks = []string{"audit.checkpoint", "audit.went_back"}

// Every action that internal/audit tells of is mapped to OCSF (ocsf.go) and documented
// in docs/reference/audit.md; one whose end is computed ("provider."+what) is there with
// some ends at least. So none is sent to a SIEM as something unknown.
func TestActionsAreMappedAndDocumented(t *testing.T) {
	mapped, told := map[string]bool{}, map[string]bool{}
	for _, p := range load(t, ".") {
		for _, f := range p.files {
			if p.path != "internal/audit" {
				continue
			}
			into := told
			if strings.HasSuffix(f.name, "/ocsf.go") {
				into = mapped
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				if text, err := strconv.Unquote(lit.Value); err == nil && actionName.MatchString(text) && text != "audit." && !slices.Contains(marks, text) {
					into[text] = true
				}
				return true
			})
		}
	}
	if len(told) < 50 {
		t.Fatalf("only %d actions were found", len(told))
	}
	doc := documentedActions(t)
	for _, action := range slices.Sorted(maps.Keys(told)) {
		for where, has := range map[string]map[string]bool{"the table of internal/audit/ocsf.go": mapped, "docs/reference/audit.md": doc} {
			found := has[action]
			if strings.HasSuffix(action, ".") || strings.HasSuffix(action, "_") {
				for one := range has {
					found = found || strings.HasPrefix(one, action)
				}
			}
			if !found {
				t.Errorf("the action %s is not in %s", action, where)
			}
		}
	}
	for action := range doc {
		if !mapped[action] {
			t.Errorf("the action %s of docs/reference/audit.md is not in the table of internal/audit/ocsf.go", action)
		}
	}
}

// documentedActions are those of the first column of the tables of events: in full, or
// by their ends behind the first (`a.b`, `.c`).
func documentedActions(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("docs/reference/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, events, _ := strings.Cut(string(text), "\n## Events\n")
	out := map[string]bool{}
	for row := range strings.Lines(events) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 {
			continue
		}
		first := ""
		for _, one := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
			name := one[1]
			if strings.HasPrefix(name, ".") {
				name = first + name
			}
			if actionName.MatchString(name) {
				first, _, _ = strings.Cut(name, ".")
				out[name] = true
			}
		}
	}
	return out
}
