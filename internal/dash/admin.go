package dash

import (
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// administration lists the pages on which accounts, workspaces, providers,
// connectors and the policy are looked after. A form is a page with the action of
// what it does, so that a fresh sign-in is asked for before anything is typed.
func (d *Dash) administration() []web.Route {
	routes := []web.Route{
		d.look("GET "+providersPath, tenure.ListProviders, d.providers),
		d.look("GET "+providersPath+"/new", tenure.CreateProvider, d.newProvider),
		d.do("POST "+providersPath, tenure.CreateProvider, d.addProvider),
		d.look("GET "+providersPath+"/{id}", tenure.ListProviders, d.provider),
		d.look("GET "+providersPath+"/{id}/rotate", tenure.ChangeProvider, d.askRotateKey),
		d.do("POST "+providersPath+"/{id}/rotate", tenure.ChangeProvider, d.rotateKey),
		d.look("GET "+providersPath+"/{id}/headers", tenure.ChangeProvider, d.askHeaders),
		d.do("POST "+providersPath+"/{id}/headers", tenure.ChangeProvider, d.setHeaders),
		d.look("GET "+providersPath+"/{id}/exception", tenure.ChangeProvider, d.askProviderException),
		d.do("POST "+providersPath+"/{id}/exception", tenure.ChangeProvider, d.setProviderException),
		d.look("GET "+providersPath+"/{id}/keys/new", tenure.ChangeProvider, d.newKey),
		d.do("POST "+providersPath+"/{id}/keys", tenure.ChangeProvider, d.addKey),
		d.do("POST "+providersPath+"/{id}/keys/{key}/check", tenure.ChangeProvider, d.checkKey),
		d.do("POST "+providersPath+"/{id}/keys/{key}/use", tenure.ChangeProvider, d.useKey),
		d.look("GET "+providersPath+"/{id}/keys/{key}/arrange", tenure.ChangeProvider, d.askArrangeKey),
		d.do("POST "+providersPath+"/{id}/keys/{key}/arrange", tenure.ChangeProvider, d.arrangeKey),
		d.look("GET "+providersPath+"/{id}/keys/{key}/retire", tenure.ChangeProvider, d.askRetireKey),
		d.do("POST "+providersPath+"/{id}/keys/{key}/retire", tenure.ChangeProvider, d.retireKey),
		d.look("GET "+keysPath+"/audit/rotate", tenure.RotateAuditKey, d.askRotateAuditKey),
		d.do("POST "+keysPath+"/audit/rotate", tenure.RotateAuditKey, d.rotateAuditKey),
		d.look("GET "+providersPath+"/{id}/delete", tenure.DeleteProvider, d.askDeleteProvider),
		d.do("POST "+providersPath+"/{id}/delete", tenure.DeleteProvider, d.deleteProvider),
	}
	routes = append(routes, d.usageRoutes()...)
	routes = append(routes, d.priceRoutes()...)
	routes = append(routes, d.evidenceRoutes()...)
	routes = append(routes, d.sinkRoutes()...)
	if d.Single {
		return append(routes, d.look("GET "+beliefsPath, tenure.ReadBeliefs, d.beliefs))
	}
	for _, more := range [][]web.Route{d.accountRoutes(), d.requestRoutes(), d.workspaceRoutes(), d.memberRoutes(), d.connectorRoutes(), d.trustRoutes(), d.beliefRoutes()} {
		routes = append(routes, more...)
	}
	return append(routes,
		d.look("GET "+policiesPath, tenure.ReadPolicy, d.policies),
		d.look("GET "+policiesPath+"/edit", tenure.SetPolicy, d.editPolicies),
		d.do("POST "+policiesPath, tenure.SetPolicy, d.setPolicies))
}

func (d *Dash) usageRoutes() []web.Route {
	one := limitsPath + "/{id}"
	return []web.Route{
		d.look("GET "+usagePath, tenure.ReadUsage, d.usage),
		d.look("GET "+reviewsPath, tenure.ListReviews, d.reviews),
		d.look("GET "+reviewsPath+"/new", tenure.OpenReview, d.newReview),
		d.do("POST "+reviewsPath, tenure.OpenReview, d.openReview),
		d.look("GET "+reviewsPath+"/{id}", tenure.ReadReview, d.review),
		d.look("GET "+reviewsPath+"/{id}/report", tenure.ReadAllReviews, d.reviewReport),
		d.look("GET "+reviewsPath+"/{id}/close", tenure.CloseReview, d.askCloseReview),
		d.do("POST "+reviewsPath+"/{id}/close", tenure.CloseReview, d.closeReview),
		d.do("POST "+reviewsPath+"/{id}/keep", tenure.DecideReview, d.keepItems),
		d.look("GET "+reviewsPath+"/{id}/items/{item}", tenure.DecideReview, d.reviewItem),
		d.do("POST "+reviewsPath+"/{id}/items/{item}", tenure.DecideReview, d.decideItem),
		d.look("GET "+reviewsPath+"/{id}/items/{item}/reassign", tenure.ReassignReview, d.askReassign),
		d.do("POST "+reviewsPath+"/{id}/items/{item}/reassign", tenure.ReassignReview, d.reassignItem),
		d.look("GET "+limitsPath, tenure.ListLimits, d.limits),
		d.look("GET "+limitsPath+"/new", tenure.SetLimit, d.newLimit),
		d.do("POST "+limitsPath, tenure.SetLimit, d.createLimit),
		d.look("GET "+one+"/edit", tenure.SetLimit, d.editLimit),
		d.do("POST "+one, tenure.SetLimit, d.updateLimit),
		d.look("GET "+one+"/remove", tenure.RemoveLimit, d.askRemoveLimit),
		d.do("POST "+one+"/remove", tenure.RemoveLimit, d.removeLimit),
	}
}

func (d *Dash) sinkRoutes() []web.Route {
	one := sinksPath + "/{id}"
	return []web.Route{
		d.look("GET "+retentionPath, tenure.ListHolds, d.retention),
		d.look("GET "+holdsPath+"/new", tenure.PlaceHold, d.newHold),
		d.do("POST "+holdsPath, tenure.PlaceHold, d.placeHold),
		d.look("GET "+holdsPath+"/{id}/release", tenure.ReleaseHold, d.askReleaseHold),
		d.do("POST "+holdsPath+"/{id}/release", tenure.ReleaseHold, d.releaseHold),
		d.look("GET "+sinksPath, tenure.ListSinks, d.sinks),
		d.look("GET "+sinksPath+"/new", tenure.CreateSink, d.newSink),
		d.do("POST "+sinksPath, tenure.CreateSink, d.createSink),
		d.look("GET "+one, tenure.ListSinks, d.sink),
		d.do("POST "+one+"/pause", tenure.ChangeSink, d.pauseSink(true, "“%s” is paused: it keeps its place.")),
		d.do("POST "+one+"/resume", tenure.ChangeSink, d.pauseSink(false, "“%s” goes on where it was, at once.")),
		d.look("GET "+one+"/rotate", tenure.ChangeSink, d.askRotateSink),
		d.do("POST "+one+"/rotate", tenure.ChangeSink, d.rotateSink),
		d.look("GET "+one+"/delete", tenure.ChangeSink, d.askDeleteSink),
		d.do("POST "+one+"/delete", tenure.ChangeSink, d.deleteSink),
	}
}

func (d *Dash) accountRoutes() []web.Route {
	one, tok := accountsPath+"/{id}", accountsPath+"/{id}/tokens/{token}"
	return []web.Route{
		d.look("GET "+accountsPath, tenure.ListAccounts, d.accounts),
		d.look("GET "+accountsPath+"/new", tenure.CreateAccount, d.newAccount),
		d.do("POST "+accountsPath, tenure.CreateAccount, d.createAccount),
		d.look("GET "+one, tenure.ReadAccount, d.account),
		d.look("GET "+one+"/edit", tenure.UpdateAccount, d.editAccount),
		d.do("POST "+one, tenure.UpdateAccount, d.updateAccount),
		d.look("GET "+one+"/end", tenure.DeleteAccount, d.askEndAccount),
		d.do("POST "+one+"/end", tenure.DeleteAccount, d.endAccount),
		d.look("GET "+one+"/tokens/new", tenure.MintServiceToken, d.newServiceToken),
		d.do("POST "+one+"/tokens", tenure.MintServiceToken, d.mintServiceToken),
		d.look("GET "+tok+"/rotate", tenure.MintServiceToken, d.askRotateServiceToken),
		d.do("POST "+tok+"/rotate", tenure.RotateToken, d.rotateServiceToken),
		d.look("GET "+tok+"/revoke", tenure.UpdateAccount, d.askRevokeServiceToken),
		d.do("POST "+tok+"/revoke", tenure.RevokeToken, d.revokeServiceToken),
	}
}

func (d *Dash) requestRoutes() []web.Route {
	one := requestsPath + "/{id}"
	return []web.Route{
		d.look("GET "+requestsPath, tenure.ListRequests, d.requests),
		d.look("GET "+one+"/approve", tenure.DecideRequest, d.askApprove),
		d.do("POST "+one+"/approve", tenure.DecideRequest, d.approve),
		d.look("GET "+one+"/reject", tenure.DecideRequest, d.askReject),
		d.do("POST "+one+"/reject", tenure.DecideRequest, d.reject),
		d.look("GET "+one+"/withdraw", tenure.WithdrawRequest, d.askWithdraw),
		d.do("POST "+one+"/withdraw", tenure.WithdrawRequest, d.withdraw),
		d.look("GET "+one+"/collect", tenure.CollectRequest, d.askCollect),
		d.do("POST "+one+"/collect", tenure.CollectRequest, d.collect),
	}
}

func (d *Dash) workspaceRoutes() []web.Route {
	one := workspacesPath + "/{id}"
	return []web.Route{
		d.look("GET "+workspacesPath, tenure.ListWorkspaces, d.workspaces),
		d.look("GET "+workspacesPath+"/new", tenure.CreateWorkspace, d.newWorkspace),
		d.do("POST "+workspacesPath, tenure.CreateWorkspace, d.createWorkspace),
		d.look("GET "+one, tenure.ReadWorkspace, d.workspace),
		d.look("GET "+one+"/edit", tenure.UpdateWorkspace, d.editWorkspace),
		d.do("POST "+one, tenure.UpdateWorkspace, d.updateWorkspace),
		d.look("GET "+one+"/outage", tenure.SetOutageGrace, d.askOutage),
		d.do("POST "+one+"/outage", tenure.SetOutageGrace, d.setOutage),
		d.look("GET "+one+"/extraction", tenure.SetExtraction, d.askSpaceExtraction),
		d.do("POST "+one+"/extraction", tenure.SetExtraction, d.setSpaceExtraction),
		d.look("GET "+one+"/delete", tenure.DeleteWorkspace, d.askDeleteWorkspace),
		d.do("POST "+one+"/delete", tenure.DeleteWorkspace, d.deleteWorkspace),
	}
}

func (d *Dash) memberRoutes() []web.Route {
	member, group := workspacesPath+"/{id}/members", workspacesPath+"/{id}/groups"
	return []web.Route{
		d.look("GET "+member+"/add", tenure.SetMember, d.askAddMember),
		d.do("POST "+member+"/add", tenure.SetMember, d.addMember),
		d.look("GET "+member+"/{user}/role", tenure.SetMember, d.askMemberRole),
		d.do("POST "+member+"/{user}/role", tenure.SetMember, d.setMemberRole),
		d.look("GET "+member+"/{user}/remove", tenure.RemoveMember, d.askRemoveMember),
		d.do("POST "+member+"/{user}/remove", tenure.RemoveMember, d.removeMember),
		d.look("GET "+group+"/add", tenure.SetMapping, d.askAddGroup),
		d.do("POST "+group+"/add", tenure.SetMapping, d.addGroup),
		d.look("GET "+group+"/{group}/role", tenure.SetMapping, d.askGroupRole),
		d.do("POST "+group+"/{group}/role", tenure.SetMapping, d.setGroupRole),
		d.look("GET "+group+"/{group}/remove", tenure.RemoveMapping, d.askRemoveGroup),
		d.do("POST "+group+"/{group}/remove", tenure.RemoveMapping, d.removeGroup),
	}
}

func (d *Dash) connectorRoutes() []web.Route {
	one := connectorsPath + "/{id}"
	return []web.Route{
		d.look("GET "+connectorsPath, tenure.ListConnectors, d.connectors),
		d.look("GET "+connectorsPath+"/new", tenure.CreateConnector, d.newConnector),
		d.do("POST "+connectorsPath, tenure.CreateConnector, d.createConnector),
		d.look("GET "+one, tenure.ReadConnector, d.connector),
		d.look("GET "+one+"/rotate", tenure.RotateConnector, d.askRotateConnector),
		d.do("POST "+one+"/rotate", tenure.RotateConnector, d.rotateConnector),
		d.look("GET "+one+"/delete", tenure.DeleteConnector, d.askDeleteConnector),
		d.do("POST "+one+"/delete", tenure.DeleteConnector, d.deleteConnector),
	}
}

// look is the route of a page that somebody opens: they get a session, where they
// came by an asserted identity.
func (d *Dash) look(pattern string, action tenure.Action, handle func(http.ResponseWriter, *http.Request) error) web.Route {
	return d.route(pattern, action, func(w http.ResponseWriter, r *http.Request) error {
		if err := d.Establish(w, r); err != nil {
			return err
		}
		return handle(w, r)
	})
}

// do is the route of a form that is sent.
func (d *Dash) do(pattern string, action tenure.Action, handle func(http.ResponseWriter, *http.Request) error) web.Route {
	return d.route(pattern, action, func(w http.ResponseWriter, r *http.Request) error {
		if err := form(w, r); err != nil {
			return err
		}
		return handle(w, r)
	})
}
