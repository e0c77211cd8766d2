package scim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A requirement is one MUST or SHALL of RFC 7643, 7644 or 9865, in our words,
// and the check that it holds here. A requirement that nothing here can check
// says why.
type requirement struct {
	rfc     int
	section string
	text    string
	check   func(t *testing.T, s *stand)
	why     string // without a check
}

// TestRFC runs each requirement as a case of its own, and holds
// docs/reference/scim.md to the list. Write it anew with: go test -run TestRFC -update
func TestRFC(t *testing.T) {
	all := slices.Concat(schemaRequirements(), requestRequirements(), queryRequirements(), changeRequirements(), protocolRequirements())
	slices.SortStableFunc(all, func(a, b requirement) int {
		if a.rfc != b.rfc {
			return a.rfc - b.rfc
		}
		return compareSections(a.section, b.section)
	})
	var doc strings.Builder
	doc.WriteString(docHead)
	count := map[string]int{}
	for _, r := range all {
		place := fmt.Sprintf("%d-%s", r.rfc, r.section)
		count[place]++
		name, result := fmt.Sprintf("%s-%d", place, count[place]), r.why
		if r.check != nil {
			result = "fails"
			if t.Run(name, func(t *testing.T) { r.check(t, newStand(t)) }) {
				result = "passes"
			}
			name = "`TestRFC/" + name + "`"
		} else {
			name = "none"
		}
		fmt.Fprintf(&doc, "| %d §%s | %s | %s | %s |\n", r.rfc, r.section, r.text, result, name)
	}
	path := filepath.Join("..", "..", "docs", "reference", "scim.md")
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != doc.String() {
		t.Errorf("%s is out of date (%v): go test ./internal/scim -run TestRFC -update", path, err)
	}
}

var _ = flag.Bool("update", false, "write docs/reference/scim.md anew")

// compareSections orders 3.4.2.2 before 3.12.
func compareSections(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		if len(x[i]) != len(y[i]) {
			return len(x[i]) - len(y[i])
		}
		if x[i] != y[i] {
			return strings.Compare(x[i], y[i])
		}
	}
	return len(x) - len(y)
}

const docHead = `# SCIM: what holds, by requirement

Each MUST and SHALL of RFC 7643 (schema), RFC 7644 (protocol) and RFC 9865 (cursors)
that speaks to a service provider and can be tested, in short words, with the test
case that holds it. The table is made by ` + "`go test ./internal/scim -run TestRFC -update`" + `;
the test fails when it is out of date.

Beyond the RFCs: what Okta, Microsoft Entra and others send is in ` + "`TestDeactivations`, `TestPatchForms`,\n`TestGroupForms`, `TestLifeByOkta` and `TestLifeByEntra`" + `.

Limits: a body of 1 MiB (Bulk 8 MiB and 1,000 operations), a filter of 4 KiB and 32 brackets
inside each other, a page of 200 resources. A filter or an order that no index serves looks at
20,000 resources at most, then it is ` + "`tooMany`" + `: join it by ` + "`and`" + ` with id, userName, externalId,
displayName, active, emails, groups, members, meta.created or meta.lastModified. There is no
limit on rate: no deactivation ever waits. A PATCH of a group is answered by 204, or by 200 when
` + "`attributes`" + ` is given. Groups inside groups are refused.

| requirement of | what it asks | result | case |
|---|---|---|---|
`
