package api

import (
	"bytes"
	_ "embed" // the page's template and style
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/web"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle []byte

// pageTemplate shows the document to people.
var pageTemplate = template.Must(template.New("page").Parse(pageText))

// pagePolicy lets the page load its style from here, and nothing else.
const pagePolicy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A chapter is what the page shows of the operations with one tag.
type chapter struct {
	Tag, Anchor string
	Entries     []entry
}

// An entry is an operation as the page shows it.
type entry struct {
	ID, Method, Path, Summary, Description, Action, What string
	Who                                                  []string
	Parameters, Body                                     []field
	Answers                                              []answered
}

// A field is a parameter, or a member of a body, with how deep it lies in it.
type field struct {
	Name, Type, About string
	Required          bool
	Depth             int
}

// answered is one way in which an operation is answered.
type answered struct {
	Status, About string
	Fields        []field
}

// page renders the document, once: it does not change while a process lives.
func page(doc *huma.OpenAPI) ([]byte, error) {
	rows := map[string]access.Row{}
	for _, row := range access.Matrix() {
		rows[string(row.Action)] = row
	}
	var chapters []chapter
	for _, e := range endpoints(doc) {
		tag := "Other"
		if len(e.Tags) > 0 {
			tag = e.Tags[0]
		}
		i := slices.IndexFunc(chapters, func(c chapter) bool { return c.Tag == tag })
		if i < 0 {
			i = len(chapters)
			chapters = append(chapters, chapter{Tag: tag, Anchor: "tag-" + anchor(tag)})
		}
		chapters[i].Entries = append(chapters[i].Entries, show(doc, e, rows[action(e.Operation)]))
	}
	slices.SortFunc(chapters, func(a, b chapter) int { return strings.Compare(a.Tag, b.Tag) })
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, map[string]any{"About": doc.Info.Description, "Chapters": chapters})
	return out.Bytes(), err
}

// anchor makes a tag part of a URL's fragment.
func anchor(tag string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(tag), func(r rune) bool { return r < 'a' || r > 'z' }), "-")
}

func show(doc *huma.OpenAPI, e endpoint, row access.Row) entry {
	out := entry{
		ID: e.OperationID, Method: e.method, Path: e.path, Summary: e.Summary, Description: e.Description,
		Action: action(e.Operation), What: row.What, Who: who(row),
	}
	for _, p := range e.Parameters {
		out.Parameters = append(out.Parameters, field{Name: p.Name, Type: kind(doc, p.Schema) + ", " + p.In, About: p.Description, Required: p.Required})
	}
	if e.RequestBody != nil {
		if m := e.RequestBody.Content["application/json"]; m != nil {
			out.Body = fields(doc, m.Schema, 0)
		}
	}
	statuses := make([]string, 0, len(e.Responses))
	for status := range e.Responses {
		statuses = append(statuses, status)
	}
	slices.Sort(statuses)
	for _, status := range statuses {
		r := e.Responses[status]
		a := answered{Status: status, About: r.Description}
		if m := r.Content["application/json"]; m != nil {
			a.Fields = fields(doc, m.Schema, 0)
		}
		out.Answers = append(out.Answers, a)
	}
	return out
}

// who says in words who may do what a row of the table speaks of.
func who(row access.Row) []string {
	var out []string
	if len(row.Roles) > 0 {
		out = append(out, "in the tenant: "+roles(row.Roles))
	}
	if len(row.Within) > 0 {
		out = append(out, "in the workspace: "+roles(row.Within))
	}
	if row.Scope != 0 {
		out = append(out, "service token with the scope "+row.Scope.String())
	}
	if row.Root {
		out = append(out, "root token")
	}
	if row.Fresh != access.AnyTime {
		out = append(out, "sessions: "+row.Fresh.String())
	}
	return out
}

func roles(all []tenure.Role) string {
	words := make([]string, 0, len(all))
	for _, r := range all {
		words = append(words, string(r))
	}
	return strings.Join(words, ", ")
}

// deepest is how far into a body the page looks.
const deepest = 4

// fields lists the members of a schema, and theirs below them.
func fields(doc *huma.OpenAPI, s *huma.Schema, depth int) []field {
	s = resolve(doc, s)
	for s != nil && s.Items != nil {
		s = resolve(doc, s.Items)
	}
	if s == nil || depth > deepest {
		return nil
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []field
	for _, name := range names {
		p := s.Properties[name]
		about := p.Description
		if r := resolve(doc, p); about == "" && r != nil {
			about = r.Description
		}
		out = append(out, field{Name: name, Type: kind(doc, p), About: about, Required: slices.Contains(s.Required, name), Depth: depth})
		out = append(out, fields(doc, p, depth+1)...)
	}
	return out
}

// kind says in a word or two what a schema admits.
func kind(doc *huma.OpenAPI, s *huma.Schema) string {
	s = resolve(doc, s)
	switch {
	case s == nil:
		return ""
	case s.Items != nil:
		return "list of " + kind(doc, s.Items)
	case len(s.Enum) > 0:
		words := make([]string, 0, len(s.Enum))
		for _, v := range s.Enum {
			words = append(words, fmt.Sprint(v))
		}
		return strings.Join(words, " | ")
	case len(s.OneOf) > 0:
		words := make([]string, 0, len(s.OneOf))
		for _, one := range s.OneOf {
			words = append(words, kind(doc, one))
		}
		return strings.Join(words, " or ")
	case s.Format == "date-time":
		return "time"
	}
	return s.Type
}

// pages are the routes that show the document: to programs, and to people.
func pages(doc *huma.OpenAPI) []web.Route {
	document, failed := doc.MarshalJSON()
	shown, err := page(doc)
	if failed == nil {
		failed = err
	}
	static := func(pattern, kind string, body []byte) web.Route {
		return web.Route{Pattern: pattern, Action: tenure.Public, Fail: Fail, Handle: func(w http.ResponseWriter, _ *http.Request) error {
			if failed != nil {
				return failed
			}
			h := w.Header()
			h.Set("Content-Type", kind)
			h.Set("Content-Security-Policy", pagePolicy)
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cache-Control", "no-cache")
			_, err := w.Write(body)
			return err
		}}
	}
	return []web.Route{
		static("GET /api/openapi.json", "application/json", document),
		static("GET /api/docs", "text/html; charset=utf-8", shown),
		static("GET /api/docs.css", "text/css; charset=utf-8", pageStyle),
	}
}
