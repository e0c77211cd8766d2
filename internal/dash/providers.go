package dash

import (
	"fmt"
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

const providersPath = "/admin/providers"

// A providersPage lists the model providers of the tenant.
type providersPage struct {
	frame
	listing
	Notice string
	Rows   []providerRow
	May    bool // add one, and delete one
}

// A providerRow is a provider as the list shows it.
type providerRow struct {
	tenure.Provider
	Space string // the workspace's name
}

func (d *Dash) providers(w http.ResponseWriter, r *http.Request) error {
	return d.showProviders(w, r, "")
}

func (d *Dash) showProviders(w http.ResponseWriter, r *http.Request, notice string) error {
	by := web.Principal(r.Context())
	page := providersPage{frame: d.frame(r, "Providers"), listing: d.listing(r, providersPath), Notice: notice, May: may(by, tenure.CreateProvider)}
	page.Address = providersPath
	rows, err := d.Vault.All(r.Context(), by, tenure.ProviderID(r.URL.Query().Get("cursor")), perPage+1)
	if err != nil {
		return err
	}
	names := map[tenure.WorkspaceID]string{}
	for _, p := range cut(&page.listing, rows, func(p tenure.Provider) string { return string(p.ID) }) {
		page.Rows = append(page.Rows, providerRow{p, d.spaceName(r, names, p.Workspace)})
	}
	return d.show(w, http.StatusOK, "providers", page)
}

func (d *Dash) providerForm(r *http.Request) (*formPage, error) {
	page := &formPage{
		frame: d.frame(r, "Add a provider"), Heading: "Add a provider", Action: providersPath, Button: "Add provider", Back: providersPath,
		Lead: []string{"Where a workspace’s requests to models go, and the key that they go with. Nobody who asks models sees the key."},
	}
	page.Address = providersPath + "/new"
	rows, err := d.Directory.Workspaces(r.Context(), web.Principal(r.Context()), "", maxChoices)
	if err != nil {
		return nil, err
	}
	var spaces []option
	for _, w := range rows {
		spaces = append(spaces, option{Value: string(w.ID), Label: w.Name, On: w.Name == string(tenure.DefaultWorkspace)})
	}
	page.Fields = []field{
		{
			Kind: textField, Name: "name", Label: "Name", Most: 63, Needed: true, Code: true, Example: "openai",
			Hint: "What stands before the slash when a model is asked for by its provider: openai/gpt-4o.",
		},
		spaceField(spaces, "Its members and service accounts ask models through it."),
		{Kind: oneField, Name: "kind", Label: "Speaks", Options: []option{
			{Value: string(tenure.OpenAI), Label: "OpenAI", Hint: "and whatever is compatible with it", On: true},
			{Value: string(tenure.Anthropic), Label: "Anthropic", Hint: "and whatever is compatible with it"},
		}},
		{Kind: textField, Name: "base_url", Label: "Base URL", Code: true, Example: "https://api.openai.com/v1", Hint: "Empty: the provider’s own. With /v1 for OpenAI, without it for Anthropic."},
	}
	page.Fields = append(page.Fields, keyFields()...)
	return page, nil
}

func (d *Dash) newProvider(w http.ResponseWriter, r *http.Request) error {
	page, err := d.providerForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) addProvider(w http.ResponseWriter, r *http.Request) error {
	p, err := d.Vault.Add(r.Context(), web.Principal(r.Context()), vault.Spec{
		Workspace: sent(r, "workspace"), Name: sent(r, "name"), Kind: tenure.ProviderKind(sent(r, "kind")), BaseURL: sent(r, "base_url"),
		Key: tenure.NewSecret(sent(r, "key")), KeyReference: sent(r, "key_reference"),
	})
	if err != nil {
		page, failed := d.providerForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	if closed := d.Vault.Closed(r.Context(), p); closed != "" {
		return d.showProviders(w, r, fmt.Sprintf("“%s” is there, but nothing connects to it: %s", p.Name, sentence(closed)))
	}
	return d.showProviders(w, r, fmt.Sprintf("“%s” is there: requests may go through it from now on.", p.Name))
}

func (d *Dash) askDeleteProvider(w http.ResponseWriter, r *http.Request) error {
	p, err := d.Vault.Get(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")))
	if err != nil {
		return err
	}
	space := d.spaceName(r, nil, p.Workspace)
	page := confirmPage{
		frame: d.frame(r, "Delete a provider"), Heading: fmt.Sprintf("Delete “%s” of %s?", p.Name, space), Button: "Delete provider and its key",
		Back: providersPath, Action: providersPath + "/" + string(p.ID) + "/delete",
		Ends: []string{
			"Its models are no longer asked in the workspace “" + space + "”, from the next request on.",
			"Its key is forgotten here. At the provider it lives on: revoke it there too if it may have leaked.",
			"Streams that are open already run to their end.",
		},
	}
	page.Facts = []fact{{Name: "Base URL", Text: p.BaseURL, Code: true}, {Name: "Key", Text: "…" + p.Last4, Code: true}}
	if p.Exception != "" {
		page.Ends[2] = "Streams that an exception lets go there end."
	}
	if p.Reference != "" {
		page.Ends[1] = "The address of its key is forgotten here. The key itself stays where it is."
		page.Facts = append(page.Facts, fact{Name: "Kept at", Text: p.Reference, Code: true})
	}
	page.Facts = append(page.Facts, fact{Name: "Added", At: page.At(p.CreatedAt)}, fact{Name: "Added by", Text: dashed(p.CreatedBy)})
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) deleteProvider(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	p, err := d.Vault.Get(ctx, by, tenure.ProviderID(r.PathValue("id")))
	if err != nil {
		return err
	}
	if err := d.Vault.Remove(ctx, by, p.ID); err != nil {
		return err
	}
	return d.showProviders(w, r, fmt.Sprintf("“%s” is deleted, and its key forgotten.", p.Name))
}
