package scim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// bulkBody wraps operations as RFC 7644 §3.7 has it.
func bulkBody(rest, operations string) string {
	return `{"schemas":["` + bulkRequestURN + `"],` + rest + `"Operations":[` + operations + `]}`
}

func statuses(a answer) string {
	var out []string
	list, _ := a.at("Operations").([]any)
	for i := range list {
		status, _ := a.at("Operations", i, "status").(string)
		out = append(out, status)
	}
	return strings.Join(out, " ")
}

// RFC 7644 §3.7.
func TestBulk(t *testing.T) {
	s := newStand(t)
	a := s.do("POST", "/Bulk", bulkBody("", `
		{"method":"POST","path":"/Groups","bulkId":"g","data":{"displayName":"Tour Guides","members":[{"value":"bulkId:a"},{"type":"User","value":"bulkId:b"}]}},
		{"method":"post","path":"/Users","bulkId":"a","data":{"userName":"Alice"}},
		{"method":"POST","path":"/Users","bulkId":"b","data":{"schemas":["`+userURN+`"],"userName":"Bob","`+enterpriseURN+`":{"manager":{"value":"bulkId:a"}}}},
		{"method":"PATCH","path":"/Users/bulkId:b","data":`+patchBody(`{"op":"replace","path":"active","value":false}`)+`}`)).wants(t, http.StatusOK, "")
	if statuses(a) != "201 201 201 200" || a.at("schemas", 0) != bulkResponseURN {
		t.Fatalf("%s", a.text)
	}
	alice, _ := strings.CutPrefix(a.at("Operations", 0, "location").(string), base+prefix+"/Users/")
	bob, _ := strings.CutPrefix(a.at("Operations", 1, "location").(string), base+prefix+"/Users/")
	if a.at("Operations", 0, "bulkId") != "a" || a.at("Operations", 0, "version") != `W/"1"` || a.at("Operations", 0, "method") != "POST" || a.at("Operations", 0, "response") != nil {
		t.Errorf("%s", a.text)
	}
	if read := s.do("GET", "/Users/"+bob, ""); read.at("active") != false || read.at(enterpriseURN, "manager", "value") != alice || read.at("groups", 0, "display") != "Tour Guides" {
		t.Errorf("%s", read.text)
	}
	a = s.do("POST", "/Bulk", bulkBody("", `
		{"method":"PUT","path":"/Users/`+bob+`","version":"W/\"99\"","data":{"userName":"Bob"}},
		{"method":"PUT","path":"/Users/`+bob+`","version":"W/\"3\"","data":{"userName":"Bobby"}},
		{"method":"DELETE","path":"/Users/`+alice+`"},
		{"method":"DELETE","path":"/Users/`+alice+`"}`)).wants(t, http.StatusOK, "")
	if statuses(a) != "412 200 204 404" || a.at("Operations", 2, "location") != base+prefix+"/Users/"+alice || a.at("Operations", 0, "response", "status") != "412" {
		t.Errorf("%s", a.text)
	}
}

// RFC 7644 §3.7.1: references in a circle are resolved.
func TestBulkCircle(t *testing.T) {
	s := newStand(t)
	user := func(name, manager string) string {
		return `{"method":"POST","path":"/Users","bulkId":"` + name + `","data":{"userName":"` + name + `","` + enterpriseURN + `":{"manager":{"value":"bulkId:` + manager + `"}}}}`
	}
	a := s.do("POST", "/Bulk", bulkBody("", user("x", "y")+","+user("y", "z")+","+user("z", "x"))).wants(t, http.StatusOK, "")
	if statuses(a) != "201 201 201 200" {
		t.Fatalf("%s", a.text)
	}
	for _, name := range []string{"x", "y", "z"} {
		if read := s.do("GET", "/Users?filter=userName+eq+"+name, ""); read.at("Resources", 0, enterpriseURN, "manager", "value") == nil {
			t.Errorf("%s", read.text)
		}
	}
}

func TestBulkFaults(t *testing.T) {
	s := newStand(t)
	post := func(id, data string) string {
		return `{"method":"POST","path":"/Users","bulkId":"` + id + `","data":` + data + `}`
	}
	good, bad := post("ok", `{"userName":"ok"}`), post("bad", `{"userName":7}`)
	for _, c := range []struct{ rest, ops, want string }{
		{"", bad + "," + post("ok", `{"userName":"one"}`), "400 201"},
		{`"failOnErrors":1,`, bad + "," + good, "400"},
		{`"failOnErrors":2,`, bad + "," + post("ok2", `{"userName":"two"}`) + "," + post("bad2", `{}`) + "," + good, "400 201 400"},
		{"", post("r", `{"userName":"r","`+enterpriseURN+`":{"manager":{"value":"bulkId:nobody"}}}`), "400"},
		{"", post("bad", `{"userName":7}`) + `,{"method":"DELETE","path":"/Users/bulkId:bad"}`, "400 400"},
		{"", `{"method":"POST","path":"/Users","data":{"userName":"no bulkId"}}`, "400"},
		{"", `{"method":"GET","path":"/Users"}`, "400"},
		{"", `{"method":"POST","path":"/Bulk","bulkId":"x","data":{}}`, "400"},
		{"", `{"method":"PUT","path":"/Users","data":{}}`, "400"},
		{"", `{"method":"DELETE","path":"/Users/nobody"}`, "404"},
		{"", `{"method":"POST","path":"/Users","bulkId":"y"}`, "400"},
	} {
		if a := s.do("POST", "/Bulk", bulkBody(c.rest, c.ops)).wants(t, http.StatusOK, ""); statuses(a) != c.want {
			t.Errorf("%s: %s, want %s\n%s", c.ops, statuses(a), c.want, a.text)
		}
	}
	if list := s.do("GET", "/Users?filter=userName+eq+ok", ""); list.at("totalResults") != 0.0 {
		t.Error("done after failOnErrors")
	}
	for _, body := range []string{
		bulkBody("", good+","+good), bulkBody(`"failOnErrors":0,`, good), bulkBody(`"failOnErrors":"1",`, good), bulkBody("", `7`), bulkBody("", `{"method":7}`),
		`{"schemas":["` + bulkRequestURN + `"]}`, patchBody(good),
	} {
		if a := s.do("POST", "/Bulk", body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
	}
	many := strings.Repeat(`{"method":"DELETE","path":"/Users/x"},`, maxBulkOperations) + `{"method":"DELETE","path":"/Users/x"}`
	s.do("POST", "/Bulk", bulkBody("", many)).wants(t, http.StatusRequestEntityTooLarge, "")
	s.do("POST", "/Bulk", bulkBody("", post("x", fmt.Sprintf(`{"title":%q}`, strings.Repeat("a", maxBulkBytes))))).wants(t, http.StatusRequestEntityTooLarge, "")
	if a := s.do("POST", "/Bulk", bulkBody("", post("x", fmt.Sprintf(`{"userName":"x","title":%q}`, strings.Repeat("a", maxBodyBytes))))); statuses(a) != "413" {
		t.Errorf("%.300s", a.text)
	}
}
