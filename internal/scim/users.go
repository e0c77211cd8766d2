package scim

import (
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// createUser answers POST /Users (RFC 7644 §3.3).
func (s *SCIM) createUser(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, maxBodyBytes)
	if err != nil {
		return err
	}
	c, err := parseResource(&userType, body)
	if err != nil {
		return err
	}
	s.note(c)
	u := tenure.User{Active: true}
	if err := c.replace(&u); err != nil {
		return err
	}
	u, err = s.Directory.Provision(r.Context(), web.Principal(r.Context()), u)
	if err != nil {
		return err
	}
	w.Header().Set("Location", s.location(r, userType.endpoint, string(u.ID)))
	s.writeUser(w, r, http.StatusCreated, u, nil)
	return nil
}

// getUser answers GET /Users/{id} (RFC 7644 §3.4.1). An inactive person is there.
func (s *SCIM) getUser(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	u, err := s.Directory.User(r.Context(), web.Principal(r.Context()), tenure.UserID(id))
	if err != nil {
		return missing(err, &userType, id)
	}
	groups, err := s.groupsOf(r, u)
	if err != nil || unchanged(w, r, etagOf(u.Version, groups[u.ID])) {
		return err
	}
	s.writeUser(w, r, http.StatusOK, u, groups[u.ID])
	return nil
}

func (s *SCIM) writeUser(w http.ResponseWriter, r *http.Request, status int, u tenure.User, groups []directory.Membership) {
	w.Header().Set("ETag", etagOf(u.Version, groups))
	web.WriteJSON(w, contentType, status, viewOf(&userType, r.URL.Query()).of(s.represent(r, u, groups)))
}

// putUser answers PUT /Users/{id} (RFC 7644 §3.5.1).
func (s *SCIM) putUser(w http.ResponseWriter, r *http.Request) error {
	return s.changeUser(w, r, parseResource, changes.replace)
}

// patchUser answers PATCH /Users/{id} (RFC 7644 §3.5.2) with 200 and the resource.
func (s *SCIM) patchUser(w http.ResponseWriter, r *http.Request) error {
	return s.changeUser(w, r, parsePatch, changes.patch)
}

// changeUser changes a person in one transaction. When it has deactivated them,
// everything that they carried has ended before the answer is sent.
func (s *SCIM) changeUser(w http.ResponseWriter, r *http.Request,
	parse func(*resourceType, map[string]any) (changes, error), edit func(changes, *tenure.User) error,
) error {
	body, err := readBody(w, r, maxBodyBytes)
	if err != nil {
		return err
	}
	c, err := parse(&userType, body)
	if err != nil {
		return err
	}
	s.note(c)
	id, match := r.PathValue("id"), precondition(r)
	u, err := s.Directory.Update(r.Context(), web.Principal(r.Context()), tenure.UserID(id), func(u *tenure.User) error {
		if err := match(u.Version); err != nil {
			return err
		}
		return edit(c, u)
	})
	if err != nil {
		return missing(err, &userType, id)
	}
	groups, err := s.groupsOf(r, u)
	if err != nil {
		return err
	}
	s.writeUser(w, r, http.StatusOK, u, groups[u.ID])
	return nil
}

// deleteUser answers DELETE /Users/{id} (RFC 7644 §3.6).
func (s *SCIM) deleteUser(w http.ResponseWriter, r *http.Request) error {
	id, match := r.PathValue("id"), precondition(r)
	err := s.Directory.RemoveIf(r.Context(), web.Principal(r.Context()), tenure.UserID(id),
		func(u tenure.User) error { return match(u.Version) })
	if err != nil {
		return missing(err, &userType, id)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// missing says which resource was not found.
func missing(err error, t *resourceType, id string) error {
	if tenure.IsKind(err, tenure.NotFound) {
		return noResource(t, id)
	}
	return err
}
