// Package scim is the SCIM 2.0 service provider (RFC 7643, RFC 7644): it turns
// what an identity provider sends into acts of internal/directory. It owns the
// schemas, the grammar of filters and paths, and the one normaliser through
// which every spelling of a change passes.
//
// It keeps nothing, ends no access and writes no audit event: the directory does
// all three, in one transaction, before an answer is sent. It does not know how
// a connector is authenticated.
//
// An attribute that has a field of its own in tenure.User (userName,
// displayName, externalId, active) is kept there and nowhere else; Profile holds
// the rest of the resource, in the canonical spelling of the schema, with values
// as they were sent. Passwords, groups, id, schemas and meta are never in it.
package scim

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
)

// prefix is where the service provider is mounted.
const prefix = "/scim/v2"

// SCIM is the edge that identity providers speak to. Its fields are set before
// Routes is called.
type SCIM struct {
	Directory *directory.Directory
	// Base gives the public URL of Tenure as the caller reaches it, without
	// "/scim/v2": "https://tenure.example.com".
	Base func(*http.Request) string
	// Dropped is told how many attributes of a request no schema knows. It may
	// be nil.
	Dropped func(count int)

	searches chan struct{} // a place for each list or search that is under way
}

// maxSearches is how many lists and searches are served at once. What changes
// somebody is never refused for this: a deactivation must not wait.
const maxSearches = 16

// bounded serves a list or a search if there is a place for it, and asks to come
// again if there is none (RFC 6585 §4).
func (s *SCIM) bounded(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		select {
		case s.searches <- struct{}{}:
			defer func() { <-s.searches }()
			return serve(w, r)
		default:
			return &tenure.Error{
				Kind: tenure.TooMany, Code: "too_many_searches", RetryAfter: time.Second,
				Msg: "too many lists and searches at once; try again in a second (changes are never held up by this)",
			}
		}
	}
}

// location is the URL of an endpoint, or of a resource there (RFC 7643 §3.1).
func (s *SCIM) location(r *http.Request, endpoint, id string) string {
	u := strings.TrimSuffix(s.Base(r), "/") + prefix + endpoint
	if id != "" {
		u += "/" + url.PathEscape(id)
	}
	return u
}

// note counts what was dropped.
func (s *SCIM) note(c changes) {
	if s.Dropped != nil && c.dropped > 0 {
		s.Dropped(c.dropped)
	}
}

func noResource(t *resourceType, id string) error {
	return &tenure.Error{Kind: tenure.NotFound, Code: "not_found", Msg: "no " + t.name + " has the id \"" + clip(id) + "\""}
}
