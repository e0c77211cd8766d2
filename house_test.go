package tenure_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The layer test: docs/architecture.md tells why, this file holds it. A new
// room gets its row here and its line there in the same commit.

const module = "github.com/tenure-gateway/tenure"

// A layer is a floor of the house. A room may import rooms of lower floors,
// never one of its own floor or above.
type layer int

const (
	vocabulary layer = iota // the root
	leaves                  // programs in themselves: they know nothing of the house
	machinery
	helpers // imported by tests only
	ground
	acts
	edges
	composition
	demonstration
	commands
)

// A room is one row of the table: a package and what it may import.
type room struct {
	path  string   // below the module; "." is the root
	layer layer    // its floor
	only  []string // the rooms that it may import, where not all of the floors below
	by    []string // the rooms that may import it, where not all of the floors above
	std   bool     // nothing but the standard library, besides rooms
}

var none = []string{"(none)"}

// house lists every package of the module. Nothing is listed that is not there.
var house = []room{
	{path: ".", layer: vocabulary, std: true},

	{path: "internal/simulator", layer: leaves, only: none, by: []string{"internal/demo", "internal/simulator/simulate"}, std: true},
	{path: "internal/simulator/simulate", layer: commands, only: []string{"internal/simulator"}, by: none, std: true},
	{path: "bench", layer: leaves, only: none, by: none},
	{path: "test/faults", layer: commands, only: none, by: none, std: true}, // its tests: the built program, and the helpers

	{path: "internal/config", layer: machinery, by: []string{"internal/app", "internal/doctor", "internal/demo", "cmd/tenure"}},
	{path: "internal/store", layer: machinery, by: []string{
		"internal/store/storetest", // the suite that proves it
		"internal/live",            // tails the changes table
		"internal/audit",           // counts refusals
		// the acts
		"internal/backup",
		"internal/belief",
		"internal/connector",
		"internal/directory",
		"internal/evidence",
		"internal/exception",
		"internal/federation",
		"internal/governance",
		"internal/ledger",
		"internal/limits",
		"internal/notice",
		"internal/policy",
		"internal/price",
		"internal/review",
		"internal/sink",
		"internal/token",
		"internal/trust",
		"internal/vault",
		"internal/app", "cmd/tenure", // open and migrate it
		"internal/doctor", // looks at it
	}},
	{path: "internal/egress", layer: machinery},
	{path: "internal/leaks", layer: machinery, by: []string{"internal/doctor", "internal/vault", "cmd/tenure"}},
	{path: "internal/oidc", layer: machinery},
	{path: "internal/secretref", layer: machinery},
	{path: "internal/keys", layer: machinery, by: []string{"internal/vault", "internal/app", "internal/doctor"}},
	{path: "internal/web", layer: machinery},
	{path: "internal/webhook", layer: machinery},

	{path: "internal/postgrestest", layer: leaves, only: none, by: []string{"internal/store/storetest"}, std: true},
	{path: "internal/keys/keystest", layer: leaves, only: none, by: none, std: true},
	{path: "internal/store/storetest", layer: helpers, only: []string{".", "internal/postgrestest", "internal/store"}, by: none},

	{path: "internal/access", layer: ground},
	{path: "internal/audit", layer: ground},
	{path: "internal/live", layer: ground},

	{path: "internal/backup", layer: acts},
	{path: "internal/belief", layer: acts},
	{path: "internal/connector", layer: acts},
	{path: "internal/directory", layer: acts},
	{path: "internal/evidence", layer: acts},
	{path: "internal/exception", layer: acts},
	{path: "internal/ledger", layer: acts},
	{path: "internal/limits", layer: acts},
	{path: "internal/policy", layer: acts},
	{path: "internal/price", layer: acts},
	{path: "internal/review", layer: acts},
	{path: "internal/sink", layer: acts},
	{path: "internal/governance", layer: acts},
	{path: "internal/notice", layer: acts},
	{path: "internal/federation", layer: acts},
	{path: "internal/token", layer: acts},
	{path: "internal/trust", layer: acts},
	{path: "internal/vault", layer: acts},

	{path: "internal/api", layer: edges},
	{path: "internal/beliefs", layer: edges},
	{path: "internal/dash", layer: edges},
	{path: "internal/gateway", layer: edges},
	{path: "internal/oauth", layer: edges},
	{path: "internal/scim", layer: edges},
	{path: "internal/signin", layer: edges},

	{path: "internal/app", layer: composition},
	{path: "internal/doctor", layer: composition, by: []string{"cmd/tenure"}},
	{path: "internal/demo", layer: demonstration, only: []string{".", "internal/app", "internal/config", "internal/simulator", "internal/token", "internal/web"}},
	{path: "cmd/tenure", layer: commands},
}

// testHelpers may be imported by the tests of any room.
var testHelpers = []string{"internal/keys/keystest", "internal/postgrestest", "internal/simulator", "internal/store/storetest"}

// ioPackages are what the root does without: it is words, and words do no I/O.
var ioPackages = []string{
	"database/sql", "io/fs", "io/ioutil", "net", "net/http", "net/rpc", "os", "os/exec", "os/signal", "syscall",
}

// sqlPackages, and what lies below them, are for internal/store alone.
var sqlPackages = []string{
	"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx", "github.com/pressly/goose",
}

// A pkg is a package as it stands in the tree.
type pkg struct {
	path        string   // below the module; "." is the root
	imports     []string // of its own files, whatever their build tags
	testImports []string // of its tests, inside and outside the package
	files       []file
}

// A file is one parsed source file that is not a test.
type file struct {
	name  string // below the module's directory
	lines int
	fset  *token.FileSet
	ast   *ast.File
}

func TestLayers(t *testing.T) {
	for _, fault := range layerFaults(house, load(t, ".")) {
		t.Error(fault)
	}
}

// layerFaults compares the packages with the table, both ways, and tells in
// one line each what is wrong.
func layerFaults(rooms []room, pkgs []pkg) []string {
	rows := map[string]room{}
	for _, r := range rooms {
		rows[r.path] = r
	}
	var faults []string
	exists := map[string]bool{}
	for _, p := range pkgs {
		exists[p.path] = true
		from, listed := rows[p.path]
		if !listed {
			faults = append(faults, p.path+": has no row in the layer table; a new room is a decision")
			continue
		}
		for _, imp := range p.imports {
			if why := refuse(rows, from, imp); why != "" {
				faults = append(faults, fmt.Sprintf("%s: imports %s: %s", p.path, imp, why))
			}
		}
		for _, imp := range p.testImports {
			if why := refuseInTest(rows, from, imp); why != "" {
				faults = append(faults, fmt.Sprintf("%s: a test imports %s: %s", p.path, imp, why))
			}
		}
	}
	for _, r := range rooms {
		if !exists[r.path] {
			faults = append(faults, r.path+": has a row in the layer table and does not exist")
		}
	}
	return faults
}

// refuse says why a room may not import imp, or nothing if it may.
func refuse(rows map[string]room, from room, imp string) string {
	target, inside := below(imp)
	to, listed := rows[target]
	first, _, _ := strings.Cut(imp, "/")
	switch {
	case !inside && from.std && strings.Contains(first, "."):
		return "this room has the standard library only"
	case !inside && from.layer == vocabulary && slices.Contains(ioPackages, imp):
		return "the root does no I/O"
	case !inside && from.path != "internal/store" && speaksSQL(imp):
		return "only internal/store speaks SQL"
	case !inside:
		return ""
	case !listed:
		return "has no row in the layer table"
	case to.layer > from.layer:
		return "upward"
	case to.layer == from.layer:
		return "sideways"
	case from.only != nil && !slices.Contains(from.only, to.path):
		return fmt.Sprintf("this room may import only %s", strings.Join(from.only, ", "))
	case to.by != nil && !slices.Contains(to.by, from.path):
		return fmt.Sprintf("that room is imported only by %s", strings.Join(to.by, ", "))
	}
	return ""
}

// refuseInTest is refuse for a room's tests: they may also import themselves
// and the helpers, and whoever stands below them, whom it serves or not.
func refuseInTest(rows map[string]room, from room, imp string) string {
	target, inside := below(imp)
	to, listed := rows[target]
	switch {
	case !inside || target == from.path || slices.Contains(testHelpers, target):
		return ""
	case !listed:
		return "has no row in the layer table"
	case from.only != nil && slices.Contains(from.only, "(none)"):
		return "this room knows nothing of the house"
	case to.layer > from.layer:
		return "upward"
	case to.layer == from.layer:
		return "sideways"
	}
	return ""
}

// below returns an import path relative to the module, if it lies inside it.
func below(imp string) (string, bool) {
	if imp == module {
		return ".", true
	}
	return strings.CutPrefix(imp, module+"/")
}

func speaksSQL(imp string) bool {
	return slices.ContainsFunc(sqlPackages, func(p string) bool {
		return imp == p || strings.HasPrefix(imp, p+"/")
	})
}

// load lists the packages of the module in dir by the go command and parses
// their files, those of other systems and build tags too.
func load(t *testing.T, dir string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e",
		"-json=ImportPath,Dir,GoFiles,CgoFiles,IgnoredGoFiles,TestImports,XTestImports", "./...")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l struct {
			ImportPath, Dir                   string
			GoFiles, CgoFiles, IgnoredGoFiles []string
			TestImports, XTestImports         []string
		}
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		rel, inside := below(l.ImportPath)
		if !inside || strings.Contains(rel, "node_modules/") {
			continue
		}
		p := pkg{path: rel, testImports: union(l.TestImports, l.XTestImports)}
		for _, name := range slices.Concat(l.GoFiles, l.CgoFiles, l.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			src, err := os.ReadFile(filepath.Join(l.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			f := parse(t, path.Join(rel, name), string(src))
			p.files = append(p.files, f)
			p.imports = union(p.imports, importsOf(f))
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		t.Fatal("go list found no package: this test would pass on nothing")
	}
	return pkgs
}

func parse(t *testing.T, name, src string) file {
	t.Helper()
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file{name: name, lines: strings.Count(src, "\n"), fset: fset, ast: tree}
}

func importsOf(f file) []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // the parser has accepted it
		paths = append(paths, p)
	}
	return paths
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// The check itself is checked: each row breaks one rule, or none.
func TestLayerFaults(t *testing.T) {
	all := func(change ...pkg) []pkg { // the house as listed, with some rooms changed
		var pkgs []pkg
		for _, r := range house {
			pkgs = append(pkgs, pkg{path: r.path})
		}
		for _, c := range change {
			pkgs = slices.DeleteFunc(pkgs, func(p pkg) bool { return p.path == c.path })
			pkgs = append(pkgs, c)
		}
		return pkgs
	}
	in := func(rel ...string) []string {
		for i := range rel {
			rel[i] = path.Join(module, rel[i])
		}
		return rel
	}
	for _, c := range []struct {
		name string
		pkgs []pkg
		want string // part of the only fault; nothing means none
	}{
		{"as listed", all(), ""},
		{"down", all(pkg{path: "internal/api", imports: in(".", "internal/token", "internal/live", "internal/web")}), ""},
		{"the store by an act", all(pkg{path: "internal/token", imports: in("internal/store")}), ""},
		{"everything by the command", all(pkg{path: "cmd/tenure", imports: in("internal/app", "internal/demo", "internal/store", "internal/config")}), ""},
		{"helper in a test", all(pkg{path: "internal/web", testImports: in("internal/web", "internal/store/storetest", "internal/simulator")}), ""},
		{"database in the store", all(pkg{path: "internal/store", imports: []string{"database/sql", "modernc.org/sqlite"}}), ""},
		{"time in the root", all(pkg{path: ".", imports: []string{"time", "net/url"}}), ""},

		{"upward", all(pkg{path: "internal/store", imports: in("internal/token")}), "upward"},
		{"edge to edge", all(pkg{path: "internal/api", imports: in("internal/scim")}), "sideways"},
		{"act to act", all(pkg{path: "internal/directory", imports: in("internal/token")}), "sideways"},
		{"ground to ground", all(pkg{path: "internal/live", imports: in("internal/audit")}), "sideways"},
		{"machinery to machinery", all(pkg{path: "internal/web", imports: in("internal/store")}), "sideways"},
		{"unlisted package", all(pkg{path: "internal/extra"}), "has no row"},
		{"unlisted import", all(pkg{path: "internal/api", imports: in("internal/extra")}), "has no row"},
		{"missing package", all()[1:], ".: has a row in the layer table and does not exist"},
		{"store by an edge", all(pkg{path: "internal/api", imports: in("internal/store")}), "imported only by"},
		{"config by an edge", all(pkg{path: "internal/signin", imports: in("internal/config")}), "imported only by"},
		{"helper in the product", all(pkg{path: "internal/token", imports: in("internal/store/storetest")}), "imported only by"},
		{"simulator in the app", all(pkg{path: "internal/app", imports: in("internal/simulator")}), "imported only by"},
		{"demo past the app", all(pkg{path: "internal/demo", imports: in("internal/vault")}), "may import only"},
		{"simulator with a library", all(pkg{path: "internal/simulator", imports: []string{"github.com/coder/websocket"}}), "standard library only"},
		{"root with a library", all(pkg{path: ".", imports: []string{"golang.org/x/mod/semver"}}), "standard library only"},
		{"root with files", all(pkg{path: ".", imports: []string{"os"}}), "no I/O"},
		{"bench in the house", all(pkg{path: "bench", imports: in(".")}), "only (none)"},
		{"faults in the house", all(pkg{path: "test/faults", testImports: in(".")}), "knows nothing"},
		{"faults with the helpers", all(pkg{path: "test/faults", testImports: in("internal/postgrestest", "internal/simulator")}), ""},
		{"bench's tests in the house", all(pkg{path: "bench", testImports: in("internal/app")}), "knows nothing"},
		{"sql in an act", all(pkg{path: "internal/token", imports: []string{"database/sql"}}), "speaks SQL"},
		{"a driver in the app", all(pkg{path: "internal/app", imports: []string{"github.com/jackc/pgx/v5/stdlib"}}), "speaks SQL"},
		{"test upward", all(pkg{path: "internal/live", testImports: in("internal/token")}), "upward"},
		{"test sideways", all(pkg{path: "internal/api", testImports: in("internal/dash")}), "sideways"},
		{"test of the unlisted", all(pkg{path: "internal/api", testImports: in("internal/extra")}), "has no row"},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, layerFaults(house, c.pkgs), c.want) })
	}
}

// A small module on disk shows that what is loaded is what is written.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, src := range map[string]string{
		"go.mod":                                 "module " + module + "\n\ngo 1.26\n",
		"root.go":                                "package tenure\n",
		"internal/store/store.go":                "package store\n\nimport _ \"database/sql\"\n",
		"internal/web/web.go":                    "package web\n",
		"internal/web/web_plan9.go":              "package web\n\nimport _ \"" + module + "/internal/store\"\n",
		"internal/web/web_test.go":               "package web_test\n\nimport _ \"" + module + "/internal/extra\"\n",
		"internal/extra/extra.go":                "package extra\n",
		"test/node_modules/thing/thing.go":       "package thing\n",
		"internal/store/testdata/ignored/sql.go": "package ignored\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rooms := slices.DeleteFunc(slices.Clone(house), func(r room) bool {
		return !slices.Contains([]string{".", "internal/store", "internal/web"}, r.path)
	})
	got := layerFaults(rooms, load(t, dir))
	want := []string{
		"internal/extra: has no row in the layer table; a new room is a decision",
		"internal/web: imports " + module + "/internal/store: sideways",
		"internal/web: a test imports " + module + "/internal/extra: has no row in the layer table",
	}
	if !slices.Equal(got, want) {
		t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// expect wants exactly one fault that contains want, or none if want is empty.
func expect(t *testing.T, faults []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(faults) > 0:
		t.Errorf("faults found where there are none: %q", faults)
	case want != "" && (len(faults) != 1 || !strings.Contains(faults[0], want)):
		t.Errorf("faults %q, want one with %q", faults, want)
	}
}
