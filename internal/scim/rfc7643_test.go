package scim

import (
	"net/http"
	"strings"
	"testing"
)

// holds fails the case unless what was found is what is wanted.
func holds(t *testing.T, a answer, what bool) {
	t.Helper()
	if !what {
		t.Errorf("%d %s", a.status, a.text)
	}
}

func eachResource(list answer, do func(map[string]any)) {
	resources, _ := list.body["Resources"].([]any)
	for _, r := range resources {
		m, _ := r.(map[string]any)
		do(m)
	}
}

// schemaRequirements are those of RFC 7643.
func schemaRequirements() []requirement {
	return []requirement{
		{rfc: 7643, section: "2.1", text: "Names of attributes are compared without regard to case.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"USERNAME":"a","Name":{"GIVENNAME":"x"}}`).wants(t, 201, "")
			holds(t, a, a.at("userName") == "a" && a.at("name", "givenName") == "x")
		}},
		{rfc: 7643, section: "2.1", text: "Every attribute of a schema says whether it is multi-valued, required, mutable, returned and unique.", check: func(t *testing.T, s *stand) {
			eachResource(s.do("GET", "/Schemas", ""), func(m map[string]any) {
				for _, v := range m["attributes"].([]any) {
					checkPublished(t, v.(map[string]any))
				}
			})
		}},
		{rfc: 7643, section: "2.3.2", text: "A boolean has no case sensitivity and no uniqueness; it is answered as true or false.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a","active":"False"}`)
			holds(t, a, a.at("active") == false)
		}},
		{rfc: 7643, section: "2.3.5", text: "Times are xsd:dateTime.", check: func(t *testing.T, s *stand) {
			a := s.do("GET", "/Users/"+s.create(`{"userName":"a"}`), "")
			created, _ := a.at("meta", "created").(string)
			holds(t, a, len(created) == len(timeLayout) && strings.HasSuffix(created, "Z"))
		}},
		{rfc: 7643, section: "2.4", text: "The primary value is true for one value at the most.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a","emails":[{"value":"x","primary":true},{"value":"y","primary":true}]}`)
			holds(t, a, a.at("emails", 0, "primary") == true && a.at("emails", 1, "primary") != true)
		}},
		{rfc: 7643, section: "2.5", text: "null, an empty list and absence are the same: unassigned.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a","title":null,"emails":[],"name":{}}`)
			holds(t, a, a.status == 201 && !strings.Contains(a.text, "title") && !strings.Contains(a.text, "emails"))
		}},
		{rfc: 7643, section: "3", text: "Every resource has schemas, with the core schema and each extension that it has values of, once.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a","`+enterpriseURN+`":{"department":"x"}}`)
			list, _ := a.at("schemas").([]any)
			holds(t, a, len(list) == 2 && list[0] == userURN && list[1] == enterpriseURN)
		}},
		{rfc: 7643, section: "3.1", text: "id is made by the server, is not empty, and is never given by the client nor \"bulkId\".", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a","id":"mine"}`)
			holds(t, a, a.id() != "" && a.id() != "mine" && a.id() != "bulkId")
		}},
		{rfc: 7643, section: "3.1", text: "id stays the same, and is not given to anybody else.", check: func(t *testing.T, s *stand) {
			id := s.create(`{"userName":"a"}`)
			a := s.do("PUT", "/Users/"+id, `{"userName":"b","id":"other"}`)
			holds(t, a, a.id() == id)
			s.do("DELETE", "/Users/"+id, "")
			holds(t, a, s.create(`{"userName":"b"}`) != id)
		}},
		{rfc: 7643, section: "3.1", text: "externalId is kept as the client gives it, and compared exactly.", check: func(t *testing.T, s *stand) {
			s.create(`{"userName":"a","externalId":"Ab"}`)
			holds(t, s.do("GET", `/Users?filter=externalId+eq+%22Ab%22`, ""), len(s.list(`/Users?filter=externalId+eq+%22Ab%22`)) == 1 && len(s.list(`/Users?filter=externalId+eq+%22ab%22`)) == 0)
		}},
		{rfc: 7643, section: "3.1", text: "meta is the server's: what a client sends of it is ignored.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a","meta":{"resourceType":"X","created":"1999-01-01T00:00:00Z","location":"x"}}`)
			holds(t, a, a.status == 201 && a.at("meta", "resourceType") == "User" && !strings.HasPrefix(a.at("meta", "created").(string), "1999"))
		}},
		{rfc: 7643, section: "3.1", text: "meta.location is the same as the Location header; meta.version the same as the ETag.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a"}`)
			holds(t, a, a.at("meta", "location") == a.header.Get("Location") && a.at("meta", "version") == a.header.Get("ETag"))
		}},
		{rfc: 7643, section: "3.1", text: "meta.lastModified is meta.created until the first change, and moves with each.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a"}`)
			holds(t, a, a.at("meta", "created") == a.at("meta", "lastModified"))
		}},
		{rfc: 7643, section: "3.3", text: "An extension stands under its URN, and its attributes there.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a","`+enterpriseURN+`":{"manager":{"value":"m"}}}`)
			holds(t, a, a.at(enterpriseURN, "manager", "value") == "m" && a.at("manager") == nil)
		}},
		{rfc: 7643, section: "4.1.1", text: "userName is required, not empty, and unique without regard to case.", check: func(t *testing.T, s *stand) {
			s.create(`{"userName":"Ann"}`)
			s.do("POST", "/Users", `{"userName":"ANN"}`).wants(t, 409, "uniqueness")
			s.do("POST", "/Users", `{"userName":""}`).wants(t, 400, "invalidValue")
			s.do("POST", "/Users", `{"displayName":"x"}`).wants(t, 400, "invalidValue")
		}},
		{rfc: 7643, section: "4.1.1", text: "A password is never answered, in no form.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users?attributes=password", `{"userName":"a","password":"hunter2"}`)
			holds(t, a, !strings.Contains(a.text, "hunter2") && !strings.Contains(string(s.user(a.id()).Profile), "hunter2"))
		}},
		{rfc: 7643, section: "4.1.2", text: "groups of a user are read-only: they change by the groups.", check: func(t *testing.T, s *stand) {
			a := s.create(`{"userName":"a"}`)
			g := s.group("g", a)
			s.do("PATCH", "/Users/"+a, patchBody(`{"op":"remove","path":"groups"}`)).wants(t, 400, "mutability")
			read := s.do("PATCH", "/Users/"+a, patchBody(`{"op":"replace","value":{"title":"x","groups":[]}}`))
			holds(t, read, read.at("groups", 0, "value") == g)
		}},
		{rfc: 7643, section: "4.2", text: "displayName of a group is required.", check: func(t *testing.T, s *stand) {
			s.do("POST", "/Groups", `{"members":[]}`).wants(t, 400, "invalidValue")
		}},
		{rfc: 7643, section: "4.2", text: "members have value and $ref; a client may leave out type.", check: func(t *testing.T, s *stand) {
			a := s.create(`{"userName":"a"}`)
			read := s.do("GET", "/Groups/"+s.group("g", a), "")
			holds(t, read, read.at("members", 0, "value") == a && read.at("members", 0, "$ref") == base+prefix+"/Users/"+a && read.at("members", 0, "type") == "User")
		}},
		{rfc: 7643, section: "4.3", text: "manager.displayName is read-only.", check: func(t *testing.T, s *stand) {
			a := s.do("POST", "/Users", `{"userName":"a","`+enterpriseURN+`":{"manager":{"value":"m","displayName":"x"}}}`)
			holds(t, a, a.at(enterpriseURN, "manager", "displayName") == nil)
		}},
		{rfc: 7643, section: "5", text: "ServiceProviderConfig has patch, bulk, filter, changePassword, sort, etag and authenticationSchemes.", check: func(t *testing.T, s *stand) {
			a := s.do("GET", "/ServiceProviderConfig", "").wants(t, 200, "")
			for _, name := range []string{"patch", "bulk", "filter", "changePassword", "sort", "etag"} {
				_, ok := a.at(name, "supported").(bool)
				holds(t, a, ok)
			}
			holds(t, a, a.at("authenticationSchemes", 0, "type") == "oauthbearertoken" && a.at("bulk", "maxOperations") == 1000.0 && a.at("bulk", "maxPayloadSize") == float64(8<<20))
		}},
		{rfc: 7643, section: "6", text: "A resource type has name, endpoint and schema, and says which extensions are required.", check: func(t *testing.T, s *stand) {
			eachResource(s.do("GET", "/ResourceTypes", ""), func(m map[string]any) {
				if m["name"] == nil || m["endpoint"] == nil || m["schema"] == nil {
					t.Errorf("%v", m)
				}
			})
			a := s.do("GET", "/ResourceTypes/User", "")
			holds(t, a, a.at("schemaExtensions", 0, "required") == false)
		}},
		{rfc: 7643, section: "7", text: "A schema's id is its URN; a complex attribute has subAttributes, a reference referenceTypes.", check: func(t *testing.T, s *stand) {
			a := s.do("GET", "/Schemas/"+groupURN, "").wants(t, http.StatusOK, "")
			holds(t, a, a.id() == groupURN && a.at("attributes", 1, "subAttributes", 1, "referenceTypes", 0) == "User")
		}},
	}
}
