package scim

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenure-gateway/tenure"
)

// Whatever is parsed can be evaluated, and its negation is its opposite.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`userName eq "bjensen"`, `externalId eq jyoung`, `emails[type eq "work" and value co "@x"].value ew "y"`,
		`not (title pr) or (active eq "True" and meta.created gt "2026-01-01T00:00:00Z")`, `title eq null`,
		enterpriseURN + `:manager.value ne "x"`, `((((a pr))))`, `a[b eq`, `"`, `x eq "\u00`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parseFilter(s)
		if err == nil {
			err = parsed.bind(userType.resolve)
		}
		if err != nil {
			if !isCode(err, "invalidFilter") {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		for _, kind := range resourceTypes() {
			parsed.compile(kind)
		}
		opposite := &filter{op: opNot, parts: []*filter{parsed}}
		for _, m := range []map[string]any{sample(), {}} {
			if parsed.match(m) == opposite.match(m) {
				t.Fatalf("%q is as true as its negation", s)
			}
		}
		if p, err := parsePath(s); err == nil {
			userType.resolve(p)
		}
	})
}

// Whatever a PATCH does, it does the same when it is run again; it stores
// nothing secret, empty or unknown; and what is stored can be sent back.
func FuzzPatch(f *testing.F) {
	for _, d := range deactivations() {
		f.Add([]byte(d.body))
	}
	for _, s := range []string{
		`{"op":"add","path":"phoneNumbers[type eq \"mobile\"].value","value":"1"}`,
		`{"op":"replace","value":{"name.givenName":"x","` + enterpriseURN + `:manager":"m","password":"p","id":"x"}}`,
		`{"op":"remove","path":"emails","value":[{"value":"b@jensen.org"}]}`,
		`{"op":"add","path":"emails","value":[{"value":"n","primary":"true"}]},{"op":"remove","path":"emails[primary eq false].type"}`,
	} {
		f.Add([]byte(patchBody(s)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		object, err := decodeObject(body)
		if err != nil {
			checkFault(t, err)
			return
		}
		for _, parse := range []func(*resourceType, map[string]any) (changes, error){parsePatch, parseResource} {
			c, err := parse(&userType, object)
			if err != nil {
				checkFault(t, err)
				continue
			}
			first, second := barbara(), barbara()
			if err := c.patch(&first); err != nil {
				checkFault(t, err)
				continue
			}
			if err := c.patch(&second); err != nil {
				t.Fatalf("only the second run failed: %v", err)
			}
			if diff := cmp.Diff(first, second); diff != "" {
				t.Fatalf("the second run differs:\n%s", diff)
			}
			checkStored(t, first)
		}
	})
}

// Whatever a PATCH does to a group, it comes to one change of members that names
// nobody twice.
func FuzzGroupPatch(f *testing.F) {
	for _, s := range []string{
		`{"op":"remove","path":"members[value eq \"a\"]"},{"op":"add","path":"members","value":[{"value":"b"},{"value":"b"}]}`,
		`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"a"}]}`, `{"op":"replace","value":{"id":"x","displayName":"n","members":[]}}`,
		`{"op":"remove","path":"members[value eq \"a\" or value eq \"b\" and value eq \"c\"].value"}`, `{"op":"replace","path":"members","value":"x"}`, `{"op":"remove","path":"members[value eq \"\"]"}`,
	} {
		f.Add([]byte(patchBody(s)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		object, err := decodeObject(body)
		if err != nil {
			checkFault(t, err)
			return
		}
		for _, parse := range []func(*resourceType, map[string]any) (changes, error){parsePatch, parseResource} {
			c, err := parse(&groupType, object)
			if err != nil {
				checkFault(t, err)
				continue
			}
			change, rest, err := c.members()
			if err != nil {
				checkFault(t, err)
				continue
			}
			seen := map[tenure.UserID]bool{}
			for _, id := range slices.Concat(change.Add, change.Remove) {
				if id == "" || seen[id] {
					t.Fatalf("%q is named twice, or nobody is", id)
				}
				seen[id] = true
			}
			if change.Only && len(change.Remove) > 0 {
				t.Fatal("everybody goes, and some go besides")
			}
			g := tenure.Group{DisplayName: "old"}
			if err := rest.group(&g, false); err != nil {
				checkFault(t, err)
			} else if g.DisplayName == "" {
				t.Fatal("a group without a name")
			}
		}
	})
}

func checkFault(t *testing.T, err error) {
	t.Helper()
	var e *tenure.Error
	if !errors.As(err, &e) || e.Kind == tenure.Internal || e.Msg == "" {
		t.Fatalf("not an answer: %v", err)
	}
}

// checkStored puts what is stored through the normaliser once more.
func checkStored(t *testing.T, u tenure.User) {
	t.Helper()
	m := attributesOf(u)
	pruned := attributesOf(u)
	prune(pruned)
	if diff := cmp.Diff(pruned, m); diff != "" {
		t.Fatalf("something empty is stored:\n%s", diff)
	}
	for _, name := range []string{"password", "groups", "id", "meta", "schemas"} {
		if m[name] != nil {
			t.Fatalf("%s is stored", name)
		}
	}
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	object, err := decodeObject(body)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	c, err := parseResource(&userType, object)
	if err != nil || c.dropped > 0 {
		t.Fatalf("%s: %d dropped, %v", body, c.dropped, err)
	}
	again := u
	again.UserName, again.Profile = "", nil
	if err := c.replace(&again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, attributesOf(again)); diff != "" {
		t.Fatalf("what is stored does not come back:\n%s", diff)
	}
}
