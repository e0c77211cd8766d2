package scim

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// group makes a group with members and gives its id.
func (s *stand) group(name string, members ...string) string {
	s.t.Helper()
	var list []string
	for _, id := range members {
		list = append(list, `{"value":"`+id+`"}`)
	}
	return s.do("POST", "/Groups", `{"schemas":["`+groupURN+`"],"displayName":"`+name+`","members":[`+strings.Join(list, ",")+`]}`).
		wants(s.t, http.StatusCreated, "").id()
}

// members reads who is in a group, by what people are called.
func (s *stand) members(id string) string {
	s.t.Helper()
	rows, err := s.db.MembersOf(s.t.Context(), tenure.GroupID(id))
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, m := range rows {
		names = append(names, s.user(string(m.User)).UserName)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// scim.md 1.5: each spelling, and who is in the group afterwards.
func TestGroupForms(t *testing.T) {
	s := newStand(t)
	a, b, c := s.create(`{"userName":"a"}`), s.create(`{"userName":"b"}`), s.create(`{"userName":"c"}`)
	full := strings.NewReplacer("$a", a, "$b", b, "$c", c)
	for _, form := range []struct{ name, method, body, want string }{
		{"Okta, rename with the id in the value", "PATCH", patchBody(`{"op":"replace","value":{"id":"whatever","displayName":"Renamed"}}`), "a b"},
		{"Okta, one out and one in", "PATCH", patchBody(`{"op":"remove","path":"members[value eq \"$a\"]"},{"op":"add","path":"members","value":[{"value":"$c","display":"c@x"}]}`), "b c"},
		{"Okta, Push Now", "PATCH", patchBody(`{"op":"replace","path":"members","value":[{"value":"$c","display":"c@x"},{"value":"$a"}]}`), "a c"},
		{"Okta, Push Now of nobody", "PATCH", patchBody(`{"op":"replace","path":"members","value":[]}`), ""},
		{"Okta, Push Now without a path", "PATCH", patchBody(`{"op":"replace","value":{"displayName":"g","members":[{"value":"$c"}]}}`), "c"},
		{"Okta, wizard application", "PUT", `{"schemas":["` + groupURN + `"],"id":"x","displayName":"g","members":[{"value":"$b","display":"b"},{"value":"$c","display":"c"}]}`, "b c"},
		{"Okta, wizard application, nobody", "PUT", `{"schemas":["` + groupURN + `"],"displayName":"g","members":[]}`, ""},
		{"PUT without members", "PUT", `{"displayName":"g"}`, ""},
		{"Entra, default add", "PATCH", patchBody(`{"op":"Add","path":"members","value":[{"$ref":null,"value":"$c"}]}`), "a b c"},
		{"Entra, default removal", "PATCH", patchBody(`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"$a"}]}`), "b"},
		{"Entra, removal with its flag", "PATCH", patchBody(`{"op":"remove","path":"members[value eq \"$a\"]"}`), "b"},
		{"Entra, rename", "PATCH", patchBody(`{"op":"Replace","path":"displayName","value":"Renamed"}`), "a b"},
		{"member twice", "PATCH", patchBody(`{"op":"add","path":"members","value":[{"value":"$a"},{"value":"$c"},{"value":"$c","type":"User"}]}`), "a b c"},
		{"a member as a string", "PATCH", patchBody(`{"op":"add","path":"members","value":["$c"]}`), "a b c"},
		{"one object", "PATCH", patchBody(`{"op":"add","path":"Members","value":{"Value":"$c","$ref":"https://x/Users/$c"}}`), "a b c"},
		{"without a path", "PATCH", patchBody(`{"op":"add","value":{"members":[{"value":"$c"}]}}`), "a b c"},
		{"with the URN", "PATCH", patchBody(`{"op":"add","path":"` + groupURN + `:members","value":[{"value":"$c"}]}`), "a b c"},
		{"two selected", "PATCH", patchBody(`{"op":"remove","path":"members[value eq \"$a\" or value eq \"$b\"]"}`), ""},
		{"one selected and its value", "PATCH", patchBody(`{"op":"remove","path":"members[value eq \"$a\"].value"}`), "b"},
		{"all", "PATCH", patchBody(`{"op":"remove","path":"members"}`), ""},
		{"none of them", "PATCH", patchBody(`{"op":"Remove","path":"members","value":[]}`), "a b"},
		{"one who is not there", "PATCH", patchBody(`{"op":"remove","path":"members[value eq \"$c\"]"},{"op":"remove","path":"members[value eq \"no\"]"}`), "a b"},
		{"the last counts", "PATCH", patchBody(`{"op":"add","path":"members","value":[{"value":"$c"}]},{"op":"remove","path":"members[value eq \"$c\"]"},{"op":"remove","path":"members[value eq \"$a\"]"},{"op":"add","path":"members","value":[{"value":"$a"}]}`), "a b"},
		{"added, then all replaced", "PATCH", patchBody(`{"op":"add","path":"members","value":[{"value":"$c"}]},{"op":"replace","path":"members","value":[{"value":"$b"}]},{"op":"remove","path":"members[value eq \"$b\"]"}`), ""},
		{"replaced by itself", "PATCH", patchBody(`{"op":"replace","path":"members[value eq \"$c\"]","value":{"value":"$c"}}`), "a b c"},
	} {
		t.Run(form.name, func(t *testing.T) {
			id := s.group("g", a, b)
			answer := s.do(form.method, "/Groups/"+id+"?aadOptscim062020", full.Replace(form.body))
			if form.method == "PUT" {
				answer.wants(t, http.StatusOK, "")
			} else if answer.wants(t, http.StatusNoContent, ""); answer.header.Get("ETag") == "" {
				t.Error("no ETag")
			}
			if got := s.members(id); got != form.want {
				t.Errorf("members %q, want %q", got, form.want)
			}
			read := s.do("GET", "/Groups/"+id, "").wants(t, http.StatusOK, "")
			if list, _ := read.at("members").([]any); len(list) != len(strings.Fields(form.want)) {
				t.Errorf("%s", read.text)
			}
			if strings.Contains(form.body, "Renamed") && read.at("displayName") != "Renamed" {
				t.Errorf("not renamed: %s", read.text)
			}
			s.do("DELETE", "/Groups/"+id, "").wants(t, http.StatusNoContent, "")
			s.do("GET", "/Groups/"+id, "").wants(t, http.StatusNotFound, "")
		})
	}
}

func TestGroupFaults(t *testing.T) {
	s := newStand(t)
	a := s.create(`{"userName":"a"}`)
	id, other := s.group("g", a), s.group("other")
	for _, c := range []struct {
		method, path, body string
		status             int
		scimType           string
	}{
		{"POST", "/Groups", `{"displayName":"G"}`, 409, "uniqueness"},
		{"POST", "/Groups", `{"members":[]}`, 400, "invalidValue"},
		{"POST", "/Groups", `{"displayName":"n","members":[{"value":"nobody"}]}`, 400, "invalidValue"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"replace","path":"displayName","value":"OTHER"}`), 409, "uniqueness"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"remove","path":"displayName"}`), 400, "mutability"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"add","path":"members","value":[{"value":"` + other + `","type":"Group"}]}`), 400, "invalidValue"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"add","path":"members","value":[{"value":"` + other + `"}]}`), 400, "invalidValue"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"add","path":"members","value":[{"type":"User"}]}`), 400, "invalidValue"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"remove","path":"members[value eq \"` + a + `\"]"},{"op":"add","path":"members","value":[{"value":"nobody"}]}`), 400, "invalidValue"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"remove","path":"members[type eq \"User\"]"}`), 400, "invalidFilter"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"replace","path":"members[value eq \"` + a + `\"].value","value":"x"}`), 400, "mutability"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"replace","path":"members.value","value":"x"}`), 400, "mutability"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"remove"}`), 400, "noTarget"},
		{"PATCH", "/Groups/" + id, patchBody(`{"op":"add","path":"nothing","value":1}`), 400, "invalidPath"},
		{"PATCH", "/Groups/nobody", patchBody(`{"op":"replace","path":"displayName","value":"x"}`), 404, ""},
		{"PUT", "/Groups/nobody", `{"displayName":"x"}`, 404, ""},
		{"DELETE", "/Groups/nobody", ``, 404, ""},
		{"GET", "/Groups/" + a, ``, 404, ""},
		{"GET", "/Users/" + id, ``, 404, ""},
	} {
		answer := s.do(c.method, c.path, c.body).wants(t, c.status, c.scimType)
		if detail, _ := answer.at("detail").(string); strings.Contains(c.body, other) && !strings.Contains(detail, "groups inside groups") {
			t.Errorf("the detail does not say why: %q", detail)
		}
	}
	if got := s.members(id); got != "a" {
		t.Errorf("a refused change has changed something: %q", got)
	}
}

// RFC 7643 §4.1.2: User.groups is there, read-only, and follows the groups.
func TestUserGroups(t *testing.T) {
	s := newStand(t)
	a := s.create(`{"userName":"a"}`)
	id := s.group("Tour Guides", a)
	read := s.do("GET", "/Users/"+a, "")
	if read.at("groups", 0, "value") != id || read.at("groups", 0, "display") != "Tour Guides" || read.at("groups", 0, "$ref") != base+prefix+"/Groups/"+id || read.at("groups", 0, "type") != "direct" {
		t.Errorf("%s", read.text)
	}
	put := s.do("PUT", "/Users/"+a, `{"userName":"a","groups":[]}`).wants(t, http.StatusOK, "")
	if put.at("groups", 0, "value") != id || s.members(id) != "a" {
		t.Errorf("groups are not read-only: %s", put.text)
	}
	for _, filter := range []string{`groups.value eq "` + id + `"`, `groups eq "` + id + `"`, `groups[value eq "` + id + `"]`, `groups.display eq "tour guides"`} {
		if list := s.do("GET", "/Users?filter="+url.QueryEscape(filter), ""); list.at("Resources", 0, "id") != a {
			t.Errorf("%s: %s", filter, list.text)
		}
	}
	s.do("PATCH", "/Users/"+a, patchBody(`{"op":"replace","path":"active","value":false}`))
	if s.members(id) != "a" {
		t.Error("a deactivated person has left the group: a mistaken offboarding could not be undone")
	}
	s.do("DELETE", "/Users/"+a, "").wants(t, http.StatusNoContent, "")
	if got := s.do("GET", "/Groups/"+id, ""); got.at("members") != nil || got.at("meta", "version") != `W/"2"` {
		t.Errorf("%s", got.text)
	}
}

// scim.md 1.4: what Okta and Entra ask of groups.
func TestGroupQueries(t *testing.T) {
	s := newStand(t)
	a, b := s.create(`{"userName":"a"}`), s.create(`{"userName":"b"}`)
	id := s.group("Tour Guides", a)
	s.group("Other", b)
	for _, c := range []struct {
		query string
		found bool
	}{
		{`displayName eq "tour guides"`, true},
		{`displayName eq "none"`, false},
		{`id eq "` + id + `" and members eq "` + a + `"`, true},
		{`id eq "` + id + `" and members eq "` + b + `"`, false},
		{`id eq "` + id + `" and members.value eq "` + a + `"`, true},
		{`members[value eq "` + a + `"]`, true},
		{`displayName sw "tour" and not (members.value eq "` + b + `")`, true},
		{`schemas eq "` + groupURN + `" and displayName eq "Tour Guides"`, true},
		{`meta.version eq "x"`, false},
	} {
		list := s.do("GET", "/Groups?excludedAttributes=members&filter="+url.QueryEscape(c.query), "").wants(t, http.StatusOK, "")
		if found := list.at("Resources", 0, "id") == id; found != c.found || list.at("Resources", 0, "members") != nil {
			t.Errorf("%s: %s", c.query, list.text)
		}
	}
	if shown := s.do("GET", "/Groups/"+id+"?attributes=members", ""); shown.at("members", 0, "value") != a || shown.at("displayName") != nil {
		t.Errorf("%s", shown.text)
	}
	if shown := s.do("PATCH", "/Groups/"+id+"?attributes=displayName", patchBody(`{"op":"replace","path":"displayName","value":"New"}`)).wants(t, http.StatusOK, ""); shown.at("displayName") != "New" || shown.at("members") != nil {
		t.Errorf("%s", shown.text)
	}
	s.do("GET", "/Groups?filter="+url.QueryEscape(`members.type eq "User"`), "").wants(t, http.StatusBadRequest, "invalidFilter")
}

// scim.md 1.5: PATCHes that run at once lose nobody.
func TestGroupPatchesAtOnce(t *testing.T) {
	s := newStand(t)
	var users []string
	for i := range 24 {
		users = append(users, s.create(fmt.Sprintf(`{"userName":"u%d"}`, i)))
	}
	id := s.group("g", users[:8]...)
	var wg sync.WaitGroup
	for i, u := range users {
		wg.Go(func() {
			switch {
			case i < 8:
				s.do("PATCH", "/Groups/"+id, patchBody(`{"op":"remove","path":"members[value eq \"`+u+`\"]"}`)).wants(t, http.StatusNoContent, "")
			default:
				s.do("PATCH", "/Groups/"+id, patchBody(`{"op":"add","path":"members","value":[{"value":"`+u+`"}]}`)).wants(t, http.StatusNoContent, "")
			}
		})
	}
	wg.Wait()
	if got := strings.Fields(s.members(id)); len(got) != 16 || slices.Contains(got, "u0") {
		t.Errorf("%d members: %v", len(got), got)
	}
}

// scim.md 1.5: a thousand filtered removals in one body, on a large group.
func TestManyRemovals(t *testing.T) {
	s := newStand(t)
	const size = 3000
	id := s.group("large")
	var ids []string
	err := s.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for i := range size {
			u := tenure.User{
				ID: tenure.UserID(tenure.NewID(tx.Now())), Tenant: tenure.DefaultTenant, UserName: fmt.Sprint("m", i), Active: true,
				Role: tenure.Member, Source: tenure.SourceSCIM, CreatedAt: tx.Now(), UpdatedAt: tx.Now(),
			}
			ids = append(ids, string(u.ID))
			if err := tx.InsertUser(ctx, u); err != nil {
				return err
			}
			if _, err := tx.AddMember(ctx, u.Tenant, tenure.GroupID(id), u.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ops := make([]string, 1000)
	for i := range ops {
		ops[i] = `{"op":"remove","path":"members[value eq \"` + ids[2*i] + `\"]"}`
	}
	start := time.Now()
	s.do("PATCH", "/Groups/"+id, patchBody(strings.Join(ops, ","))).wants(t, http.StatusNoContent, "")
	t.Logf("1000 removals: %v", time.Since(start))
	rows, err := s.db.MembersOf(t.Context(), tenure.GroupID(id))
	if err != nil || len(rows) != size-1000 {
		t.Errorf("%d members, %v", len(rows), err)
	}
}
