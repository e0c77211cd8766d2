package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// OIDCConnection is an identity provider by which people sign in: never its secret.
type OIDCConnection struct {
	ID            string     `json:"id" doc:"\"default\": that of TENURE_OIDC_ISSUER"`
	Name          string     `json:"name"`
	Builtin       bool       `json:"builtin" doc:"Set by TENURE_OIDC_ISSUER: it is not deleted here"`
	Issuer        string     `json:"issuer"`
	ClientID      string     `json:"client_id"`
	Scopes        string     `json:"scopes"`
	UserNameClaim string     `json:"username_claim"`
	TrustEmail    bool       `json:"trust_email" doc:"The claim email is believed without email_verified; never against it"`
	Domains       []string   `json:"domains"`
	RedirectPath  string     `json:"redirect_path" doc:"What the provider must allow as redirect URI, below the public URL"`
	LogoutPath    string     `json:"backchannel_logout_path" doc:"Where the provider sends logout tokens, below the public URL"`
	CreatedAt     *time.Time `json:"created_at"`
	CreatedBy     string     `json:"created_by,omitempty"`
}

func showOIDC(c tenure.OIDCConnection) OIDCConnection {
	out := OIDCConnection{
		ID: string(c.ID), Name: c.Name, Builtin: c.ID == tenure.BuiltinConnection, Issuer: c.Issuer, ClientID: c.ClientID, Scopes: c.Scopes,
		UserNameClaim: c.UserNameClaim, TrustEmail: c.TrustEmail, Domains: []string{}, RedirectPath: "/oidc/" + c.Name + "/callback", LogoutPath: "/oidc/" + c.Name + "/backchannel",
		CreatedAt: when(c.CreatedAt), CreatedBy: c.CreatedBy,
	}
	out.Domains = append(out.Domains, c.Domains...)
	return out
}

type oidcIn struct {
	Body struct {
		Name          string   `json:"name" example:"acme" doc:"Lower-case letters, digits and dashes; unique in the installation, because it is in addresses"`
		Issuer        string   `json:"issuer" example:"https://login.example.com" doc:"To the letter as the provider writes it"`
		ClientID      string   `json:"client_id"`
		ClientSecret  string   `json:"client_secret" doc:"Sealed at once and never given back" writeOnly:"true"`
		Scopes        string   `json:"scopes,omitempty" example:"openid profile email" doc:"openid profile email when left out"`
		UserNameClaim string   `json:"username_claim,omitempty" doc:"The claim that is the userName; preferred_username when left out"`
		TrustEmail    bool     `json:"trust_email,omitempty" doc:"Believe the claim email without email_verified, for providers that never send it; never against it"`
		Domains       []string `json:"domains,omitempty" doc:"Domains of e-mail addresses whose people sign in by it. Only the operator sets them: with the root token, or at the command line"`
	}
}

func (a *API) mountOIDC(m *mounting) {
	if a.Single {
		return
	}
	const path = "/api/v1/admin/oidc-connections"
	tags := []string{"Administration: OIDC connections"}
	operation(m, tenure.ListOIDC, huma.Operation{OperationID: "list-oidc-connections", Method: http.MethodGet, Path: path, Summary: "Identity providers by which people sign in", Tags: tags},
		func(ctx context.Context, _ *struct{}) (*list[OIDCConnection], error) {
			rows, err := a.Connections.List(ctx, web.Principal(ctx))
			out := &list[OIDCConnection]{}
			out.Body.Items = make([]OIDCConnection, 0, len(rows))
			for _, c := range rows {
				out.Body.Items = append(out.Body.Items, showOIDC(c))
			}
			return out, err
		})
	operation(m, tenure.CreateOIDC, huma.Operation{OperationID: "create-oidc-connection", Method: http.MethodPost, Path: path, Summary: "Let the people of this tenant sign in by an identity provider", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *oidcIn) (*body[OIDCConnection], error) {
			c, err := a.Connections.Create(ctx, web.Principal(ctx), tenure.OIDCConnection{
				Name: in.Body.Name, Issuer: in.Body.Issuer, ClientID: in.Body.ClientID,
				Scopes: in.Body.Scopes, UserNameClaim: in.Body.UserNameClaim, TrustEmail: in.Body.TrustEmail, Domains: in.Body.Domains,
			}, tenure.NewSecret(in.Body.ClientSecret))
			return &body[OIDCConnection]{showOIDC(c)}, err
		})
	operation(m, tenure.DeleteOIDC, huma.Operation{OperationID: "delete-oidc-connection", Method: http.MethodDelete, Path: path + "/{id}", Summary: "End an OIDC connection and the sessions that it opened", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[Ended], error) {
			e, err := a.Connections.Delete(ctx, web.Principal(ctx), tenure.ConnectionID(in.ID))
			return &body[Ended]{ended(e)}, err
		})
	operation(m, tenure.UnlinkUser, huma.Operation{OperationID: "unlink-user", Method: http.MethodPost, Path: "/api/v1/admin/users/{id}/unlink", Summary: "Forget which identity of the provider a person is: the next one to sign in by their userName is taken for them", Tags: tags},
		func(ctx context.Context, in *idIn) (*body[Ended], error) {
			e, err := a.Directory.Unlink(ctx, web.Principal(ctx), tenure.UserID(in.ID))
			return &body[Ended]{ended(e)}, err
		})
}
