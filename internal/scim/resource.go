package scim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
)

// maxProfileBytes is the largest profile that many small changes may add up to.
const maxProfileBytes = 1 << 20

// timeLayout is how times are answered: xsd:dateTime in UTC (RFC 7643 §2.3.5).
const timeLayout = "2006-01-02T15:04:05.000Z"

// attributesOf gives a person's attributes as a resource, without those that
// the server makes. A profile that cannot be read, as only a hand at the
// database leaves one, is empty: it must not keep anybody from being deactivated.
func attributesOf(u tenure.User) map[string]any {
	m := map[string]any{}
	if json.Unmarshal(u.Profile, &m) != nil || m == nil {
		m = map[string]any{}
	}
	m["userName"], m["displayName"], m["externalId"], m["active"] = u.UserName, u.DisplayName, u.ExternalID, u.Active
	prune(m)
	return m
}

// setAttributes is the reverse of attributesOf. What the resource does not say
// of active and externalId stays as it is: a PUT without active reactivates
// nobody, and one without externalId parts nobody from their sign-in.
func setAttributes(u *tenure.User, m map[string]any) error {
	take := func(name string, otherwise string) string {
		s, ok := m[name].(string)
		delete(m, name)
		if !ok {
			return otherwise
		}
		return s
	}
	if active, ok := m["active"].(bool); ok {
		u.Active = active
	}
	delete(m, "active")
	u.UserName, u.DisplayName = take("userName", ""), take("displayName", "")
	u.ExternalID = take("externalId", u.ExternalID)
	profile, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if len(profile) > maxProfileBytes {
		return &tenure.Error{Kind: tenure.TooLarge, Msg: fmt.Sprintf("the resource: expected at most %d bytes in all", maxProfileBytes)}
	}
	u.Profile, u.Source = profile, tenure.SourceSCIM
	return nil
}

// patch changes a person by the operations of a PATCH (RFC 7644 §3.5.2).
func (c changes) patch(u *tenure.User) error {
	m := attributesOf(*u)
	hadExternalID := m["externalId"] != nil
	if err := c.apply(m); err != nil {
		return err
	}
	if hadExternalID && m["externalId"] == nil {
		m["externalId"] = "" // removed on purpose
	}
	return setAttributes(u, m)
}

// replace makes a person what a whole resource says (RFC 7644 §3.5.1).
func (c changes) replace(u *tenure.User) error {
	m := map[string]any{}
	if err := c.apply(m); err != nil {
		return err
	}
	return setAttributes(u, m)
}

// represent gives the resource of a person as it is answered, without anything
// null or empty.
func (s *SCIM) represent(r *http.Request, u tenure.User, groups []directory.Membership) map[string]any {
	m := attributesOf(u)
	schemas := []any{userURN}
	if m[enterpriseURN] != nil {
		schemas = append(schemas, enterpriseURN)
	}
	m["schemas"], m["id"] = schemas, string(u.ID)
	m["meta"] = s.meta(r, &userType, string(u.ID), u.CreatedAt, u.UpdatedAt, etagOf(u.Version, groups))
	if len(groups) > 0 {
		list := make([]any, len(groups))
		for i, g := range groups {
			list[i] = map[string]any{
				"value": string(g.Group), "$ref": s.location(r, groupType.endpoint, string(g.Group)), "display": g.DisplayName, "type": "direct",
			}
		}
		m["groups"] = list
	}
	return m
}

// meta is what the server says of a resource (RFC 7643 §3.1).
func (s *SCIM) meta(r *http.Request, t *resourceType, id string, created, updated time.Time, version string) map[string]any {
	return map[string]any{
		"resourceType": t.name, "created": stamp(created), "lastModified": stamp(updated),
		"location": s.location(r, t.endpoint, id), "version": version,
	}
}

func stamp(t time.Time) string { return t.UTC().Format(timeLayout) }
