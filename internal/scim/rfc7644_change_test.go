package scim

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// changeRequirements are those about PUT, PATCH, DELETE and Bulk.
func changeRequirements() []requirement {
	const person = `{"userName":"a","title":"x","nickName":"n","emails":[{"value":"w@x","type":"work","primary":true},{"value":"h@x","type":"home"}]}`
	patch := func(ops string, what func(answer) bool) func(*testing.T, *stand) {
		return func(t *testing.T, s *stand) {
			a := s.do("PATCH", "/Users/"+s.create(person), patchBody(ops)).wants(t, 200, "")
			holds(t, a, what(a))
		}
	}
	refused := func(ops, scimType string) func(*testing.T, *stand) {
		return func(t *testing.T, s *stand) {
			id := s.create(person)
			before := s.do("GET", "/Users/"+id, "").text
			s.do("PATCH", "/Users/"+id, patchBody(ops)).wants(t, 400, scimType)
			a := s.do("GET", "/Users/"+id, "")
			holds(t, a, a.text == before)
		}
	}
	return []requirement{
		{rfc: 7644, section: "3.5.1", text: "PUT replaces: what is not in the body is cleared; 200 with the resource.", check: func(t *testing.T, s *stand) {
			a := s.do("PUT", "/Users/"+s.create(person), `{"userName":"a","title":"y"}`).wants(t, 200, "")
			holds(t, a, a.at("title") == "y" && a.at("nickName") == nil && a.at("emails") == nil)
		}},
		{rfc: 7644, section: "3.5.1", text: "PUT needs what is required, ignores what is read-only, and makes nothing new.", check: func(t *testing.T, s *stand) {
			id := s.create(person)
			s.do("PUT", "/Users/"+id, `{"title":"y"}`).wants(t, 400, "invalidValue")
			a := s.do("PUT", "/Users/"+id, `{"userName":"a","id":"other","meta":{"created":"x"}}`).wants(t, 200, "")
			holds(t, a, a.id() == id)
			s.do("PUT", "/Users/nobody", `{"userName":"b"}`).wants(t, 404, "")
		}},
		{rfc: 7644, section: "3.5.2", text: "Operations are done in order, and a body without any is refused.", check: func(t *testing.T, s *stand) {
			patch(`{"op":"replace","path":"title","value":"1"},{"op":"replace","path":"title","value":"2"}`, func(a answer) bool { return a.at("title") == "2" })(t, s)
			s.do("PATCH", "/Users/"+s.create(`{"userName":"b"}`), patchBody("")).wants(t, 400, "invalidSyntax")
		}},
		{rfc: 7644, section: "3.5.2", text: "All or nothing: a failing operation undoes those before it.", check: refused(`{"op":"replace","path":"title","value":"y"},{"op":"replace","path":"active","value":"maybe"}`, "invalidValue")},
		{rfc: 7644, section: "3.5.2", text: "What changes nothing moves neither lastModified nor version.", check: func(t *testing.T, s *stand) {
			id := s.create(person)
			before := s.do("GET", "/Users/"+id, "").text
			a := s.do("PATCH", "/Users/"+id, patchBody(`{"op":"replace","path":"title","value":"x"}`))
			holds(t, a, a.text == before)
		}},
		{rfc: 7644, section: "3.5.2", text: "A path that cannot be read is invalidPath; an unknown op is invalidSyntax.", check: func(t *testing.T, s *stand) {
			refused(`{"op":"replace","path":"a b","value":1}`, "invalidPath")(t, s)
			id := s.create(`{"userName":"b"}`)
			s.do("PATCH", "/Users/"+id, patchBody(`{"op":"move","path":"title","value":1}`)).wants(t, 400, "invalidSyntax")
		}},
		{rfc: 7644, section: "3.5.2", text: "With attributes in the query string the answer is 200 with the resource.", check: func(t *testing.T, s *stand) {
			a := s.do("PATCH", "/Groups/"+s.group("g")+"?attributes=displayName", patchBody(`{"op":"replace","path":"displayName","value":"h"}`)).wants(t, 200, "")
			holds(t, a, a.at("displayName") == "h")
		}},
		{rfc: 7644, section: "3.5.2", text: "A new primary value takes the place of the old one.", check: patch(`{"op":"add","path":"emails","value":[{"value":"n@x","primary":true}]}`, func(a answer) bool {
			return a.at("emails", 0, "primary") == false && a.at("emails", 2, "primary") == true
		})},
		{rfc: 7644, section: "3.5.2.1", text: "add without a path adds attributes; to a list it adds values, and none twice.", check: patch(`{"op":"add","value":{"userType":"t","emails":[{"value":"h@x","type":"home"},{"value":"n@x"}]}}`, func(a answer) bool {
			list, _ := a.at("emails").([]any)
			return a.at("userType") == "t" && len(list) == 3
		})},
		{rfc: 7644, section: "3.5.2.1", text: "add to an attribute that has a single value replaces it.", check: patch(`{"op":"add","path":"title","value":"y"}`, func(a answer) bool { return a.at("title") == "y" })},
		{rfc: 7644, section: "3.5.2.2", text: "remove without a path is noTarget.", check: refused(`{"op":"remove"}`, "noTarget")},
		{rfc: 7644, section: "3.5.2.2", text: "remove takes an attribute, all values, the selected values, or their sub-attribute.", check: func(t *testing.T, s *stand) {
			patch(`{"op":"remove","path":"title"},{"op":"remove","path":"emails[type eq \"home\"]"}`, func(a answer) bool {
				return a.at("title") == nil && a.at("emails", 0, "value") == "w@x" && a.at("emails", 1) == nil
			})(t, s)
			a := s.do("PATCH", "/Users/"+s.create(`{"userName":"b","emails":[{"value":"x"}]}`), patchBody(`{"op":"remove","path":"emails"}`))
			holds(t, a, a.at("emails") == nil)
		}},
		{rfc: 7644, section: "3.5.2.2", text: "What is required cannot be removed: mutability.", check: refused(`{"op":"remove","path":"userName"}`, "mutability")},
		{rfc: 7644, section: "3.5.2.3", text: "replace of a list replaces all of it; of a complex attribute, what is named.", check: patch(`{"op":"replace","value":{"emails":[{"value":"n@x"}],"name":{"givenName":"g"}}}`, func(a answer) bool {
			return a.at("emails", 0, "value") == "n@x" && a.at("emails", 1) == nil && a.at("name", "givenName") == "g"
		})},
		{rfc: 7644, section: "3.5.2.3", text: "replace of what is not there adds it.", check: patch(`{"op":"replace","path":"userType","value":"t"}`, func(a answer) bool { return a.at("userType") == "t" })},
		{rfc: 7644, section: "3.5.2.3", text: "replace of selected values changes those; when none is selected and nothing tells what to make, noTarget.", check: func(t *testing.T, s *stand) {
			patch(`{"op":"replace","path":"emails[type eq \"home\"].value","value":"n@x"}`, func(a answer) bool {
				return a.at("emails", 0, "value") == "w@x" && a.at("emails", 1, "value") == "n@x"
			})(t, s)
			id := s.create(`{"userName":"b"}`)
			s.do("PATCH", "/Users/"+id, patchBody(`{"op":"replace","path":"emails[value eq \"no\"].type","value":"x"}`)).wants(t, 400, "noTarget")
		}},
		{rfc: 7644, section: "3.6", text: "DELETE answers 204; the id is 404 from then on, for every method, and is in no list.", check: func(t *testing.T, s *stand) {
			id := s.create(person)
			s.do("DELETE", "/Users/"+id, "").wants(t, 204, "")
			for _, method := range []string{"GET", "DELETE"} {
				s.do(method, "/Users/"+id, "").wants(t, 404, "")
			}
			s.do("PATCH", "/Users/"+id, patchBody(`{"op":"replace","path":"title","value":"y"}`)).wants(t, 404, "")
			s.do("PUT", "/Users/"+id, person).wants(t, 404, "")
			a := s.do("GET", "/Users", "")
			holds(t, a, a.at("totalResults") == 0.0)
		}},
		{rfc: 7644, section: "3.6", text: "What was deleted clashes with nothing new.", check: func(_ *testing.T, s *stand) {
			s.do("DELETE", "/Users/"+s.create(person), "")
			s.create(person)
		}},
		{rfc: 7644, section: "3.7", text: "Bulk does POST, PUT, PATCH and DELETE, and answers each with method, status, location, version and its bulkId.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Bulk", bulkBody("", `{"method":"POST","path":"/Users","bulkId":"q","data":`+person+`},{"method":"DELETE","path":"/Users/bulkId:q"}`)).wants(t, 200, "")
			holds(t, a, a.at("Operations", 0, "bulkId") == "q" && a.at("Operations", 0, "status") == "201" && a.at("Operations", 0, "location") != nil &&
				a.at("Operations", 0, "version") != nil && a.at("Operations", 1, "status") == "204")
		}},
		{rfc: 7644, section: "3.7", text: "failOnErrors stops the rest; without it all are done.", check: func(t *testing.T, s *stand) {
			bad := `{"method":"DELETE","path":"/Users/x"}`
			a := s.do("POST", "/Bulk", bulkBody(`"failOnErrors":1,`, bad+","+bad))
			b := s.do("POST", "/Bulk", bulkBody("", bad+","+bad))
			holds(t, a, statuses(a) == "404" && statuses(b) == "404 404")
		}},
		{rfc: 7644, section: "3.7", text: "A failed operation has the error in its response.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Bulk", bulkBody("", `{"method":"DELETE","path":"/Users/x"}`))
			holds(t, a, a.at("Operations", 0, "response", "schemas", 0) == errorURN && a.at("Operations", 0, "response", "status") == "404")
		}},
		{rfc: 7644, section: "3.7.1", text: "Circular references are resolved.", check: func(t *testing.T, s *stand) {
			user := func(name, manager string) string {
				return `{"method":"POST","path":"/Users","bulkId":"` + name + `","data":{"userName":"` + name + `","` + enterpriseURN + `":{"manager":{"value":"bulkId:` + manager + `"}}}}`
			}
			a := s.do("POST", "/Bulk", bulkBody("", user("x", "y")+","+user("y", "x")))
			holds(t, a, statuses(a) == "201 201 200")
		}},
		{rfc: 7644, section: "3.7.2", text: "bulkId stands for an id that is not made yet, wherever in the request it is made.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Bulk", bulkBody("", `{"method":"POST","path":"/Groups","bulkId":"g","data":{"displayName":"g","members":[{"value":"bulkId:u"}]}},{"method":"POST","path":"/Users","bulkId":"u","data":`+person+`}`))
			holds(t, a, statuses(a) == "201 201")
		}},
		{rfc: 7644, section: "3.7.4", text: "Too many operations, or too large a body, is 413.", check: func(t *testing.T, s *stand) {
			op := `{"method":"DELETE","path":"/Users/x"}`
			s.do("POST", "/Bulk", bulkBody("", strings.Repeat(op+",", maxBulkOperations)+op)).wants(t, 413, "")
			s.do("POST", "/Bulk", strings.Repeat(" ", maxBulkBytes+1)).wants(t, 413, "")
		}},
	}
}

// protocolRequirements are those about errors, versions and discovery.
func protocolRequirements() []requirement {
	return []requirement{
		{rfc: 7644, section: "3.12", text: "An error has schemas, the status as a string, a detail, and a scimType where there is one.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{}`).wants(t, 400, "invalidValue") // s.do holds every error to this
			holds(t, a, a.at("status") == "400" && a.at("schemas", 0) == errorURN && a.at("detail") != nil)
		}},
		{rfc: 7644, section: "3.12", text: "401, 403, 404, 409, 412, 413, 501 are answered where they are due.", check: func(t *testing.T, s *stand) {
			s.do("GET", "/Users", "", "Authorization", "").wants(t, 401, "")
			s.do("GET", "/Users", "", "Authorization", "Bearer personal").wants(t, 403, "")
			s.do("GET", "/Users/x", "").wants(t, 404, "")
			s.do("POST", "/Users", `{"userName":"`+strings.Repeat("a", maxBodyBytes)+`"}`).wants(t, 413, "")
			s.do("PATCH", "/Me", "").wants(t, 501, "")
		}},
		{rfc: 7644, section: "3.12", text: "A filter that would look at too much is tooMany.", check: func(t *testing.T, s *stand) {
			err := s.db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				for i := range maxScan + 1 {
					g := tenure.Group{ID: tenure.GroupID(tenure.NewID(tx.Now())), Tenant: tenure.DefaultTenant, DisplayName: strconv.Itoa(i), CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
					if err := tx.InsertGroup(ctx, g); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			odd := url.QueryEscape(`meta.version eq "x"`)
			s.do("GET", "/Groups?filter="+odd, "").wants(t, 400, "tooMany")
			s.do("GET", "/Groups?filter="+odd+url.QueryEscape(` and displayName sw "1"`), "").wants(t, 200, "")
		}},
		{rfc: 7644, section: "3.14", text: "ETag and meta.version are answered; If-None-Match is answered by 304, a stale If-Match by 412.", check: func(t *testing.T, s *stand) {
			id := s.create(`{"userName":"a"}`)
			a := s.do("GET", "/Users/"+id, "")
			holds(t, a, a.header.Get("ETag") != "" && a.header.Get("ETag") == a.at("meta", "version"))
			s.do("GET", "/Users/"+id, "", "If-None-Match", a.header.Get("ETag")).wants(t, 304, "")
			s.do("PUT", "/Users/"+id, `{"userName":"a","title":"x"}`, "If-Match", a.header.Get("ETag")).wants(t, 200, "")
			s.do("PUT", "/Users/"+id, `{"userName":"a","title":"y"}`, "If-Match", a.header.Get("ETag")).wants(t, 412, "")
			s.do("DELETE", "/Users/"+id, "", "If-Match", a.header.Get("ETag")).wants(t, 412, "")
		}},
		{rfc: 7644, section: "4", text: "ServiceProviderConfig, Schemas and ResourceTypes are served by GET, the last two as lists and one by one.", check: func(t *testing.T, s *stand) {
			s.do("GET", "/ServiceProviderConfig", "").wants(t, 200, "")
			for _, path := range []string{"/Schemas", "/ResourceTypes"} {
				a := s.do("GET", path, "").wants(t, 200, "")
				holds(t, a, a.at("schemas", 0) == listURN)
				eachResource(a, func(m map[string]any) { s.do("GET", path+"/"+m["id"].(string), "").wants(t, 200, "") })
				s.do("POST", path, "{}").wants(t, 405, "")
			}
		}},
		{rfc: 7644, section: "4", text: "Discovery ignores sorting, pages and attributes; a filter there is 403.", check: func(t *testing.T, s *stand) {
			for _, path := range []string{"/ServiceProviderConfig", "/Schemas", "/ResourceTypes"} {
				s.do("GET", path+"?filter=id+pr", "").wants(t, 403, "")
				s.do("GET", path+"?attributes=id&startIndex=7&count=0&sortBy=id", "").wants(t, 200, "")
			}
		}},
		{rfc: 7644, section: "6", text: "What belongs to another tenant is not there.", check: func(t *testing.T, s *stand) {
			id := s.create(`{"userName":"a"}`)
			if _, err := s.db.User(t.Context(), "other", s.user(id).ID); err == nil {
				t.Error("another tenant sees it")
			}
		}},
	}
}
