package tenure_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of the house about sizes, comments, names and state, over every
// file that is not a test. Each check takes a parsed package and returns one
// line a fault, so that the checks themselves are tested below.

const (
	fileP95, fileMax = 400, 600 // lines
	funcP95          = 60       // lines
	maxFields        = 10       // of an act or an edge
)

// A length is a file or a function, and how long it is.
type length struct {
	where string
	lines int
}

func TestSizes(t *testing.T) {
	var files, funcs []length
	for _, p := range load(t, ".") {
		f, g := lengths(p)
		files, funcs = append(files, f...), append(funcs, g...)
	}
	report(t, sizeFaults("file", files, fileP95, fileMax))
	report(t, sizeFaults("function", funcs, funcP95, 0))
}

func TestHouseRules(t *testing.T) {
	floor := map[string]layer{}
	for _, r := range house {
		floor[r.path] = r.layer
	}
	for _, p := range load(t, ".") {
		report(t, packageFaults(p))
		report(t, docFaults(p))
		report(t, stateFaults(p))
		if !strings.HasPrefix(p.path, "internal/store") && p.path != "bench" { // the suite, and bench, play the operator at the shell
			report(t, sqlFaults(p))
		}
		if l := floor[p.path]; l == acts || l == edges {
			report(t, fieldFaults(p))
		}
	}
}

func report(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

// lengths measures the files of a package and their functions.
func lengths(p pkg) (files, funcs []length) {
	for _, f := range p.files {
		files = append(files, length{f.name, f.lines})
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				lines := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1
				funcs = append(funcs, length{f.at(fn) + " " + fn.Name.Name, lines})
			}
		}
	}
	return files, funcs
}

// sizeFaults names what is longer than p95 if more than one in twenty is, and
// whatever is longer than most (0 means no such limit).
func sizeFaults(what string, all []length, p95, most int) []string {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b length) int { return cmp.Compare(b.lines, a.lines) })
	percentile := all[len(all)/20].lines
	var faults []string
	for _, l := range all {
		switch {
		case most > 0 && l.lines > most:
			faults = append(faults, fmt.Sprintf("%s: a %s of %d lines; none may have more than %d", l.where, what, l.lines, most))
		case percentile > p95 && l.lines > p95:
			faults = append(faults, fmt.Sprintf("%s: a %s of %d lines; the 95th percentile is %d and may be %d", l.where, what, l.lines, percentile, p95))
		}
	}
	return faults
}

var (
	sentence = regexp.MustCompile(`[.!?](\s|$)`)
	denial   = regexp.MustCompile(`(?i)\b(not|nothing|never|no|none|neither)\b`)
)

// packageFaults wants a telling name, a comment that says what the package
// owns and what it does not, and no init.
func packageFaults(p pkg) []string {
	if len(p.files) == 0 {
		return nil
	}
	var faults []string
	if slices.Contains([]string{"util", "utils", "common", "helper", "helpers"}, path.Base(p.path)) {
		faults = append(faults, p.path+": a name that says nothing about what is inside")
	}
	var doc strings.Builder
	for _, f := range p.files {
		doc.WriteString(f.ast.Doc.Text())
	}
	switch text := doc.String(); {
	case text == "":
		faults = append(faults, p.files[0].name+":1: package "+p.path+" has no comment")
	case len(sentence.FindAllString(text, -1)) < 2 || !denial.MatchString(text):
		faults = append(faults, p.files[0].name+":1: the comment of package "+p.path+" must say what it owns and what it does not")
	}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				faults = append(faults, f.at(fn)+": init: build it where it is used, by name")
			}
		}
	}
	return faults
}

// docFaults names exported types, functions, methods of exported types,
// constants and variables without a comment; a group's comment serves all.
func docFaults(p pkg) []string {
	var faults []string
	undocumented := func(f file, id *ast.Ident, docs ...*ast.CommentGroup) {
		if id.IsExported() && !slices.ContainsFunc(docs, func(d *ast.CommentGroup) bool { return d.Text() != "" }) {
			faults = append(faults, f.at(id)+": exported "+id.Name+" has no comment")
		}
	}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if recv := receiver(d); recv == "" || ast.IsExported(recv) {
					undocumented(f, d.Name, d.Doc)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						undocumented(f, s.Name, d.Doc, s.Doc, s.Comment)
					case *ast.ValueSpec:
						for _, id := range s.Names {
							undocumented(f, id, d.Doc, s.Doc, s.Comment)
						}
					}
				}
			}
		}
	}
	return faults
}

// fieldFaults names exported structs with methods that have too many fields:
// such a struct has become two things.
func fieldFaults(p pkg) []string {
	methods := map[string]bool{}
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				methods[receiver(fn)] = true
			}
		}
	}
	var faults []string
	for _, f := range p.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() || !methods[spec.Name.Name] {
				return true
			}
			if st, ok := spec.Type.(*ast.StructType); ok && st.Fields.NumFields() > maxFields {
				faults = append(faults, fmt.Sprintf("%s: %s has %d fields; at most %d", f.at(spec), spec.Name.Name, st.Fields.NumFields(), maxFields))
			}
			return true
		})
	}
	return faults
}

var sqlText = regexp.MustCompile(`(?is)^\s*(select\s.+\sfrom\s|insert\s+into\s|update\s+\w+\s+set\s|delete\s+from\s|` +
	`create\s+(table|trigger|(unique\s+)?index)\s|alter\s+table\s|drop\s+table\s)`)

// sqlFaults names string literals that are SQL.
func sqlFaults(p pkg) []string {
	var faults []string
	for _, f := range p.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && sqlText.MatchString(s) {
					faults = append(faults, f.at(lit)+": SQL outside internal/store")
				}
			}
			return true
		})
	}
	return faults
}

// stateFaults names package-level variables that can hold state: whatever is
// neither an error, an embedded file, nor made once and then only read.
func stateFaults(p pkg) []string {
	var faults []string
	for _, f := range p.files {
		for _, d := range f.ast.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				spec := s.(*ast.ValueSpec)
				for i, id := range spec.Names {
					if why := holdsState(id, i, spec, embedded(gen.Doc) || embedded(spec.Doc)); why != "" {
						faults = append(faults, fmt.Sprintf("%s: package variable %s: %s", f.at(id), id.Name, why))
					}
				}
			}
		}
	}
	return faults
}

func holdsState(id *ast.Ident, i int, spec *ast.ValueSpec, embedded bool) string {
	isError := strings.HasPrefix(id.Name, "Err") || strings.HasPrefix(id.Name, "err")
	switch {
	case id.Name == "_" || embedded:
		return ""
	case len(spec.Values) == 0:
		return "declared without a value, so somebody will set it"
	case isError:
		return ""
	case len(spec.Values) != len(spec.Names):
		return "one of several results of a call"
	}
	return mutable(spec.Values[i])
}

// readOnly are calls whose results are only read: errors, and what is parsed,
// compiled or built once. A name that begins with Must, must, Parse or parse
// is one too.
var readOnly = []string{
	"errors.New", "fmt.Errorf", "strings.NewReplacer", "crc32.MakeTable", "sync.OnceValues", "base64.NewEncoding", "base32.NewEncoding", "string", "len",
}

func mutable(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.UnaryExpr:
		if e.Op == token.AND {
			return "a pointer to something that can change"
		}
	case *ast.CompositeLit:
		if name := dotted(e.Type); strings.HasPrefix(name, "sync.") || strings.HasPrefix(name, "atomic.") {
			return "a " + name
		}
		_, isMap := e.Type.(*ast.MapType)
		list, isList := e.Type.(*ast.ArrayType)
		if len(e.Elts) == 0 && (isMap || isList && list.Len == nil) {
			return "empty, so somebody will fill it"
		}
	case *ast.CallExpr:
		if _, conversion := e.Fun.(*ast.ArrayType); conversion {
			return ""
		}
		name := dotted(e.Fun)
		last := name[strings.LastIndex(name, ".")+1:]
		if slices.Contains(readOnly, name) || parsed.MatchString(last) {
			return ""
		}
		return "made by " + name + ", which may change it later"
	}
	return ""
}

var parsed = regexp.MustCompile(`^([Mm]ust|[Pp]arse)([A-Z]|$)`)

// dotted writes a name or a selector as the source does; anything else is "…".
func dotted(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return dotted(e.X) + "." + e.Sel.Name
	case *ast.IndexExpr: // a generic one
		return dotted(e.X)
	case *ast.CallExpr: // a chain of calls
		return dotted(e.Fun) + "()"
	}
	return "…"
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// receiver names the type that a method belongs to; a function has none.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	return dotted(t)
}

// at is the place of a node as an editor understands it.
func (f file) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.name, f.fset.Position(n.Pos()).Line)
}

// The checks themselves are checked: each source breaks one rule, or none.
func TestSourceFaults(t *testing.T) {
	const head = "// Package x owns x. It does not own y.\npackage x\n"
	for _, c := range []struct {
		name  string
		check func(pkg) []string
		src   string
		want  string // part of the only fault; nothing means none
	}{
		{"comment", packageFaults, head, ""},
		{"no comment", packageFaults, "package x\n", "has no comment"},
		{"short comment", packageFaults, "// Package x does not.\npackage x\n", "what it owns"},
		{"boasting comment", packageFaults, "// Package x is all. It is more.\npackage x\n", "what it owns"},
		{"init", packageFaults, head + "func init() {}\n", "x.go:3: init"},
		{"a method init", packageFaults, head + "type t int\nfunc (t) init() {}\n", ""},

		{"documented", docFaults, head + "// T is.\ntype T int\n// M does.\nfunc (T) M() {}\n// Group.\nconst (\nA = 1\n)\n", ""},
		{"type", docFaults, head + "type T int\n", "exported T"},
		{"function", docFaults, head + "func F() {}\n", "exported F"},
		{"method", docFaults, head + "// T is.\ntype T int\nfunc (*T) M() {}\n", "exported M"},
		{"method of the unexported", docFaults, head + "type t int\nfunc (t) M() {}\n", ""},
		{"constant", docFaults, head + "const (\nA = 1\n)\n", "exported A"},
		{"variable", docFaults, head + "var V = 1\n", "exported V"},
		{"line comment", docFaults, head + "const (\nA = 1 // one\n)\n", ""},

		{"read only", stateFaults, head + "var a, b = errors.New(``), regexp.MustCompile(``)\nvar c = []int{1}\nvar d = []byte(`x`)\nvar _ I = (*T)(nil)\n", ""},
		{"named errors", stateFaults, head + "var ErrX = &Error{}\n", ""},
		{"templates", stateFaults, head + "var p = template.Must(template.New(``).Parse(``))\nvar q = parsePages()\n", ""},
		{"embedded", stateFaults, head + "//go:embed x\nvar x embed.FS\n", ""},
		{"no value", stateFaults, head + "var x int\n", "without a value"},
		{"lock", stateFaults, head + "var mu = sync.Mutex{}\n", "a sync.Mutex"},
		{"counter", stateFaults, head + "var n = atomic.Int64{}\n", "a atomic.Int64"},
		{"made map", stateFaults, head + "var m = make(map[string]int)\n", "made by make"},
		{"empty map", stateFaults, head + "var m = map[string]int{}\n", "fill it"},
		{"pointer", stateFaults, head + "var p = &T{}\n", "a pointer"},
		{"call", stateFaults, head + "var c = lru.New[int](4)\n", "made by lru.New"},
		{"two results", stateFaults, head + "var a, _ = f()\n", "several results"},

		{"text", sqlFaults, head + "const c = `select one from the list` + `Update it`\n", "x.go:3: SQL"},
		{"prose", sqlFaults, head + "const c = `Selected from` + `delete the token`\n", ""},
		{"update", sqlFaults, head + "const c = `\n\tUPDATE t SET a = 1`\n", "x.go:3: SQL"},

		{"ten fields", fieldFaults, head + "type T struct{ a, b, c, d, e, f, g, h, i, j int }\nfunc (*T) m() {}\n", ""},
		{"eleven fields", fieldFaults, head + "type T struct{ a, b, c, d, e, f, g, h, i, j int; K }\nfunc (*T) m() {}\n", "11 fields"},
		{"eleven fields of data", fieldFaults, head + "type T struct{ a, b, c, d, e, f, g, h, i, j, k int }\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, c.check(pkg{path: "x", files: []file{parse(t, "x.go", c.src)}}), c.want)
		})
	}
	expect(t, packageFaults(pkg{path: "internal/util", files: []file{parse(t, "x.go", head)}}), "says nothing")
}

func TestSizeFaults(t *testing.T) {
	short := slices.Repeat([]length{{"short", 10}}, 19)
	for _, c := range []struct {
		name string
		all  []length
		want string
	}{
		{"nothing", nil, ""},
		{"all short", short, ""},
		{"one long in twenty", append(short, length{"long", 500}), ""},
		{"one long in nineteen", append(short[1:], length{"long", 500}), "the 95th percentile is 500"},
		{"one far too long", append(short, length{"long", 601}), "none may have more"},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, sizeFaults("file", c.all, fileP95, fileMax), c.want) })
	}
	files, funcs := lengths(pkg{files: []file{parse(t, "x.go", "package x\n\nfunc f() {\n\n}\n")}})
	if files[0] != (length{"x.go", 5}) || funcs[0] != (length{"x.go:3 f", 3}) {
		t.Errorf("lengths: %v %v", files, funcs)
	}
}
