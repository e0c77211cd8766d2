package scim

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenure-gateway/tenure"
)

// barbara is a person as the store has her.
func barbara() tenure.User {
	return tenure.User{
		ID: "u-1", Tenant: tenure.DefaultTenant, UserName: "barbara@example.com", DisplayName: "Barbara", ExternalID: "ext-1",
		Active: true, Role: tenure.Admin, Source: tenure.SourceProxy,
		Profile: []byte(`{"emails":[{"primary":true,"type":"work","value":"b@example.com"},{"type":"home","value":"b@jensen.org"}],` +
			`"name":{"familyName":"Jensen","givenName":"Barbara"},"title":"Boss",` +
			`"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Tours","manager":{"value":"m-1"}}}`),
	}
}

// patchBody wraps operations as RFC 7644 §3.5.2 has it.
func patchBody(operations string) string {
	return `{"schemas":["` + patchURN + `"],"Operations":[` + operations + `]}`
}

// applyTo runs a body through the normaliser and applies it.
func applyTo(t *testing.T, u *tenure.User, method, body string) error {
	t.Helper()
	object, err := decodeObject([]byte(body))
	if err != nil {
		return err
	}
	parse, edit := parsePatch, changes.patch
	if method == "PUT" {
		parse, edit = parseResource, changes.replace
	}
	c, err := parse(&userType, object)
	if err != nil {
		return err
	}
	return edit(c, u)
}

// deactivation is one way in which identity providers end a person's access.
type deactivation struct{ name, method, body string }

// deactivations are all that are known.
func deactivations() []deactivation {
	put := func(active string) string {
		return `{"schemas":["` + userURN + `"],"id":"23a35c27-23d3-4c03-b4c5-6443c09e7173","userName":"barbara@example.com",` +
			`"name":{"givenName":"Barbara","middleName":"","familyName":"Jensen"},"emails":[{"primary":true,"value":"b@example.com","type":"work","display":"b@example.com"}],` +
			active + `"groups":[],"meta":{"resourceType":"User"}}`
	}
	return []deactivation{
		{"Okta, catalogue application", "PATCH", patchBody(`{"op":"replace","value":{"active":false}}`)},
		{"Okta, wizard application", "PUT", put(`"active":false,`)},
		{"Entra, default", "PATCH", patchBody(`{"op":"Replace","path":"active","value":"False"}`)},
		{"Entra, mapped in lower case", "PATCH", patchBody(`{"op":"Replace","path":"active","value":"false"}`)},
		{"Entra, with its flag", "PATCH", patchBody(`{"op":"replace","path":"active","value":false}`)},
		{"add instead of replace", "PATCH", patchBody(`{"op":"Add","path":"active","value":"FALSE"}`)},
		{"path in another case", "PATCH", patchBody(`{"op":"REPLACE","path":"Active","value":false}`)},
		{"key in another case", "PATCH", patchBody(`{"op":"replace","value":{"Active":false}}`)},
		{"key in another case, as a string", "PATCH", patchBody(`{"op":"Replace","value":{"ACTIVE":"False"}}`)},
		{"path with the URN", "PATCH", patchBody(`{"op":"replace","path":"` + userURN + `:active","value":false}`)},
		{"key with the URN", "PATCH", patchBody(`{"op":"replace","value":{"` + userURN + `:active":false}}`)},
		{"object under the URN", "PATCH", patchBody(`{"op":"replace","value":{"` + userURN + `":{"active":false}}}`)},
		{"value in a list of objects", "PATCH", patchBody(`{"op":"Replace","path":"active","value":[{"$ref":null,"value":"False"}]}`)},
		{"empty path", "PATCH", patchBody(`{"op":"replace","path":"","value":{"active":false}}`)},
		{"members in another case", "PATCH", `{"Schemas":["` + patchURN + `"],"operations":[{"Op":"replace","Path":"active","Value":false}]}`},
		{"without schemas", "PATCH", `{"Operations":[{"op":"replace","path":"active","value":false}]}`},
		{"among others, the last counts", "PATCH", patchBody(`{"op":"replace","path":"active","value":true},{"op":"replace","path":"title","value":"Ex"},{"op":"replace","path":"active","value":false}`)},
		{"beside what is unknown", "PATCH", patchBody(`{"op":"replace","value":{"active":false,"shoeSize":44,"urn:example:2.0:User:badge":"x"}}`)},
		{"PUT, as a string", "PUT", put(`"active":"False",`)},
		{"PUT, key in another case", "PUT", put(`"Active":"false",`)},
	}
}

// scim.md 1.1: each form leaves the person inactive and the rest as it should be.
func TestDeactivations(t *testing.T) {
	for _, d := range deactivations() {
		t.Run(d.name, func(t *testing.T) {
			u := barbara()
			if err := applyTo(t, &u, d.method, d.body); err != nil {
				t.Fatal(err)
			}
			if u.Active {
				t.Error("still active")
			}
			if u.UserName != "barbara@example.com" || u.ExternalID != "ext-1" || u.ID != "u-1" || u.Role != tenure.Admin {
				t.Errorf("something else has changed: %+v", u)
			}
			if !strings.Contains(string(u.Profile), `"b@example.com"`) {
				t.Errorf("the profile is lost: %s", u.Profile)
			}
			for _, again := range []string{`true`, `"True"`, `"true"`} {
				back := u
				if err := applyTo(t, &back, "PATCH", patchBody(`{"op":"Replace","path":"active","value":`+again+`}`)); err != nil || !back.Active {
					t.Errorf("reactivated by %s: %v, %v", again, back.Active, err)
				}
			}
		})
	}
}

// scim.md 1.2 and RFC 7644 §3.5.2: what each spelling does to the rest.
func TestPatchForms(t *testing.T) {
	const e = `"` + enterpriseURN + `"`
	ent := func(name string) string { return enterpriseURN + ":" + name }
	for _, c := range []struct {
		name string
		ops  string
		want string // what differs from barbara, as a merge patch of her resource; "" is nothing
	}{
		{
			"Entra with its flag", `{"op":"replace","value":{"displayName":"Bjfe","name.givenName":"Kkom","name.familyName":"Unua","` + ent("employeeNumber") + `":"Aklq"}}`,
			`{"displayName":"Bjfe","name":{"givenName":"Kkom","familyName":"Unua"},` + e + `:{"employeeNumber":"Aklq"}}`,
		},
		{
			"Entra, many at once", `{"op":"Replace","path":"displayName","value":"Bjfe"},{"op":"Replace","path":"emails[type eq \"work\"].value","value":"n@example.com"},` +
				`{"op":"Replace","path":"name.givenName","value":"Kkom"},{"op":"Replace","path":"name.familyName","value":"Unua"},` +
				`{"op":"Replace","path":"externalId","value":"kkom"},{"op":"Replace","path":"` + ent("employeeNumber") + `","value":"Aklq"}`,
			`{"displayName":"Bjfe","externalId":"kkom","name":{"givenName":"Kkom","familyName":"Unua"},` + e + `:{"employeeNumber":"Aklq"},` +
				`"emails":[{"primary":true,"type":"work","value":"n@example.com"},{"type":"home","value":"b@jensen.org"}]}`,
		},
		{
			"Add with no such entry", `{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+49 30 1"}`,
			`{"phoneNumbers":[{"type":"mobile","value":"+49 30 1"}]}`,
		},
		{
			"Replace with no such entry", `{"op":"Replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"+49 30 1"}`,
			`{"phoneNumbers":[{"type":"mobile","value":"+49 30 1"}]}`,
		},
		{
			"a dotted key with a selector", `{"op":"replace","value":{"phoneNumbers[type eq \"mobile\"].value":"+49 30 1"}}`,
			`{"phoneNumbers":[{"type":"mobile","value":"+49 30 1"}]}`,
		},
		{
			"two subs of one new entry", `{"op":"Add","path":"addresses[type eq \"work\"].locality","value":"Berlin"},{"op":"Add","path":"addresses[type eq \"work\"].country","value":"DE"}`,
			`{"addresses":[{"type":"work","locality":"Berlin","country":"DE"}]}`,
		},
		{
			"selector by a boolean string", `{"op":"Replace","path":"emails[primary eq \"True\"].value","value":"n@example.com"}`,
			`{"emails":[{"primary":true,"type":"work","value":"n@example.com"},{"type":"home","value":"b@jensen.org"}]}`,
		},
		{
			"a new entry by a boolean string", `{"op":"Add","path":"roles[primary eq \"True\"].value","value":"dev"}`,
			`{"roles":[{"primary":true,"value":"dev"}]}`,
		},
		{
			"selector in another case", `{"op":"Replace","path":"Emails[Type EQ \"WORK\"].Value","value":"n@example.com"}`,
			`{"emails":[{"primary":true,"type":"work","value":"n@example.com"},{"type":"home","value":"b@jensen.org"}]}`,
		},
		{
			"remove one entry", `{"op":"Remove","path":"emails[type eq \"home\"]"}`,
			`{"emails":[{"primary":true,"type":"work","value":"b@example.com"}]}`,
		},
		{
			"remove an entry's value", `{"op":"Remove","path":"emails[type eq \"home\"].value"}`,
			`{"emails":[{"primary":true,"type":"work","value":"b@example.com"}]}`,
		},
		{"remove what is not there", `{"op":"remove","path":"emails[type eq \"other\"]"},{"op":"remove","path":"nickName"},{"op":"remove","path":"` + ent("division") + `"}`, ``},
		{
			"remove by value", `{"op":"Remove","path":"emails","value":[{"$ref":null,"value":"b@jensen.org"}]}`,
			`{"emails":[{"primary":true,"type":"work","value":"b@example.com"}]}`,
		},
		{"remove by a value that is not there", `{"op":"Remove","path":"emails","value":[{"value":"x"}]}`, ``},
		{"remove by no value", `{"op":"Remove","path":"emails","value":[]}`, ``},
		{"remove by an unknown name", `{"op":"Remove","path":"emails","value":[{"shoeSize":"x"}]}`, ``},
		{"remove all", `{"op":"remove","path":"emails"}`, `{"emails":null}`},
		{"remove with null beside", `{"op":"remove","path":"emails","value":null}`, `{"emails":null}`},
		{"replace by an empty list", `{"op":"replace","path":"emails","value":[]}`, `{"emails":null}`},
		{
			"replace by null", `{"op":"replace","value":{"title":null,"displayName":"","name":{"familyName":null}}}`,
			`{"title":null,"displayName":null,"name":{"familyName":null}}`,
		},
		{"add an empty list", `{"op":"add","path":"emails","value":[]}`, ``},
		{
			"replace a list", `{"op":"replace","path":"emails","value":[{"value":"n@example.com","type":"work","Primary":"True"}]}`,
			`{"emails":[{"primary":true,"type":"work","value":"n@example.com"}]}`,
		},
		{"replace a list by one object", `{"op":"replace","value":{"emails":{"value":"n@example.com"}}}`, `{"emails":[{"value":"n@example.com"}]}`},
		{"replace a list by a string", `{"op":"replace","path":"emails","value":"n@example.com"}`, `{"emails":[{"value":"n@example.com"}]}`},
		{
			"add to a list", `{"op":"add","path":"emails","value":[{"value":"n@example.com","type":"other"}]}`,
			`{"emails":[{"primary":true,"type":"work","value":"b@example.com"},{"type":"home","value":"b@jensen.org"},{"type":"other","value":"n@example.com"}]}`,
		},
		{
			"add what is there", `{"op":"add","value":{"emails":[{"value":"B@jensen.org","type":"Home","display":"private"}]}}`,
			`{"emails":[{"primary":true,"type":"work","value":"b@example.com"},{"type":"Home","value":"B@jensen.org","display":"private"}]}`,
		},
		{
			"a new primary", `{"op":"add","path":"emails","value":[{"value":"n@example.com","primary":true}]}`,
			`{"emails":[{"primary":false,"type":"work","value":"b@example.com"},{"type":"home","value":"b@jensen.org"},{"primary":true,"value":"n@example.com"}]}`,
		},
		{
			"another primary", `{"op":"replace","path":"emails[type eq \"home\"].primary","value":"true"}`,
			`{"emails":[{"primary":false,"type":"work","value":"b@example.com"},{"primary":true,"type":"home","value":"b@jensen.org"}]}`,
		},
		{
			"two primaries", `{"op":"replace","path":"emails","value":[{"value":"a","primary":true},{"value":"b","primary":true}]}`,
			`{"emails":[{"primary":true,"value":"a"},{"primary":false,"value":"b"}]}`,
		},
		{
			"replace a whole entry", `{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"n@example.com"}}`,
			`{"emails":[{"type":"work","value":"n@example.com"},{"type":"home","value":"b@jensen.org"}]}`,
		},
		{
			"add to a whole entry", `{"op":"add","path":"emails[type eq \"work\"]","value":[{"display":"office"}]}`,
			`{"emails":[{"primary":true,"type":"work","value":"b@example.com","display":"office"},{"type":"home","value":"b@jensen.org"}]}`,
		},
		{
			"a sub-attribute of every entry", `{"op":"replace","path":"emails.display","value":"x"}`,
			`{"emails":[{"primary":true,"type":"work","value":"b@example.com","display":"x"},{"type":"home","value":"b@jensen.org","display":"x"}]}`,
		},
		{"a sub-attribute without any entry", `{"op":"add","path":"phoneNumbers.value","value":"1"}`, `{"phoneNumbers":[{"value":"1"}]}`},
		{"complex keeps what is not named", `{"op":"replace","path":"name","value":{"givenName":"Babs"}}`, `{"name":{"givenName":"Babs"}}`},
		{"complex by nothing", `{"op":"replace","path":"name","value":{}}`, ``},
		{"remove a sub-attribute", `{"op":"remove","path":"name.givenName"}`, `{"name":{"givenName":null}}`},
		{"remove the last sub-attribute", `{"op":"remove","path":"name.givenName"},{"op":"remove","path":"name.familyName"}`, `{"name":null}`},
		{"manager as a string", `{"op":"Replace","path":"` + ent("manager") + `","value":"m-2"}`, `{` + e + `:{"manager":{"value":"m-2"}}}`},
		{
			"manager as an object", `{"op":"add","path":"` + ent("manager") + `","value":{"value":"m-2","$ref":"../Users/m-2","displayName":"ignored"}}`,
			`{` + e + `:{"manager":{"value":"m-2","$ref":"../Users/m-2"}}}`,
		},
		{"manager in a list", `{"op":"Add","path":"` + ent("manager") + `","value":[{"$ref":null,"value":"m-2"}]}`, `{` + e + `:{"manager":{"value":"m-2"}}}`},
		{"manager by its value", `{"op":"add","path":"` + ent("manager.value") + `","value":"m-2"}`, `{` + e + `:{"manager":{"value":"m-2"}}}`},
		{"manager emptied", `{"op":"Replace","path":"` + ent("manager") + `","value":""}`, `{` + e + `:{"manager":null}}`},
		{"the whole extension", `{"op":"add","path":` + e + `,"value":{"costCenter":"7"}}`, `{` + e + `:{"costCenter":"7"}}`},
		{"the whole extension, as a key", `{"op":"add","value":{` + e + `:{"costCenter":"7"}}}`, `{` + e + `:{"costCenter":"7"}}`},
		{"the extension removed", `{"op":"remove","path":` + e + `}`, `{` + e + `:null}`},
		{"the extension as null", `{"op":"replace","path":` + e + `,"value":null}`, `{` + e + `:null}`},
		{"rename", `{"op":"Replace","path":"userName","value":"b2@example.com"}`, `{"userName":"b2@example.com"}`},
		{"rename as an object", `{"op":"replace","value":{"UserName":"b2@example.com"}}`, `{"userName":"b2@example.com"}`},
		{"externalId removed", `{"op":"remove","path":"externalId"}`, `{"externalId":null}`},
		{"read-only and secret ones are ignored", `{"op":"replace","value":{"id":"other","meta":{"resourceType":"X"},"schemas":[],"groups":[{"value":"g"}],"password":"hunter2","title":"T"}},` +
			`{"op":"replace","path":"id","value":"other"},{"op":"replace","path":"password","value":"hunter2"}`, `{"title":"T"}`},
		{"only read-only ones", `{"op":"replace","value":{"id":"u-1"}}`, ``},
		{"unknown ones are dropped", `{"op":"add","path":"urn:example:2.0:User:badge","value":"x"},{"op":"add","value":{"shoeSize":44,"not a name":1,"emails":[{"value":"b@jensen.org","type":"home","size":3}]}}`, ``},
		{"only unknown ones of another schema", `{"op":"add","path":"urn:example:2.0:User:badge","value":"x"}`, ``},
		{
			"values as sent", `{"op":"replace","value":{"title":"  <b>&\u2028 ","phoneNumbers":[{"value":"(030) 12-34"}]}}`,
			`{"title":"  <b>&\u2028 ","phoneNumbers":[{"value":"(030) 12-34"}]}`,
		},
		{"no value of another type in sight", `{"op":"add","path":"x509Certificates","value":[{"value":"MIIB"}]}`, `{"x509Certificates":[{"value":"MIIB"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := attributesOf(barbara())
			if c.want != "" {
				merge(want, unmarshal(t, c.want))
			}
			u := barbara()
			body := patchBody(c.ops)
			if err := applyTo(t, &u, "PATCH", body); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, attributesOf(u)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if u.ID != "u-1" || u.Role != tenure.Admin || u.Source != tenure.SourceSCIM {
				t.Errorf("%+v", u)
			}
		})
	}
}

// RFC 7644 §3.12, table 9: each fault has its scimType and changes nothing.
func TestPatchFaults(t *testing.T) {
	for _, c := range []struct{ name, body, code, detail string }{
		{"unknown boolean", patchBody(`{"op":"replace","path":"active","value":"maybe"}`), "invalidValue", `active: expected true or false, got "maybe"`},
		{"boolean as a number", patchBody(`{"op":"replace","path":"active","value":0}`), "invalidValue", `active: expected true or false, got a number`},
		{"boolean as an object", patchBody(`{"op":"replace","path":"active","value":{"x":1}}`), "invalidValue", `active:`},
		{"boolean as null", patchBody(`{"op":"replace","path":"active","value":null}`), "mutability", `active:`},
		{"boolean removed", patchBody(`{"op":"remove","path":"active"}`), "mutability", `active:`},
		{"userName removed", patchBody(`{"op":"remove","path":"userName"}`), "mutability", `userName:`},
		{"userName emptied", patchBody(`{"op":"replace","path":"userName","value":""}`), "mutability", `userName:`},
		{"number for a string", patchBody(`{"op":"replace","path":"title","value":7}`), "invalidValue", `title: expected a string, got a number`},
		{"number deep inside", patchBody(`{"op":"add","value":{"emails":[{"value":7}]}}`), "invalidValue", `emails.value: expected a string, got a number`},
		{"number in the extension", patchBody(`{"op":"add","path":"` + enterpriseURN + `:department","value":7}`), "invalidValue", enterpriseURN + `:department: expected a string`},
		{"string for an object", patchBody(`{"op":"replace","path":"name","value":"x"}`), "invalidValue", `name: expected an object, got a string`},
		{"string for the extension", patchBody(`{"op":"replace","path":"` + enterpriseURN + `","value":"x"}`), "invalidValue", `expected an object`},
		{"two values for one", patchBody(`{"op":"replace","path":"title","value":["a","b"]}`), "invalidValue", `title: expected a string, got a list`},
		{"NUL", patchBody(`{"op":"replace","path":"title","value":"a\u0000b"}`), "invalidValue", `U+0000`},
		{"remove without a path", patchBody(`{"op":"remove","value":{"title":"x"}}`), "noTarget", `path: expected one`},
		{"remove of everything", patchBody(`{"op":"remove","path":"` + userURN + `"}`), "noTarget", `path:`},
		{"no such value", patchBody(`{"op":"replace","path":"emails[value eq \"x\"].type","value":"work"}`), "noTarget", `no value of emails`},
		{"nothing to create from", patchBody(`{"op":"add","path":"phoneNumbers[type ne \"work\"].value","value":"1"}`), "noTarget", `no value of phoneNumbers`},
		{"unknown op", patchBody(`{"op":"move","path":"title","value":"x"}`), "invalidSyntax", `got "move"`},
		{"no op", patchBody(`{"path":"title","value":"x"}`), "invalidSyntax", `op:`},
		{"no value", patchBody(`{"op":"replace","path":"title"}`), "invalidValue", `value:`},
		{"no object", patchBody(`{"op":"replace","value":"x"}`), "invalidValue", `value: expected an object`},
		{"path of another type", patchBody(`{"op":"replace","path":7,"value":"x"}`), "invalidPath", `path: expected a string`},
		{"malformed path", patchBody(`{"op":"replace","path":"a b","value":"x"}`), "invalidPath", `character 2`},
		{"brackets on one value", patchBody(`{"op":"replace","path":"name[givenName eq \"x\"].givenName","value":"x"}`), "invalidPath", `name.givenName has one value`},
		{"malformed selector", patchBody(`{"op":"replace","path":"emails[type eq].value","value":"x"}`), "invalidFilter", `a value`},
		{"unknown name in a selector", patchBody(`{"op":"replace","path":"emails[size eq \"x\"].value","value":"x"}`), "invalidFilter", `"size"`},
		{"a misspelt path", patchBody(`{"op":"replace","path":"actve","value":false}`), "invalidPath", `User has no attribute "actve"`},
		{"a misspelt key", patchBody(`{"op":"replace","value":{"actve":false}}`), "invalidPath", `"actve"`},
		{"one attribute twice", patchBody(`{"op":"replace","value":{"active":false,"Active":true}}`), "invalidSyntax", `active: stands twice`},
		{"one attribute twice, by URN", patchBody(`{"op":"replace","value":{"active":false,"` + userURN + `:active":true}}`), "invalidSyntax", `active: stands twice`},
		{"one sub-attribute twice", patchBody(`{"op":"add","path":"emails","value":[{"value":"a","Value":"b"}]}`), "invalidSyntax", `emails.value: stands twice`},
		{"one member twice", patchBody(`{"op":"add","Op":"remove","path":"title","value":"x"}`), "invalidSyntax", `op: stands twice`},
		{"no operations", `{"schemas":["` + patchURN + `"]}`, "invalidSyntax", `Operations:`},
		{"an empty list of operations", patchBody(``), "invalidSyntax", `Operations:`},
		{"operations of another type", patchBody(`"x"`), "invalidSyntax", `Operations: expected objects`},
		{"another message", `{"schemas":["` + userURN + `"],"Operations":[{"op":"remove","path":"title"}]}`, "invalidSyntax", `schemas:`},
		{"a late fault", patchBody(`{"op":"replace","path":"active","value":false},{"op":"replace","path":"title","value":7}`), "invalidValue", `title:`},
		{"a key twice", `{"Operations":[{"op":"replace","path":"active","value":false,"value":true}]}`, "invalidSyntax", `value: stands twice`},
		{"no JSON", `{`, "invalidSyntax", `one JSON object`},
		{"nothing", ``, "invalidSyntax", `one JSON object`},
		{"two objects", `{}{}`, "invalidSyntax", `one JSON object`},
		{"a list", `[]`, "invalidSyntax", `got a list`},
		{"bad UTF-8", "{\"x\":\"\xff\"}", "invalidSyntax", `UTF-8`},
		{"too deep", `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "invalidSyntax", `inside each other`},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := barbara()
			err := applyTo(t, &u, "PATCH", c.body)
			if !isCode(err, c.code) || !strings.Contains(err.Error(), c.detail) {
				t.Errorf("%v, want %s with %q", err, c.code, c.detail)
			}
			if diff := cmp.Diff(barbara(), u); diff != "" {
				t.Errorf("something has changed:\n%s", diff)
			}
		})
	}
}

// scim.md 1.3 and RFC 7644 §3.3, §3.5.1.
func TestWholeResources(t *testing.T) {
	const okta = `{"schemas":["` + userURN + `"],"userName":"test.user@okta.local","name":{"givenName":"Test","familyName":"User"},` +
		`"emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],"displayName":"Test User","locale":"en-US",` +
		`"externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":true}`
	const entra = `{"schemas":["` + userURN + `","` + enterpriseURN + `"],"externalId":"0a21f0f2","userName":"Test_User@example.com","active":"True",` +
		`"emails":[{"primary":true,"type":"work","value":"Test_User@example.com"}],"meta":{"resourceType":"User"},"name":{"formatted":"givenName familyName"},"roles":[]}`
	const collection = `{"UserName":"U","Active":true,"DisplayName":"D","schemas":["` + userURN + `"],"externalId":"e","name":{"formatted":"F"},` +
		`"emails":[{"Primary":true,"type":"work","value":"e@x"},{"Primary":false,"type":"home","value":"h@x"}]}`
	for _, c := range []struct {
		name, body string
		want       tenure.User
	}{
		{"Okta", okta, tenure.User{
			UserName: "test.user@okta.local", DisplayName: "Test User", ExternalID: "00ujl29u0le5T6Aj10h7", Active: true,
			Profile: []byte(`{"emails":[{"primary":true,"type":"work","value":"test.user@okta.local"}],"locale":"en-US","name":{"familyName":"User","givenName":"Test"}}`),
		}},
		{"Entra", entra, tenure.User{
			UserName: "Test_User@example.com", ExternalID: "0a21f0f2", Active: true,
			Profile: []byte(`{"emails":[{"primary":true,"type":"work","value":"Test_User@example.com"}],"name":{"formatted":"givenName familyName"}}`),
		}},
		{"Microsoft's collection", collection, tenure.User{
			UserName: "U", DisplayName: "D", ExternalID: "e", Active: true,
			Profile: []byte(`{"emails":[{"primary":true,"type":"work","value":"e@x"},{"primary":false,"type":"home","value":"h@x"}],"name":{"formatted":"F"}}`),
		}},
		{"inactive", `{"userName":"u","active":false}`, tenure.User{UserName: "u", Profile: []byte(`{}`)}},
		{"inactive as a string", `{"userName":"u","active":"False"}`, tenure.User{UserName: "u", Profile: []byte(`{}`)}},
		{"active left out", `{"userName":"u"}`, tenure.User{UserName: "u", Active: true, Profile: []byte(`{}`)}},
		{
			"nothing but nulls", `{"userName":"u","active":null,"externalId":null,"emails":[],"name":{"givenName":null},"title":"","` + enterpriseURN + `":null}`,
			tenure.User{UserName: "u", Active: true, Profile: []byte(`{}`)},
		},
		{
			"dotted and with URNs", `{"userName":"u","name.givenName":"G","` + enterpriseURN + `:department":"D","` + enterpriseURN + `":{"manager":"m"}}`,
			tenure.User{UserName: "u", Active: true, Profile: []byte(`{"name":{"givenName":"G"},"` + enterpriseURN + `":{"department":"D","manager":{"value":"m"}}}`)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Source = tenure.SourceSCIM
			u := tenure.User{Active: true}
			if err := applyTo(t, &u, "PUT", c.body); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, u); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}

	t.Run("PUT replaces", func(t *testing.T) {
		u := barbara()
		u.Active = false
		if err := applyTo(t, &u, "PUT", `{"schemas":["`+userURN+`"],"userName":"b2@example.com","nickName":"B"}`); err != nil {
			t.Fatal(err)
		}
		want := tenure.User{
			ID: "u-1", Tenant: tenure.DefaultTenant, UserName: "b2@example.com", ExternalID: "ext-1",
			Role: tenure.Admin, Source: tenure.SourceSCIM, Profile: []byte(`{"nickName":"B"}`),
		}
		if diff := cmp.Diff(want, u); diff != "" {
			t.Errorf("a PUT without active and externalId keeps both (-want +got)\n%s", diff)
		}
	})

	for _, c := range []struct{ name, body, code, detail string }{
		{"another schema", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"userName":"u"}`, "invalidSyntax", "schemas:"},
		{"unknown boolean", `{"userName":"u","active":"maybe"}`, "invalidValue", "active:"},
		{"number for a string", `{"userName":17}`, "invalidValue", "userName: expected a string, got a number"},
		{"list for a string", `{"userName":["u"]}`, "invalidValue", "userName: expected a string, got a list"},
		{"twice", `{"userName":"u","UserName":"v"}`, "invalidSyntax", "userName: stands twice"},
		{"schemas twice", `{"userName":"u","schemas":[],"Schemas":[]}`, "invalidSyntax", "schemas: stands twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := barbara()
			if err := applyTo(t, &u, "PUT", c.body); !isCode(err, c.code) || !strings.Contains(err.Error(), c.detail) {
				t.Errorf("%v, want %s with %q", err, c.code, c.detail)
			}
		})
	}
}

// A transaction may run twice: the second run finds the operations unchanged.
func TestChangesAreNotModified(t *testing.T) {
	body := patchBody(`{"op":"add","path":"phoneNumbers","value":[{"type":"work","value":"1"}]},` +
		`{"op":"replace","path":"phoneNumbers[type eq \"work\"].value","value":"2"},{"op":"remove","path":"phoneNumbers[type eq \"work\"].type"}`)
	object, err := decodeObject([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	c, err := parsePatch(&userType, object)
	if err != nil {
		t.Fatal(err)
	}
	first, second := barbara(), barbara()
	if err := c.patch(&first); err != nil {
		t.Fatal(err)
	}
	if err := c.patch(&second); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(string(first.Profile), `"phoneNumbers":[{"value":"2"}]`) {
		t.Errorf("%s", first.Profile)
	}
}

func TestLimits(t *testing.T) {
	u := barbara()
	u.Profile = []byte(`not JSON`)
	if err := applyTo(t, &u, "PATCH", patchBody(`{"op":"replace","path":"active","value":false}`)); err != nil || u.Active {
		t.Errorf("a broken profile kept somebody alive: %v", err)
	}
	u = barbara()
	long := strings.Repeat("a", maxProfileBytes)
	if err := applyTo(t, &u, "PATCH", patchBody(`{"op":"add","path":"title","value":"`+long+`"}`)); !tenure.IsKind(err, tenure.TooLarge) {
		t.Errorf("a profile without end: %v", err)
	}
}

func unmarshal(t *testing.T, s string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// merge is RFC 7396's MergePatch, on objects.
func merge(to, patch map[string]any) {
	for key, v := range patch {
		inner, isObject := v.(map[string]any)
		old, wasObject := to[key].(map[string]any)
		switch {
		case v == nil:
			delete(to, key)
		case isObject && wasObject:
			merge(old, inner)
		default:
			to[key] = v
		}
	}
}

func mustMarshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
