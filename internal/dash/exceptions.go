package dash

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/exception"
	"github.com/tenure-gateway/tenure/internal/governance"
	"github.com/tenure-gateway/tenure/internal/web"
)

const exceptionsPath = "/admin/exceptions"

func (d *Dash) exceptionRoutes() []web.Route {
	one := exceptionsPath + "/{id}"
	routes := []web.Route{
		d.look("GET "+exceptionsPath, tenure.ListExceptions, d.exceptions),
		d.look("GET "+exceptionsPath+"/new", tenure.AskException, d.newException),
		d.do("POST "+exceptionsPath, tenure.AskException, d.createException),
		d.look("GET "+one, tenure.ListExceptions, d.exception),
		d.look("GET "+one+"/renew", tenure.AskException, d.renewForm),
		d.do("POST "+one+"/renew", tenure.AskException, d.renew),
	}
	for _, verb := range exceptionVerbs {
		routes = append(routes,
			d.look("GET "+one+"/"+verb.name, verb.action, d.askOnException(verb)),
			d.do("POST "+one+"/"+verb.name, verb.action, d.doOnException(verb)))
	}
	return routes
}

// An exceptionVerb is what is done with one exception.
type exceptionVerb struct {
	name, heading, button, lead string
	why                         string // what the reason is asked by; "": there is none
	danger                      bool
	action                      tenure.Action
	done                        string // what is told afterwards
	do                          func(*exception.Exceptions, *http.Request, tenure.ExceptionID, string) (exception.View, error)
}

// exceptionVerbs are all of them. Nobody modifies them.
var exceptionVerbs = [...]exceptionVerb{
	{
		name: "approve", heading: "Approve", button: "Approve", action: tenure.DecideException, why: "Why it may be", done: "is approved",
		lead: "From its beginning on the rule does not hold for what it is for. It ends by itself.",
		do: func(s *exception.Exceptions, r *http.Request, id tenure.ExceptionID, why string) (exception.View, error) {
			return s.Approve(r.Context(), web.Principal(r.Context()), id, why)
		},
	},
	{
		name: "reject", heading: "Reject", button: "Reject", action: tenure.DecideException, why: "Why not", danger: true, done: "is rejected",
		lead: "The rule goes on to hold. Whoever asked reads why.",
		do: func(s *exception.Exceptions, r *http.Request, id tenure.ExceptionID, why string) (exception.View, error) {
			return s.Reject(r.Context(), web.Principal(r.Context()), id, why)
		},
	},
	{
		name: "withdraw", heading: "Withdraw", button: "Withdraw", action: tenure.WithdrawException, danger: true, done: "is withdrawn",
		lead: "Nobody decides on it any more.",
		do: func(s *exception.Exceptions, r *http.Request, id tenure.ExceptionID, _ string) (exception.View, error) {
			return s.Withdraw(r.Context(), web.Principal(r.Context()), id)
		},
	},
	{
		name: "revoke", heading: "Revoke", button: "Revoke exception", action: tenure.RevokeException, why: "Why", danger: true, done: "is revoked",
		lead: "It ends at once and for good, and with it what hangs on it, open streams too.",
		do: func(s *exception.Exceptions, r *http.Request, id tenure.ExceptionID, why string) (exception.View, error) {
			return s.Revoke(r.Context(), web.Principal(r.Context()), id, why)
		},
	},
	{
		name: "remedied", heading: "Remedied:", button: "The remedy is made", action: tenure.RemedyException, danger: true, done: "is remedied, and has ended",
		lead: "The rule holds again. What still hangs on the exception ends at once, open streams too.",
		do: func(s *exception.Exceptions, r *http.Request, id tenure.ExceptionID, _ string) (exception.View, error) {
			return s.Remedied(r.Context(), web.Principal(r.Context()), id)
		},
	},
}

// An exceptionsPage lists exceptions.
type exceptionsPage struct {
	frame
	listing
	Notice string
	Rows   []exceptionRow
	All    bool // everybody's
	May    bool // ask for one
}

// An exceptionRow is an exception as it is shown.
type exceptionRow struct {
	exception.View
	How  string // the state, in words
	Soon bool   // it ends within 30 days, and goes on till then
	Late bool   // the remedy is overdue
}

const soonEnding = 30 * 24 * time.Hour

func exceptionRowOf(v exception.View, now time.Time) exceptionRow {
	on := v.Status == tenure.ExceptionActive || v.Status == tenure.ExceptionFailed
	return exceptionRow{
		View: v, How: tenure.ExceptionWords(v.Status),
		Soon: v.Status == tenure.ExceptionActive && v.End().Sub(now) < soonEnding, Late: on && now.After(v.RemedyBy),
	}
}

func (d *Dash) exceptions(w http.ResponseWriter, r *http.Request) error {
	return d.showExceptions(w, r, "")
}

func (d *Dash) showExceptions(w http.ResponseWriter, r *http.Request, notice string) error {
	by := web.Principal(r.Context())
	page := exceptionsPage{frame: d.frame(r, "Exceptions"), listing: d.listing(r, exceptionsPath), Notice: notice}
	page.Address, page.All, page.May = exceptionsPath, may(by, tenure.ListAllExceptions), may(by, tenure.AskException) && by.Standing().Role != tenure.Auditor
	rows, err := d.Exceptions.List(r.Context(), by, tenure.ExceptionID(r.URL.Query().Get("cursor")), perPage)
	if err != nil {
		return err
	}
	page.Next = string(rows.Next)
	for _, v := range rows.Exceptions {
		page.Rows = append(page.Rows, exceptionRowOf(v, page.Now))
	}
	return d.show(w, http.StatusOK, "exceptions", page)
}

// An exceptionPage shows one exception, and what may be done with it.
type exceptionPage struct {
	frame
	Notice  string
	Is      exceptionRow
	Path    string
	Acts    []exceptionAct
	History []event
	Told    bool // the asker may read the audit log
}

// An exceptionAct is a button.
type exceptionAct struct {
	Name, Path string
	Danger     bool
}

func (d *Dash) exception(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Exceptions.Read(r.Context(), web.Principal(r.Context()), tenure.ExceptionID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return d.showException(w, r, v, "")
}

func (d *Dash) showException(w http.ResponseWriter, r *http.Request, v exception.View, notice string) error {
	by := web.Principal(r.Context())
	page := exceptionPage{frame: d.frame(r, v.Title), Notice: notice, Path: exceptionsPath + "/" + string(v.ID), Told: may(by, tenure.ReadAudit)}
	page.Address, page.Is = page.Path, exceptionRowOf(v, page.Now)
	for _, verb := range exceptionVerbs {
		if mayOnException(by, v, verb.name) {
			page.Acts = append(page.Acts, exceptionAct{verb.button, page.Path + "/" + verb.name, verb.danger})
		}
	}
	if mayOnException(by, v, "renew") {
		page.Acts = append(page.Acts, exceptionAct{"Renew", page.Path + "/renew", false})
	}
	if page.Told {
		rows, err := d.Governance.Audit(r.Context(), by, governance.AuditFilter{Object: string(v.ID), Limit: perPage})
		if err != nil {
			return err
		}
		places, err := d.spaces(r)
		if err != nil {
			return err
		}
		page.History = page.events(rows, places, "")
	}
	return d.show(w, http.StatusOK, "exception", page)
}

// mayOnException tells which buttons somebody is offered; the act judges.
func mayOnException(by tenure.Principal, v exception.View, verb string) bool {
	waits, failed := v.Status == tenure.ExceptionSubmitted, v.Status == tenure.ExceptionFailed
	on := v.Status == tenure.ExceptionActive || v.Status == tenure.ExceptionApproved || failed
	other := !v.AskedBy(by) && (v.For == "" || v.For != by.User())
	switch verb {
	case "approve":
		return (waits || failed) && other && may(by, tenure.DecideException)
	case "reject":
		return waits && !v.AskedBy(by) && may(by, tenure.DecideException)
	case "withdraw":
		return waits && v.AskedBy(by)
	case "revoke":
		return on && may(by, tenure.RevokeException)
	case "remedied":
		return on && (v.Owner == by.User() || may(by, tenure.RevokeException))
	case "renew":
		return v.Status == tenure.ExceptionActive && (v.AskedBy(by) || v.Owner == by.User() || may(by, tenure.AskAnyException))
	}
	return false
}

func (d *Dash) verbForm(r *http.Request, verb exceptionVerb) (*formPage, error) {
	v, err := d.Exceptions.Read(r.Context(), web.Principal(r.Context()), tenure.ExceptionID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	path := exceptionsPath + "/" + string(v.ID)
	page := &formPage{
		frame: d.frame(r, verb.heading), Heading: fmt.Sprintf("%s “%s”", verb.heading, v.Title), Lead: []string{verb.lead},
		Action: path + "/" + verb.name, Button: verb.button, Danger: verb.danger, Back: path,
	}
	page.Address = page.Action
	page.Facts = []fact{
		{Name: "Rule", Text: string(v.Rule), Code: true},
		{Name: "For", Text: v.About()},
		{Name: "Why", Text: v.Reason},
		{Name: "Risk", Text: v.Before.Rating() + ", with controls " + v.After.Rating()},
		{Name: "Controls", Text: v.Controls},
		{Name: "Asked by", Text: v.RequestedBy},
		{Name: "From", At: page.At(v.From)},
		{Name: "Until", At: page.At(v.End())},
		{Name: "Remedy", Text: v.Plan},
		{Name: "Owner", Text: v.OwnerName},
	}
	if v.Tokens > 0 {
		page.Facts = append(page.Facts, fact{Name: "Hangs on it", Text: plural(v.Tokens, "token")})
	}
	if v.Spaces > 0 {
		page.Facts = append(page.Facts, fact{Name: "Goes on by it", Text: plural(v.Spaces, "workspace")})
	}
	if v.Sessions > 0 {
		page.Facts = append(page.Facts, fact{Name: "Ends with it", Text: plural(v.Sessions, "session")})
	}
	if verb.why != "" {
		page.Fields = []field{{Kind: areaField, Name: "reason", Label: verb.why, Most: tenure.MaxText, Needed: true, Hint: "Who asked, the owner and auditors read it."}}
	}
	return page, nil
}

func (d *Dash) askOnException(verb exceptionVerb) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := d.Exceptions.Read(r.Context(), web.Principal(r.Context()), tenure.ExceptionID(r.PathValue("id")))
		if err == nil && !mayOnException(web.Principal(r.Context()), v, verb.name) {
			err = tenure.ErrNotFound // there is no such page of it, to them or as it stands
		}
		if err != nil {
			return err
		}
		page, err := d.verbForm(r, verb)
		if err != nil {
			return err
		}
		return d.ask(w, page)
	}
}

func (d *Dash) doOnException(verb exceptionVerb) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := verb.do(d.Exceptions, r, tenure.ExceptionID(r.PathValue("id")), lines(r, "reason"))
		if err != nil {
			page, failed := d.verbForm(r, verb)
			if failed != nil {
				return failed
			}
			return d.askAgain(w, r, page, err)
		}
		return d.showException(w, r, v, fmt.Sprintf("“%s” %s.", v.Title, verb.done))
	}
}
