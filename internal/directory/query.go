package directory

import "github.com/tenure-gateway/tenure/internal/store"

// What a list of people or groups is asked for by: see internal/store.
type (
	// GroupFilter chooses groups.
	GroupFilter = store.GroupFilter
	// Cond is a condition on people or groups.
	Cond = store.Cond
	// CondOp is what a Cond does.
	CondOp = store.CondOp
	// Order says in which order a list comes.
	Order = store.Order
	// Place is where a list goes on.
	Place = store.Place
	// Membership is one person in one group.
	Membership = store.Membership
)

// The words of a Cond.
const (
	CondTrue         = store.CondTrue
	CondFalse        = store.CondFalse
	CondAnd          = store.CondAnd
	CondOr           = store.CondOr
	CondNot          = store.CondNot
	CondAny          = store.CondAny
	CondPresent      = store.CondPresent
	CondEqual        = store.CondEqual
	CondContains     = store.CondContains
	CondStarts       = store.CondStarts
	CondEnds         = store.CondEnds
	CondGreater      = store.CondGreater
	CondGreaterEqual = store.CondGreaterEqual
	CondLess         = store.CondLess
	CondLessEqual    = store.CondLessEqual

	FieldID          = store.FieldID
	FieldUserName    = store.FieldUserName
	FieldDisplayName = store.FieldDisplayName
	FieldExternalID  = store.FieldExternalID
	FieldActive      = store.FieldActive
	FieldCreated     = store.FieldCreated
	FieldUpdated     = store.FieldUpdated
	FieldValue       = store.FieldValue
	FieldType        = store.FieldType
	RelationEmails   = store.RelationEmails
	RelationGroups   = store.RelationGroups
	RelationMembers  = store.RelationMembers
)
