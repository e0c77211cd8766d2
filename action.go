package tenure

// Action is what is asked for. Every route names one; who may do which is
// the table in internal/access.
type Action string

// The actions, by the room that offers them.
const (
	// Public needs no credential.
	Public Action = "public"
	// Unrouted is asked of a path that is no route: it is refused to tokens of
	// the data plane and answered "not found" to everybody else who is known.
	Unrouted Action = "unrouted"

	ChatCompletions Action = "chat.completions"
	CreateMessage   Action = "messages.create"
	CountTokens     Action = "messages.count_tokens"
	ListModels      Action = "models.list"
	ReadModel       Action = "models.read"

	ReadSelf    Action = "me.read"
	ListTokens  Action = "tokens.list"
	MintToken   Action = "tokens.create"
	RevokeToken Action = "tokens.revoke"
	ListSession Action = "sessions.list"
	EndSession  Action = "sessions.end"
	ViewPages   Action = "pages.view"

	ListAllTokens   Action = "admin.tokens.list"
	RevokeAnyToken  Action = "admin.tokens.revoke"
	ListUsers       Action = "admin.users.list"
	ReadUser        Action = "admin.users.read"
	DeactivateUser  Action = "admin.users.deactivate"
	ReactivateUser  Action = "admin.users.reactivate"
	RevokeAll       Action = "admin.users.revoke_all"
	ListProviders   Action = "admin.providers.list"
	CreateProvider  Action = "admin.providers.create"
	DeleteProvider  Action = "admin.providers.delete"
	RotateRoot      Action = "admin.root_token.rotate"
	ReadHealth      Action = "admin.health.read"
	ReadSCIM        Action = "scim.read"
	ProvisionUser   Action = "scim.users.create"
	UpdateUser      Action = "scim.users.update"
	DeprovisionUser Action = "scim.users.delete"
	CreateGroup     Action = "scim.groups.create"
	UpdateGroup     Action = "scim.groups.update"
	DeleteGroup     Action = "scim.groups.delete"
	BulkSCIM        Action = "scim.bulk"
)
