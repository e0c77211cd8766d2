package scim

import (
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// createGroup answers POST /Groups (RFC 7644 §3.3).
func (s *SCIM) createGroup(w http.ResponseWriter, r *http.Request) error {
	c, members, err := s.groupChanges(w, r, parseResource)
	if err != nil {
		return err
	}
	var g tenure.Group
	if err := c.group(&g, true); err != nil {
		return err
	}
	g, err = s.Directory.CreateGroup(r.Context(), web.Principal(r.Context()), g, members)
	if err != nil {
		return err
	}
	w.Header().Set("Location", s.location(r, groupType.endpoint, string(g.ID)))
	return s.writeGroup(w, r, http.StatusCreated, g)
}

// groupChanges reads a body that is about a group.
func (s *SCIM) groupChanges(w http.ResponseWriter, r *http.Request,
	parse func(*resourceType, map[string]any) (changes, error),
) (changes, tenure.MemberChange, error) {
	body, err := readBody(w, r, maxBodyBytes)
	if err != nil {
		return changes{}, tenure.MemberChange{}, err
	}
	c, err := parse(&groupType, body)
	if err != nil {
		return changes{}, tenure.MemberChange{}, err
	}
	s.note(c)
	members, rest, err := c.members()
	return rest, members, err
}

// group changes what a group has besides its members; whole makes it what the
// changes say, but leaves externalId if they say nothing of it, as with people.
func (c changes) group(g *tenure.Group, whole bool) error {
	m := map[string]any{"displayName": g.DisplayName, "externalId": g.ExternalID}
	had := g.ExternalID
	if whole {
		clear(m)
	}
	if err := c.apply(m); err != nil {
		return err
	}
	g.DisplayName, _ = m["displayName"].(string)
	if id, ok := m["externalId"].(string); ok || !whole {
		g.ExternalID = id
	} else {
		g.ExternalID = had
	}
	return nil
}

// getGroup answers GET /Groups/{id} (RFC 7644 §3.4.1).
func (s *SCIM) getGroup(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	g, err := s.Directory.Group(r.Context(), web.Principal(r.Context()), tenure.GroupID(id))
	if err != nil {
		return missing(err, &groupType, id)
	}
	if unchanged(w, r, etagOf(g.Version, nil)) {
		return nil
	}
	return s.writeGroup(w, r, http.StatusOK, g)
}

func (s *SCIM) writeGroup(w http.ResponseWriter, r *http.Request, status int, g tenure.Group) error {
	v := viewOf(&groupType, r.URL.Query())
	shown, err := s.groups(r, v, g)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etagOf(g.Version, nil))
	web.WriteJSON(w, contentType, status, v.of(shown[0]))
	return nil
}

// putGroup answers PUT /Groups/{id} (RFC 7644 §3.5.1). A group without members
// in the body has none afterwards: a leaver must not stay because an empty list
// was left out.
func (s *SCIM) putGroup(w http.ResponseWriter, r *http.Request) error {
	g, err := s.changeGroup(w, r, true)
	if err != nil {
		return err
	}
	return s.writeGroup(w, r, http.StatusOK, g)
}

// patchGroup answers PATCH /Groups/{id} (RFC 7644 §3.5.2): 204, or 200 with the
// resource when attributes are asked for.
func (s *SCIM) patchGroup(w http.ResponseWriter, r *http.Request) error {
	g, err := s.changeGroup(w, r, false)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("attributes") != "" {
		return s.writeGroup(w, r, http.StatusOK, g)
	}
	w.Header().Set("ETag", etagOf(g.Version, nil))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *SCIM) changeGroup(w http.ResponseWriter, r *http.Request, whole bool) (tenure.Group, error) {
	parse := parsePatch
	if whole {
		parse = parseResource
	}
	c, members, err := s.groupChanges(w, r, parse)
	if err != nil {
		return tenure.Group{}, err
	}
	members.Only = members.Only || whole
	id, match := r.PathValue("id"), precondition(r)
	g, err := s.Directory.UpdateGroup(r.Context(), web.Principal(r.Context()), tenure.GroupID(id), func(g *tenure.Group) error {
		if err := match(g.Version); err != nil {
			return err
		}
		return c.group(g, whole)
	}, members)
	return g, missing(err, &groupType, id)
}

// deleteGroup answers DELETE /Groups/{id} (RFC 7644 §3.6).
func (s *SCIM) deleteGroup(w http.ResponseWriter, r *http.Request) error {
	id, match := r.PathValue("id"), precondition(r)
	err := s.Directory.DeleteGroup(r.Context(), web.Principal(r.Context()), tenure.GroupID(id),
		func(g tenure.Group) error { return match(g.Version) })
	if err != nil {
		return missing(err, &groupType, id)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// groups gives the resources of groups. Members are read if the view shows them.
func (s *SCIM) groups(r *http.Request, v view, groups ...tenure.Group) ([]map[string]any, error) {
	members := map[tenure.GroupID][]any{}
	if v.shows(membersAttribute) {
		ids := make([]tenure.GroupID, len(groups))
		for i, g := range groups {
			ids[i] = g.ID
		}
		rows, err := s.Directory.MembersOf(r.Context(), web.Principal(r.Context()), ids...)
		if err != nil {
			return nil, err
		}
		at := s.location(r, userType.endpoint, "") + "/"
		for _, m := range rows {
			members[m.Group] = append(members[m.Group], map[string]any{"value": string(m.User), "$ref": at + string(m.User), "type": userType.name})
		}
	}
	out := make([]map[string]any, len(groups))
	for i, g := range groups {
		out[i] = map[string]any{
			"schemas": []any{groupURN}, "id": string(g.ID), "displayName": g.DisplayName, "externalId": g.ExternalID,
			"members": members[g.ID],
			"meta":    s.meta(r, &groupType, string(g.ID), g.CreatedAt, g.UpdatedAt, etagOf(g.Version, nil)),
		}
		prune(out[i])
	}
	return out, nil
}

// groupsOf gives the groups of people, by person.
func (s *SCIM) groupsOf(r *http.Request, users ...tenure.User) (map[tenure.UserID][]directory.Membership, error) {
	ids := make([]tenure.UserID, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	rows, err := s.Directory.GroupsOf(r.Context(), web.Principal(r.Context()), ids...)
	out := map[tenure.UserID][]directory.Membership{}
	for _, m := range rows {
		out[m.User] = append(out[m.User], m)
	}
	return out, err
}
