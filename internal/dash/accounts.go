package dash

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

const accountsPath = "/admin/service-accounts"

// errNoAccounts refuses those to whom no service account could ever be shown.
var errNoAccounts = &tenure.Error{
	Kind: tenure.Forbidden, Code: "insufficient_role",
	Msg: "you look after the service accounts of no workspace; those who administer one do",
}

// An accountsPage lists service accounts.
type accountsPage struct {
	frame
	listing
	Rows []accountRow
	May  bool // make one
}

// An accountRow is a service account as a list shows it.
type accountRow struct {
	tenure.ServiceAccount
	Space string // the workspace's name
	How   string // the state, in a word
}

func (d *Dash) accounts(w http.ResponseWriter, r *http.Request) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	if by.User() != "" && !may(by, tenure.ListAccounts) && !d.leads(r, tenure.ListAccounts) {
		return errNoAccounts
	}
	page := accountsPage{frame: d.frame(r, "Service accounts"), listing: d.listing(r, accountsPath)}
	rows, err := d.Directory.Accounts(ctx, by, directory.AccountFilter{
		Part: page.Query, Ended: page.State == "all", Orphaned: page.State == "orphaned",
		After: tenure.ServiceAccountID(r.URL.Query().Get("cursor")), Limit: perPage + 1,
	})
	if err != nil {
		return err
	}
	names := map[tenure.WorkspaceID]string{}
	for _, a := range cut(&page.listing, rows, func(a tenure.ServiceAccount) string { return string(a.ID) }) {
		page.Rows = append(page.Rows, accountRow{a, d.spaceName(r, names, a.Workspace), a.State(page.Now)})
	}
	spaces, err := d.accountSpaces(r)
	page.May = len(spaces) > 0
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "accounts", page)
}

// accountSpaces are the workspaces in which the asker may make service accounts.
func (d *Dash) accountSpaces(r *http.Request) ([]option, error) {
	ctx, by := r.Context(), web.Principal(r.Context())
	if access.Admits(by, tenure.CreateAccount) != nil && !may(by, tenure.CreateAccount) {
		return nil, nil
	}
	rows, err := d.Directory.Workspaces(ctx, by, "", maxChoices)
	var out []option
	for _, w := range rows {
		if may(by, tenure.CreateAccount) || d.looksAfter(r, tenure.CreateAccount, w.ID) {
			out = append(out, option{Value: string(w.ID), Label: w.Name, On: w.Name == string(tenure.DefaultWorkspace)})
		}
	}
	return out, err
}

// looksAfter reports whether the asker may do an action on the service accounts of a
// workspace, or could after a fresh sign-in.
func (d *Dash) looksAfter(r *http.Request, action tenure.Action, ws tenure.WorkspaceID) bool {
	err := d.Directory.LookAfter(r.Context(), web.Principal(r.Context()), action, ws)
	return err == nil || access.AfterSignIn(err)
}

// accountFor reads the service account that the address names, for who may do an
// action on it.
func (d *Dash) accountFor(r *http.Request, action tenure.Action) (tenure.ServiceAccount, error) {
	ctx, by := r.Context(), web.Principal(r.Context())
	a, err := d.Directory.Account(ctx, by, tenure.ServiceAccountID(r.PathValue("id")))
	if err == nil {
		err = d.Directory.LookAfter(ctx, by, action, a.Workspace)
	}
	return a, err
}

// maxChoices is how many workspaces a form offers; in a tenant with more, one is
// named instead.
const maxChoices = 200

// spaceField asks for a workspace.
func spaceField(spaces []option, hint string) field {
	f := field{Kind: pickField, Name: "workspace", Label: "Workspace", Hint: hint, Options: spaces}
	if len(spaces) >= maxChoices {
		f.Kind, f.Options, f.Needed = textField, nil, true
		f.Hint = "The name of a workspace. " + hint
	}
	return f
}

func (d *Dash) accountForm(r *http.Request) (*formPage, error) {
	page := &formPage{
		frame: d.frame(r, "New service account"), Heading: "New service account", Action: accountsPath, Button: "Create service account", Back: accountsPath,
		Lead: []string{"Something that is not a person and asks models: a job, a bot, a server. A person answers for it, and it ends on a date."},
	}
	page.Address = accountsPath + "/new"
	spaces, err := d.accountSpaces(r)
	if err != nil {
		return nil, err
	}
	if len(spaces) == 0 {
		return nil, errNoAccounts
	}
	owner := ""
	if by := web.Principal(r.Context()); by.User() != "" {
		owner = by.Label()
	}
	page.Fields = []field{
		{Kind: textField, Name: "name", Label: "Name", Most: tenure.MaxName, Needed: true, Example: "nightly reports"},
		spaceField(spaces, "Its tokens ask the models of this workspace."),
		{Kind: areaField, Name: "description", Label: "What it is for", Most: tenure.MaxText, Needed: true, Example: "Writes the nightly report; runs in the cluster ops-1"},
		{
			Kind: textField, Name: "owner", Label: "Owner", Value: owner, Most: tenure.MaxUserName, Needed: true,
			Hint: "The userName of the person who answers for it. When they leave, it waits for a new owner, and stops when none is found in time.",
		},
		{
			Kind: dateField, Name: "expires_at", Label: "End date", Value: page.Now.Add(directory.AccountLife).UTC().Format(time.DateOnly), Needed: true,
			Hint: "It and its tokens are good through this day (UTC), at most two years ahead.",
		},
	}
	return page, nil
}

func (d *Dash) newAccount(w http.ResponseWriter, r *http.Request) error {
	page, err := d.accountForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) createAccount(w http.ResponseWriter, r *http.Request) error {
	page, err := d.accountForm(r)
	if err != nil {
		return err
	}
	end, err := endOfDay(sent(r, "expires_at"))
	var a tenure.ServiceAccount
	if err == nil {
		a, err = d.Directory.CreateAccount(r.Context(), web.Principal(r.Context()), directory.AccountSpec{
			Workspace: sent(r, "workspace"), Name: sent(r, "name"), About: lines(r, "description"), Owner: sent(r, "owner"), ExpiresAt: end,
		})
	}
	if err != nil {
		return d.askAgain(w, r, page, err)
	}
	return d.showAccount(w, r, a.ID, accountPage{Notice: fmt.Sprintf("“%s” is there. Generate its first token below.", a.Name)})
}

// lines is a text of several lines as it was sent; browsers end each by CR LF.
func lines(r *http.Request, name string) string {
	return strings.ReplaceAll(sent(r, name), "\r\n", "\n")
}

// endOfDay is the end of a day (UTC), as a field of a date sends it.
func endOfDay(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, tenure.InvalidField("expires_at", "choose a day, written as 2027-01-31")
	}
	return t.Add(24 * time.Hour), nil
}

// An accountPage shows one service account and its tokens.
type accountPage struct {
	frame
	listing
	Notice  string
	Reveal  *reveal
	Asked   *tenure.TokenRequest // a request that was made in a token's place
	Account accountRow
	Live    []tenure.Token
	Ended   []tenure.Token
	May     bool // change it, end it, and look after its tokens
	Over    bool // it has come to its end
}

func (d *Dash) account(w http.ResponseWriter, r *http.Request) error {
	return d.showAccount(w, r, tenure.ServiceAccountID(r.PathValue("id")), accountPage{})
}

// showAccount answers with the page of a service account, on which the page that
// is given says what has just been done.
func (d *Dash) showAccount(w http.ResponseWriter, r *http.Request, id tenure.ServiceAccountID, page accountPage) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	a, err := d.Directory.Account(ctx, by, id)
	if err != nil {
		return err
	}
	page.frame, page.listing = d.frame(r, a.Name), d.listing(r, accountsPath+"/"+string(id))
	page.Address = page.Path
	page.Account = accountRow{a, d.spaceName(r, nil, a.Workspace), a.State(page.Now)}
	page.May = d.looksAfter(r, tenure.UpdateAccount, a.Workspace)
	page.Over = page.Account.How == "ended" || page.Account.How == "expired"
	tokens, err := d.Tokens.OfAccount(ctx, by, id, tenure.TokenID(r.URL.Query().Get("cursor")), perPage)
	if err != nil {
		return err
	}
	page.Next = string(tokens.Next)
	for _, t := range tokens.Tokens {
		if t.Live(page.Now) && !page.Over {
			page.Live = append(page.Live, t)
		} else {
			page.Ended = append(page.Ended, t)
		}
	}
	return d.show(w, http.StatusOK, "account", page)
}

// LastDay is the last day on which an account is good.
func (p accountPage) LastDay() string { return lastDay(p.Account.ExpiresAt) }

func lastDay(end time.Time) string {
	if end.IsZero() {
		return ""
	}
	return end.UTC().Add(-time.Nanosecond).Format(time.DateOnly)
}

func (d *Dash) changeForm(r *http.Request) (*formPage, tenure.ServiceAccount, error) {
	a, err := d.accountFor(r, tenure.UpdateAccount)
	if err != nil {
		return nil, a, err
	}
	path := accountsPath + "/" + string(a.ID)
	page := &formPage{frame: d.frame(r, "Change "+a.Name), Heading: "Change “" + a.Name + "”", Action: path, Button: "Save", Back: path}
	page.Address = path + "/edit"
	if !a.OrphanedAt.IsZero() {
		page.Alert = fmt.Sprintf("Its owner %s left. It stops %s unless somebody takes it over: name the new owner here.", a.OwnerName, page.At(a.GraceEndsAt).Words)
	}
	page.Fields = []field{
		{Kind: textField, Name: "owner", Label: "Owner", Value: a.OwnerName, Most: tenure.MaxUserName, Needed: true, Hint: "The userName of an active person who answers for it."},
		{Kind: areaField, Name: "description", Label: "What it is for", Value: a.About, Most: tenure.MaxText, Needed: true},
		{
			Kind: dateField, Name: "expires_at", Label: "End date", Value: lastDay(a.ExpiresAt), Needed: true,
			Hint: "It and its tokens are good through this day (UTC). Tokens that exist keep their own, earlier ends.",
		},
	}
	return page, a, nil
}

func (d *Dash) editAccount(w http.ResponseWriter, r *http.Request) error {
	page, _, err := d.changeForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) updateAccount(w http.ResponseWriter, r *http.Request) error {
	page, before, err := d.changeForm(r)
	if err != nil {
		return err
	}
	var c directory.AccountChange
	if owner := sent(r, "owner"); owner != before.OwnerName || !before.OwnerActive {
		c.Owner = &owner
	}
	if about := lines(r, "description"); about != before.About {
		c.About = &about
	}
	if day := sent(r, "expires_at"); day != lastDay(before.ExpiresAt) {
		var end time.Time
		end, err = endOfDay(day)
		c.ExpiresAt = &end
	}
	after := before
	if err == nil && c != (directory.AccountChange{}) {
		after, err = d.Directory.UpdateAccount(r.Context(), web.Principal(r.Context()), before.ID, c)
	}
	if err != nil {
		return d.askAgain(w, r, page, err)
	}
	notice := fmt.Sprintf("“%s” is saved.", after.Name)
	if c.Owner != nil {
		notice = fmt.Sprintf("%s answers for “%s” from now on.", after.OwnerName, after.Name)
	}
	return d.showAccount(w, r, before.ID, accountPage{Notice: notice})
}

func (d *Dash) askEndAccount(w http.ResponseWriter, r *http.Request) error {
	a, err := d.accountFor(r, tenure.DeleteAccount)
	if err != nil {
		return err
	}
	path := accountsPath + "/" + string(a.ID)
	page := confirmPage{
		frame: d.frame(r, "End a service account"), Heading: fmt.Sprintf("End “%s”?", a.Name), Back: path, Action: path + "/end",
		Button: "End account", Ends: []string{
			"The account ends for good, and nothing revives it. Its name is free again.",
			"Every request and stream that it carries at that moment is cut, on every replica.",
		},
	}
	if a.Tokens > 0 {
		page.Button = "End account and " + plural(a.Tokens, "token")
		page.Ends = append(page.Ends, "Its "+plural(a.Tokens, "live token")+" end"+third(a.Tokens)+" with it.")
	}
	page.Facts = []fact{
		{Name: "Workspace", Text: d.spaceName(r, nil, a.Workspace)},
		{Name: "What it is for", Text: a.About},
		{Name: "Owner", Text: a.OwnerName},
		{Name: "End date", Text: lastDay(a.ExpiresAt)},
	}
	if !a.EndedAt.IsZero() {
		page.Over = "This account has ended already."
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

// third is the ending of a verb after one thing.
func third(n int) string {
	if n == 1 {
		return "s"
	}
	return ""
}

func (d *Dash) endAccount(w http.ResponseWriter, r *http.Request) error {
	id := tenure.ServiceAccountID(r.PathValue("id"))
	ended, err := d.Directory.EndAccount(r.Context(), web.Principal(r.Context()), id, byAdmin)
	if err != nil {
		return err
	}
	return d.showAccount(w, r, id, accountPage{Notice: "The account is ended: " + total(ended) + " ended in " + took(ended.Took) + "."})
}

// byAdmin is why a thing ended, as its row and the audit log tell it.
const byAdmin = "ended in the dashboard"
