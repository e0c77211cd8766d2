package tenure

// Action is what is asked for. Every route names one; who may do which is
// the table in internal/access.
type Action string

// The actions that are not judged by the table.
const (
	// Public needs no credential.
	Public Action = "public"
	// RevokeHeld is open to whoever holds the token that it ends (RFC 7009).
	RevokeHeld Action = "oauth.revoke"
	// Unrouted is asked of a path that is no route: it is refused to tokens of
	// the data plane and answered "not found" to everybody else who is known.
	Unrouted Action = "unrouted"
)

// The actions of the data plane, and of other gateways.
const (
	ChatCompletions Action = "chat.completions"
	CreateMessage   Action = "messages.create"
	CountTokens     Action = "messages.count_tokens"
	ListModels      Action = "models.list"
	ReadModel       Action = "models.read"
	CreateResponse  Action = "responses.create"
	CreateEmbedding Action = "embeddings.create"

	Introspect  Action = "oauth.introspect"
	CheckAccess Action = "auth.check"
)

// AsksModels reports whether an action is one of the model routes. They alone are
// open during an outage of the database, to tokens of workspaces that chose it.
func (a Action) AsksModels() bool {
	switch a {
	case ChatCompletions, CreateMessage, CountTokens, ListModels, ReadModel, CreateResponse, CreateEmbedding:
		return true
	}
	return false
}

// The actions on what is one's own.
const (
	ReadSelf     Action = "me.read"
	ListTokens   Action = "tokens.list"
	MintToken    Action = "tokens.create"
	RotateToken  Action = "tokens.rotate"
	RevokeToken  Action = "tokens.revoke"
	ListSession  Action = "sessions.list"
	EndSession   Action = "sessions.end"
	ListActivity Action = "activity.list"
	ReadOwnUsage Action = "usage.read"
	ReadTrust    Action = "trust.read"
	AskEvidence  Action = "trust.ask"
	ListNotices  Action = "notices.list"
	ReadNotice   Action = "notices.read"
	ViewPages    Action = "pages.view"

	// ConnectBeliefs is the one of beliefs that an access token may.
	ConnectBeliefs Action = "beliefs.connect"
	ReadBeliefs    Action = "beliefs.read"
	ChangeBeliefs  Action = "beliefs.change"
	EraseBeliefs   Action = "beliefs.erase"
)

// The actions in a workspace.
const (
	ListWorkspaces Action = "workspaces.list"
	ReadWorkspace  Action = "workspaces.read"
	ListMembers    Action = "workspaces.members.list"
	SetMember      Action = "workspaces.members.set"
	RemoveMember   Action = "workspaces.members.remove"

	ListAccounts     Action = "service_accounts.list"
	ReadAccount      Action = "service_accounts.read"
	CreateAccount    Action = "service_accounts.create"
	UpdateAccount    Action = "service_accounts.update"
	DeleteAccount    Action = "service_accounts.delete"
	MintServiceToken Action = "service_accounts.tokens.create"
	ListRequests     Action = "token_requests.list"
	WithdrawRequest  Action = "token_requests.withdraw"
	CollectRequest   Action = "token_requests.collect"

	ListExceptions    Action = "exceptions.list"
	AskException      Action = "exceptions.ask"
	AskAnyException   Action = "exceptions.ask_any"
	WithdrawException Action = "exceptions.withdraw"
	RemedyException   Action = "exceptions.remedy"
)

// The actions of administration.
const (
	ListAllTokens   Action = "admin.tokens.list"
	RevokeAnyToken  Action = "admin.tokens.revoke"
	RevokeTokens    Action = "admin.tokens.revoke_many"
	GrantScopes     Action = "admin.scopes.grant"
	DecideRequest   Action = "admin.token_requests.decide"
	ListUsers       Action = "admin.users.list"
	ReadUser        Action = "admin.users.read"
	ReportUser      Action = "admin.users.report"
	DeactivateUser  Action = "admin.users.deactivate"
	ReactivateUser  Action = "admin.users.reactivate"
	RevokeAll       Action = "admin.users.revoke_all"
	ListSessionsOf  Action = "admin.users.sessions.list"
	EndSessionsOf   Action = "admin.users.sessions.end"
	UnlinkUser      Action = "admin.users.unlink"
	SetUserRole     Action = "admin.users.set_role"
	CreateWorkspace Action = "admin.workspaces.create"
	UpdateWorkspace Action = "admin.workspaces.update"
	DeleteWorkspace Action = "admin.workspaces.delete"
	SetOutageGrace  Action = "admin.workspaces.set_outage_grace"
	ListMappings    Action = "admin.group_mappings.list"
	SetMapping      Action = "admin.group_mappings.set"
	RemoveMapping   Action = "admin.group_mappings.remove"
	ListProviders   Action = "admin.providers.list"
	CreateProvider  Action = "admin.providers.create"
	ChangeProvider  Action = "admin.providers.change"
	DeleteProvider  Action = "admin.providers.delete"
	ReadPolicy      Action = "admin.policy.read"
	SetPolicy       Action = "admin.policy.set"
	ReadAccess      Action = "admin.access.read"
	ReadAudit       Action = "admin.audit.read"
	ListAllNotices  Action = "admin.notices.list"
	ReadAnyNotice   Action = "admin.notices.read"
	MakeHookSecret  Action = "admin.webhook.secret"
	TestHook        Action = "admin.webhook.test"
	ListOIDC        Action = "admin.oidc_connections.list"
	CreateOIDC      Action = "admin.oidc_connections.create"
	DeleteOIDC      Action = "admin.oidc_connections.delete"
	RotateRoot      Action = "admin.root_token.rotate"
	ReadHealth      Action = "admin.health.read"
	ReadOverview    Action = "admin.overview.read"
	ReadUsage       Action = "admin.usage.read"
	CountBeliefs    Action = "admin.beliefs.count"
	ReadAnyBeliefs  Action = "admin.beliefs.read"
	SetExtraction   Action = "admin.workspaces.set_extraction"
	ListPrices      Action = "admin.prices.list"
	SetPrice        Action = "admin.prices.set"
	RemovePrice     Action = "admin.prices.remove"
	ListLimits      Action = "admin.limits.list"
	SetLimit        Action = "admin.limits.set"
	RemoveLimit     Action = "admin.limits.remove"
	ListStreams     Action = "admin.streams.list"
	CutStream       Action = "admin.streams.cut"
	CreateBackup    Action = "admin.backup.create"
	RestoreBackup   Action = "admin.backup.restore"
	VerifyAudit     Action = "admin.audit.verify"
	ListTrustAsks   Action = "admin.trust.list"
	CloseTrustAsk   Action = "admin.trust.close"
	ReviewTrust     Action = "admin.trust.review"
	RotateAuditKey  Action = "admin.audit.rotate_key"
	EraseAudit      Action = "admin.audit.erase"
	ListHolds       Action = "admin.audit.holds"
	PlaceHold       Action = "admin.audit.place_hold"
	ReleaseHold     Action = "admin.audit.release_hold"
	ExportEvidence  Action = "admin.evidence.export"
	ListSinks       Action = "admin.audit_sinks.list"
	CreateSink      Action = "admin.audit_sinks.create"
	ChangeSink      Action = "admin.audit_sinks.change"

	ListAllExceptions Action = "admin.exceptions.list"
	DecideException   Action = "admin.exceptions.decide"
	RevokeException   Action = "admin.exceptions.revoke"
)

// The actions of access reviews.
const (
	ListReviews     Action = "reviews.list"
	ReadReview      Action = "reviews.read"
	DecideReview    Action = "reviews.decide"
	EndReviewed     Action = "reviews.revoke"
	ReadAllReviews  Action = "admin.reviews.read"
	OpenReview      Action = "admin.reviews.open"
	DecideAnyReview Action = "admin.reviews.decide"
	ReassignReview  Action = "admin.reviews.reassign"
	CloseReview     Action = "admin.reviews.close"
)

// The actions of whoever runs the installation, at the command line only.
const (
	ListTenants   Action = "tenants.list"
	CreateTenant  Action = "tenants.create"
	SuspendTenant Action = "tenants.suspend"
	ResumeTenant  Action = "tenants.resume"
	ExportAudit   Action = "audit.export"
	// BeginAuditAnew makes another tree where the log's is broken.
	BeginAuditAnew Action = "audit.begin_anew"
)

// The actions of SCIM connectors.
const (
	ReadSCIM        Action = "scim.read"
	ProvisionUser   Action = "scim.users.create"
	UpdateUser      Action = "scim.users.update"
	DeprovisionUser Action = "scim.users.delete"
	CreateGroup     Action = "scim.groups.create"
	UpdateGroup     Action = "scim.groups.update"
	DeleteGroup     Action = "scim.groups.delete"
	BulkSCIM        Action = "scim.bulk"
)
