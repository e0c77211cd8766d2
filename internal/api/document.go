package api

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
)

// Names of the security schemes in the document.
const (
	bySession  = "session"
	byIdentity = "asserted_identity"
	byBearer   = "bearer"
)

// An endpoint is an operation of the document, and where it is.
type endpoint struct {
	method, path string
	*huma.Operation
}

// endpoints lists the operations of a document in the order of their paths.
func endpoints(doc *huma.OpenAPI) []endpoint {
	var out []endpoint
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		item := doc.Paths[path]
		for _, e := range [...]endpoint{
			{http.MethodGet, path, item.Get},
			{http.MethodPost, path, item.Post},
			{http.MethodPut, path, item.Put},
			{http.MethodPatch, path, item.Patch},
			{http.MethodDelete, path, item.Delete},
		} {
			if e.Operation != nil {
				out = append(out, e)
			}
		}
	}
	return out
}

// complete puts into the document what no single operation says: who may, by
// which credential, and how each is refused.
func complete(doc *huma.OpenAPI) {
	if doc.Components.SecuritySchemes == nil {
		doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{}
	}
	maps.Copy(doc.Components.SecuritySchemes, map[string]*huma.SecurityScheme{
		bySession:  {Type: "apiKey", In: "cookie", Name: "__Host-tenure", Description: "A signed-in browser's session; on plain HTTP from the same machine the cookie is called tenure"},
		byIdentity: {Type: "apiKey", In: "header", Name: "X-User-Id", Description: "The userName that the trusted proxy asserts; OIDC_PROXY_HEADER names the header"},
		byBearer:   {Type: "http", Scheme: "bearer", Description: "The root token, or a service token with the scope of administration that the operation names. A personal access token opens nothing here"},
	})
	rows := map[string]access.Row{}
	for _, row := range access.Matrix() {
		rows[string(row.Action)] = row
	}
	problem := doc.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for _, e := range endpoints(doc) {
		row := rows[action(e.Operation)]
		e.Security = []map[string][]string{}
		if len(row.Roles)+len(row.Within) > 0 {
			e.Security = append(e.Security, map[string][]string{bySession: {}}, map[string][]string{byIdentity: {}})
		}
		if row.Root || row.Scope&tenure.AdminScopes != 0 {
			e.Security = append(e.Security, map[string][]string{byBearer: (row.Scope & tenure.AdminScopes).Names()})
		}
		delete(e.Responses, "default")
		for status, why := range refusals(e) {
			e.Responses[strconv.Itoa(status)] = &huma.Response{
				Description: why, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
			}
		}
		if creates(*e.Operation) {
			describeReplay(doc, e)
		}
	}
	schemas := doc.Components.Schemas.Map()
	delete(schemas, "ErrorModel") // the errors of the library, which nobody is answered
	delete(schemas, "ErrorDetail")
}

// action is what an operation asks for.
func action(op *huma.Operation) string {
	name, _ := op.Extensions["x-tenure-action"].(string)
	return name
}

// refusals says by which errors an operation is answered, beside those of the
// server.
func refusals(e endpoint) map[int]string {
	out := map[int]string{
		http.StatusBadRequest:          "Two credentials, a token in the URL, or a body that is no JSON",
		http.StatusUnauthorized:        "No live credential",
		http.StatusForbidden:           "A live credential that may not do this",
		http.StatusTooManyRequests:     "Too many requests; Retry-After says when to come again",
		http.StatusInternalServerError: "A fault of Tenure",
		http.StatusServiceUnavailable:  "It cannot be known or stored now; Retry-After says when to come again",
	}
	if strings.Contains(e.path, "{") {
		out[http.StatusNotFound] = "There is none, or it is not the asker's"
	}
	if len(e.Parameters) > 0 || e.RequestBody != nil {
		out[http.StatusUnprocessableEntity] = "A field is wrong; errors says which"
	}
	if e.method != http.MethodGet {
		out[http.StatusConflict] = "It clashes with what is there"
	}
	if e.RequestBody != nil {
		out[http.StatusRequestEntityTooLarge] = "The body is too large"
		out[http.StatusUnsupportedMediaType] = "The body is not application/json"
	}
	return out
}

// describeReplay tells how a creation is answered when it is repeated.
func describeReplay(doc *huma.OpenAPI, e endpoint) {
	flag := func(name, about string) map[string]*huma.Param {
		return map[string]*huma.Param{name: {Description: about, Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	made := e.Responses[strconv.Itoa(e.DefaultStatus)]
	replayed := flag(replayedHeader, "\"true\": this is what an earlier request with the same "+keyHeader+" was answered")
	if made.Headers == nil {
		made.Headers = map[string]*huma.Header{}
	}
	maps.Copy(made.Headers, replayed)
	json := made.Content["application/json"]
	if json == nil {
		return
	}
	schema := resolve(doc, json.Schema)
	if schema == nil || schema.Properties["token"] == nil {
		return
	}
	again := flag(secretHeader, "\"omitted\": the member token was shown once")
	maps.Copy(again, replayed)
	e.Responses["200"] = &huma.Response{Description: "Made before under the same " + keyHeader + "; without the member token", Headers: again, Content: made.Content}
}

// resolve gives the schema that a reference stands for.
func resolve(doc *huma.OpenAPI, s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return doc.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}
