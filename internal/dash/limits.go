package dash

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/limits"
	"github.com/tenure-gateway/tenure/internal/web"
)

const limitsPath = "/admin/limits"

// A limitsPage lists limits: those of the tenant, or those that count what is asked in
// the one workspace that the asker looks after.
type limitsPage struct {
	frame
	Notice string
	In     string // the workspace, or "": all
	Rows   []limitRow
	Next   string
	First  bool
	May    bool // set another one
	Acts   bool // some of Rows may be changed
}

// A limitRow is a limit with what was used of each of its bounds.
type limitRow struct {
	limits.View
	On     string // what it is on
	Where  string // the workspace that it counts in, or ""
	Bounds []boundRow
	May    bool // change and remove it
}

// A boundRow is one bound.
type boundRow struct {
	What, Used, Most string
	Percent          int64  // used of it, at most 100
	State            string // "near", "reached" or ""
	Besides          string // what is not in it, or ""
}

// near is from how many percent on a limit is told as one that will be reached.
const near = 80

func boundOf(what string, used, most int64, text func(int64) string) boundRow {
	row := boundRow{What: what, Used: text(used), Most: text(most), Percent: 100}
	if used < most {
		row.Percent = int64(float64(used) / float64(most) * 100)
	}
	switch {
	case used >= most:
		row.State = "reached"
	case row.Percent >= near:
		row.State = "near"
	}
	return row
}

// limitKinds are what limits are on, and the words for it.
var limitKinds = [...][2]string{
	{tenure.LimitUser, "Person"}, {tenure.LimitAccount, "Service account"}, {tenure.LimitToken, "Token"}, {tenure.LimitWorkspace, "Workspace"}, {tenure.LimitTenant, "Tenant"},
}

// limitOn says what a limit is on.
func limitOn(v limits.View) string {
	on := v.Name
	for _, k := range limitKinds {
		if k[0] == v.Kind {
			on = strings.TrimSpace(k[1] + " " + v.Name)
		}
	}
	if v.Name == "" {
		on += " " + v.Subject
	}
	return on
}

func limitRowOf(v limits.View, currency string) limitRow {
	row := limitRow{View: v, On: limitOn(v)}
	if v.Workspace != "" {
		if row.Where = v.WorkspaceName; row.Where == "" {
			row.Where = string(v.Workspace)
		}
	}
	if b := v.Bounds; b.RequestsPerMinute > 0 {
		row.Bounds = append(row.Bounds, boundOf("requests in the last minute", v.Requests, b.RequestsPerMinute, tenure.FormatCount))
	}
	if b := v.Bounds; b.TokensPerDay > 0 {
		row.Bounds = append(row.Bounds, boundOf("tokens today", v.Tokens, b.TokensPerDay, tenure.FormatCount))
	}
	if b := v.Bounds; b.SpendPerMonth > 0 {
		spend := boundOf("spent this month", v.Spend, b.SpendPerMonth, tenure.FormatMoney)
		spend.Most = tenure.FormatAmount(b.SpendPerMonth, currency)
		if v.Unpriced > 0 {
			spend.Besides = plural(int(v.Unpriced), "request") + " without a price not counted"
		}
		row.Bounds = append(row.Bounds, spend)
	}
	return row
}

func (d *Dash) limits(w http.ResponseWriter, r *http.Request) error {
	return d.showLimits(w, r, "")
}

// headed is the workspace in which somebody may do an action who may not everywhere:
// the chosen one, if they look after it, else the first that they do.
func headed(r *http.Request, f frame, a tenure.Action) string {
	if may(web.Principal(r.Context()), a) {
		return ""
	}
	in := string(f.Workspace)
	for i := len(f.Spaces) - 1; i >= 0; i-- {
		if s := f.Spaces[i]; s.Role == tenure.WorkspaceAdmin {
			if in = string(s.ID); s.ID == f.Workspace {
				return in
			}
		}
	}
	return in
}

func (d *Dash) showLimits(w http.ResponseWriter, r *http.Request, notice string) error {
	by, after := web.Principal(r.Context()), r.URL.Query().Get("cursor")
	page := limitsPage{frame: d.frame(r, "Limits"), Notice: notice, First: after == ""}
	page.Address = limitsPath
	in := headed(r, page.frame, tenure.ListLimits)
	rows, err := d.Limits.List(r.Context(), by, limits.Filter{Workspace: in, After: tenure.LimitID(after), Limit: perPage + 1})
	if err != nil {
		return err
	}
	page.May = d.Limits.MaySet(r.Context(), by, headed(r, page.frame, tenure.SetLimit)) == nil
	if in != "" {
		page.In = page.Space(tenure.WorkspaceID(in))
	}
	if len(rows) > perPage {
		rows = rows[:perPage]
		page.Next = string(rows[perPage-1].ID)
	}
	currency, err := d.Prices.Currency(r.Context())
	if err != nil {
		return err
	}
	all := may(by, tenure.SetLimit)
	for _, v := range rows {
		row := limitRowOf(v, currency)
		row.May = all || v.Workspace != "" && d.Limits.MaySet(r.Context(), by, string(v.Workspace)) == nil
		page.Acts = page.Acts || row.May
		page.Rows = append(page.Rows, row)
	}
	return d.show(w, http.StatusOK, "limits", page)
}

// boundFields ask for bounds.
func boundFields(b tenure.UsageBounds) []field {
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	spend := ""
	if b.SpendPerMonth > 0 {
		spend = tenure.FormatMoney(b.SpendPerMonth)
	}
	return []field{
		{Kind: textField, Name: "requests_per_minute", Label: "Requests a minute", Value: number(b.RequestsPerMinute), Code: true, Example: "60", Hint: "In any 60 seconds; empty: no bound."},
		{Kind: textField, Name: "tokens_per_day", Label: "Tokens a day", Value: number(b.TokensPerDay), Code: true, Example: "2000000", Hint: "Input and output of a day in UTC; empty: no bound."},
		{Kind: textField, Name: "spend_per_month", Label: "Spend a month", Value: spend, Code: true, Example: "250", Hint: "In the installation’s currency, by the prices that are set, of a month in UTC; empty: no bound."},
	}
}

// sentBounds reads what boundFields asked for.
func sentBounds(r *http.Request) (tenure.UsageBounds, error) {
	var b tenure.UsageBounds
	for name, to := range map[string]*int64{"requests_per_minute": &b.RequestsPerMinute, "tokens_per_day": &b.TokensPerDay} {
		text := strings.ReplaceAll(sent(r, name), ",", "")
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return b, tenure.InvalidField(name, "expected a whole number, or nothing")
		}
		*to = n
	}
	if text := sent(r, "spend_per_month"); text != "" {
		n, err := tenure.ParseMoney(text)
		if err != nil {
			return b, tenure.InvalidField("spend_per_month", "%v", err)
		}
		b.SpendPerMonth = n
	}
	return b, nil
}

func (d *Dash) limitForm(r *http.Request) *formPage {
	page := &formPage{
		frame: d.frame(r, "New limit"), Heading: "New limit", Action: limitsPath, Button: "Set limit", Back: limitsPath,
		Lead: []string{"All limits that bear on a request hold. One that is reached refuses requests until its minute, day or month is over; it ends no access and cuts no stream."},
	}
	page.Address = limitsPath + "/new"
	in := headed(r, page.frame, tenure.SetLimit)
	kinds, spaces := []option{}, []option{}
	for i, k := range limitKinds {
		if in == "" || k[0] != tenure.LimitWorkspace && k[0] != tenure.LimitTenant {
			kinds = append(kinds, option{Value: k[0], Label: k[1], On: i == 0})
		}
	}
	if in == "" {
		spaces = append(spaces, option{Value: "", Label: "everywhere", On: true})
	}
	for _, s := range page.Spaces {
		if in == "" || s.Role == tenure.WorkspaceAdmin {
			spaces = append(spaces, option{Value: string(s.ID), Label: s.Name, On: string(s.ID) == in})
		}
	}
	page.Fields = append([]field{
		{Kind: oneField, Name: "kind", Label: "On", Options: kinds},
		{Kind: textField, Name: "subject", Label: "Which", Code: true, Example: "ada@example.com", Hint: "The userName, the name of the workspace, or the id of the service account or token. Of the tenant nothing."},
		{Kind: pickField, Name: "workspace", Label: "Counts what is asked in", Options: spaces},
	}, boundFields(tenure.UsageBounds{})...)
	return page
}

func (d *Dash) newLimit(w http.ResponseWriter, r *http.Request) error {
	page := d.limitForm(r)
	if err := d.Limits.MaySet(r.Context(), web.Principal(r.Context()), headed(r, page.frame, tenure.SetLimit)); err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) createLimit(w http.ResponseWriter, r *http.Request) error {
	var v limits.View
	b, err := sentBounds(r)
	if in := headed(r, d.frame(r, ""), tenure.SetLimit); in != "" && sent(r, "workspace") == "" {
		if err := d.Limits.MaySet(r.Context(), web.Principal(r.Context()), in); err != nil {
			return err
		}
		err = tenure.InvalidField("workspace", "choose a workspace that you look after")
	}
	if err == nil {
		v, err = d.Limits.Create(r.Context(), web.Principal(r.Context()), limits.Spec{
			Kind: sent(r, "kind"), Subject: sent(r, "subject"), Workspace: sent(r, "workspace"), Bounds: b,
		})
	}
	if err != nil {
		return d.askAgain(w, r, d.limitForm(r), err)
	}
	return d.showLimits(w, r, fmt.Sprintf("The limit on “%s” holds.", limitOn(v)))
}

func (d *Dash) editLimitForm(r *http.Request) (*formPage, error) {
	v, err := d.Limits.Find(r.Context(), web.Principal(r.Context()), tenure.SetLimit, tenure.LimitID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	path := limitsPath + "/" + string(v.ID)
	page := &formPage{
		frame: d.frame(r, "Change a limit"), Heading: fmt.Sprintf("Change the limit on “%s”", limitOn(v)), Action: path, Button: "Change limit", Back: limitsPath,
		Fields: boundFields(v.Bounds),
	}
	page.Address = path + "/edit"
	return page, nil
}

func (d *Dash) editLimit(w http.ResponseWriter, r *http.Request) error {
	page, err := d.editLimitForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) updateLimit(w http.ResponseWriter, r *http.Request) error {
	page, err := d.editLimitForm(r)
	if err != nil {
		return err
	}
	b, err := sentBounds(r)
	if err == nil {
		_, err = d.Limits.Change(r.Context(), web.Principal(r.Context()), tenure.LimitID(r.PathValue("id")),
			limits.Patch{Requests: &b.RequestsPerMinute, Tokens: &b.TokensPerDay, Spend: &b.SpendPerMonth})
	}
	if err != nil {
		return d.askAgain(w, r, page, err)
	}
	return d.showLimits(w, r, "The limit is changed, and holds.")
}

func (d *Dash) askRemoveLimit(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Limits.Find(r.Context(), web.Principal(r.Context()), tenure.RemoveLimit, tenure.LimitID(r.PathValue("id")))
	if err != nil {
		return err
	}
	page := confirmPage{
		frame: d.frame(r, "Remove a limit"), Back: limitsPath, Action: limitsPath + "/" + string(v.ID) + "/remove", Button: "Remove limit",
	}
	currency, err := d.Prices.Currency(r.Context())
	if err != nil {
		return err
	}
	row := limitRowOf(v, currency)
	page.Heading = fmt.Sprintf("Remove the limit on “%s”?", row.On)
	page.Ends = []string{"Nothing of it holds any more, on every replica, within a second. Other limits go on."}
	for _, b := range row.Bounds {
		page.Facts = append(page.Facts, fact{Name: sentence(b.What), Text: b.Used + " of " + b.Most})
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) removeLimit(w http.ResponseWriter, r *http.Request) error {
	if err := d.Limits.Remove(r.Context(), web.Principal(r.Context()), tenure.LimitID(r.PathValue("id"))); err != nil {
		return err
	}
	return d.showLimits(w, r, "The limit is removed.")
}
