package dash

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// headersForm asks which headers a provider gets beside its key.
func (d *Dash) headersForm(r *http.Request) (*formPage, error) {
	p, err := d.Vault.Get(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	lines := make([]string, len(p.Headers))
	for i, h := range p.Headers {
		lines[i] = h.Name + ": " + h.Value
	}
	page := &formPage{
		frame: d.frame(r, "Headers of a provider"), Heading: fmt.Sprintf("Headers of “%s”", p.Name), Action: providerPath(p) + "/headers", Button: "Save", Back: providerPath(p),
		Lead: []string{"What the provider gets with every request beside its key: an organisation, a version of its interface. They win over what a client sends under the same name."},
		Fields: []field{{
			Kind: areaField, Name: "headers", Label: "Headers", Value: strings.Join(lines, "\n"), Code: true, Most: 16 << 10, Example: "OpenAI-Organization: org-1",
			Hint: "One in each line: its name, a colon, its value. They are stored and shown as they are: the key belongs under Rotate key.",
		}},
	}
	page.Address = page.Action
	return page, nil
}

func (d *Dash) askHeaders(w http.ResponseWriter, r *http.Request) error {
	page, err := d.headersForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) setHeaders(w http.ResponseWriter, r *http.Request) error {
	headers, err := sentHeaders(r)
	if err == nil {
		_, err = d.Vault.Change(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")), vault.ProviderChange{Headers: &headers})
	}
	if err != nil {
		page, failed := d.headersForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showProvider(w, r, "Saved: the provider gets these headers from now on.")
}

func sentHeaders(r *http.Request) (map[string]string, error) {
	out := map[string]string{}
	for line := range strings.Lines(sent(r, "headers")) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if _, twice := out[name]; !ok || twice {
			return nil, tenure.InvalidField("headers", "expected a name, a colon and a value in each line, each name once, not %q", tenure.Shown(strings.TrimSpace(line)))
		}
		out[name] = strings.TrimSpace(value)
	}
	return out, nil
}
