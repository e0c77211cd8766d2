package dash

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// Every page is listed for the browser that walks through them all
// (test/browser/every.test.mjs), or it is said why not.
func TestEveryPageIsWalked(t *testing.T) {
	text, err := os.ReadFile("../../test/browser/pages.json")
	if err != nil {
		t.Fatal(err)
	}
	var pages struct {
		Walked    []string          `json:"walked"`
		Elsewhere map[string]string `json:"elsewhere"`
	}
	if err := json.Unmarshal(text, &pages); err != nil {
		t.Fatal(err)
	}
	known := slices.Clone(pages.Walked)
	for page := range pages.Elsewhere {
		known = append(known, page)
	}
	there := map[string]bool{}
	for _, single := range []bool{false, true} {
		routes, err := open(t, single).Routes()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range routes {
			if page, ok := strings.CutPrefix(r.Pattern, "GET "); ok {
				there[page] = true
				if !slices.Contains(known, page) {
					t.Errorf("%s: not in test/browser/pages.json", page)
				}
			}
		}
	}
	for _, page := range known {
		if !there[page] {
			t.Errorf("%s: in test/browser/pages.json, and no page", page)
		}
	}
}
