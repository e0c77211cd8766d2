package scim

import (
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Routes lists what is served below /scim/v2 (RFC 7644 §3.2). Each path is
// served with and without a slash at its end, and in lower case, as some
// clients write it.
func (s *SCIM) Routes() []web.Route {
	s.searches = make(chan struct{}, maxSearches)
	var routes []web.Route
	add := func(method, path string, action tenure.Action, handle func(http.ResponseWriter, *http.Request) error) {
		for _, p := range spellings(path) {
			routes = append(routes, web.Route{Pattern: method + " " + prefix + p, Action: action, Handle: handle, Fail: Fail})
		}
	}
	add(http.MethodPost, "/Users", tenure.ProvisionUser, s.createUser)
	add(http.MethodGet, "/Users", tenure.ReadSCIM, s.bounded(s.listUsers))
	add(http.MethodGet, "/Users/{id}", tenure.ReadSCIM, s.getUser)
	add(http.MethodPut, "/Users/{id}", tenure.UpdateUser, s.putUser)
	add(http.MethodPatch, "/Users/{id}", tenure.UpdateUser, s.patchUser)
	add(http.MethodDelete, "/Users/{id}", tenure.DeprovisionUser, s.deleteUser)
	add(http.MethodPost, "/Groups", tenure.CreateGroup, s.createGroup)
	add(http.MethodGet, "/Groups", tenure.ReadSCIM, s.bounded(s.listGroups))
	add(http.MethodGet, "/Groups/{id}", tenure.ReadSCIM, s.getGroup)
	add(http.MethodPut, "/Groups/{id}", tenure.UpdateGroup, s.putGroup)
	add(http.MethodPatch, "/Groups/{id}", tenure.UpdateGroup, s.patchGroup)
	add(http.MethodDelete, "/Groups/{id}", tenure.DeleteGroup, s.deleteGroup)
	add(http.MethodPost, "/Users/{id}", tenure.ReadSCIM, onlySearch(s.bounded(s.searchUsers)))
	add(http.MethodPost, "/Groups/{id}", tenure.ReadSCIM, onlySearch(s.bounded(s.searchGroups)))
	add(http.MethodPost, "/.search", tenure.ReadSCIM, s.bounded(s.searchAll))
	add(http.MethodPost, "/Bulk", tenure.BulkSCIM, s.bulk)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		add(method, "/Me", tenure.Unrouted, noMe)
	}
	add(http.MethodGet, "/ServiceProviderConfig", tenure.ReadSCIM, s.serviceProviderConfig)
	add(http.MethodGet, "/ResourceTypes", tenure.ReadSCIM, s.listResourceTypes)
	add(http.MethodGet, "/ResourceTypes/{id}", tenure.ReadSCIM, s.resourceType)
	add(http.MethodGet, "/Schemas", tenure.ReadSCIM, s.schemas)
	add(http.MethodGet, "/Schemas/{id}", tenure.ReadSCIM, s.schema)
	return append(routes, web.Route{Pattern: prefix + "/", Action: tenure.Unrouted, Handle: s.elsewhere, Fail: Fail})
}

// spellings are the ways in which a path may be written.
func spellings(path string) []string {
	out := []string{path, path + "/{$}"}
	if lower := strings.ToLower(path); lower != path {
		out = append(out, lower, lower+"/{$}")
	}
	return out
}

// noMe answers /Me as RFC 7644 §3.11 has it for those who do without: a connector
// is nobody in the directory.
func noMe(w http.ResponseWriter, _ *http.Request) error {
	web.WriteJSON(w, contentType, http.StatusNotImplemented, map[string]any{
		"schemas": []string{errorURN}, "status": "501", "detail": "/Me: not supported: a SCIM connector is no user",
	})
	return nil
}

// onlySearch takes the one POST that there is below an endpoint: ".search" stands
// where an id would.
func onlySearch(search func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.PathValue("id") == ".search" {
			return search(w, r)
		}
		w.Header().Set("Allow", "DELETE, GET, PATCH, PUT")
		return &tenure.Error{Kind: tenure.MethodNotAllowed, Code: "method_not_allowed", Msg: "POST is not allowed here; use DELETE, GET, PATCH or PUT"}
	}
}

// elsewhere answers a question to the root (RFC 7644 §3.4.2.1), and what nothing
// else does.
func (s *SCIM) elsewhere(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodGet && strings.TrimSuffix(r.URL.Path, "/") == prefix {
		return s.bounded(s.listAll)(w, r)
	}
	return &tenure.Error{
		Kind: tenure.NotFound, Code: "not_found", Field: "path",
		Msg: "no SCIM endpoint is at \"" + clip(r.URL.Path) + "\"; " + prefix + "/ResourceTypes lists what there is",
	}
}
