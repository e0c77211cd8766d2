package scim

import (
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Discovery (RFC 7644 §4) tells what works here, and nothing else.

// resourceTypes are all that are served.
func resourceTypes() []*resourceType { return []*resourceType{&userType, &groupType} }

// serviceProviderConfig answers GET /ServiceProviderConfig (RFC 7643 §5).
func (s *SCIM) serviceProviderConfig(w http.ResponseWriter, r *http.Request) error {
	if err := noFilter(r); err != nil {
		return err
	}
	yes, no := map[string]any{"supported": true}, map[string]any{"supported": false}
	web.WriteJSON(w, contentType, http.StatusOK, map[string]any{
		"schemas":        []string{configURN},
		"patch":          map[string]any{"supported": true},
		"bulk":           map[string]any{"supported": true, "maxOperations": maxBulkOperations, "maxPayloadSize": maxBulkBytes},
		"filter":         map[string]any{"supported": true, "maxResults": maxCount},
		"changePassword": no,
		"sort":           yes,
		"etag":           yes,
		"pagination": map[string]any{ // RFC 9865 §4
			"cursor": true, "index": true, "defaultPaginationMethod": "index",
			"defaultPageSize": defaultCount, "maxPageSize": maxCount, "cursorTimeout": int(cursorLife.Seconds()),
		},
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

// listResourceTypes answers GET /ResourceTypes (RFC 7643 §6).
func (s *SCIM) listResourceTypes(w http.ResponseWriter, r *http.Request) error {
	if err := noFilter(r); err != nil {
		return err
	}
	var all []any
	for _, t := range resourceTypes() {
		all = append(all, s.resourceTypeOf(r, t))
	}
	writeList(w, all, len(all), 1)
	return nil
}

// resourceType answers GET /ResourceTypes/{id}.
func (s *SCIM) resourceType(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	for _, t := range resourceTypes() {
		if strings.EqualFold(id, t.name) {
			web.WriteJSON(w, contentType, http.StatusOK, s.resourceTypeOf(r, t))
			return nil
		}
	}
	return noDocument("resource type", id)
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
	for _, t := range resourceTypes() {
		for i := range t.schemas {
			all = append(all, s.schemaOf(r, &t.schemas[i]))
		}
	}
	writeList(w, all, len(all), 1)
	return nil
}

// schema answers GET /Schemas/{id}.
func (s *SCIM) schema(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	for _, t := range resourceTypes() {
		for i := range t.schemas {
			if x := &t.schemas[i]; strings.EqualFold(id, x.id) {
				web.WriteJSON(w, contentType, http.StatusOK, s.schemaOf(r, x))
				return nil
			}
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
