package dash

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A providerPage shows one provider with the keys that requests to it go with.
type providerPage struct {
	frame
	Notice   string
	Provider providerRow
	Where    string   // it may be
	Keys     []keyRow // staged ones, those in use, and those in overlap
	Past     []keyRow
	Use      []keyUseRow // of those that were used
	Known    bool        // who used them, to the asker
	May      bool        // change it
	MayEnd   bool
}

// A keyRow is one version of a key as the page shows it.
type keyRow struct {
	tenure.ProviderKey
	Word        string // its state, for people
	Tone, Shape string // how that is marked
	Checked     string // how the last check went, "" for none
	DueAt       moment // when it should be rotated; none: nobody asked for that
	Late        bool
	Path        string
	Staged      bool
}

// checkWords say how a check of a key went.
var checkWords = map[tenure.KeyCheck]string{
	tenure.CheckPassed: "accepted", tenure.CheckRefused: "refused", tenure.CheckFailed: "failed", tenure.CheckUnreachable: "no answer",
}

func (f frame) keyRow(k tenure.ProviderKey) keyRow {
	row := keyRow{ProviderKey: k, Word: string(k.State), Shape: "○", Checked: checkWords[k.Check], Path: providersPath + "/" + string(k.Provider) + "/keys/" + string(k.ID), Staged: k.State == tenure.KeyStaged}
	switch k.State {
	case tenure.KeyActive:
		row.Word, row.Tone, row.Shape = "in use", "ok", "●"
	case tenure.KeyOverlap:
		row.Word = "last resort"
	case tenure.KeyStaged, tenure.KeyRetired: // their own words
	}
	if k.Check == tenure.CheckRefused && k.State != tenure.KeyRetired {
		row.Word, row.Tone, row.Shape = "refused", "bad", "■"
	}
	if k.RotateEvery > 0 && k.State == tenure.KeyActive {
		due := k.ActivatedAt.AddDate(0, 0, k.RotateEvery)
		row.DueAt, row.Late = f.At(due), due.Before(f.Now)
	}
	return row
}

func (d *Dash) provider(w http.ResponseWriter, r *http.Request) error {
	return d.showProvider(w, r, "")
}

func (d *Dash) showProvider(w http.ResponseWriter, r *http.Request, notice string) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	p, err := d.Vault.Get(ctx, by, tenure.ProviderID(r.PathValue("id")))
	if err != nil {
		return err
	}
	keys, err := d.Vault.ProviderKeys(ctx, by, p.ID)
	if err != nil {
		return err
	}
	page := providerPage{
		frame: d.frame(r, p.Name), Notice: notice, Provider: providerRow{p, d.spaceName(r, nil, p.Workspace)},
		May: may(by, tenure.ChangeProvider), MayEnd: may(by, tenure.DeleteProvider),
	}
	page.Address, page.Where = providerPath(p), d.providerWhere(r, p, page.Now)
	for _, k := range keys {
		if k.State == tenure.KeyRetired {
			page.Past = append(page.Past, page.keyRow(k))
		} else {
			page.Keys = append(page.Keys, page.keyRow(k))
		}
	}
	if page.Known = may(by, tenure.ReadUsage); page.Known {
		if page.Use, err = d.keyUse(r, page.frame, keys); err != nil {
			return err
		}
	}
	return d.show(w, http.StatusOK, "provider", page)
}

func providerPath(p tenure.Provider) string { return providersPath + "/" + string(p.ID) }

// keyFields ask for a key, or where it is kept.
func keyFields() []field {
	return []field{
		{Kind: secretField, Name: "key", Label: "Key", Most: 4096, Hint: "It is sealed at once, and never shown again. If the form comes back, type it again."},
		{
			Kind: textField, Name: "key_reference", Label: "Or where the key is kept", Most: 1024, Code: true, Example: "vault://secret/tenure/openai#api_key",
			Hint: "Its address in Vault, a cloud’s secret manager or a mounted file, in place of the key. Whoever runs the installation allows addresses.",
		},
	}
}

// arrangement are the fields of how a key is used beside the others.
func arrangement(k tenure.ProviderKey) []field {
	return []field{
		{Kind: textField, Name: "position", Label: "Place", Value: strconv.Itoa(k.Position), Most: 4, Hint: "Keys of a lower place are used first; the next ones where those fail."},
		{Kind: textField, Name: "weight", Label: "Weight", Value: strconv.Itoa(k.Weight), Most: 4, Hint: "Its share among the keys of the same place."},
		{Kind: textField, Name: "rotate_every_days", Label: "Remind after", Value: strconv.Itoa(k.RotateEvery), Most: 4, Hint: "Days after which administrators are reminded to rotate it; 0 for never."},
	}
}

func sentArrangement(r *http.Request) (vault.Arrangement, error) {
	var a vault.Arrangement
	for _, f := range []struct {
		name string
		to   **int
	}{{"position", &a.Position}, {"weight", &a.Weight}, {"rotate_every_days", &a.RotateEvery}} {
		text := sent(r, f.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return a, tenure.InvalidField(f.name, "expected a whole number, not %q", tenure.Shown(text))
		}
		*f.to = &n
	}
	return a, nil
}

// rotateKeyForm asks for the key that takes the place of the one in use.
func (d *Dash) rotateKeyForm(r *http.Request) (*formPage, error) {
	p, err := d.Vault.Get(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	keys, err := d.Vault.ProviderKeys(r.Context(), web.Principal(r.Context()), p.ID)
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: d.frame(r, "Rotate a provider’s key"), Heading: fmt.Sprintf("Rotate the key of “%s”", p.Name), Action: providerPath(p) + "/rotate",
		Button: "Check and rotate", Back: providerPath(p),
		Lead: []string{"The provider is asked with the new key first. If it does not accept it, nothing changes; if it does, requests go with it from then on, and none fails meanwhile."},
	}
	page.Address = page.Action
	var names []option
	for _, k := range keys {
		if k.State == tenure.KeyActive {
			names = append(names, option{Value: k.Name, Label: k.Name, Hint: ended(k.Last4), On: len(names) == 0})
		}
	}
	if len(names) > 1 {
		page.Fields = append(page.Fields, field{Kind: oneField, Name: "name", Label: "Which key", Options: names})
	} else if len(names) == 1 {
		page.Fields = append(page.Fields, field{Kind: hiddenField, Name: "name", Value: names[0].Value})
	}
	page.Fields = append(page.Fields, keyFields()...)
	page.Fields = append(page.Fields, field{Kind: oneField, Name: "overlap", Label: "How long the key before stays a last resort", Options: []option{
		{Value: "0", Label: "Not at all: it is destroyed here at once"}, {Value: "1h", Label: "1 hour", On: true}, {Value: "24h", Label: "24 hours"}, {Value: "7d", Label: "7 days"},
	}})
	return page, nil
}

// ended shows the end of a key.
func ended(last4 string) string {
	if last4 == "" {
		return ""
	}
	return "…" + last4
}

func (d *Dash) askRotateKey(w http.ResponseWriter, r *http.Request) error {
	page, err := d.rotateKeyForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) rotateKey(w http.ResponseWriter, r *http.Request) error {
	var k tenure.ProviderKey
	overlap, err := vault.ParseOverlap(sent(r, "overlap"))
	if err == nil {
		k, err = d.Vault.Rotate(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")),
			vault.NewKey{Name: sent(r, "name"), Secret: tenure.NewSecret(sent(r, "key")), Reference: sent(r, "key_reference")}, vault.Taking{Overlap: overlap})
	}
	if err != nil {
		page, failed := d.rotateKeyForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showProvider(w, r, fmt.Sprintf("The provider accepts the new key: version %d of “%s” is in use.", k.Version, k.Name))
}

// addKeyForm asks for one more key.
func (d *Dash) addKeyForm(r *http.Request) (*formPage, error) {
	p, err := d.Vault.Get(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: d.frame(r, "Add a key"), Heading: fmt.Sprintf("Add a key to “%s”", p.Name), Action: providerPath(p) + "/keys", Button: "Check and add", Back: providerPath(p),
		Lead:   []string{"A provider with several keys goes on when one is refused or has no quota left: the next is tried before anything was answered."},
		Folded: arrangement(tenure.ProviderKey{Position: 1, Weight: 1}), Fold: "Order, weight and reminder",
	}
	page.Address = page.Action + "/new"
	page.Fields = append([]field{{Kind: textField, Name: "name", Label: "Name", Most: 63, Needed: true, Code: true, Example: "spare"}}, keyFields()...)
	return page, nil
}

func (d *Dash) newKey(w http.ResponseWriter, r *http.Request) error {
	page, err := d.addKeyForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) addKey(w http.ResponseWriter, r *http.Request) error {
	k, err := d.addedKey(r)
	if err != nil {
		page, failed := d.addKeyForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showProvider(w, r, fmt.Sprintf("The provider accepts the key “%s”: it is in use.", k.Name))
}

func (d *Dash) addedKey(r *http.Request) (tenure.ProviderKey, error) {
	a, err := sentArrangement(r)
	if err != nil {
		return tenure.ProviderKey{}, err
	}
	return d.Vault.Rotate(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")), vault.NewKey{
		Name: sent(r, "name"), Secret: tenure.NewSecret(sent(r, "key")), Reference: sent(r, "key_reference"), Added: true, Arrangement: a,
	}, vault.Taking{})
}

// checkKey asks the provider with a key.
func (d *Dash) checkKey(w http.ResponseWriter, r *http.Request) error {
	k, err := d.Vault.CheckKey(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")), tenure.KeyID(r.PathValue("key")))
	if err != nil {
		return err
	}
	if k.Check == tenure.CheckPassed {
		return d.showProvider(w, r, fmt.Sprintf("The provider accepts the key “%s”.", k.Name))
	}
	return d.showProvider(w, r, fmt.Sprintf("The key “%s”, version %d: %s", k.Name, k.Version, sentence(k.CheckError)))
}

// aKey reads the version of a key that the address names.
func (d *Dash) aKey(r *http.Request) (tenure.Provider, tenure.ProviderKey, error) {
	ctx, by := r.Context(), web.Principal(r.Context())
	p, err := d.Vault.Get(ctx, by, tenure.ProviderID(r.PathValue("id")))
	if err != nil {
		return p, tenure.ProviderKey{}, err
	}
	keys, err := d.Vault.ProviderKeys(ctx, by, p.ID)
	for _, k := range keys {
		if string(k.ID) == r.PathValue("key") {
			return p, k, err
		}
	}
	if err == nil {
		err = tenure.ErrNotFound
	}
	return p, tenure.ProviderKey{}, err
}

func (d *Dash) arrangeKeyForm(r *http.Request) (*formPage, error) {
	p, k, err := d.aKey(r)
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: d.frame(r, "Arrange a key"), Heading: fmt.Sprintf("The key “%s” of “%s”", k.Name, p.Name), Action: providerPath(p) + "/keys/" + string(k.ID) + "/arrange",
		Button: "Save", Back: providerPath(p), Fields: arrangement(k),
	}
	page.Address = page.Action
	return page, nil
}

func (d *Dash) askArrangeKey(w http.ResponseWriter, r *http.Request) error {
	page, err := d.arrangeKeyForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) arrangeKey(w http.ResponseWriter, r *http.Request) error {
	a, err := sentArrangement(r)
	if err == nil {
		_, err = d.Vault.Arrange(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")), tenure.KeyID(r.PathValue("key")), a)
	}
	if err != nil {
		page, failed := d.arrangeKeyForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showProvider(w, r, "Saved: requests heed it from now on.")
}

func (d *Dash) askRetireKey(w http.ResponseWriter, r *http.Request) error {
	p, k, err := d.aKey(r)
	if err != nil {
		return err
	}
	page := confirmPage{
		frame: d.frame(r, "Retire a key"), Heading: fmt.Sprintf("Retire version %d of “%s”?", k.Version, k.Name), Button: "Retire it",
		Back: providerPath(p), Action: providerPath(p) + "/keys/" + string(k.ID) + "/retire",
		Ends: []string{
			"No request goes with it from now on; what is kept of it here is destroyed, for good.",
			"At the provider it lives on: revoke it there too if it may have leaked.",
		},
		Facts: []fact{{Name: "Provider", Text: p.Name}, {Name: "Key", Text: dashed(ended(k.Last4)), Code: true}, {Name: "Fingerprint", Text: dashed(k.Fingerprint), Code: true}},
	}
	switch k.State {
	case tenure.KeyStaged:
		page.Heading, page.Button = fmt.Sprintf("Discard version %d of “%s”?", k.Version, k.Name), "Discard it"
		page.Ends[0] = "No request has gone with it; what is kept of it here is destroyed, for good."
	case tenure.KeyRetired:
		page.Over = "It is retired already."
	case tenure.KeyActive, tenure.KeyOverlap: // as it stands
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) retireKey(w http.ResponseWriter, r *http.Request) error {
	k, err := d.Vault.Retire(r.Context(), web.Principal(r.Context()), tenure.ProviderID(r.PathValue("id")), tenure.KeyID(r.PathValue("key")))
	if err != nil {
		return err
	}
	return d.showProvider(w, r, fmt.Sprintf("Version %d of “%s” is retired.", k.Version, k.Name))
}
