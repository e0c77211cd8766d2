package oauth

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Introspection is the answer of RFC 7662 §2.2. What is not of that section is an
// extension member: tenant, workspace, workspace_role, models, workspace_models.
type Introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope"`     // what it can use now, with spaces between
	ClientID  string `json:"client_id"` // the service account, or "tenure"
	Username  string `json:"username,omitempty"`
	TokenType string `json:"token_type"`
	ExpiresAt int64  `json:"exp,omitempty"` // seconds since 1970; absent: never
	IssuedAt  int64  `json:"iat"`
	Subject   string `json:"sub"` // the person, or the service account
	Issuer    string `json:"iss"`
	ID        string `json:"jti"` // of the token's row

	Tenant        string   `json:"tenant"`
	Workspace     string   `json:"workspace"`
	WorkspaceRole string   `json:"workspace_role,omitempty"` // absent: a service account
	Models        []string `json:"models"`                   // patterns: a model must fit one of these
	SpaceModels   []string `json:"workspace_models"`         // and one of these
}

// inactive is all that is told of anything but a live token of the asker's tenant
// (RFC 7662 §2.2).
type inactive struct {
	Active bool `json:"active"`
}

// clientAddress is the parameter by which the asker tells where the token came
// from (RFC 7662 §2.1 has this very example).
const clientAddress = "client_address"

// introspect answers what a token is good for. It notes no use of it: to ask is
// not to use.
func (o *OAuth) introspect(w http.ResponseWriter, r *http.Request) error {
	f, err := form(w, r)
	if err != nil {
		return err
	}
	var from netip.Addr
	if text := strings.TrimSpace(f.Get(clientAddress)); text != "" {
		if from, err = netip.ParseAddr(text); err != nil {
			return badRequest(clientAddress + " is no address")
		}
	}
	p, row, err := o.Tokens.Introspect(r.Context(), web.Principal(r.Context()), f.Get("token"), from)
	switch {
	case tenure.IsKind(err, tenure.Unauthenticated):
		web.WriteJSON(w, "application/json", http.StatusOK, inactive{})
		return nil
	case err != nil:
		return err
	}
	web.WriteJSON(w, "application/json", http.StatusOK, o.describe(r, p, row))
	return nil
}

func (o *OAuth) describe(r *http.Request, p tenure.Principal, row tenure.Token) Introspection {
	s := p.Standing()
	a := Introspection{
		Active: true, Scope: access.Scopes(p).String(), ClientID: "tenure", Username: s.UserName, TokenType: "Bearer",
		IssuedAt: row.CreatedAt.Unix(), Subject: string(s.User), Issuer: o.Base(r), ID: string(s.Token),
		Tenant: string(s.Tenant), Workspace: string(s.Workspace), WorkspaceRole: string(s.WorkspaceRole),
		Models: append([]string{}, s.Models...), SpaceModels: append([]string{}, s.SpaceModels...),
	}
	if s.ServiceAccount != "" {
		a.ClientID, a.Subject = string(s.ServiceAccount), string(s.ServiceAccount)
	}
	if !s.ExpiresAt.IsZero() {
		a.ExpiresAt = s.ExpiresAt.Unix()
	}
	return a
}
