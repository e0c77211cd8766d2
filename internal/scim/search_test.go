package scim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tenure-gateway/tenure/internal/directory"
)

// list asks for people and gives their userNames in the order answered.
func (s *stand) list(query string) []string {
	s.t.Helper()
	a := s.do("GET", query, "").wants(s.t, http.StatusOK, "")
	return names(a)
}

func names(a answer) []string {
	out := []string{}
	resources, _ := a.at("Resources").([]any)
	for i := range resources {
		name, ok := a.at("Resources", i, "userName").(string)
		if !ok {
			name, _ = a.at("Resources", i, "displayName").(string)
		}
		out = append(out, name)
	}
	return out
}

// crowd makes people who differ in everything that a filter may look at.
func (s *stand) crowd() {
	s.t.Helper()
	for _, body := range []string{
		`{"userName":"Ann","displayName":"Ann Ö","externalId":"X1","title":"Boss","emails":[{"value":"Ann@Work.org","type":"work","primary":true},{"value":"ann@home.org","type":"Home"}]}`,
		`{"userName":"bob","displayName":"bob","externalId":"x1","active":false,"emails":[{"value":"bob@work.org","type":"home"}]}`,
		`{"userName":"Cat","title":"boss","emails":[{"value":"cat@work.org"},{"type":"work"}],"` + enterpriseURN + `":{"department":"Tours"}}`,
		`{"userName":"dan","displayName":"ÄÖ","emails":[{"value":"a%_b@x.org","type":"work","display":"d"}]}`,
		`{"userName":"e'\"\\e","externalId":"X2"}`,
		`{"userName":"😀"}`,
	} {
		s.create(body)
		time.Sleep(time.Millisecond) // ids in order
	}
	var all []string
	for _, u := range s.do("GET", "/Users", "").body["Resources"].([]any) {
		all = append(all, u.(map[string]any)["id"].(string))
	}
	s.group("one", all[0], all[2])
	s.group("two", all[2], all[4])
}

// What the database chooses is what match chooses.
func TestFilterProperty(t *testing.T) {
	s := newStand(t)
	s.crowd()
	var people []map[string]any
	for _, u := range s.do("GET", "/Users", "").body["Resources"].([]any) {
		people = append(people, u.(map[string]any))
	}
	group := people[0]["groups"].([]any)[0].(map[string]any)["value"].(string)
	created := people[2]["meta"].(map[string]any)["created"].(string)
	texts := []string{"ann", "Ann", "b", "", "X1", "x1", "work", "@work.org", "ann@work.org", "%", "_", "ö", "Ö", "äö", "e'", `"`, `\`, "😀", "\x00", "zz", group, created}
	comparison := rapid.Custom(func(t *rapid.T) string {
		attr := rapid.SampledFrom([]string{
			"userName", "displayName", "externalId", "id", "title", "emails", "emails.value", "emails.type", `emails[type eq "work"].value`,
			`emails[type eq "work" and not (value co "ann")].value`, `emails[type ne "home"].type`, `emails[primary eq true].value`, "emails.display",
			"groups", "groups.value", "groups.display", "meta.resourceType", "schemas", enterpriseURN + ":department",
		}).Draw(t, "attr")
		op := rapid.SampledFrom([]string{"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}).Draw(t, "op")
		text, _ := json.Marshal(rapid.SampledFrom(texts).Draw(t, "text"))
		return attr + " " + op + " " + string(text)
	})
	leaf := rapid.OneOf(comparison, comparison, rapid.SampledFrom([]string{
		"userName pr", "displayName pr", "externalId pr", "title pr", "emails pr", "emails.value pr", `emails[type eq "work"]`, "groups pr", "active pr",
		"displayName eq null", "displayName ne null", "emails.value eq null", "emails.type ne null", "active eq true", "active ne true", `active eq "False"`,
		`meta.created eq "` + created + `"`, `meta.created ne "` + created + `"`, `meta.created gt "` + created + `"`, `meta.created ge "` + created + `"`,
		`meta.created lt "` + created + `"`, `meta.created le "` + created + `"`, `meta.lastModified gt "9999-12-31T23:59:59-12:00"`, `meta.created le "0000-01-01T00:00:00Z"`,
		`meta.created ge "0001-01-01T00:00:00Z"`, `not (meta.created lt "0001-01-01T00:00:00Z")`, `not (meta.created le "0000-01-01T00:00:00Z")`,
		`meta.created ge "` + strings.Replace(created, "Z", "5Z", 1) + `"`, `meta.created lt "` + strings.Replace(created, "Z", "5Z", 1) + `"`,
	}))
	var tree func(depth int) *rapid.Generator[string]
	tree = func(depth int) *rapid.Generator[string] {
		if depth == 0 {
			return leaf
		}
		return rapid.Custom(func(t *rapid.T) string {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				return "not (" + tree(depth-1).Draw(t, "x") + ")"
			case 1:
				return "(" + tree(depth-1).Draw(t, "x") + ") and (" + tree(depth-1).Draw(t, "y") + ")"
			case 2:
				return "(" + tree(depth-1).Draw(t, "x") + ") or (" + tree(depth-1).Draw(t, "y") + ")"
			}
			return leaf.Draw(t, "leaf")
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		text := tree(rapid.IntRange(0, 3).Draw(t, "depth")).Draw(t, "filter")
		f, err := parseFilter(text)
		if err == nil {
			err = f.bind(userType.resolve)
		}
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		want := []string{}
		for _, p := range people {
			if f.match(p) {
				want = append(want, p["userName"].(string))
			}
		}
		if diff := cmp.Diff(want, s.list("/Users?filter="+url.QueryEscape(text))); diff != "" {
			t.Fatalf("%s (-match +database)\n%s", text, diff)
		}
	})
}

// The largest filters that the parser takes are no more than the database takes.
func TestLargeFilters(t *testing.T) {
	s := newStand(t)
	s.create(`{"userName":"a","emails":[{"value":"a@x.org"}]}`)
	for _, f := range []string{
		"id pr" + strings.Repeat(" and id pr", maxFilterTerms-1), "id pr" + strings.Repeat(" or id pr", maxFilterTerms-1), "emails pr" + strings.Repeat(" and emails pr", maxFilterTerms-1),
		strings.Repeat("not (", maxFilterDepth) + "id pr" + strings.Repeat(")", maxFilterDepth), `userName ne "` + strings.Repeat("a", 4000) + `"`,
	} {
		if got := s.list("/Users?filter=" + url.QueryEscape(f)); len(got) != 1 {
			t.Errorf("%.40s: %v", f, got)
		}
	}
}

func TestSort(t *testing.T) {
	s := newStand(t)
	s.crowd()
	const odd = `e'"\e`
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"sortBy=userName", []string{"Ann", "bob", "Cat", "dan", odd, "😀"}},
		{"sortBy=userName&sortOrder=descending", []string{"😀", odd, "dan", "Cat", "bob", "Ann"}},
		{"sortBy=displayName", []string{"Ann", "bob", "dan", "Cat", odd, "😀"}},
		{"sortBy=displayName&sortOrder=Descending", []string{"😀", odd, "Cat", "dan", "bob", "Ann"}},
		{"sortBy=emails", []string{"dan", "Ann", "bob", "Cat", odd, "😀"}},
		{"sortBy=title&filter=title+pr", []string{"Ann", "Cat"}},
		{"sortBy=active", []string{"bob", "Ann", "Cat", "dan", odd, "😀"}},
		{"sortBy=meta.created&sortOrder=descending&count=2", []string{"😀", odd}},
		{"sortBy=" + url.QueryEscape(enterpriseURN+":department") + "&startIndex=2&count=2", []string{"Ann", "bob"}},
		{"sortOrder=descending&count=1", []string{"Ann"}}, // RFC 7644 §3.4.2.3: without sortBy it says nothing
	} {
		if diff := cmp.Diff(c.want, s.list("/Users?"+c.query)); diff != "" {
			t.Errorf("%s\n%s", c.query, diff)
		}
	}
	s.do("GET", "/Users?sortBy=nothing", "").wants(t, http.StatusBadRequest, "invalidPath")
	s.do("GET", "/Users?sortBy=name", "").wants(t, http.StatusBadRequest, "invalidPath")
	s.do("GET", "/Users?sortBy=userName&sortOrder=up", "").wants(t, http.StatusBadRequest, "invalidValue")
}

// RFC 9865.
func TestCursors(t *testing.T) {
	s := newStand(t)
	s.crowd()
	for _, query := range []string{
		"/Users?", "/Users?sortBy=userName&", "/Users?sortBy=displayName&sortOrder=descending&", "/Users?sortBy=title&", "/Users?filter=title+pr+or+active+pr&",
		"/Groups?", "/?", "/?sortBy=displayName&",
	} {
		want := s.list(query)
		got := []string{}
		cursor, pages := "", 0
		for {
			a := s.do("GET", query+"count=2&cursor="+cursor, "").wants(t, http.StatusOK, "")
			if got = append(got, names(a)...); a.at("startIndex") != nil || a.at("totalResults") != float64(len(want)) || len(names(a)) > 2 {
				t.Fatalf("%s: %s", query, a.text)
			}
			if cursor, _ = a.at("nextCursor").(string); cursor == "" {
				break
			}
			if pages++; pages == 1 && strings.HasPrefix(query, "/Users") {
				s.do("GET", query+"count=2&x=y&cursor="+cursor, "").wants(t, http.StatusOK, "")
				s.do("GET", "/Users?count=2&filter=active+pr&cursor="+cursor, "").wants(t, http.StatusBadRequest, "invalidCursor")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", query, diff)
		}
	}
	s.do("GET", "/Users?cursor=nonsense", "").wants(t, http.StatusBadRequest, "invalidCursor")
	for _, count := range []string{"0", "-1", "x", fmt.Sprint(maxCount + 1)} {
		s.do("GET", "/Users?cursor&count="+count, "").wants(t, http.StatusBadRequest, "invalidCount")
	}
	q, err := parseQuestion(url.Values{"cursor": {""}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	old := q.cursorAt(rowAt("x"), time.Now().Add(-2*cursorLife))
	s.do("GET", "/Users?cursor="+old, "").wants(t, http.StatusBadRequest, "expiredCursor")
}

// RFC 7644 §3.4.3 and §3.4.2.1.
func TestSearch(t *testing.T) {
	s := newStand(t)
	s.crowd()
	body := func(rest string) string { return `{"schemas":["` + searchURN + `"],` + rest + `}` }
	a := s.do("POST", "/Users/.search", body(`"filter":"title eq \"boss\"","attributes":["userName"],"sortBy":"userName","sortOrder":"descending","startIndex":1,"count":1`)).wants(t, http.StatusOK, "")
	if !slices.Equal(names(a), []string{"Cat"}) || a.at("totalResults") != 2.0 || a.at("Resources", 0, "title") != nil || a.at("itemsPerPage") != 1.0 {
		t.Errorf("%s", a.text)
	}
	a = s.do("POST", "/Groups/.search", body(`"excludedAttributes":["members"],"count":1,"cursor":""`)).wants(t, http.StatusOK, "")
	if !slices.Equal(names(a), []string{"one"}) || a.at("nextCursor") == nil || a.at("Resources", 0, "members") != nil {
		t.Errorf("%s", a.text)
	}
	for query, want := range map[string][]string{
		`displayName eq "bob" or displayName eq "two"`: {"bob", "two"},
		`meta.resourceType eq "Group"`:                 {"one", "two"},
		`userName co "ann"`:                            {"Ann"},
		`members pr`:                                   {"one", "two"},
	} {
		text, _ := json.Marshal(query)
		a := s.do("POST", "/.search", body(`"sortBy":"displayName","filter":`+string(text))).wants(t, http.StatusOK, "")
		if got := names(a); query[0] == 'u' && !slices.Equal(got, want) || query[0] != 'u' && !slices.Equal(got, want) {
			t.Errorf("%s: %v", query, got)
		}
	}
	if a := s.do("GET", "?filter="+url.QueryEscape(`displayName eq "one"`), ""); !slices.Equal(names(a), []string{"one"}) {
		t.Errorf("%s", a.text)
	}
	for _, c := range []struct{ body, scimType string }{
		{`{"schemas":["` + userURN + `"]}`, "invalidSyntax"},
		{body(`"filter":"nothing eq 1"`), "invalidFilter"},
		{body(`"filter":7`), "invalidValue"},
		{body(`"count":"x"`), "invalidValue"},
	} {
		s.do("POST", "/.search", c.body).wants(t, http.StatusBadRequest, c.scimType)
	}
}

// RFC 7644 §3.14.
func TestVersions(t *testing.T) {
	s := newStand(t)
	id := s.create(`{"userName":"a"}`)
	group := s.group("g")
	for _, path := range []string{"/Users/" + id, "/Groups/" + group} {
		etag := s.do("GET", path, "").header.Get("ETag")
		if read := s.do("GET", path, ""); etag == "" || read.at("meta", "version") != etag {
			t.Errorf("%s: ETag %q, %s", path, etag, read.text)
		}
		for _, header := range []string{etag, "*", `"x", ` + etag} {
			s.do("GET", path, "", "If-None-Match", header).wants(t, http.StatusNotModified, "")
		}
		s.do("GET", path, "", "If-None-Match", `W/"99"`).wants(t, http.StatusOK, "")
		rename := patchBody(`{"op":"replace","path":"displayName","value":"n"}`)
		s.do("PATCH", path, rename, "If-Match", `W/"99"`).wants(t, http.StatusPreconditionFailed, "")
		if a := s.do("PATCH", path, rename, "If-Match", etag); a.status >= 300 || a.header.Get("ETag") == etag {
			t.Errorf("%s: %d, ETag %q", path, a.status, a.header.Get("ETag"))
		}
		s.do("PATCH", path, rename, "If-Match", etag).wants(t, http.StatusPreconditionFailed, "")
		s.do("PUT", path, `{"userName":"a","displayName":"x"}`, "If-Match", etag).wants(t, http.StatusPreconditionFailed, "")
		s.do("DELETE", path, "", "If-Match", etag).wants(t, http.StatusPreconditionFailed, "")
		s.do("GET", path, "", "If-None-Match", etag).wants(t, http.StatusOK, "")
	}
	before := s.do("GET", "/Users/"+id, "").header.Get("ETag")
	s.do("PATCH", "/Groups/"+group, patchBody(`{"op":"add","path":"members","value":[{"value":"`+id+`"}]}`))
	s.do("GET", "/Users/"+id, "", "If-None-Match", before).wants(t, http.StatusOK, "") // the groups have changed
	s.do("PATCH", "/Users/"+id, patchBody(`{"op":"replace","path":"title","value":"x"}`), "If-Match", before).wants(t, http.StatusOK, "")
	s.do("DELETE", "/Users/"+id, "", "If-Match", "*").wants(t, http.StatusNoContent, "")
}

func rowAt(id string) directory.Place { return directory.Place{ID: id} }
