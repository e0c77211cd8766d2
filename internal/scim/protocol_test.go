package scim

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenure-gateway/tenure"
)

func TestPaths(t *testing.T) {
	s := newStand(t)
	id := s.create(barbaraBody)
	for _, path := range []string{
		"", "/", "/Groups", "/groups/", "/Users", "/Users/", "/users", "/users/", "/Users/" + id, "/Users/" + id + "/", "/users/" + id, "/users/" + id + "/",
		"/ServiceProviderConfig", "/serviceproviderconfig/", "/ResourceTypes", "/resourcetypes/User", "/ResourceTypes/User/",
		"/Schemas", "/schemas/", "/Schemas/" + userURN, "/Schemas/" + strings.ToLower(enterpriseURN),
	} {
		s.do("GET", path+"?aadOptscim062020", "").wants(t, http.StatusOK, "")
	}
	s.do("PATCH", "/users/"+id+"/", patchBody(`{"op":"replace","path":"active","value":false}`)).wants(t, http.StatusOK, "")
	for _, path := range []string{"/Group", "/Users/" + id + "/x", "/ResourceTypes/Device", "/Schemas/urn:x", "/.searching"} {
		s.do("GET", path, "").wants(t, http.StatusNotFound, "")
	}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		s.do(method, "/Me", "").wants(t, http.StatusNotImplemented, "")
	}
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/Bulk", "POST"},
		{"GET", "/.search", "POST"},
		{"POST", "/Groups/" + id, "DELETE, GET, PATCH, PUT"},
		{"DELETE", "/Users", "GET, POST"},
		{"POST", "/Users/" + id, "DELETE, GET, PATCH, PUT"},
		{"POST", "/Schemas", "GET"},
		{"PUT", "/serviceproviderconfig", "GET"},
	} {
		a := s.do(c.method, c.path, `{}`).wants(t, http.StatusMethodNotAllowed, "")
		if got := a.header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q", c.method, c.path, got)
		}
	}
}

func TestContentTypesAndLimits(t *testing.T) {
	s := newStand(t)
	id := s.create(barbaraBody)
	body := patchBody(`{"op":"replace","path":"title","value":"x"}`)
	for _, media := range []string{
		"", "application/json", "application/scim+json", "Application/SCIM+JSON; charset=UTF-8", "application/json;charset=iso-8859-1", "application/json; charset",
	} {
		s.do("PATCH", "/Users/"+id, body, "Content-Type", media, "Accept", "text/html").wants(t, http.StatusOK, "")
	}
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "application/xml"} {
		s.do("PATCH", "/Users/"+id, body, "Content-Type", media).wants(t, http.StatusUnsupportedMediaType, "")
	}
	large := patchBody(`{"op":"replace","path":"title","value":"` + strings.Repeat("a", maxBodyBytes) + `"}`)
	for _, method := range []string{"PUT", "PATCH"} {
		s.do(method, "/Users/"+id, large).wants(t, http.StatusRequestEntityTooLarge, "")
	}
	s.do("POST", "/Users", large).wants(t, http.StatusRequestEntityTooLarge, "")
	for _, body := range []string{``, `[]`, `{"userName":"a","userName":"b"}`, `{"name":{"givenName":"a","givenName":"b"}}`, "{\"userName\":\"\xff\"}"} {
		s.do("POST", "/Users", body).wants(t, http.StatusBadRequest, "invalidSyntax")
	}
	s.do("POST", "/Users", `{"userName":"n","name":{"givenName":5}}`).wants(t, http.StatusBadRequest, "invalidValue")
}

func TestWhoMay(t *testing.T) {
	s := newStand(t)
	id := s.create(barbaraBody)
	for _, c := range []struct {
		authorization string
		status        int
		challenge     string
	}{
		{"", http.StatusUnauthorized, "Bearer"},
		{"Bearer wrong", http.StatusUnauthorized, `error="invalid_token"`},
		{"Bearer personal", http.StatusForbidden, `error="insufficient_scope"`},
	} {
		for _, at := range []struct{ method, path, body string }{
			{"GET", "/Users", ""},
			{"GET", "/Users/" + id, ""},
			{"POST", "/Users", `{"userName":"n"}`},
			{"PUT", "/Users/" + id, `{"userName":"n"}`},
			{"PATCH", "/Users/" + id, patchBody(`{"op":"replace","path":"active","value":false}`)},
			{"DELETE", "/Users/" + id, ""},
			{"GET", "/Schemas", ""},
			{"GET", "/nothing", ""},
			{"POST", "/Schemas", ""},
		} {
			a := s.do(at.method, at.path, at.body, "Authorization", c.authorization).wants(t, c.status, "")
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") || !strings.Contains(got, c.challenge) {
				t.Errorf("%s %s: WWW-Authenticate %q", at.method, at.path, got)
			}
		}
	}
	if u := s.user(id); !u.Active || u.UserName != "barbara@example.com" {
		t.Errorf("%+v", u)
	}
}

// RFC 7644 §3.12: the kind decides, the cause stays inside.
func TestFail(t *testing.T) {
	for _, c := range []struct {
		err  error
		want map[string]any
		head string // Retry-After
	}{
		{errors.New("disk on fire at /var"), map[string]any{"status": "500", "detail": "internal error"}, ""},
		{&tenure.Error{Kind: tenure.Invalid, Code: "invalidValue", Msg: "m", Err: errors.New("cause")}, map[string]any{"status": "400", "detail": "m", "scimType": "invalidValue"}, ""},
		{&tenure.Error{Kind: tenure.Invalid, Code: "token_in_query", Msg: "m"}, map[string]any{"status": "400", "detail": "m"}, ""},
		{&tenure.Error{Kind: tenure.Conflict, Code: "uniqueness", Msg: "m"}, map[string]any{"status": "409", "detail": "m", "scimType": "uniqueness"}, ""},
		{&tenure.Error{Kind: tenure.TooMany, Msg: "m", RetryAfter: 1500 * time.Millisecond}, map[string]any{"status": "429", "detail": "m"}, "2"},
		{tenure.ErrStale, map[string]any{"status": "503", "detail": tenure.ErrStale.Msg}, "1"},
	} {
		w := httptest.NewRecorder()
		Fail(w, nil, c.err)
		c.want["schemas"] = []any{errorURN}
		if diff := cmp.Diff(c.want, unmarshal(t, w.Body.String())); diff != "" {
			t.Errorf("%v (-want +got)\n%s", c.err, diff)
		}
		if got := w.Header().Get("Retry-After"); got != c.head {
			t.Errorf("%v: Retry-After %q", c.err, got)
		}
	}
}

// RFC 7644 §4: what is announced is there, and points to itself.
func TestDiscovery(t *testing.T) {
	s := newStand(t)
	config := s.do("GET", "/ServiceProviderConfig", "").wants(t, http.StatusOK, "")
	for name, want := range map[string]bool{"patch": true, "filter": true, "bulk": true, "sort": true, "etag": true, "changePassword": false} {
		if got := config.at(name, "supported"); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if config.at("filter", "maxResults") != float64(maxCount) || config.at("authenticationSchemes", 0, "type") != "oauthbearertoken" {
		t.Errorf("%s", config.text)
	}
	for _, path := range []string{"/ServiceProviderConfig", "/ResourceTypes", "/Schemas"} {
		s.do("GET", path+"?filter=name+eq+%22x%22", "").wants(t, http.StatusForbidden, "")
	}

	types := s.do("GET", "/ResourceTypes?startIndex=9&count=0", "").wants(t, http.StatusOK, "")
	schemas := s.do("GET", "/Schemas", "").wants(t, http.StatusOK, "")
	if types.at("totalResults") != 2.0 || schemas.at("totalResults") != 3.0 {
		t.Errorf("%s\n%s", types.text, schemas.text)
	}
	for _, list := range []answer{types, schemas} {
		resources, _ := list.at("Resources").([]any)
		for i, r := range resources {
			location, _ := list.at("Resources", i, "meta", "location").(string)
			path, ok := strings.CutPrefix(location, base+prefix)
			if one := s.do("GET", path, ""); !ok || cmp.Diff(r, any(one.body)) != "" {
				t.Errorf("%s is not what is listed", location)
			}
		}
	}
	if groups := types.at("Resources", 1, "schema"); groups != schemas.at("Resources", 2, "id") {
		t.Errorf("the schema of groups: %v", groups)
	}
	announced := []any{types.at("Resources", 0, "schema"), types.at("Resources", 0, "schemaExtensions", 0, "schema")}
	if diff := cmp.Diff(announced, []any{schemas.at("Resources", 0, "id"), schemas.at("Resources", 1, "id")}); diff != "" {
		t.Error(diff)
	}
	if endpoint, _ := types.at("Resources", 0, "endpoint").(string); s.do("GET", endpoint, "").status != http.StatusOK {
		t.Errorf("nothing is at %q", endpoint)
	}
}

// RFC 7643 §7, §8.7.1: the published schemas are whole, and every attribute in
// them can be stored and read back.
func TestSchemasAreTrue(t *testing.T) {
	s := newStand(t)
	schemas := s.do("GET", "/Schemas", "")
	body := map[string]any{}
	want := map[int][]string{
		0: {
			"userName", "name", "displayName", "nickName", "profileUrl", "title", "userType", "preferredLanguage", "locale", "timezone", "active",
			"emails", "phoneNumbers", "ims", "photos", "addresses", "groups", "entitlements", "roles", "x509Certificates",
		},
		1: {"employeeNumber", "costCenter", "organization", "division", "department", "manager"},
	}
	for i, box := range []map[string]any{body, {}} {
		var names []string
		attributes, _ := schemas.at("Resources", i, "attributes").([]any)
		for _, v := range attributes {
			a, _ := v.(map[string]any)
			name, _ := a["name"].(string)
			names = append(names, name)
			checkPublished(t, a)
			if a["mutability"] != "readOnly" {
				box[name] = valueOf(a)
			}
		}
		if diff := cmp.Diff(want[i], names); diff != "" {
			t.Error(diff)
		}
		if i == 1 {
			body[enterpriseURN] = box
		}
	}
	a := s.do("POST", "/Users", string(mustMarshal(t, body))).wants(t, http.StatusCreated, "")
	for _, name := range []string{"id", "meta", "schemas"} {
		delete(a.body, name)
	}
	if diff := cmp.Diff(body, a.body); diff != "" {
		t.Errorf("(-announced +stored)\n%s", diff)
	}
}

// checkPublished holds an attribute to RFC 7643 §7.
func checkPublished(t *testing.T, a map[string]any) {
	t.Helper()
	for _, key := range []string{"name", "type", "multiValued", "description", "required", "mutability", "returned", "uniqueness"} {
		if a[key] == nil {
			t.Errorf("%v has no %s", a["name"], key)
		}
	}
	_, hasSubs := a["subAttributes"]
	_, exact := a["caseExact"].(bool)
	_, refers := a["referenceTypes"]
	kind := a["type"]
	if hasSubs != (kind == "complex") || exact == (kind == "complex" || kind == "boolean") || refers != (kind == "reference") {
		t.Errorf("%v: %v", a["name"], a)
	}
	subs, _ := a["subAttributes"].([]any)
	for _, v := range subs {
		sub, _ := v.(map[string]any)
		checkPublished(t, sub)
	}
}

// valueOf makes a value for a published attribute.
func valueOf(a map[string]any) any {
	var v any
	switch a["type"] {
	case "boolean":
		v = true
	case "complex":
		m := map[string]any{}
		subs, _ := a["subAttributes"].([]any)
		for _, s := range subs {
			sub, _ := s.(map[string]any)
			if name, ok := sub["name"].(string); ok && sub["mutability"] == "readWrite" {
				m[name] = valueOf(sub)
			}
		}
		v = m
	default:
		v = "c29tZXRoaW5n"
	}
	if a["multiValued"] == true {
		return []any{v}
	}
	return v
}
