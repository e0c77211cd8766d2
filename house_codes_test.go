package tenure_test

import (
	"encoding/json"
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCodesAreDocumented holds the table of error codes to the source: whoever meets a
// code in a script or a log finds there what it means.
func TestCodesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "### Error codes\n")
	table, _, _ = strings.Cut(table, "\n## ")
	told := map[string]bool{}
	for line := range strings.Lines(table) {
		names := line // of SCIM, in the text below the table
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			if names = cells[1]; strings.TrimSpace(cells[3]) == "" {
				t.Errorf("nothing is said of %s", names)
			}
		}
		for _, found := range inTicks.FindAllStringSubmatch(names, -1) {
			told[found[1]] = true
		}
	}
	codes := codesOf(load(t, "."))
	for code, where := range codes {
		if !told[code] {
			t.Errorf("%s: %s is not in the table of docs/reference/api.md", where, code)
		}
	}
	if len(codes) < 100 {
		t.Errorf("only %d codes are in the source: this test would pass on nothing", len(codes))
	}
}

// TestRoutesAreDocumented holds the tables of routes to the OpenAPI document, which is
// generated. Of routes that share a line, those after the first are told by their end.
func TestRoutesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/reference/api.md")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := os.ReadFile("docs/reference/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(spec, &doc); err != nil || len(doc.Paths) < 100 {
		t.Fatalf("%d paths: %v", len(doc.Paths), err)
	}
	ends := regexp.MustCompile("[`? \\[]") // of the path in its line
	told := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		var before, method string // the route before this one in the line
		var shared []string
		for _, found := range inTicks.FindAllStringSubmatch(line, -1) {
			verb, path, ok := strings.Cut(found[1], " ")
			if slices.Contains([]string{"GET", "PATCH", "POST", "PUT"}, found[1]) {
				shared = append(shared, verb) // with the route that comes
				continue
			} else if !ok {
				verb, path = method, found[1]
			}
			if rest, short := strings.CutPrefix(path, "…"); short {
				path = before[:strings.LastIndex(before, "/")+1] + strings.TrimPrefix(rest, "/")
			}
			path = ends.Split(path, 2)[0]
			if !strings.HasPrefix(path, "/") {
				continue
			}
			method, before = verb, path
			for _, verb := range append(shared, verb) {
				told[verb+" "+path] = true
			}
			shared = nil
		}
	}
	for path, operations := range doc.Paths {
		for method := range operations {
			if route := strings.ToUpper(method) + " " + path; !told[route] {
				t.Errorf("%s is in no table of docs/reference/api.md", route)
			}
		}
	}
}

// codesOf gives the codes of the errors in the source, each with a place of it: what a
// field Code is set to, also by the name of a constant, and what InvalidField is called
// with. Codes that are put together in other ways are not seen.
func codesOf(pkgs []pkg) map[string]string {
	codes, consts := map[string]string{}, map[string]string{}
	named := map[[2]string]string{} // prefixes and names of constants
	text := func(e ast.Expr) string {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return ""
		}
		value, _ := strconv.Unquote(lit.Value) // the parser has accepted it
		return value
	}
	note := func(where, prefix string, e ast.Expr) {
		if value := text(e); value != "" {
			codes[prefix+value] = where
		}
		name := dotted(e)
		named[[2]string{prefix, name[strings.LastIndex(name, ".")+1:]}] = where
	}
	for _, p := range pkgs {
		if p.path == "internal/simulator" || strings.HasPrefix(p.path, "cmd/") {
			continue // those of providers; the command line shows none
		}
		for _, f := range p.files {
			ast.Inspect(f.ast, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ValueSpec:
					for i, value := range n.Values {
						consts[n.Names[i].Name] = text(value)
					}
				case *ast.KeyValueExpr:
					if dotted(n.Key) == "Code" {
						note(f.at(n), "", n.Value)
					}
				case *ast.AssignStmt:
					for i, to := range n.Lhs {
						if strings.HasSuffix(dotted(to), ".Code") && len(n.Lhs) == len(n.Rhs) {
							note(f.at(n), "", n.Rhs[i])
						}
					}
				case *ast.CallExpr:
					if name := dotted(n.Fun); name == "InvalidField" || strings.HasSuffix(name, ".InvalidField") {
						note(f.at(n), "invalid_", n.Args[0])
					}
				}
				return true
			})
		}
	}
	for name, where := range named {
		if code := consts[name[1]]; code != "" {
			codes[name[0]+code] = where
		}
	}
	return codes
}
