package app

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure/internal/web"
)

// A spec is what the tests read of the OpenAPI document.
type spec struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	RequestBody *struct {
		Content map[string]struct{ Schema schema }
	}
	Parameters []parameterOf
}

type parameterOf struct {
	Name, In string
	Schema   schema
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Enum       []any
	Examples   []any
	OneOf      []schema
	Items      *schema
	Minimum    *float64
	Properties map[string]schema
	Required   []string

	AdditionalProperties any
}

func (in *installation) spec() spec {
	in.t.Helper()
	var s spec
	r := in.must(http.StatusOK, credential{}, http.MethodGet, "/api/openapi.json", "")
	if err := json.Unmarshal([]byte(r.body), &s); err != nil {
		in.t.Fatal(err)
	}
	return s
}

// body gives the schema of what an operation takes.
func (s spec) body(method, path string) (schema, bool) {
	op := s.Paths[path][strings.ToLower(method)]
	if op.RequestBody == nil {
		return schema{}, false
	}
	return s.resolve(op.RequestBody.Content["application/json"].Schema), true
}

func (s spec) resolve(x schema) schema {
	if x.Ref != "" {
		return s.Components.Schemas[strings.TrimPrefix(x.Ref, "#/components/schemas/")]
	}
	return x
}

// fill gives a body with what an operation requires, about what is in a place, and
// with what it may narrow a token to.
func (s spec) fill(h *hand, method, path string, p place) map[string]any {
	x, ok := s.body(method, path)
	if !ok {
		return nil
	}
	out := map[string]any{}
	for name, field := range x.Properties {
		ofLimit := strings.HasSuffix(path, "/limits") && slices.Contains([]string{"workspace", "subject", "requests_per_minute"}, name)
		ofException := strings.Contains(path, "/exceptions") && slices.Contains([]string{"title", "reason", "risk_before", "risk_after", "controls", "plan"}, name)
		if slices.Contains(x.Required, name) || ofException || name == "scopes" || name == "key" || name == "unchecked" || ofLimit || len(x.Required) == 0 && slices.Contains([]string{"about", "description", "reason"}, name) {
			out[name] = s.value(h, name, field, p)
		}
		if name == "unchecked" {
			out[name] = true // no provider is there that could be asked
		}
	}
	return out
}

// value gives one that a field takes.
func (s spec) value(h *hand, name string, x schema, p place) any {
	x = s.resolve(x)
	switch name {
	case "workspace":
		return p["workspaces"]
	case "user", "owner", "subject":
		return p["users"]
	case "group":
		return p["groups"]
	case "service_account":
		return p["service-accounts"]
	case "name":
		return h.name("made", "thing")
	case "role":
		return "member"
	case "expires_at":
		return time.Now().AddDate(0, 1, 0).UTC().Format(time.RFC3339)
	case "risk_before", "risk_after":
		return map[string]any{"likelihood": "low", "impact": "low"}
	case "unchecked": // what there is to check with is nowhere
		return true
	}
	kind, _ := x.Type.(string)
	if kinds, ok := x.Type.([]any); ok {
		kind, _ = kinds[0].(string)
	}
	switch {
	case len(x.Enum) > 0:
		return x.Enum[0]
	case len(x.OneOf) > 0:
		return s.value(h, "", x.OneOf[0], p)
	case len(x.Examples) > 0 && kind != "array":
		return x.Examples[0]
	case kind == "array" && name == "scopes":
		return []string{"chat"}
	case kind == "array":
		return []any{s.value(h, "", *x.Items, p)}
	case kind == "integer" || kind == "number":
		return 3600
	case kind == "boolean":
		return false
	case kind == "object":
		return map[string]any{}
	}
	return "text"
}

var parameter = regexp.MustCompile(`([^/]*)/\{([^}$]+)\}`)

// path puts ids in a pattern's place for them: those of the place by the part of
// the path before them, or what none says.
func path(pattern string, p place, none func() string) string {
	_, route, ok := strings.Cut(pattern, " ")
	if !ok {
		route = pattern
	}
	route, whole := strings.CutSuffix(route, "{$}")
	route = parameter.ReplaceAllStringFunc(route, func(found string) string {
		before, _, _ := strings.Cut(found, "/")
		part := before
		if before == "tokens" && strings.HasPrefix(route, "/admin/service-accounts/") {
			part = "service-tokens" // the page of an account has its tokens below it
		}
		if id := p[part]; id != "" {
			return before + "/" + id
		}
		return before + "/" + none()
	})
	if strings.HasSuffix(route, "/") && !whole {
		route += none() // below a tree
	}
	return route
}

// method gives that of a pattern.
func method(r web.Route) string {
	if m, _, ok := strings.Cut(r.Pattern, " "); ok {
		return m
	}
	return http.MethodGet
}
