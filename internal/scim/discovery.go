package scim

import (
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Discovery (RFC 7644 §4) tells what works here, and nothing else.

// serviceProviderConfig answers GET /ServiceProviderConfig (RFC 7643 §5).
func (s *SCIM) serviceProviderConfig(w http.ResponseWriter, r *http.Request) error {
	if err := noFilter(r); err != nil {
		return err
	}
	no := map[string]any{"supported": false}
	web.WriteJSON(w, contentType, http.StatusOK, map[string]any{
		"schemas":        []string{configURN},
		"patch":          map[string]any{"supported": true},
		"bulk":           map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter":         map[string]any{"supported": true, "maxResults": maxCount},
		"changePassword": no,
		"sort":           no,
		"etag":           no,
		"authenticationSchemes": []any{map[string]any{
			"type": "oauthbearertoken", "name": "Bearer token", "primary": true,
			"description": "The SCIM connector's token, as \"Authorization: Bearer …\"",
			"specUri":     "https://www.rfc-editor.org/info/rfc6750",
		}},
		"meta": map[string]any{
			"resourceType": "ServiceProviderConfig",
			"location":     s.location(r, "/ServiceProviderConfig", ""),
		},
	})
	return nil
}

// resourceTypes answers GET /ResourceTypes (RFC 7643 §6).
func (s *SCIM) resourceTypes(w http.ResponseWriter, r *http.Request) error {
	if err := noFilter(r); err != nil {
		return err
	}
	all := []any{s.resourceTypeOf(r, &userType)}
	writeList(w, all, len(all), 1)
	return nil
}

// resourceType answers GET /ResourceTypes/{id}.
func (s *SCIM) resourceType(w http.ResponseWriter, r *http.Request) error {
	if id := r.PathValue("id"); !strings.EqualFold(id, userType.name) {
		return noDocument("resource type", id)
	}
	web.WriteJSON(w, contentType, http.StatusOK, s.resourceTypeOf(r, &userType))
	return nil
}

func (s *SCIM) resourceTypeOf(r *http.Request, t *resourceType) map[string]any {
	m := map[string]any{
		"schemas": []string{resourceTypeURN}, "id": t.name, "name": t.name, "description": t.about,
		"endpoint": t.endpoint, "schema": t.core(),
		"meta": map[string]any{"resourceType": "ResourceType", "location": s.location(r, "/ResourceTypes", t.name)},
	}
	var extensions []any
	for _, x := range t.schemas[1:] {
		extensions = append(extensions, map[string]any{"schema": x.id, "required": false})
	}
	if len(extensions) > 0 {
		m["schemaExtensions"] = extensions
	}
	return m
}

// schemas answers GET /Schemas (RFC 7643 §7).
func (s *SCIM) schemas(w http.ResponseWriter, r *http.Request) error {
	if err := noFilter(r); err != nil {
		return err
	}
	var all []any
	for i := range userType.schemas {
		all = append(all, s.schemaOf(r, &userType.schemas[i]))
	}
	writeList(w, all, len(all), 1)
	return nil
}

// schema answers GET /Schemas/{id}.
func (s *SCIM) schema(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	for i := range userType.schemas {
		if x := &userType.schemas[i]; strings.EqualFold(id, x.id) {
			web.WriteJSON(w, contentType, http.StatusOK, s.schemaOf(r, x))
			return nil
		}
	}
	return noDocument("schema", id)
}

func (s *SCIM) schemaOf(r *http.Request, x *schema) map[string]any {
	return map[string]any{
		"schemas": []string{schemaURN}, "id": x.id, "name": x.name, "description": x.about,
		"attributes": publishAll(x.attributes),
		"meta":       map[string]any{"resourceType": "Schema", "location": s.location(r, "/Schemas", x.id)},
	}
}

// noFilter refuses a filter, which discovery does not have (RFC 7644 §4); all
// other parameters are ignored.
func noFilter(r *http.Request) error {
	if r.URL.Query().Has("filter") {
		return &tenure.Error{
			Kind: tenure.Forbidden, Code: "no_filter", Field: "filter",
			Msg: "filter: expected none: discovery cannot be filtered",
		}
	}
	return nil
}

func noDocument(what, id string) error {
	return &tenure.Error{Kind: tenure.NotFound, Code: "not_found", Msg: "no " + what + " has the id \"" + clip(id) + "\""}
}
