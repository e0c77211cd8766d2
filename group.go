package tenure

import "time"

// GroupID names a group; the SCIM id of a group.
type GroupID string

// Group is a set of people, as an identity provider pushes it (RFC 7643 §4.2).
// Who is in it stands beside it, one row a member.
type Group struct {
	ID          GroupID
	Tenant      TenantID
	DisplayName string // as given; unique in the tenant without regard to case
	ExternalID  string // the provisioning client's own identifier (RFC 7643 §3.1)
	Profile     []byte // a JSON object: what has no field of its own here
	Version     int64  // grows with every change, also of the members
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// MemberChange is a change of a group's members. It is applied as a whole:
// whoever is in Add is a member afterwards, whoever is in Remove is not, and
// when Only is set, nobody is who is not in Add.
type MemberChange struct {
	Only   bool
	Add    []UserID
	Remove []UserID
}

// Empty reports whether the change asks for nothing.
func (c MemberChange) Empty() bool { return !c.Only && len(c.Add) == 0 && len(c.Remove) == 0 }
