package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure/internal/web"
)

// The document of teams mode, as it stands in docs/reference. What is changed on
// purpose is written anew by
//
//	go test ./internal/api -run TestDocument -update
var update = flag.Bool("update", false, "write docs/reference/openapi.json anew")

const golden = "../../docs/reference/openapi.json"

// served gives the answer of a public route of the API.
func served(t *testing.T, a *API, pattern string) *httptest.ResponseRecorder {
	t.Helper()
	routes := a.Routes()
	i := slices.IndexFunc(routes, func(r web.Route) bool { return r.Pattern == pattern })
	if i < 0 {
		t.Fatalf("no route %s", pattern)
	}
	w := httptest.NewRecorder()
	if err := routes[i].Handle(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestDocument(t *testing.T) {
	var got bytes.Buffer
	if err := json.Indent(&got, served(t, &API{}, "GET /api/openapi.json").Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got.Bytes(), want) {
		return
	}
	lines, before := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(lines), len(before)) {
		if lines[i] != before[i] {
			t.Fatalf("the API has changed; line %d of docs/reference/openapi.json:\n-%s\n+%s\nif that is on purpose: go test ./internal/api -run TestDocument -update", i+1, before[i], lines[i])
		}
	}
	t.Fatal("the API has changed at the end of docs/reference/openapi.json; if that is on purpose: go test ./internal/api -run TestDocument -update")
}

// A document is an OpenAPI 3.1 document, as far as the test looks at it.
type document struct {
	OpenAPI    string `json:"openapi"`
	Info       struct{ Title, Version string }
	Paths      map[string]map[string]operationObject
	Components struct {
		Schemas         map[string]json.RawMessage
		SecuritySchemes map[string]struct{ Type string }
	}
}

type operationObject struct {
	OperationID string `json:"operationId"`
	Summary     string
	Tags        []string
	Action      string `json:"x-tenure-action"`
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   json.RawMessage
	}
	RequestBody *struct{ Content map[string]media }
	Responses   map[string]struct {
		Description string
		Content     map[string]media
	}
	Security []map[string][]string
}

type media struct{ Schema json.RawMessage }

func TestDocumentIsValid(t *testing.T) {
	for _, a := range []*API{{}, {Single: true}} {
		body := served(t, a, "GET /api/openapi.json").Body.Bytes()
		var doc document
		if err := json.Unmarshal(body, &doc); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" || len(doc.Paths) < 10 {
			t.Errorf("OpenAPI %q, %+v, %d paths", doc.OpenAPI, doc.Info, len(doc.Paths))
		}
		for name, kind := range map[string]string{bySession: "apiKey", byIdentity: "apiKey", byBearer: "http"} {
			if doc.Components.SecuritySchemes[name].Type != kind {
				t.Errorf("security scheme %s: %+v", name, doc.Components.SecuritySchemes[name])
			}
		}
		for name := range doc.Components.Schemas {
			if !componentName.MatchString(name) {
				t.Errorf("%q is no name of a component (OpenAPI 3.1 §4.8.7)", name)
			}
		}
		var all any
		_ = json.Unmarshal(body, &all)
		references(t, doc, all)
		seen := map[string]bool{}
		for path, methods := range doc.Paths {
			for method, op := range methods {
				if seen[op.OperationID] {
					t.Errorf("the operation %s is there twice", op.OperationID)
				}
				seen[op.OperationID] = true
				operationFaults(t, doc, method+" "+path, op)
			}
		}
	}
}

var componentName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

var inBraces = regexp.MustCompile(`\{([^}]*)\}`)

// operationFaults tells what an operation lacks.
func operationFaults(t *testing.T, doc document, where string, op operationObject) {
	t.Helper()
	if op.OperationID == "" || op.Summary == "" || len(op.Tags) == 0 || op.Action == "" {
		t.Errorf("%s lacks an id, a summary, a tag or an action: %+v", where, op)
	}
	placed := map[string]bool{}
	for _, m := range inBraces.FindAllStringSubmatch(where, -1) {
		placed[m[1]] = true
	}
	for _, p := range op.Parameters {
		if p.Name == "" || len(p.Schema) == 0 || !slices.Contains([]string{"path", "query", "header", "cookie"}, p.In) {
			t.Errorf("%s: parameter %+v", where, p)
		}
		if p.In == "path" && (!p.Required || !placed[p.Name]) {
			t.Errorf("%s: the parameter %s is not required, or not in the path", where, p.Name)
		}
		if p.In == "path" {
			delete(placed, p.Name)
		}
	}
	if len(placed) > 0 {
		t.Errorf("%s: %v are described by no parameter", where, placed)
	}
	good := 0
	for status, r := range op.Responses {
		if r.Description == "" || !regexp.MustCompile(`^[1-5][0-9]{2}$`).MatchString(status) {
			t.Errorf("%s: answer %s: %q", where, status, r.Description)
		}
		if status[0] == '2' {
			good++
		} else if len(r.Content["application/problem+json"].Schema) == 0 {
			t.Errorf("%s: %s is answered with no problem", where, status)
		}
	}
	must := []string{"400", "401", "403", "500", "503"}
	if strings.Contains(where, "{") {
		must = append(must, "404")
	}
	if op.RequestBody != nil {
		must = append(must, "413", "415", "422")
	}
	for _, status := range must {
		if _, ok := op.Responses[status]; !ok {
			t.Errorf("%s does not document %s", where, status)
		}
	}
	if good == 0 || len(op.Security) == 0 {
		t.Errorf("%s: %d good answers, security %v", where, good, op.Security)
	}
	for _, s := range op.Security {
		for name := range s {
			if doc.Components.SecuritySchemes[name].Type == "" {
				t.Errorf("%s: no security scheme %s", where, name)
			}
		}
	}
}

// references checks that every $ref leads to a schema, and every type is one.
func references(t *testing.T, doc document, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			references(t, doc, one)
		}
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			name, _ := strings.CutPrefix(ref, "#/components/schemas/")
			if len(doc.Components.Schemas[name]) == 0 {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, one := range v {
			references(t, doc, one)
		}
	}
}

func TestPage(t *testing.T) {
	for _, a := range []*API{{}, {Single: true}} {
		w := served(t, a, "GET /api/docs")
		body := w.Body.String()
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("policy %q", csp)
		}
		for _, no := range []string{"<script", "style=", "http://", "https://", "onclick", "<no value>", "ZgotmplZ"} {
			if strings.Contains(body, no) {
				t.Errorf("the page has %q in it", no)
			}
		}
		var doc document
		if err := json.Unmarshal(served(t, a, "GET /api/openapi.json").Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		for path, methods := range doc.Paths {
			for method, op := range methods {
				for _, want := range []string{`<article id="` + op.OperationID + `">`, "<code>" + path + "</code>", op.Action, strings.ToUpper(method)} {
					if !strings.Contains(body, want) {
						t.Errorf("%s %s: the page lacks %q", method, path, want)
					}
				}
			}
		}
		if strings.Contains(body, ">nobody<") {
			t.Error("the page says of an operation that nobody may")
		}
		if w := served(t, a, "GET /api/docs.css"); !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") || strings.Contains(w.Body.String(), "url(") {
			t.Error("the style is none, or loads something")
		}
	}
}
