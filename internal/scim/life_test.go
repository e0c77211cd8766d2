package scim

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
)

// A life plays what one identity provider sends, from the first probe to the
// second hiring, and looks at the person's token and stream at each step.
type life struct {
	*stand
	id     string
	token  tenure.Digest
	stream context.Context //nolint:containedctx // what is cut is what the test is about
}

// works and ended say what must have become of the token and the stream.
func (l *life) works(step string) {
	l.t.Helper()
	if !l.admitted(l.token) || l.stream.Err() != nil {
		l.t.Errorf("%s: token good %v, stream %v", step, l.admitted(l.token), l.stream.Err())
	}
}

func (l *life) ended(step string) {
	l.t.Helper()
	if l.admitted(l.token) || live.Cause(l.stream) != tenure.ErrRevoked {
		l.t.Errorf("%s: token good %v, stream cut by %v", step, l.admitted(l.token), live.Cause(l.stream))
	}
}

func (l *life) filter(endpoint, text string) answer {
	l.t.Helper()
	return l.do("GET", endpoint+"?filter="+url.QueryEscape(text)+"&startIndex=1&count=100", "").wants(l.t, http.StatusOK, "")
}

func TestLifeByOkta(t *testing.T) {
	l := &life{stand: newStand(t)}
	const name = "test.user@okta.local"
	body := func(active string) string {
		return `{"schemas":["` + userURN + `"],"userName":"` + name + `","name":{"givenName":"Test","familyName":"User"},` +
			`"emails":[{"primary":true,"value":"` + name + `","type":"work"}],"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":` + active + `}`
	}
	if a := l.filter("/Users", `userName eq "`+name+`"`); a.at("totalResults") != 0.0 || !strings.Contains(a.text, `"Resources":[]`) {
		t.Fatalf("probe: %s", a.text)
	}
	l.id = l.create(body("true"))
	l.token, l.stream = l.mint(l.id)
	if a := l.do("GET", "/Users/"+l.id, ""); a.at("externalId") != "00ujl29u0le5T6Aj10h7" || strings.Contains(a.text, "1mz050nq") {
		t.Errorf("read back: %s", a.text)
	}
	l.do("PUT", "/Users/"+l.id, strings.Replace(body("true"), "Test User", "Test B. User", 1)).wants(t, http.StatusOK, "")
	l.works("update")

	group := l.do("POST", "/Groups", `{"schemas":["`+groupURN+`"],"displayName":"Test SCIMv2","members":[]}`).wants(t, http.StatusCreated, "").id()
	l.do("PATCH", "/Groups/"+group, patchBody(`{"op":"replace","value":{"id":"`+group+`","displayName":"Test SCIMv2"}},{"op":"add","path":"members","value":[{"value":"`+l.id+`","display":"`+name+`"}]}`)).
		wants(t, http.StatusNoContent, "")
	if a := l.do("GET", "/Users/"+l.id, ""); a.at("groups", 0, "value") != group {
		t.Errorf("group push: %s", a.text)
	}
	l.works("group push")

	l.do("PATCH", "/Users/"+l.id, patchBody(`{"op":"replace","value":{"active":false}}`)).wants(t, http.StatusOK, "")
	l.ended("deactivation")
	l.do("PATCH", "/Users/"+l.id, patchBody(`{"op":"replace","value":{"active":true}}`)).wants(t, http.StatusOK, "")
	l.ended("reactivation")
	if l.members(group) != name {
		t.Error("reactivated, and not in the group any more")
	}
	l.token, l.stream = l.mint(l.id)
	l.do("PUT", "/Users/"+l.id, body("false")).wants(t, http.StatusOK, "") // a wizard application
	l.ended("deactivation by PUT")
	l.do("POST", "/Users", body("true")).wants(t, http.StatusConflict, "uniqueness")
	l.do("DELETE", "/Groups/"+group, "").wants(t, http.StatusNoContent, "")
}

func TestLifeByEntra(t *testing.T) {
	l := &life{stand: newStand(t)}
	const flag = "?aadOptscim062020"
	l.do("GET", "/Users/6a4c2f60-0000-0000-0000-000000000000", "").wants(t, http.StatusNotFound, "") // "test connection"
	l.filter("/Users", `userName eq "non-existent user"`)
	body := `{"schemas":["` + userURN + `","` + enterpriseURN + `"],"externalId":"0a21f0f2","userName":"Test_User@contoso.com","active":true,` +
		`"emails":[{"primary":true,"type":"work","value":"Test_User@contoso.com"}],"meta":{"resourceType":"User"},"name":{"formatted":"g f","familyName":"f","givenName":"g"},"roles":[]}`
	l.id = l.create(body)
	l.token, l.stream = l.mint(l.id)
	for _, filter := range []string{`externalId eq "0a21f0f2"`, `userName eq "test_user@CONTOSO.com"`, `emails[type eq "work"].value eq "test_user@contoso.com"`} {
		if a := l.filter("/Users", filter); a.at("Resources", 0, "id") != l.id {
			t.Errorf("%s: %s", filter, a.text)
		}
	}
	l.do("PATCH", "/Users/"+l.id, patchBody(`{"op":"Replace","path":"displayName","value":"New"},{"op":"Replace","path":"emails[type eq \"work\"].value","value":"new@contoso.com"},`+
		`{"op":"Add","path":"`+enterpriseURN+`:manager","value":"m-1"}`)).wants(t, http.StatusOK, "")
	l.do("PATCH", "/Users/"+l.id+flag, patchBody(`{"op":"replace","value":{"displayName":"Newer","name.givenName":"G","`+enterpriseURN+`:employeeNumber":"7"}}`)).wants(t, http.StatusOK, "")
	if a := l.filter("/Users", `emails[type eq "work"].value eq "NEW@contoso.com"`); a.at("Resources", 0, "displayName") != "Newer" {
		t.Errorf("%s", a.text)
	}
	l.do("PATCH", "/Users/"+l.id, patchBody(`{"op":"Replace","path":"userName","value":"Renamed@contoso.com"}`)).wants(t, http.StatusOK, "")
	l.works("update and rename")

	group := l.do("POST", "/Groups", `{"schemas":["`+groupURN+`","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"externalId":"8aa1a0c0","displayName":"displayName","meta":{"resourceType":"Group"}}`).
		wants(t, http.StatusCreated, "").id()
	l.do("PATCH", "/Groups/"+group, patchBody(`{"op":"Add","path":"members","value":[{"$ref":null,"value":"`+l.id+`"}]}`)).wants(t, http.StatusNoContent, "")
	if a := l.do("GET", "/Groups?excludedAttributes=members&filter="+url.QueryEscape(`id eq "`+group+`" and members eq "`+l.id+`"`), ""); a.at("totalResults") != 1.0 {
		t.Errorf("%s", a.text)
	}
	l.do("PATCH", "/Groups/"+group, patchBody(`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"`+l.id+`"}]}`)).wants(t, http.StatusNoContent, "")
	l.works("group push")

	l.do("PATCH", "/Users/"+l.id, patchBody(`{"op":"Replace","path":"active","value":"False"}`)).wants(t, http.StatusOK, "")
	l.ended("soft delete")
	l.do("PATCH", "/Users/"+l.id, patchBody(`{"op":"Replace","path":"active","value":"True"}`)).wants(t, http.StatusOK, "")
	l.ended("restored")
	l.do("DELETE", "/Users/"+l.id, "").wants(t, http.StatusNoContent, "")
	l.do("GET", "/Users/"+l.id, "").wants(t, http.StatusNotFound, "")
	if again := l.create(strings.Replace(body, "Test_User@contoso.com", "Renamed@contoso.com", 1)); again == l.id {
		t.Error("the id was given again")
	}
	l.ended("hired again")
}
