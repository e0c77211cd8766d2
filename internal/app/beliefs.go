package app

import (
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/beliefs"
	"github.com/tenure-gateway/tenure/internal/gateway"
	"github.com/tenure-gateway/tenure/internal/signin"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// openBeliefs makes what keeps beliefs, and the sockets that the change feed tells of them.
func (a *App) openBeliefs(key *vault.MasterKey) {
	a.Beliefs = belief.New(a.Store, a.Live, &belief.Ring{DB: a.Store, Sealer: key.Sealer, Open: key.Open}, a.Log)
	a.Beliefs.Stands = a.Tokens.ByID
	a.sockets = &beliefs.Sockets{Beliefs: a.Beliefs, Live: a.Live, Refuse: gateway.Fail, Log: a.Log}
}

// drawBeliefs joins what keeps beliefs with the gateway: it gets the turns that pass there,
// and asks models as a request of the token whose turn it is.
func (a *App) drawBeliefs() {
	a.Beliefs.Ask = func(ctx context.Context, p tenure.Principal, q belief.Question) (belief.Answer, error) {
		got, err := a.gateway.Ask(ctx, p, gateway.Question(q))
		return belief.Answer{Document: got.Document, Model: got.Model}, err
	}
	a.gateway.Turned = func(t gateway.Turn) {
		a.Beliefs.Offer(belief.Offered{By: t.Principal, Request: t.Request, Address: t.Address, Scope: t.Scope, Said: t.Said})
	}
}

// socketRoutes are the way in to them: in a room of their own, as each stays for long.
func (a *App) socketRoutes(si *signin.Signin) []web.Route {
	a.sockets.Ours = si.Ours
	return together(&web.Lane{Name: "sockets", Max: socketsRoom}, a.sockets.Routes())
}
