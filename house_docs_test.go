package tenure_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	inTicks     = regexp.MustCompile("`([^`]+)`")
	inQuotes    = regexp.MustCompile(`"([^"]+)"`)
	testNamed   = regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`)
	pathNamed   = regexp.MustCompile(`^(internal|test|cmd)/[\w./-]+$`)
	testWritten = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
)

// TestGuaranteesAreProved holds docs/reference/guarantees.md to the tests that it
// names: each is there, in the package that is said.
func TestGuaranteesAreProved(t *testing.T) {
	text, err := os.ReadFile("docs/reference/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	written := testsByPackage(t)
	cases := quotedIn(t, "internal/store/storetest")
	// A proof is what stands between semicolons, in a cell or a paragraph.
	promise, proofs := "", map[string]int{}
	for _, proof := range regexp.MustCompile(`[;|\n]`).Split(string(text), -1) {
		if heading, ok := strings.CutPrefix(proof, "## "); ok {
			promise = heading
			proofs[promise] = 0
		}
		if promise == "" {
			continue // how to read the page
		}
		var tests, places []string
		for _, found := range inTicks.FindAllStringSubmatch(proof, -1) {
			name := found[1]
			switch {
			case testNamed.MatchString(name):
				tests = append(tests, name)
			case strings.HasSuffix(name, ".txtar"):
				exists(t, filepath.Join("cmd/tenure/testdata/script", name))
				proofs[promise]++
			case pathNamed.MatchString(name):
				exists(t, name)
				places = append(places, name)
			}
		}
		if strings.Contains(proof, "(root package)") {
			places = append(places, ".")
		}
		for _, name := range tests {
			proofs[promise]++
			if !isIn(written[name], places) {
				t.Errorf("%s is in %v, and guarantees.md says %v", name, written[name], places)
			}
			if name != "TestSQLite" {
				continue
			}
			for _, found := range inQuotes.FindAllStringSubmatch(proof, -1) {
				if !cases[found[1]] {
					t.Errorf("TestSQLite has no case %q", found[1])
				}
			}
		}
	}
	numbered := 0
	for promise, n := range proofs {
		if n == 0 {
			t.Errorf("nothing proves %q", promise)
		}
		if promise[0] >= '1' && promise[0] <= '9' {
			numbered++
		}
	}
	if numbered != 6 {
		t.Errorf("%d promises, and Tenure gives six", numbered)
	}
}

func exists(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Stat(name); err != nil {
		t.Errorf("guarantees.md names what is not there: %v", err)
	}
}

// isIn reports whether something is in one of the places, or, when none is said, anywhere.
func isIn(packages, places []string) bool {
	for _, p := range packages {
		for _, place := range places {
			if p == place {
				return true
			}
		}
	}
	return len(packages) > 0 && len(places) == 0
}

// testsByPackage gives the directories in which each test is written.
func testsByPackage(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, pattern := range []string{"*_test.go", "cmd/*/*_test.go", "internal/*/*_test.go", "internal/*/*/*_test.go", "test/faults/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range testWritten.FindAllStringSubmatch(string(source), -1) {
				out[found[1]] = append(out[found[1]], filepath.Dir(file))
			}
		}
	}
	return out
}

// quotedIn gives the texts in quotes of the source in a directory.
func quotedIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range inQuotes.FindAllStringSubmatch(string(source), -1) {
			out[found[1]] = true
		}
	}
	return out
}
