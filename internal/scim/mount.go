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
	var routes []web.Route
	add := func(method, path string, action tenure.Action, handle func(http.ResponseWriter, *http.Request) error) {
		for _, p := range spellings(path) {
			routes = append(routes, web.Route{Pattern: method + " " + prefix + p, Action: action, Handle: handle, Fail: Fail})
		}
	}
	add(http.MethodPost, "/Users", tenure.ProvisionUser, s.createUser)
	add(http.MethodGet, "/Users", tenure.ReadSCIM, s.listUsers)
	add(http.MethodGet, "/Users/{id}", tenure.ReadSCIM, s.getUser)
	add(http.MethodPut, "/Users/{id}", tenure.UpdateUser, s.putUser)
	add(http.MethodPatch, "/Users/{id}", tenure.UpdateUser, s.patchUser)
	add(http.MethodDelete, "/Users/{id}", tenure.DeprovisionUser, s.deleteUser)
	add(http.MethodGet, "/ServiceProviderConfig", tenure.ReadSCIM, s.serviceProviderConfig)
	add(http.MethodGet, "/ResourceTypes", tenure.ReadSCIM, s.resourceTypes)
	add(http.MethodGet, "/ResourceTypes/{id}", tenure.ReadSCIM, s.resourceType)
	add(http.MethodGet, "/Schemas", tenure.ReadSCIM, s.schemas)
	add(http.MethodGet, "/Schemas/{id}", tenure.ReadSCIM, s.schema)
	return append(routes, web.Route{Pattern: prefix + "/", Action: tenure.Unrouted, Handle: noEndpoint, Fail: Fail})
}

// spellings are the ways in which a path may be written.
func spellings(path string) []string {
	out := []string{path, path + "/{$}"}
	if lower := strings.ToLower(path); lower != path {
		out = append(out, lower, lower+"/{$}")
	}
	return out
}

// noEndpoint answers what nothing else does.
func noEndpoint(_ http.ResponseWriter, r *http.Request) error {
	return &tenure.Error{
		Kind: tenure.NotFound, Code: "not_found", Field: "path",
		Msg: "no SCIM endpoint is at \"" + clip(r.URL.Path) + "\"; " + prefix + "/ResourceTypes lists what there is",
	}
}
