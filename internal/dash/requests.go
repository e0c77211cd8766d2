package dash

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

const requestsPath = "/admin/requests"

// A requestsPage lists requests for tokens.
type requestsPage struct {
	frame
	listing
	Notice string
	Reveal *reveal
	Rows   []requestRow
	All    bool // everybody's, and not the asker's own alone
}

// A requestRow is a request as the list shows it.
type requestRow struct {
	tenure.TokenRequest
	How      string // the state, in a word
	Own      bool   // the asker made it
	Decide   bool   // the asker may decide on it now
	Collect  bool   // it waits for the asker
	Withdraw bool
}

func (d *Dash) requests(w http.ResponseWriter, r *http.Request) error {
	return d.showRequests(w, r, "")
}

func (d *Dash) showRequests(w http.ResponseWriter, r *http.Request, notice string) error {
	return d.listRequests(w, r, requestsPage{Notice: notice})
}

// listRequests answers with the list, on which the page that is given says what
// has just been done.
func (d *Dash) listRequests(w http.ResponseWriter, r *http.Request, page requestsPage) error {
	by := web.Principal(r.Context())
	page.frame, page.listing = d.frame(r, "Requests"), d.listing(r, requestsPath)
	page.Address, page.All = requestsPath, may(by, tenure.ListAllTokens)
	rows, err := d.Tokens.Requests(r.Context(), by, tenure.RequestID(r.URL.Query().Get("cursor")), perPage)
	if err != nil {
		return err
	}
	page.Next = string(rows.Next)
	for _, q := range rows.Requests {
		row := requestRow{TokenRequest: q, How: q.State(page.Now), Own: q.AskedBy(by)}
		row.Decide = row.How == tenure.RequestPending && !row.Own && may(by, tenure.DecideRequest)
		row.Collect = row.How == tenure.RequestApproved && row.Own
		row.Withdraw = row.Own && (row.How == tenure.RequestPending || row.How == tenure.RequestApproved)
		page.Rows = append(page.Rows, row)
	}
	return d.show(w, http.StatusOK, "requests", page)
}

// aboutRequest makes the page that asks before something is done with a request.
func (d *Dash) aboutRequest(r *http.Request, verb, heading, button string) (*formPage, tenure.TokenRequest, error) {
	by := web.Principal(r.Context())
	q, err := d.Tokens.Request(r.Context(), by, tenure.RequestID(r.PathValue("id")))
	if err != nil {
		return nil, q, err
	}
	if (verb == "collect" || verb == "withdraw") && !q.AskedBy(by) {
		return nil, q, tenure.ErrNotFound // as the acts themselves answer
	}
	page := &formPage{
		frame: d.frame(r, heading), Heading: fmt.Sprintf("%s “%s”?", heading, q.Name), Button: button, Back: requestsPath,
		Action: requestsPath + "/" + string(q.ID) + "/" + verb,
	}
	page.Address = page.Action
	page.Facts = []fact{
		{Name: "Account", Text: q.AccountName},
		{Name: "Workspace", Text: d.spaceName(r, nil, q.Workspace)},
		{Name: "Scopes", Text: strings.Join(q.Scopes.Names(), ", ")},
		{Name: "Models", Text: strings.Join(q.Models, ", "), Code: true},
		{Name: "Networks", Text: strings.Join(tenure.NetworkNames(q.Networks), ", ")},
		{Name: "Lives for", Text: span(q.Life)},
		{Name: "Asked by", Text: q.RequestedBy},
		{Name: "Asked", At: page.At(q.RequestedAt)},
		{Name: "Why", Text: q.Reason},
	}
	if len(q.Networks) == 0 {
		page.Facts[4].Text = "anywhere"
	}
	if q.Reason == "" {
		page.Facts = page.Facts[:len(page.Facts)-1]
	}
	return page, q, nil
}

func (d *Dash) approveForm(r *http.Request) (*formPage, error) {
	page, _, err := d.aboutRequest(r, "approve", "Approve", "Approve")
	if err == nil {
		page.Lead = []string{"Whoever asked collects the token; you do not see it. An approval that is not collected lapses after 7 days."}
		page.Fields = []field{{Kind: areaField, Name: "reason", Label: "A word with it", Most: tenure.MaxText, Hint: "Whoever asked reads it. It may stay empty."}}
	}
	return page, err
}

func (d *Dash) rejectForm(r *http.Request) (*formPage, error) {
	page, _, err := d.aboutRequest(r, "reject", "Reject", "Reject")
	if err == nil {
		page.Danger = true
		page.Fields = []field{{Kind: areaField, Name: "reason", Label: "Why not", Most: tenure.MaxText, Needed: true, Hint: "Whoever asked reads it."}}
	}
	return page, err
}

func (d *Dash) askApprove(w http.ResponseWriter, r *http.Request) error {
	page, err := d.approveForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) askReject(w http.ResponseWriter, r *http.Request) error {
	page, err := d.rejectForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) approve(w http.ResponseWriter, r *http.Request) error {
	return d.decide(w, r, true, d.approveForm)
}

func (d *Dash) reject(w http.ResponseWriter, r *http.Request) error {
	return d.decide(w, r, false, d.rejectForm)
}

func (d *Dash) decide(w http.ResponseWriter, r *http.Request, approve bool, form func(*http.Request) (*formPage, error)) error {
	q, err := d.Tokens.Decide(r.Context(), web.Principal(r.Context()), tenure.RequestID(r.PathValue("id")), approve, lines(r, "reason"))
	if err != nil {
		page, failed := form(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	if approve {
		return d.showRequests(w, r, fmt.Sprintf("“%s” is approved: %s collects the token.", q.Name, q.RequestedBy))
	}
	return d.showRequests(w, r, fmt.Sprintf("“%s” is rejected: %s reads why.", q.Name, q.RequestedBy))
}

func (d *Dash) withdrawForm(r *http.Request) (*formPage, error) {
	page, _, err := d.aboutRequest(r, "withdraw", "Withdraw", "Withdraw the request")
	if err == nil {
		page.Danger, page.Lead = true, []string{"Nobody decides on it any more, and no token comes of it."}
	}
	return page, err
}

func (d *Dash) askWithdraw(w http.ResponseWriter, r *http.Request) error {
	page, err := d.withdrawForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) withdraw(w http.ResponseWriter, r *http.Request) error {
	q, err := d.Tokens.Withdraw(r.Context(), web.Principal(r.Context()), tenure.RequestID(r.PathValue("id")))
	if err != nil {
		page, failed := d.withdrawForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showRequests(w, r, fmt.Sprintf("“%s” is withdrawn.", q.Name))
}

func (d *Dash) collectForm(r *http.Request) (*formPage, error) {
	page, q, err := d.aboutRequest(r, "collect", "Collect", "Collect the token")
	if err == nil {
		page.Lead = []string{"The token is made now and shown once, on the next page."}
		page.Facts = append(page.Facts, fact{Name: "Approved by", Text: q.DecidedBy})
		if q.Decision != "" {
			page.Facts = append(page.Facts, fact{Name: "Their word", Text: q.Decision})
		}
	}
	return page, err
}

func (d *Dash) askCollect(w http.ResponseWriter, r *http.Request) error {
	page, err := d.collectForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) collect(w http.ResponseWriter, r *http.Request) error {
	made, err := d.Tokens.Collect(r.Context(), web.Principal(r.Context()), tenure.RequestID(r.PathValue("id")))
	if err != nil {
		page, failed := d.collectForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.listRequests(w, r, requestsPage{Reveal: d.revealed(r, made.Token, made.Secret, "")})
}
