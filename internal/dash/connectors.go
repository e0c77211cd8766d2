package dash

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/connector"
	"github.com/tenure-gateway/tenure/internal/web"
)

const connectorsPath = "/admin/connectors"

// A connectorsPage lists the ways in of identity providers.
type connectorsPage struct {
	frame
	Notice string
	Rows   []connectorRow
	May    bool // make one
}

// A connectorRow is a connector with its figures summed up.
type connectorRow struct {
	connector.View
	Requests, Failed int64
	Usual            string // how often it is heard of, or ""
	From             string // its networks, or ""
}

func connectorRowOf(v connector.View) connectorRow {
	row := connectorRow{View: v, From: strings.Join(tenure.NetworkNames(v.Networks), ", ")}
	for _, c := range v.Figures.Counts {
		row.Requests += c.OK + c.Failed
		row.Failed += c.Failed
	}
	if u := v.Figures.Usual; u > 0 {
		row.Usual = "every " + span(u)
		if span(u) == "" {
			row.Usual = "several times a minute"
		}
	}
	return row
}

func (d *Dash) connectors(w http.ResponseWriter, r *http.Request) error {
	return d.showConnectors(w, r, "")
}

func (d *Dash) showConnectors(w http.ResponseWriter, r *http.Request, notice string) error {
	by := web.Principal(r.Context())
	page := connectorsPage{frame: d.frame(r, "SCIM connectors"), Notice: notice, May: may(by, tenure.CreateConnector)}
	page.Address = connectorsPath
	rows, err := d.Connectors.List(r.Context(), by)
	if err != nil {
		return err
	}
	for _, v := range rows {
		page.Rows = append(page.Rows, connectorRowOf(v))
	}
	return d.show(w, http.StatusOK, "connectors", page)
}

// A connectorPage shows one connector.
type connectorPage struct {
	frame
	Notice    string
	Secret    tenure.Secret // a token that has just been made; zero: none
	Connector connectorRow
	May       bool // rotate and delete it
}

func (d *Dash) connector(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Connectors.Get(r.Context(), web.Principal(r.Context()), tenure.ConnectorID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return d.showConnector(w, r, v, tenure.Secret{}, "")
}

func (d *Dash) showConnector(w http.ResponseWriter, r *http.Request, v connector.View, secret tenure.Secret, notice string) error {
	page := connectorPage{frame: d.frame(r, v.Name), Notice: notice, Secret: secret, Connector: connectorRowOf(v)}
	page.Address = connectorsPath + "/" + string(v.ID)
	page.May = !v.Builtin() && may(web.Principal(r.Context()), tenure.RotateConnector)
	return d.show(w, http.StatusOK, "connector", page)
}

func (d *Dash) connectorForm(r *http.Request) *formPage {
	page := &formPage{
		frame: d.frame(r, "New SCIM connector"), Heading: "New SCIM connector", Action: connectorsPath, Button: "Create connector", Back: connectorsPath,
		Lead: []string{"The way in of one identity provider: it tells Tenure who there is and, at once, who has left. Its token is shown once, on the next page."},
	}
	page.Address = connectorsPath + "/new"
	page.Fields = []field{
		{Kind: textField, Name: "name", Label: "Name", Most: tenure.MaxConnectorName, Needed: true, Example: "Okta"},
		{Kind: textField, Name: "cidrs", Label: "Networks", Code: true, Example: "203.0.113.0/24", Hint: "From where its token is good, with spaces between; empty: from anywhere."},
	}
	return page
}

func (d *Dash) newConnector(w http.ResponseWriter, r *http.Request) error {
	return d.ask(w, d.connectorForm(r))
}

func (d *Dash) createConnector(w http.ResponseWriter, r *http.Request) error {
	v, secret, err := d.Connectors.Create(r.Context(), web.Principal(r.Context()), connector.Spec{Name: sent(r, "name"), Networks: words(r, "cidrs")})
	if err != nil {
		return d.askAgain(w, r, d.connectorForm(r), err)
	}
	return d.showConnector(w, r, v, secret, "")
}

func (d *Dash) rotateConnectorForm(r *http.Request) (*formPage, error) {
	v, err := d.Connectors.Get(r.Context(), web.Principal(r.Context()), tenure.ConnectorID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	path := connectorsPath + "/" + string(v.ID)
	page := &formPage{
		frame: d.frame(r, "Rotate a connector"), Heading: fmt.Sprintf("Rotate the token of “%s”", v.Name), Action: path + "/rotate", Button: "Rotate", Back: path,
		Lead: []string{"It gets a new token, shown once on the next page. Give it to the identity provider before the old one ends."},
	}
	page.Address = page.Action
	choices := overlaps()
	choices[2].On = true
	page.Fields = []field{{Kind: oneField, Name: "overlap", Label: "How long the tokens before stay good", Options: choices}}
	return page, nil
}

func (d *Dash) askRotateConnector(w http.ResponseWriter, r *http.Request) error {
	page, err := d.rotateConnectorForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) rotateConnector(w http.ResponseWriter, r *http.Request) error {
	var v connector.View
	var secret tenure.Secret
	overlap, err := connector.ParseOverlap(sent(r, "overlap"))
	if err == nil {
		v, secret, err = d.Connectors.Rotate(r.Context(), web.Principal(r.Context()), tenure.ConnectorID(r.PathValue("id")), overlap)
	}
	if err != nil {
		page, failed := d.rotateConnectorForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showConnector(w, r, v, secret, "")
}

func (d *Dash) askDeleteConnector(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Connectors.Get(r.Context(), web.Principal(r.Context()), tenure.ConnectorID(r.PathValue("id")))
	if err != nil {
		return err
	}
	path := connectorsPath + "/" + string(v.ID)
	page := confirmPage{
		frame: d.frame(r, "Delete a connector"), Heading: fmt.Sprintf("Delete the connector “%s”?", v.Name), Back: path, Action: path + "/delete",
		Button: "Delete and end " + plural(len(v.Tokens), "token"),
		Ends: []string{
			"Its " + plural(len(v.Tokens), "token") + " end" + third(len(v.Tokens)) + " at once, for good.",
			"The identity provider tells nothing more: whoever leaves there stays in here until somebody ends their access by hand.",
			"The people and groups that it provisioned stay as they are.",
		},
	}
	page.Facts = []fact{{Name: "Last heard of", At: page.At(v.Figures.LastSeenAt)}, {Name: "Created", At: page.At(v.CreatedAt)}}
	if v.Builtin() {
		page.Over = "This connector is set by TENURE_SCIM_TOKEN. To end it, unset that and restart."
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) deleteConnector(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	v, err := d.Connectors.Get(ctx, by, tenure.ConnectorID(r.PathValue("id")))
	if err != nil {
		return err
	}
	ended, err := d.Connectors.Delete(ctx, by, v.ID)
	if err != nil {
		return err
	}
	return d.showConnectors(w, r, fmt.Sprintf("“%s” is deleted: %s ended in %s.", v.Name, total(ended), took(ended.Took)))
}
