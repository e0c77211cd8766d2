package scim

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// requestRequirements are those of RFC 7644 about requests, creating and reading.
func requestRequirements() []requirement {
	const elsewhere = "held elsewhere: "
	return []requirement{
		{rfc: 7644, section: "2", text: "Without a live credential: 401 with WWW-Authenticate.", check: func(t *testing.T, s *stand) {
			for _, credential := range []string{"", "Bearer wrong"} {
				a := s.do("GET", "/Users", "", "Authorization", credential).wants(t, 401, "")
				holds(t, a, strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer"))
			}
		}},
		{rfc: 7644, section: "3.1", text: "Requests and answers are application/scim+json; application/json is taken too.", check: func(t *testing.T, s *stand) {
			for _, media := range []string{"application/scim+json", "application/json; charset=utf-8"} {
				a := s.do("POST", "/Users", `{"userName":"`+media+`"}`, "Content-Type", media).wants(t, 201, "")
				holds(t, a, a.header.Get("Content-Type") == contentType)
			}
		}},
		{rfc: 7644, section: "3.3", text: "POST answers 201 with the resource and its Location.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"schemas":["`+userURN+`"],"userName":"a"}`).wants(t, 201, "")
			holds(t, a, a.header.Get("Location") == base+prefix+"/Users/"+a.id() && a.at("userName") == "a")
		}},
		{rfc: 7644, section: "3.3", text: "What is read-only in the body is ignored.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a","id":"x","groups":[{"value":"g"}]}`).wants(t, 201, "")
			holds(t, a, a.id() != "x" && a.at("groups") == nil)
		}},
		{rfc: 7644, section: "3.3", text: "A duplicate is 409 with scimType uniqueness.", check: func(t *testing.T, s *stand) {
			s.create(`{"userName":"a"}`)
			s.do("POST", "/Users", `{"userName":"A"}`).wants(t, 409, "uniqueness")
			s.group("g")
			s.do("POST", "/Groups", `{"displayName":"G"}`).wants(t, 409, "uniqueness")
		}},
		{rfc: 7644, section: "3.4.1", text: "GET answers 200 with the resource; an unknown id is 404.", check: func(t *testing.T, s *stand) {
			s.do("GET", "/Users/"+s.create(`{"userName":"a"}`), "").wants(t, 200, "")
			s.do("GET", "/Users/nobody", "").wants(t, 404, "")
			s.do("GET", "/Groups/nobody", "").wants(t, 404, "")
		}},
		{rfc: 7644, section: "3.11", text: "/Me is answered by 501 where it is not supported.", check: func(t *testing.T, s *stand) {
			s.do("GET", "/Me", "").wants(t, 501, "")
		}},
		{rfc: 7644, section: "7", text: "TLS", why: elsewhere + "`TENURE_TLS_CERT`, or the proxy in front"},
		{rfc: 7644, section: "7.5.2", text: "Nothing secret is in a URL.", why: elsewhere + "tokens in a query string are refused by `internal/web`; for filters there is POST `.search`"},
	}
}

// queryRequirements are those about lists, filters, sorting and pages.
func queryRequirements() []requirement {
	get := func(s *stand, filter string) answer {
		return s.do("GET", "/Users?filter="+url.QueryEscape(filter), "")
	}
	one := func(filters ...string) func(*testing.T, *stand) {
		return func(t *testing.T, s *stand) {
			s.create(`{"userName":"Ann","title":"Boss","active":true,"name":{"familyName":"O'Malley"},"emails":[{"value":"ann@x.org","type":"work"}]}`)
			s.create(`{"userName":"bob","externalId":"x"}`)
			for _, f := range filters {
				if a := get(s, f).wants(t, 200, ""); a.at("totalResults") != 1.0 || a.at("Resources", 0, "userName") != "Ann" {
					t.Errorf("%s: %s", f, a.text)
				}
			}
		}
	}
	return []requirement{
		{rfc: 7644, section: "3.4.2", text: "A list is a ListResponse; nothing found is 200 with totalResults 0.", check: func(t *testing.T, s *stand) {
			a := get(s, `userName eq "x"`).wants(t, 200, "")
			holds(t, a, a.at("schemas", 0) == listURN && a.at("totalResults") == 0.0)
		}},
		{rfc: 7644, section: "3.4.2.1", text: "A question to the root looks at every resource type; what a type does not have is absent there.", check: func(t *testing.T, s *stand) {
			s.create(`{"userName":"a","displayName":"x"}`)
			s.group("x")
			a := s.do("GET", "?filter="+url.QueryEscape(`displayName eq "x"`), "").wants(t, 200, "")
			holds(t, a, a.at("totalResults") == 2.0)
			a = s.do("GET", "?filter="+url.QueryEscape(`userName eq "a"`), "")
			holds(t, a, a.at("totalResults") == 1.0)
		}},
		{rfc: 7644, section: "3.4.2.2", text: "Operators eq ne co sw ew gt ge lt le pr, in any case.", check: one(
			`userName eq "ann"`, `userName ne "bob"`, `userName CO "NN"`, `userName sw "a"`, `userName Ew "n"`, `title pr`,
			`userName lt "b"`, `userName le "ann"`, `not (userName gt "b")`, `not (userName ge "bob")`)},
		{rfc: 7644, section: "3.4.2.2", text: "and, or, not and brackets; and binds closer than or.", check: one(
			`title pr and active eq true`, `title eq "x" or title eq "boss"`, `not (externalId pr)`,
			`title pr or title pr and userName eq "bob"`, `(title pr or userName pr) and not (userName eq "bob")`)},
		{rfc: 7644, section: "3.4.2.2", text: "Sub-attributes, value selectors and names with a URN.", check: one(
			`name.familyName co "O'Malley"`, `emails[type eq "work" and value co "@x.org"]`, `emails.value eq "ann@x.org"`, userURN+`:userName sw "A"`)},
		{rfc: 7644, section: "3.4.2.2", text: "Names ignore case; values as the schema has it.", check: one(`USERNAME eq "ANN"`, `Emails[Type Eq "Work"]`, `title eq "BOSS"`)},
		{rfc: 7644, section: "3.4.2.2", text: "A filter that cannot be read, or compares what cannot be compared, is invalidFilter.", check: func(t *testing.T, s *stand) {
			for _, f := range []string{`userName`, `userName xx "a"`, `active gt true`, `nothing eq "x"`, `userName eq "a" and`} {
				get(s, f).wants(t, 400, "invalidFilter")
			}
		}},
		{rfc: 7644, section: "3.4.2.3", text: "sortBy and sortOrder; the default order is ascending, without regard to case; what is absent is last, descending first.", check: func(t *testing.T, s *stand) {
			s.create(`{"userName":"1","title":"b"}`)
			s.create(`{"userName":"2"}`)
			s.create(`{"userName":"3","title":"A"}`)
			if got := strings.Join(s.list("/Users?sortBy=title"), ""); got != "312" {
				t.Error(got)
			}
			if got := strings.Join(s.list("/Users?sortBy=title&sortOrder=descending"), ""); got != "213" {
				t.Error(got)
			}
		}},
		{rfc: 7644, section: "3.4.2.4", text: "startIndex below 1 is 1, a negative count is 0; count bounds the page; totalResults is of the whole.", check: func(t *testing.T, s *stand) {
			s.create(`{"userName":"a"}`)
			s.create(`{"userName":"b"}`)
			a := s.do("GET", "/Users?startIndex=-5&count=1", "")
			holds(t, a, a.at("startIndex") == 1.0 && a.at("itemsPerPage") == 1.0 && a.at("totalResults") == 2.0)
			a = s.do("GET", "/Users?count=-1", "")
			holds(t, a, a.at("itemsPerPage") == 0.0 && a.at("totalResults") == 2.0)
		}},
		{rfc: 7644, section: "3.4.2.5", text: "attributes shows those and what is always returned; excludedAttributes hides all but that.", check: func(t *testing.T, s *stand) {
			id := s.create(`{"userName":"a","title":"x"}`)
			a := s.do("GET", "/Users/"+id+"?attributes=title", "")
			holds(t, a, a.at("title") == "x" && a.at("userName") == nil && a.id() == id && a.at("schemas") != nil)
			a = s.do("GET", "/Users/"+id+"?excludedAttributes=title,id", "")
			holds(t, a, a.at("title") == nil && a.at("userName") == "a" && a.id() == id)
		}},
		{rfc: 7644, section: "3.4.3", text: "POST .search below an endpoint and at the root takes a SearchRequest and answers as GET would.", check: func(t *testing.T, s *stand) {
			s.create(`{"userName":"a"}`)
			for _, at := range []string{"/Users/.search", "/.search"} {
				a := s.do("POST", at, `{"schemas":["`+searchURN+`"],"filter":"userName eq \"a\"","attributes":["userName"],"startIndex":1,"count":10}`).wants(t, 200, "")
				holds(t, a, a.at("totalResults") == 1.0 && a.at("schemas", 0) == listURN && a.at("Resources", 0, "meta") == nil)
			}
		}},
		{rfc: 7644, section: "3.9", text: "attributes and excludedAttributes serve every answer with a resource; names may have a URN.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users?attributes="+userURN+":userName", `{"userName":"a","title":"x"}`).wants(t, 201, "")
			holds(t, a, a.at("userName") == "a" && a.at("title") == nil)
		}},
		{rfc: 7644, section: "3.10", text: "An attribute is named alone, with its core URN, or with that of its extension.", check: func(t *testing.T, s *stand) {
			id := s.create(`{"userName":"a","title":"x","` + enterpriseURN + `":{"department":"d"}}`)
			a := s.do("GET", "/Users/"+id+"?attributes="+userURN+":title,"+enterpriseURN+":department", "")
			holds(t, a, a.at("title") == "x" && a.at(enterpriseURN, "department") == "d")
		}},
		{rfc: 9865, section: "2", text: "cursor begins a list and nextCursor goes on; the last page has none.", check: func(t *testing.T, s *stand) {
			s.create(`{"userName":"a"}`)
			s.create(`{"userName":"b"}`)
			a := s.do("GET", "/Users?cursor&count=1", "").wants(t, 200, "")
			next, _ := a.at("nextCursor").(string)
			b := s.do("GET", "/Users?count=1&cursor="+next, "").wants(t, 200, "")
			holds(t, b, next != "" && b.at("nextCursor") == nil && a.at("Resources", 0, "id") != b.at("Resources", 0, "id"))
		}},
		{rfc: 9865, section: "2", text: "A cursor that was not given out is invalidCursor, one that is too old expiredCursor, a wrong count invalidCount.", check: func(t *testing.T, s *stand) {
			s.do("GET", "/Users?cursor=x", "").wants(t, 400, "invalidCursor")
			s.do("GET", "/Users?cursor&count=x", "").wants(t, 400, "invalidCount")
		}},
		{rfc: 9865, section: "2", text: "A SearchRequest may have a cursor.", check: func(t *testing.T, s *stand) {
			s.create(`{"userName":"a"}`)
			s.create(`{"userName":"b"}`)
			a := s.do("POST", "/Users/.search", `{"schemas":["`+searchURN+`"],"cursor":"","count":1}`).wants(t, 200, "")
			holds(t, a, a.at("nextCursor") != nil)
		}},
		{rfc: 9865, section: "4", text: "ServiceProviderConfig tells of pagination.", check: func(t *testing.T, s *stand) {
			a := s.do("GET", "/ServiceProviderConfig", "").wants(t, http.StatusOK, "")
			holds(t, a, a.at("pagination", "cursor") == true && a.at("pagination", "index") == true && a.at("pagination", "defaultPaginationMethod") == "index")
		}},
	}
}
