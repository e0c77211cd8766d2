package access

import "github.com/tenure-gateway/tenure"

// rule says who may do one action.
type rule struct {
	// what the action is, for people.
	what string
	// scope opens the action to tokens that carry it: one of the data plane to
	// tokens whose owner's role in the token's workspace is one of workspaceUsers,
	// one of administration to tokens of service accounts.
	scope tenure.Scopes
	// roles opens it to people signed in (by session or asserted identity) with
	// one of these roles in the tenant.
	roles []tenure.Role
	// within opens it to people signed in with one of these roles in the
	// workspace that the thing lies in.
	within []tenure.Role
	// scim opens it to SCIM connectors.
	scim bool
	// noRoot closes it to the root token, which may do all else.
	noRoot bool
	// home closes it to every tenant but the default one: it is about the whole
	// installation, not about a tenant.
	home bool
	// everyone opens it to every principal that is not a token.
	everyone bool
	// fresh is how recently people must have shown who they are.
	fresh Freshness
}

// Freshness is how recently somebody signed in must have shown who they are.
type Freshness uint8

// The degrees of freshness.
const (
	// AnyTime asks for nothing beyond a session that lives.
	AnyTime Freshness = iota
	// NotIdle asks for a session that was used within the policy admin_idle.
	NotIdle
	// Recent asks for a sign-in, or an assertion by the proxy, within the policy
	// reauth.
	Recent
)

// String is the word of the table: the key of the policy that says how long.
func (f Freshness) String() string {
	switch f {
	case NotIdle:
		return "admin_idle"
	case Recent:
		return "reauth"
	case AnyTime:
	}
	return ""
}

// Sets of roles that recur in the table. They are never modified.
var (
	anyone  = []tenure.Role{tenure.SuperAdmin, tenure.Admin, tenure.Auditor, tenure.Member}
	readers = []tenure.Role{tenure.SuperAdmin, tenure.Admin, tenure.Auditor}
	admins  = []tenure.Role{tenure.SuperAdmin, tenure.Admin}
	supers  = []tenure.Role{tenure.SuperAdmin}
	// users of models in a workspace; a viewer looks only.
	workspaceUsers = []tenure.Role{tenure.WorkspaceAdmin, tenure.Member}
	insiders       = []tenure.Role{tenure.WorkspaceAdmin, tenure.Member, tenure.Viewer}
	heads          = []tenure.Role{tenure.WorkspaceAdmin}
	// deciders are all but auditors, who change nothing.
	deciders = []tenure.Role{tenure.SuperAdmin, tenure.Admin, tenure.Member}
)

// rules is the whole truth.
var rules = map[tenure.Action]rule{
	tenure.Unrouted: {what: "ask for what is no route", everyone: true},

	// The data plane, and other gateways.
	tenure.ChatCompletions: {what: "ask a model by OpenAI's chat completions", scope: tenure.ScopeChat},
	tenure.CreateMessage:   {what: "ask a model by Anthropic's messages", scope: tenure.ScopeMessages},
	tenure.CountTokens:     {what: "count the tokens of a message", scope: tenure.ScopeMessages},
	tenure.ListModels:      {what: "list the models of the workspace", scope: tenure.ScopeModels},
	tenure.ReadModel:       {what: "read about one model", scope: tenure.ScopeModels},
	tenure.CreateResponse:  {what: "ask a model by OpenAI's responses; where the policy opens it", scope: tenure.ScopeResponses},
	tenure.CreateEmbedding: {what: "make embeddings; where the policy opens it", scope: tenure.ScopeEmbeddings},
	tenure.Introspect:      {what: "ask what a token is good for (RFC 7662)", scope: tenure.ScopeIntrospect},
	tenure.CheckAccess:     {what: "ask for another gateway whether a request may pass", scope: tenure.ScopeIntrospect},

	// What is one's own.
	tenure.ReadSelf:     {what: "see who one is", roles: anyone},
	tenure.ViewPages:    {what: "open the dashboard", roles: anyone},
	tenure.ListTokens:   {what: "list one's own tokens", roles: anyone},
	tenure.MintToken:    {what: "make a personal access token, where the policy lets one's role in the workspace", roles: anyone, noRoot: true}, // it needs a person
	tenure.RotateToken:  {what: "give a token a new secret: one's own, or a service token that one may mint", roles: anyone},
	tenure.RevokeToken:  {what: "revoke one's own token", roles: anyone},
	tenure.ListSession:  {what: "list one's own sessions", roles: anyone},
	tenure.EndSession:   {what: "end one's own session", roles: anyone},
	tenure.ReadOwnUsage: {what: "see what models used by one's own tokens", roles: anyone},
	tenure.ReadTrust:    {what: "read the trust page, where the policy has one", roles: anyone},
	tenure.AskEvidence:  {what: "ask for evidence on the trust page", roles: anyone},
	tenure.ListActivity: {what: "list what one did, and what was done to what is one's own", roles: anyone},
	tenure.ListNotices:  {what: "list notices to oneself", roles: anyone},
	tenure.ReadNotice:   {what: "mark a notice as read", roles: anyone},

	tenure.ConnectBeliefs: {what: "open the WebSocket of one's own beliefs", scope: tenure.ScopeBeliefs, roles: anyone},
	tenure.ReadBeliefs:    {what: "read one's own beliefs", roles: anyone},
	tenure.ChangeBeliefs:  {what: "record, change and delete one's own beliefs, and say when some are drawn out of turns", roles: anyone},
	tenure.EraseBeliefs:   {what: "erase all of one's own beliefs", roles: anyone, fresh: Recent},

	// In a workspace.
	tenure.ListWorkspaces: {what: "list workspaces: one's own, or all for those who may read all", roles: anyone, scope: tenure.ScopeWorkspacesRead},
	tenure.ReadWorkspace:  {what: "read about a workspace", roles: readers, within: insiders, scope: tenure.ScopeWorkspacesRead},
	tenure.ListMembers:    {what: "list the members of a workspace", roles: readers, within: insiders, scope: tenure.ScopeWorkspacesRead},
	tenure.SetMember:      {what: "make somebody a member of a workspace, or change their role there", roles: admins, within: heads, scope: tenure.ScopeMembersWrite, fresh: Recent},
	tenure.RemoveMember:   {what: "take somebody out of a workspace", roles: admins, within: heads, scope: tenure.ScopeMembersWrite, fresh: NotIdle},

	tenure.ListAccounts:      {what: "list service accounts", roles: readers, within: heads, scope: tenure.ScopeTokensRead},
	tenure.ReadAccount:       {what: "read about a service account", roles: readers, within: heads, scope: tenure.ScopeTokensRead},
	tenure.CreateAccount:     {what: "make a service account", roles: admins, within: heads, fresh: NotIdle},
	tenure.UpdateAccount:     {what: "change a service account: owner, description, end date", roles: admins, within: heads, fresh: NotIdle},
	tenure.DeleteAccount:     {what: "end a service account and its tokens", roles: admins, within: heads, fresh: NotIdle},
	tenure.MintServiceToken:  {what: "make, or ask for, a token of a service account", roles: admins, within: heads, fresh: NotIdle},
	tenure.ListRequests:      {what: "list requests for tokens: one's own, or all for those who may read all", roles: anyone},
	tenure.WithdrawRequest:   {what: "withdraw one's own request for a token", roles: anyone},
	tenure.CollectRequest:    {what: "collect the token of one's own approved request", roles: anyone, fresh: NotIdle},
	tenure.ListExceptions:    {what: "list exceptions: those that one asked for, owns, or has in a workspace that one heads, or all for those who may read all", roles: anyone},
	tenure.AskException:      {what: "ask for an exception for oneself, or for its renewal", roles: anyone, fresh: NotIdle},
	tenure.AskAnyException:   {what: "ask for an exception for something else: of the tenant, or of the workspace that one heads", roles: admins, within: heads, fresh: NotIdle},
	tenure.WithdrawException: {what: "withdraw an exception that one asked for", roles: anyone},
	tenure.RemedyException:   {what: "say that the remedy is made of an exception that one owns: it ends", roles: anyone},

	// Administration.
	tenure.ListAllTokens:   {what: "list anybody's tokens", roles: readers, scope: tenure.ScopeTokensRead},
	tenure.RevokeAnyToken:  {what: "revoke anybody's token", roles: admins, scope: tenure.ScopeTokensRevoke, fresh: NotIdle},
	tenure.RevokeTokens:    {what: "revoke many tokens at once", roles: admins, scope: tenure.ScopeTokensRevoke, fresh: NotIdle},
	tenure.GrantScopes:     {what: "grant scopes of administration to a service token", roles: supers, fresh: Recent},
	tenure.DecideRequest:   {what: "approve or reject somebody else's request for a token", roles: supers, fresh: Recent},
	tenure.ListUsers:       {what: "list people", roles: readers, scope: tenure.ScopeUsersRead},
	tenure.ReadUser:        {what: "read about a person", roles: readers, scope: tenure.ScopeUsersRead},
	tenure.ReportUser:      {what: "get the report of everything that a person has or had", roles: readers, scope: tenure.ScopeReportsRead},
	tenure.DeactivateUser:  {what: "end a person's access", roles: admins, scope: tenure.ScopeUsersDeactivate, fresh: NotIdle},
	tenure.ReactivateUser:  {what: "let a person sign in again", roles: admins, fresh: NotIdle},
	tenure.RevokeAll:       {what: "end everything that a person carries", roles: admins, scope: tenure.ScopeUsersDeactivate, fresh: NotIdle},
	tenure.ListSessionsOf:  {what: "list a person's open sessions", roles: readers},
	tenure.EndSessionsOf:   {what: "end a person's sessions", roles: admins, fresh: NotIdle},
	tenure.UnlinkUser:      {what: "forget which identity of the provider a person is", roles: supers, fresh: Recent},
	tenure.SetUserRole:     {what: "give a person a role in the tenant", roles: supers, fresh: Recent},
	tenure.CreateWorkspace: {what: "make a workspace", roles: admins, fresh: NotIdle},
	tenure.UpdateWorkspace: {what: "change a workspace: name, description, models", roles: admins, fresh: NotIdle},
	tenure.SetOutageGrace:  {what: "say how long a workspace's tokens go on while the database is away", roles: admins, fresh: Recent},
	tenure.DeleteWorkspace: {what: "delete a workspace and what is in it", roles: admins, fresh: Recent},
	tenure.ListMappings:    {what: "list what groups are in a workspace", roles: readers, within: insiders, scope: tenure.ScopeWorkspacesRead},
	tenure.SetMapping:      {what: "say what the members of a group are in a workspace", roles: admins, fresh: Recent},
	tenure.RemoveMapping:   {what: "end what the members of a group are in a workspace", roles: admins, fresh: NotIdle},
	tenure.ListProviders:   {what: "list model providers", roles: readers},
	tenure.CreateProvider:  {what: "add a model provider with its key", roles: supers, fresh: Recent},
	tenure.ChangeProvider:  {what: "rename a model provider; add, check, use, rotate and retire its keys", roles: supers, fresh: Recent},
	tenure.DeleteProvider:  {what: "remove a model provider and its keys", roles: supers, fresh: Recent},
	tenure.ReadPolicy:      {what: "read the tenant's policy", roles: readers},
	tenure.SetPolicy:       {what: "change the tenant's policy", roles: supers, fresh: Recent},
	tenure.ReadAccess:      {what: "read this table, and ask why somebody may", roles: readers},
	tenure.ReadAudit:       {what: "read the audit log", roles: readers, scope: tenure.ScopeAuditRead},
	tenure.ListAllNotices:  {what: "list the tenant's notices", roles: readers, scope: tenure.ScopeAuditRead},
	tenure.ReadAnyNotice:   {what: "mark any notice of the tenant as read", roles: admins},
	tenure.MakeHookSecret:  {what: "make the secret that the webhook signs with", roles: supers, fresh: Recent},
	tenure.TestHook:        {what: "send a test through the webhook", roles: supers, fresh: Recent},
	tenure.ListOIDC:        {what: "list OIDC connections", roles: readers},
	tenure.CreateOIDC:      {what: "make an OIDC connection", roles: supers, fresh: Recent},
	tenure.DeleteOIDC:      {what: "end an OIDC connection", roles: supers, fresh: Recent},
	tenure.RotateRoot:      {what: "make a new root token; in the tenant default only", roles: supers, fresh: Recent, home: true},
	tenure.ReadHealth:      {what: "read what this process knows of itself; in the tenant default only", roles: readers, scope: tenure.ScopeHealthRead, home: true},
	tenure.ReadOverview:    {what: "see how many have access, how much is asked, and how fast access ended", roles: readers},
	tenure.ReadUsage:       {what: "see what models used, by whom", roles: readers},
	tenure.CountBeliefs:    {what: "see how many beliefs each person has, and nothing of what they say", roles: readers},
	tenure.ReadAnyBeliefs:  {what: "read what somebody else's beliefs say, by an exception that one asked for oneself", roles: admins, fresh: Recent},
	tenure.SetExtraction:   {what: "say when beliefs are drawn out of a workspace's turns, and by which model", roles: admins, fresh: Recent},
	tenure.ListPrices:      {what: "list what the tokens of models cost", roles: readers},
	tenure.SetPrice:        {what: "say what the tokens of models cost, and reckon anew what was used", roles: supers, fresh: Recent},
	tenure.RemovePrice:     {what: "end a price", roles: supers, fresh: Recent},
	tenure.ListLimits:      {what: "list limits on the use of models, and what was used of them", roles: readers, within: heads},
	tenure.SetLimit:        {what: "make or change a limit on the use of models; in a workspace, one that counts what is asked there", roles: supers, within: heads, fresh: Recent},
	tenure.RemoveLimit:     {what: "end a limit on the use of models", roles: supers, within: heads, fresh: Recent},
	tenure.ListStreams:     {what: "list requests in flight to models", roles: readers},
	tenure.CutStream:       {what: "end one request in flight; the token stays good", roles: admins, fresh: NotIdle},
	tenure.ListConnectors:  {what: "list SCIM connectors", roles: readers},
	tenure.ReadConnector:   {what: "read about a SCIM connector", roles: readers},
	tenure.CreateConnector: {what: "make a SCIM connector", roles: supers, fresh: Recent},
	tenure.RotateConnector: {what: "give a SCIM connector a new token", roles: supers, fresh: Recent},
	tenure.DeleteConnector: {what: "end a SCIM connector", roles: supers, fresh: Recent},
	tenure.CreateBackup:    {what: "make a backup of the whole installation; in the tenant default only", roles: supers, fresh: Recent, home: true},
	tenure.RestoreBackup:   {what: "put a backup in the place of all that there is; in the tenant default only", roles: supers, fresh: Recent, home: true},
	tenure.ListTrustAsks:   {what: "list who asked for evidence", roles: readers},
	tenure.CloseTrustAsk:   {what: "answer or decline who asked for evidence", roles: admins, fresh: NotIdle},
	tenure.ReviewTrust:     {what: "say that the trust page was read and found true", roles: admins, fresh: NotIdle},
	tenure.VerifyAudit:     {what: "verify the audit log, and prove single events; in the tenant default only", roles: readers, home: true},
	tenure.EraseAudit:      {what: "erase what the audit log has about a person who is gone", roles: supers, fresh: Recent},
	tenure.ListHolds:       {what: "see how long audit events are kept, what was removed, and legal holds", roles: readers, scope: tenure.ScopeAuditRead},
	tenure.PlaceHold:       {what: "place a legal hold: nothing of the audit log is removed or erased", roles: supers, fresh: Recent},
	tenure.ReleaseHold:     {what: "release a legal hold", roles: supers, fresh: Recent},
	tenure.RotateAuditKey:  {what: "replace the key that signs the audit log; in the tenant default only", roles: supers, fresh: Recent, home: true},
	tenure.ExportEvidence:  {what: "export evidence for an auditor, and see who did", roles: readers, fresh: NotIdle},
	tenure.ListSinks:       {what: "list where the tenant's audit events are sent", roles: readers},
	tenure.CreateSink:      {what: "have the tenant's audit events sent somewhere", roles: supers, fresh: Recent},
	tenure.ChangeSink:      {what: "pause, resume and delete what gets audit events, and rotate its secret", roles: supers, fresh: Recent},

	// Access reviews.
	tenure.ListReviews:       {what: "list access reviews: those in which one has something to decide, or all for those who may read all", roles: anyone},
	tenure.ReadReview:        {what: "see what one is to decide in an access review, or all of it for those who may read all", roles: anyone},
	tenure.DecideReview:      {what: "keep or change what one is to decide in an access review; never about oneself", roles: deciders, fresh: NotIdle},
	tenure.EndReviewed:       {what: "revoke what one is to decide in an access review, whoever else might", roles: deciders, fresh: Recent},
	tenure.ReadAllReviews:    {what: "read access reviews whole", roles: readers},
	tenure.OpenReview:        {what: "open an access review", roles: admins, fresh: NotIdle},
	tenure.DecideAnyReview:   {what: "decide what no reviewer of an access review is named for; never about oneself", roles: admins, fresh: NotIdle},
	tenure.ReassignReview:    {what: "give an item of an access review to another reviewer", roles: admins, fresh: NotIdle},
	tenure.CloseReview:       {what: "close an access review", roles: admins, fresh: Recent},
	tenure.ListAllExceptions: {what: "list everybody's exceptions", roles: readers},
	tenure.DecideException:   {what: "approve or reject an exception that somebody else asked for, for somebody else", roles: admins, fresh: Recent},
	tenure.RevokeException:   {what: "revoke an exception: what hangs on it ends", roles: admins, fresh: NotIdle},

	// At the command line only.
	tenure.ExportAudit:    {what: "export the audit log of all tenants", noRoot: true},
	tenure.BeginAuditAnew: {what: "begin the tree of the audit log anew, where it is broken", noRoot: true},
	tenure.ListTenants:    {what: "list tenants", noRoot: true},
	tenure.CreateTenant:   {what: "make a tenant with its workspace default", noRoot: true},
	tenure.SuspendTenant:  {what: "suspend a tenant: every credential of it is dead", noRoot: true},
	tenure.ResumeTenant:   {what: "end the suspension of a tenant", noRoot: true},

	// Provisioning.
	tenure.ReadSCIM:        {what: "read over SCIM", scim: true, noRoot: true},
	tenure.ProvisionUser:   {what: "provision a person", scim: true, noRoot: true},
	tenure.UpdateUser:      {what: "change or deactivate a person", scim: true, noRoot: true},
	tenure.DeprovisionUser: {what: "delete a person", scim: true, noRoot: true},
	tenure.CreateGroup:     {what: "push a group", scim: true, noRoot: true},
	tenure.UpdateGroup:     {what: "change a group or its members", scim: true, noRoot: true},
	tenure.DeleteGroup:     {what: "delete a group", scim: true, noRoot: true},
	tenure.BulkSCIM:        {what: "do several of these at once", scim: true, noRoot: true}, // each is judged by its own action too
}
