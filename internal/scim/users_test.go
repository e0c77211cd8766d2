package scim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/live"
)

// barbaraBody provisions the person whom the deactivations are about.
const barbaraBody = `{"schemas":["` + userURN + `"],"userName":"barbara@example.com","externalId":"ext-1","displayName":"Barbara",` +
	`"name":{"givenName":"Barbara","familyName":"Jensen"},"emails":[{"primary":true,"value":"b@example.com","type":"work"}],"active":true}`

// scim.md 1.1: with the answer in hand, the person is inactive, the token is
// revoked and the stream is cut; reactivation brings none of it back.
func TestDeactivationEndsEverything(t *testing.T) {
	for _, d := range append(deactivations(), deactivation{"DELETE", "DELETE", ""}) {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s := newStand(t)
			id := s.create(barbaraBody)
			other := s.create(`{"userName":"other@example.com"}`)
			token, stream := s.mint(id)
			otherToken, otherStream := s.mint(other)

			a := s.do(d.method, "/Users/"+id+"?aadOptscim062020", d.body)
			if s.admitted(token) {
				t.Error("the token is still good")
			}
			if live.Cause(stream) != tenure.ErrRevoked {
				t.Errorf("the stream goes on: %v", live.Cause(stream))
			}
			if !s.admitted(otherToken) || otherStream.Err() != nil {
				t.Error("somebody else has lost access")
			}
			if d.method == "DELETE" {
				a.wants(t, http.StatusNoContent, "")
				return
			}
			a.wants(t, http.StatusOK, "")
			if a.at("active") != false || s.user(id).Active || s.user(id).DeactivatedAt.IsZero() {
				t.Errorf("still active: %s", a.text)
			}
			if got := s.do("GET", "/Users/"+id, "").wants(t, http.StatusOK, ""); got.at("active") != false {
				t.Error("not readable as inactive")
			}
			found := s.do("GET", "/Users?filter="+url.QueryEscape(`userName eq "BARBARA@example.com"`), "").wants(t, http.StatusOK, "")
			if found.at("Resources", 0, "id") != id || found.at("Resources", 0, "active") != false {
				t.Errorf("not found as inactive: %s", found.text)
			}

			back := s.do("PATCH", "/Users/"+id, patchBody(`{"op":"Replace","path":"active","value":"True"}`)).wants(t, http.StatusOK, "")
			if back.at("active") != true || !s.user(id).Active || s.admitted(token) {
				t.Errorf("reactivated: %s, token good: %v", back.text, s.admitted(token))
			}
		})
	}
}

// scim.md 1.1.6, 1.1.7: what is not understood is refused, never taken as done.
func TestRefusedDeactivationChangesNothing(t *testing.T) {
	s := newStand(t)
	id := s.create(barbaraBody)
	token, _ := s.mint(id)
	before := s.user(id)
	for _, c := range []struct{ method, body, scimType string }{
		{"PATCH", patchBody(`{"op":"replace","path":"active","value":"maybe"}`), "invalidValue"},
		{"PATCH", patchBody(`{"op":"replace","path":"actve","value":false}`), "invalidPath"},
		{"PATCH", patchBody(`{"op":"replace","path":"active","value":false},{"op":"remove"}`), "noTarget"},
		{"PATCH", patchBody(`{"op":"replace","path":"active","value":false},{"op":"replace","path":"emails[value eq \"no\"].type","value":"x"}`), "noTarget"},
		{"PUT", `{"userName":"barbara@example.com","active":"maybe"}`, "invalidValue"},
		{"PUT", `{"active":false}`, "invalidValue"},
		{"PUT", `{"userName":"a\u0007b","active":false}`, "invalidValue"},
	} {
		s.do(c.method, "/Users/"+id, c.body).wants(t, http.StatusBadRequest, c.scimType)
	}
	if diff := cmp.Diff(before, s.user(id)); diff != "" || !s.admitted(token) {
		t.Errorf("something has changed, or the token is gone:\n%s", diff)
	}
}

// scim.md 1.1.14.
func TestPutWithoutActiveKeepsIt(t *testing.T) {
	s := newStand(t)
	id := s.create(barbaraBody)
	for _, active := range []bool{true, false} {
		s.do("PATCH", "/Users/"+id, patchBody(fmt.Sprintf(`{"op":"replace","path":"active","value":%v}`, active)))
		a := s.do("PUT", "/Users/"+id, `{"schemas":["`+userURN+`"],"userName":"barbara@example.com","title":"Boss"}`).wants(t, http.StatusOK, "")
		if a.at("active") != active || s.user(id).Active != active || a.at("title") != "Boss" || a.at("name") != nil || a.at("externalId") != "ext-1" {
			t.Errorf("active %v: %s", active, a.text)
		}
	}
}

func TestCreate(t *testing.T) {
	s := newStand(t)
	a := s.do("POST", "/Users", `{"schemas":["`+userURN+`","`+enterpriseURN+`"],"userName":"Bjensen","externalId":"e-1","password":"hunter2","groups":[],"roles":[],`+
		`"emails":[{"value":"b@example.com","type":"work","primary":"True"}],"shoeSize":44,"`+enterpriseURN+`":{"department":"Tours"},"id":"mine","meta":{"resourceType":"User"}}`).
		wants(t, http.StatusCreated, "")
	location := base + "/scim/v2/Users/" + a.id()
	if a.header.Get("Location") != location || a.id() == "mine" {
		t.Errorf("Location %q, id %q", a.header.Get("Location"), a.id())
	}
	meta, _ := a.at("meta").(map[string]any)
	want := map[string]any{
		"schemas": []any{userURN, enterpriseURN}, "id": a.id(), "userName": "Bjensen", "externalId": "e-1", "active": true,
		"emails":      []any{map[string]any{"value": "b@example.com", "type": "work", "primary": true}},
		enterpriseURN: map[string]any{"department": "Tours"},
		"meta":        map[string]any{"resourceType": "User", "location": location, "created": meta["created"], "lastModified": meta["created"], "version": `W/"1"`},
	}
	if diff := cmp.Diff(want, a.body); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if read := s.do("GET", "/Users/"+a.id(), ""); read.text != a.text {
		t.Errorf("read back: %s", read.text)
	}
	if s.dropped != 1 {
		t.Errorf("%d attributes dropped", s.dropped)
	}
	u := s.user(a.id())
	if u.Source != tenure.SourceSCIM || strings.Contains(string(u.Profile), "hunter2") ||
		string(u.Profile) != `{"emails":[{"primary":true,"type":"work","value":"b@example.com"}],"`+enterpriseURN+`":{"department":"Tours"}}` {
		t.Errorf("%+v %s", u, u.Profile)
	}

	inactive := s.do("POST", "/Users", `{"userName":"away","active":"False"}`).wants(t, http.StatusCreated, "")
	if inactive.at("active") != false || s.user(inactive.id()).Active {
		t.Errorf("created inactive: %s", inactive.text)
	}
	for _, name := range []string{"bjensen", "BJENSEN", "Away"} {
		dup := s.do("POST", "/Users", `{"userName":"`+name+`"}`).wants(t, http.StatusConflict, "uniqueness")
		if detail, _ := dup.at("detail").(string); !strings.Contains(detail, name) {
			t.Errorf("the detail does not name it: %q", detail)
		}
	}
	s.do("POST", "/Users", `{"displayName":"nobody"}`).wants(t, http.StatusBadRequest, "invalidValue")
	s.do("POST", "/Users", `{"userName":""}`).wants(t, http.StatusBadRequest, "invalidValue")
	s.do("POST", "/Users", `{"userName":"`+strings.Repeat("a", 256)+`"}`).wants(t, http.StatusBadRequest, "invalidValue")
}

// Eight at once make one.
func TestCreateAtOnce(t *testing.T) {
	s := newStand(t)
	var wg sync.WaitGroup
	status := make([]int, 8)
	for i := range status {
		wg.Go(func() {
			name := "same@example.com"
			if i%2 == 1 {
				name = strings.ToUpper(name)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, prefix+"/Users", strings.NewReader(`{"userName":"`+name+`"}`))
			r.Header.Set("Authorization", "Bearer connector")
			w := httptest.NewRecorder()
			s.router.ServeHTTP(w, r)
			status[i] = w.Code
		})
	}
	wg.Wait()
	count := map[int]int{}
	for _, code := range status {
		count[code]++
	}
	if count[http.StatusCreated] != 1 || count[http.StatusConflict] != 7 {
		t.Errorf("%v", count)
	}
}

func TestRenameAndDelete(t *testing.T) {
	s := newStand(t)
	id := s.create(barbaraBody)
	s.create(`{"userName":"taken","active":false}`)
	rename := func(to string) string { return patchBody(`{"op":"Replace","path":"userName","value":"` + to + `"}`) }

	a := s.do("PATCH", "/Users/"+id, rename("B2@example.com")).wants(t, http.StatusOK, "")
	if a.id() != id || a.at("userName") != "B2@example.com" {
		t.Errorf("%s", a.text)
	}
	s.do("PATCH", "/Users/"+id, rename("TAKEN")).wants(t, http.StatusConflict, "uniqueness")
	s.do("PUT", "/Users/"+id, `{"userName":"Taken"}`).wants(t, http.StatusConflict, "uniqueness")
	if u := s.user(id); u.UserName != "B2@example.com" || u.ExternalID != "ext-1" {
		t.Errorf("after a clash: %+v", u)
	}
	s.do("PATCH", "/Users/"+id, rename("b2@example.com")).wants(t, http.StatusOK, "")
	s.do("PUT", "/Users/"+id, `{"userName":"b3"}`).wants(t, http.StatusOK, "")

	s.do("DELETE", "/Users/"+id, "").wants(t, http.StatusNoContent, "")
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		body := map[string]string{"PUT": `{"userName":"b3"}`, "PATCH": rename("b4")}[method]
		s.do(method, "/Users/"+id, body).wants(t, http.StatusNotFound, "")
	}
	if again := s.create(`{"userName":"b3"}`); again == id {
		t.Error("the id was given again")
	}
	s.do("GET", "/Users/"+id, "").wants(t, http.StatusNotFound, "")
	for _, unknown := range []string{"3a9d6c1e-0000-4000-8000-000000000000", "%00", "a%2Fb", strings.Repeat("x", 5000)} {
		a := s.do("GET", "/Users/"+unknown, "").wants(t, http.StatusNotFound, "")
		if detail, _ := a.at("detail").(string); !strings.Contains(detail, "User") || len(detail) > 200 {
			t.Errorf("%q", detail)
		}
	}
}

func TestList(t *testing.T) {
	s := newStand(t)
	empty := s.do("GET", "/Users", "").wants(t, http.StatusOK, "")
	if !strings.Contains(empty.text, `"Resources":[]`) || empty.at("totalResults") != 0.0 || empty.at("itemsPerPage") != 0.0 {
		t.Errorf("%s", empty.text)
	}
	var ids []string
	for i := range 5 {
		s.create(fmt.Sprintf(`{"userName":"User%d","externalId":"Ext%d"}`, i, i))
	}
	all, err := s.db.Users(t.Context(), directory.UserFilter{Tenant: tenure.DefaultTenant, Limit: 9})
	if err != nil {
		t.Fatal(err)
	}
	place := map[string]int{} // of a userName in the list; ids of one millisecond are in no order
	for i, u := range all {
		ids = append(ids, string(u.ID))
		place[u.UserName] = i
	}
	user3 := ids[place["User3"]:][:1]
	for _, c := range []struct {
		query string
		want  []string // nil is none
		start float64
		total float64
	}{
		{"", ids, 1, 5},
		{"?startIndex=1&count=100", ids, 1, 5},
		{"?startIndex=2&count=2", ids[1:3], 2, 5},
		{"?startIndex=5&count=2", ids[4:], 5, 5},
		{"?startIndex=6&count=2", nil, 6, 5},
		{"?startIndex=0&count=1", ids[:1], 1, 5},
		{"?startIndex=-7", ids, 1, 5},
		{"?count=0", nil, 1, 5},
		{"?count=-1", nil, 1, 5},
		{"?count=99999999999999999999", ids, 1, 5},
		{"?startIndex=99999999999999999999", nil, 9223372036854775807, 5},
		{"?aadOptscim062020&x=y", ids, 1, 5},
		{"?filter=userName+eq+%22USER3%22", user3, 1, 1},
		{"?filter=userName%20eq%20%22user3%22&startIndex=1&count=100", user3, 1, 1},
		{"?filter=userName+eq+user3", user3, 1, 1},
		{"?filter=" + url.QueryEscape(userURN+`:userName eq "user3"`), user3, 1, 1},
		{"?filter=userName+eq+%22nobody%22", nil, 1, 0},
		{"?filter=userName+eq+%22%22", nil, 1, 0},
		{"?filter=externalId+eq+%22Ext3%22", user3, 1, 1},
		{"?filter=externalId+eq+Ext3", user3, 1, 1},
		{"?filter=externalId+eq+%22ext3%22", nil, 1, 0},
		{"?filter=id+eq+%22" + ids[2] + "%22", ids[2:3], 1, 1},
		{"?filter=id+eq+%22" + ids[2] + "%22&startIndex=2", nil, 2, 1},
		{"?filter=id+eq+%22" + ids[2] + "%22&count=0", nil, 1, 1},
		{"?filter=id+eq+%22nobody%22", nil, 1, 0},
		{"?filter=id+eq+%22%22", nil, 1, 0},
		{"?filter=userName+eq+%22user3%22&count=0", nil, 1, 1},
		{"?filter=userName+eq+" + url.QueryEscape(`"a' OR 1=1 --"`), nil, 1, 0},
	} {
		a := s.do("GET", "/Users"+c.query, "").wants(t, http.StatusOK, "")
		var got []string
		resources, _ := a.at("Resources").([]any)
		for _, r := range resources {
			m, _ := r.(map[string]any)
			id, _ := m["id"].(string)
			got = append(got, id)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || a.at("totalResults") != c.total || a.at("startIndex") != c.start ||
			a.at("itemsPerPage") != float64(len(c.want)) || a.at("schemas", 0) != listURN {
			t.Errorf("%s: %s\n%s", c.query, a.text, diff)
		}
	}
	for _, filter := range []string{``, `userName`, `nothing eq "x"`, `userName eq "x`, strings.Repeat("(", 100), `name eq "x"`} {
		s.do("GET", "/Users?filter="+url.QueryEscape(filter), "").wants(t, http.StatusBadRequest, "invalidFilter")
	}
	for _, query := range []string{"?startIndex=x", "?count=1.5"} {
		s.do("GET", "/Users"+query, "").wants(t, http.StatusBadRequest, "invalidValue")
	}
	for _, query := range []string{"?filter=%zz", "?a;filter=userName+eq+x"} {
		s.do("GET", "/Users"+query, "").wants(t, http.StatusBadRequest, "invalidSyntax")
	}
}

// RFC 7644 §3.9.
func TestAttributes(t *testing.T) {
	s := newStand(t)
	id := s.create(`{"userName":"u","title":"T","name":{"givenName":"G","familyName":"F"},` +
		`"emails":[{"value":"a","type":"work"},{"value":"b"}],"` + enterpriseURN + `":{"department":"D","costCenter":"C"}}`)
	for _, c := range []struct{ query, want string }{
		{"attributes=userName", `{"userName":"u"}`},
		{"attributes=USERNAME,%20name.givenname,emails.type,nothing,a%20b", `{"userName":"u","name":{"givenName":"G"},"emails":[{"type":"work"}]}`},
		{"attributes=emails.value,emails.type", `{"emails":[{"value":"a","type":"work"},{"value":"b"}]}`},
		{"attributes=name.givenName,name.familyName", `{"name":{"givenName":"G","familyName":"F"}}`},
		{"attributes=" + enterpriseURN + ":department", `{"` + enterpriseURN + `":{"department":"D"}}`},
		{"attributes=" + enterpriseURN, `{"` + enterpriseURN + `":{"department":"D","costCenter":"C"}}`},
		{"attributes=nickName", `{}`},
		{"attributes=meta.resourceType", `{"meta":{"resourceType":"User"}}`},
		{
			"excludedAttributes=id,schemas,meta,active,userName,emails.type,name,title," + enterpriseURN + ":costCenter",
			`{"emails":[{"value":"a"},{"value":"b"}],"` + enterpriseURN + `":{"department":"D"}}`,
		},
		{"excludedAttributes=meta,active,userName,emails,name.givenName,name.familyName,title," + enterpriseURN, `{}`},
		{"attributes=title&excludedAttributes=title", `{"title":"T"}`},
	} {
		want := unmarshal(t, c.want)
		want["id"], want["schemas"] = id, []any{userURN, enterpriseURN}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, prefix+"/Users/"+id+"?"+c.query, nil)
		r.Header.Set("Authorization", "Bearer connector")
		w := httptest.NewRecorder()
		s.router.ServeHTTP(w, r)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.query, diff)
		}
	}
	list := s.do("GET", "/Users?attributes=userName&filter=userName+eq+u", "").wants(t, http.StatusOK, "")
	if list.at("Resources", 0, "userName") != "u" || list.at("Resources", 0, "title") != nil {
		t.Errorf("%s", list.text)
	}
	patched := s.do("PATCH", "/Users/"+id+"?excludedAttributes=emails&a;b=%zz", patchBody(`{"op":"replace","path":"active","value":false}`)).wants(t, http.StatusOK, "")
	if patched.at("emails") != nil || patched.at("active") != false {
		t.Errorf("%s", patched.text)
	}
}
