package live

import (
	"github.com/tenure-gateway/tenure"
)

// Subject chooses flights by one of their owners.
type Subject func(*tenure.Standing) bool

// Token chooses the flights of one token.
func Token(id tenure.TokenID) Subject {
	return func(s *tenure.Standing) bool { return s.Token == id }
}

// User chooses the flights of one person.
func User(id tenure.UserID) Subject {
	return func(s *tenure.Standing) bool { return s.User == id }
}

// Session chooses the flights of one browser session.
func Session(id tenure.SessionID) Subject {
	return func(s *tenure.Standing) bool { return s.Session == id }
}

// Workspace chooses the flights of one workspace.
func Workspace(id tenure.WorkspaceID) Subject {
	return func(s *tenure.Standing) bool { return s.Workspace == id }
}

// Tenant chooses the flights of one tenant.
func Tenant(id tenure.TenantID) Subject {
	return func(s *tenure.Standing) bool { return s.Tenant == id }
}

// Connector chooses the flights of one SCIM connector.
func Connector(id tenure.ConnectorID) Subject {
	return func(s *tenure.Standing) bool { return s.Connector == id }
}

// Account chooses the flights of one service account.
func Account(id tenure.ServiceAccountID) Subject {
	return func(s *tenure.Standing) bool { return s.ServiceAccount == id }
}

func everything(*tenure.Standing) bool { return true }
