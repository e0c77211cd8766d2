package dash

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// scopeOptions are scopes to choose from, under a heading each of those of models
// and of administration.
func scopeOptions(scopes tenure.Scopes) []option {
	var out []option
	for _, part := range []struct {
		heading string
		of      tenure.Scopes
	}{{"Models", tenure.PersonalScopes}, {"Administration", tenure.AdminScopes}} {
		heading := part.heading
		for _, name := range (scopes & part.of).Names() {
			out = append(out, option{Value: name, Label: name, Hint: opens(name), Group: heading})
			heading = ""
		}
	}
	return out
}

func (d *Dash) serviceTokenForm(r *http.Request) (*formPage, error) {
	ctx, by, id := r.Context(), web.Principal(r.Context()), tenure.ServiceAccountID(r.PathValue("id"))
	a, err := d.accountFor(r, tenure.MintServiceToken)
	if err != nil {
		return nil, err
	}
	terms, err := d.Tokens.ServiceTerms(ctx, by, id)
	if err != nil {
		return nil, err
	}
	path := accountsPath + "/" + string(id)
	page := &formPage{
		frame: d.frame(r, "New token of "+a.Name), Heading: "New token of “" + a.Name + "”", Action: path + "/tokens", Button: "Generate token", Back: path,
		Lead: []string{"It asks the models of the workspace " + d.spaceName(r, nil, a.Workspace) + ". Give it exactly what the account needs."},
	}
	page.Address = path + "/tokens/new"
	why := "For whoever decides, if a scope of administration is chosen."
	if terms.Approval {
		page.Lead = append(page.Lead, "With a scope of administration this becomes a request, on which a second person decides; you collect the token once it is approved.")
	}
	page.Fields = []field{
		{Kind: textField, Name: "name", Label: "Name", Most: tenure.MaxTokenName, Needed: true, Example: "cluster ops-1"},
		{Kind: manyField, Name: "scopes", Label: "Scopes", Options: scopeOptions(terms.Scopes)},
		{Kind: pickField, Name: "expires_in", Label: "Expires", Options: lifeOptions(terms, page.Now, a.ExpiresAt), Hint: "Longer, or without an end, needs an exception."},
	}
	excepted, err := d.Exceptions.InForce(ctx, by, tenure.Deviation{Tenant: a.Tenant, Workspace: a.Workspace, Account: a.ID}, tenure.RuleTokenLifetime, tenure.RuleTokenExpires)
	if err != nil {
		return nil, err
	}
	for _, x := range excepted {
		lives := &page.Fields[2]
		lives.Options = append(lives.Options, option{Value: byException + string(x.ID), Label: exceptedLife(x)})
	}
	if terms.Approval {
		page.Fields = append(page.Fields, field{Kind: areaField, Name: "reason", Label: "Why", Hint: why, Most: tenure.MaxText})
	}
	page.Fold = "Narrow it further"
	page.Folded = []field{
		{Kind: textField, Name: "models", Label: "Models", Code: true, Example: "gpt-4o* anthropic/*", Hint: "Patterns with spaces between; empty: every model that the workspace allows."},
		{Kind: textField, Name: "cidrs", Label: "Networks", Code: true, Example: "203.0.113.0/24", Hint: "From where it is good, with spaces between; empty: from anywhere."},
	}
	return page, nil
}

// lifeOptions are the lifetimes that are offered: the usual ones that the policy
// allows, its own, and its longest. None outlives the account.
func lifeOptions(terms token.Terms, now, end time.Time) []option {
	all := []time.Duration{terms.Usual, terms.Longest}
	for _, days := range [...]int{7, 30, 90, 180, 365} {
		if d := time.Duration(days) * 24 * time.Hour; d < terms.Longest {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	var out []option
	for _, d := range slices.Compact(all) {
		until := now.Add(d)
		o := option{Value: strconv.FormatInt(int64(d/time.Second), 10), Label: "in " + span(d) + ", on " + day(until), On: d == terms.Usual}
		if d < 48*time.Hour {
			o.Label = "in " + tenure.FormatSpan(d)
		}
		if !end.IsZero() && end.Before(until) { // what is longer is the same
			o.Label, o.On = "with the account, on "+day(end), o.On || terms.Usual > d
			return append(out, o)
		}
		out = append(out, o)
	}
	return out
}

// day is a date for people.
func day(t time.Time) string { return t.UTC().Format("2 Jan 2006") }

func (d *Dash) newServiceToken(w http.ResponseWriter, r *http.Request) error {
	page, err := d.serviceTokenForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

// mintServiceToken makes a token of a service account and shows it, this once, or
// tells of the request that was made in its place.
func (d *Dash) mintServiceToken(w http.ResponseWriter, r *http.Request) error {
	id := tenure.ServiceAccountID(r.PathValue("id"))
	spec := token.Spec{Name: sent(r, "name"), Scopes: words(r, "scopes"), Models: words(r, "models"), Networks: words(r, "cidrs"), Reason: lines(r, "reason")}
	var err error
	if exception, ok := strings.CutPrefix(sent(r, "expires_in"), byException); ok {
		spec.Exception = tenure.ExceptionID(exception)
	} else {
		spec.Life, err = chosenLife(r)
	}
	var made token.Minted
	if err == nil {
		made, err = d.Tokens.MintService(r.Context(), web.Principal(r.Context()), id, spec)
	}
	if err != nil {
		page, failed := d.serviceTokenForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	if made.Request != nil {
		return d.showRequests(w, r, fmt.Sprintf("Your request for “%s” waits for a second person. When it is approved, collect the token here.", made.Request.Name))
	}
	return d.showAccount(w, r, id, accountPage{Reveal: d.revealed(r, made.Token, made.Secret, "")})
}

// chosenLife reads the lifetime that was chosen, in seconds.
func chosenLife(r *http.Request) (time.Duration, error) {
	seconds, err := strconv.ParseInt(sent(r, "expires_in"), 10, 64)
	if err != nil || seconds <= 0 || seconds > int64(tenure.MaxTokenLife/time.Second) {
		return 0, tenure.InvalidField("expires_in", "choose one of the lifetimes offered")
	}
	return time.Duration(seconds) * time.Second, nil
}

// accountToken reads a token of the service account that the address names, for who
// looks after it.
func (d *Dash) accountToken(r *http.Request) (tenure.Token, error) {
	a, err := d.accountFor(r, tenure.UpdateAccount)
	if err != nil {
		return tenure.Token{}, err
	}
	t, err := d.Tokens.Get(r.Context(), web.Principal(r.Context()), tenure.TokenID(r.PathValue("token")))
	if err == nil && t.ServiceAccount != a.ID {
		err = tenure.ErrNotFound
	}
	return t, err
}

// tokenFacts tell which token it is.
func (f frame) tokenFacts(t tenure.Token) []fact {
	facts := []fact{{Name: "Token", Text: t.Prefix + "…", Code: true}, {Name: "Scopes", Text: strings.Join(t.Scopes.Names(), ", ")}}
	if m := t.Models.String(); m != tenure.AnyModel {
		facts = append(facts, fact{Name: "Models", Text: m, Code: true})
	}
	if len(t.Networks) > 0 {
		facts = append(facts, fact{Name: "Networks", Text: strings.Join(tenure.NetworkNames(t.Networks), ", "), Code: true})
	}
	return append(facts, fact{Name: "Created", At: f.At(t.CreatedAt)}, fact{Name: "Last used", At: f.At(t.LastUsedAt)}, fact{Name: "Expires", At: f.At(t.ExpiresAt)})
}

// overlaps are how long the old secret of a rotated token may live on.
func overlaps() []option {
	return []option{
		{Value: "0", Label: "No overlap: the old secret ends at once, with what it carries"},
		{Value: "1h", Label: "1 hour"},
		{Value: "24h", Label: "24 hours"},
		{Value: "7d", Label: "7 days"},
	}
}

func (d *Dash) rotateForm(r *http.Request) (*formPage, error) {
	t, err := d.accountToken(r)
	if err != nil {
		return nil, err
	}
	path := accountsPath + "/" + string(t.ServiceAccount)
	page := &formPage{
		frame: d.frame(r, "Rotate a token"), Heading: fmt.Sprintf("Rotate “%s”", t.Name), Action: path + "/tokens/" + string(t.ID) + "/rotate",
		Button: "Rotate", Back: path,
		Lead: []string{"It gets a new secret with the same name, scopes and bounds. The new one is shown once, on the next page."},
	}
	page.Address, page.Facts = page.Action, page.tokenFacts(t)
	page.Fields = []field{{
		Kind: oneField, Name: "overlap", Label: "How long the old secret lives on", Options: overlaps(),
		Hint: "Time to put the new one in its place. Without a choice, as the tenant’s policy says.",
	}}
	return page, nil
}

func (d *Dash) askRotateServiceToken(w http.ResponseWriter, r *http.Request) error {
	page, err := d.rotateForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) rotateServiceToken(w http.ResponseWriter, r *http.Request) error {
	t, err := d.accountToken(r)
	if err != nil {
		return err
	}
	var overlap *time.Duration
	if text := sent(r, "overlap"); text != "" {
		overlap, err = token.ParseOverlap(text)
	}
	var next tenure.Token
	var secret tenure.Secret
	if err == nil {
		next, secret, err = d.Tokens.Rotate(r.Context(), web.Principal(r.Context()), t.ID, overlap)
	}
	if err != nil {
		page, failed := d.rotateForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showAccount(w, r, t.ServiceAccount, accountPage{Reveal: d.revealed(r, next, secret, "")})
}

func (d *Dash) askRevokeServiceToken(w http.ResponseWriter, r *http.Request) error {
	t, err := d.accountToken(r)
	if err != nil {
		return err
	}
	path := accountsPath + "/" + string(t.ServiceAccount)
	page := confirmPage{
		frame: d.frame(r, "Revoke a token"), Heading: fmt.Sprintf("Revoke “%s” of %s?", t.Name, t.AccountName), Button: "Revoke",
		Back: path, Action: path + "/tokens/" + string(t.ID) + "/revoke",
		Ends: []string{
			"This token ends at once, on every replica.",
			"So does every request and stream that it carries at that moment.",
			"If it was rotated, the secrets of its line that live still end with it.",
			"The account and its other tokens go on.",
		},
	}
	page.Facts = page.tokenFacts(t)
	if t.Over(page.Now) {
		page.Over = "This token has ended already: it is " + t.State(page.Now) + "."
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) revokeServiceToken(w http.ResponseWriter, r *http.Request) error {
	t, err := d.accountToken(r)
	if err != nil {
		return err
	}
	ended, err := d.Tokens.Revoke(r.Context(), web.Principal(r.Context()), t.ID, byAdmin)
	if err != nil {
		return err
	}
	notice := fmt.Sprintf("“%s” is revoked: %s ended in %s.", t.Name, total(ended), took(ended.Took))
	if ended.Tokens == 0 {
		notice = fmt.Sprintf("“%s” had ended already.", t.Name)
	}
	return d.showAccount(w, r, t.ServiceAccount, accountPage{Notice: notice})
}
