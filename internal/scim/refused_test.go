package scim

import (
	"net/http"
	"strings"
	"testing"
)

// What looks like a deactivation and is none is refused, whatever stands beside
// it: 200 would keep a leaver in.
func TestNearlyADeactivationIsRefused(t *testing.T) {
	s := newStand(t)
	a := s.create(`{"userName":"a"}`)
	for _, op := range []string{
		`{"op":"replace","path":"active.value","value":false}`,
		`{"op":"replace","value":{"/active":false}}`,
		`{"op":"replace","value":{"active.":false}}`,
		`{"op":"replace","value":{"urn:other:active":false}}`,
		`{"op":"replace","path":"urn:other:Active","value":false}`,
		`{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:active","value":false}`,
	} {
		s.do("PATCH", "/Users/"+a, patchBody(op)).wants(t, 400, "invalidPath")
		s.do("PATCH", "/Users/"+a, patchBody(`{"op":"replace","path":"title","value":"x"},`+op)).wants(t, 400, "invalidPath")
	}
	for _, no := range []string{`""`, `[]`, `{}`, `[[]]`, `"maybe"`} {
		s.do("PUT", "/Users/"+a, `{"userName":"a","active":`+no+`}`).wants(t, 400, "invalidValue")
	}
	if u := s.user(a); !u.Active || strings.Contains(string(u.Profile), "title") {
		t.Errorf("something was done: %+v", u)
	}
}

// A member that names nobody is neither everybody nor nobody.
func TestMembersThatNameNobodyAreRefused(t *testing.T) {
	s := newStand(t)
	a := s.create(`{"userName":"a"}`)
	g := s.group("g", a)
	for _, value := range []string{`[{"id":"` + a + `"}]`, `[{"display":"a"}]`, `[{"$ref":null,"Id":"` + a + `"}]`, `[{}]`} {
		for _, op := range []string{"remove", "replace", "add"} {
			s.do("PATCH", "/Groups/"+g, patchBody(`{"op":"`+op+`","path":"members","value":`+value+`}`)).wants(t, 400, "invalidValue")
		}
		s.do("PUT", "/Groups/"+g, `{"displayName":"g","members":`+value+`}`).wants(t, 400, "invalidValue")
		s.do("POST", "/Groups", `{"displayName":"h","members":`+value+`}`).wants(t, 400, "invalidValue")
	}
	if got := s.do("GET", "/Groups/"+g, ""); got.at("members", 0, "value") != a {
		t.Errorf("the group has become %s", got.text)
	}
	s.do("PATCH", "/Groups/"+g, patchBody(`{"op":"replace","path":"members","value":[]}`))
	if got := s.do("GET", "/Groups/"+g, ""); got.at("members", 0, "value") != nil {
		t.Errorf("an empty list did not empty the group: %s", got.text)
	}
}

// What would take long while others wait is refused.
func TestLargePeopleAreRefused(t *testing.T) {
	s := newStand(t)
	many := `["0"` + strings.Repeat(`,"x"`, maxValues) + `]`
	s.do("POST", "/Users", `{"userName":"big","emails":`+many+`}`).wants(t, 400, "invalidValue")
	a := s.create(`{"userName":"a"}`)
	s.do("PUT", "/Users/"+a, `{"userName":"a","emails":`+many+`}`).wants(t, 400, "invalidValue")
	s.do("PATCH", "/Users/"+a, patchBody(`{"op":"add","path":"emails","value":`+many+`}`)).wants(t, 400, "invalidValue")
	op := `{"op":"replace","path":"title","value":"x"}`
	s.do("PATCH", "/Users/"+a, patchBody(op+strings.Repeat(","+op, maxOperations))).wants(t, 400, "invalidValue")
	s.do("GET", "/Users?filter=id+pr"+strings.Repeat("+or+id+pr", maxFilterTerms), "").wants(t, 400, "invalidFilter")
}

// Every operation of a bulk request has its answer.
func TestBulkDropsNothing(t *testing.T) {
	s := newStand(t)
	a := s.create(`{"userName":"a"}`)
	got := s.do("POST", "/Bulk", `{"schemas":["`+bulkRequestURN+`"],"Operations":[
		{"method":"POST","bulkId":"q","path":"/Users/bulkId:q","data":{"userName":"q"}},
		{"method":"PATCH","path":"/Users/`+a+`","data":{"schemas":["`+patchURN+`"],"Operations":[
			{"op":"replace","value":{"active":false,"title":"bulkId:q"}}]}}]}`)
	for i := range 2 {
		if status, _ := got.at("Operations", i, "status").(string); !strings.HasPrefix(status, "4") {
			t.Errorf("operation %d: %v in %s", i, status, got.text)
		}
	}
}

func TestIfMatchWithoutATagIsNoMatch(t *testing.T) {
	s := newStand(t)
	a := s.create(`{"userName":"a"}`)
	for _, header := range []string{`""`, `W/""`, `,`} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "/scim/v2/Users/"+a, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-Match", header)
		if precondition(r)(1) == nil {
			t.Errorf("If-Match: %s holds", header)
		}
	}
}
