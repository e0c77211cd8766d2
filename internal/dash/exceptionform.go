package dash

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/exception"
	"github.com/tenure-gateway/tenure/internal/web"
)

// riskFields ask for how likely harm is, and how bad.
func riskFields(when, part string, is tenure.Risk) []field {
	return []field{
		{Kind: oneField, Name: "likelihood_" + when, Label: "How likely is harm?", Options: options(is.Likelihood, "low", "medium", "high"), Part: part},
		{Kind: oneField, Name: "impact_" + when, Label: "How bad would it be?", Options: options(is.Impact, "low", "medium", "high")},
	}
}

// checkField asks for the live check of what compensates.
func checkField(is string) field {
	out := field{Kind: oneField, Name: "check", Label: "Is there a check of that?", Options: []option{{Label: "None", On: is == ""}}}
	for _, c := range exception.Checks() {
		out.Options = append(out.Options, option{Value: c.Name, Label: c.Name, Hint: c.What + ".", On: is == c.Name})
	}
	out.Hint = "It is run every second: when it fails, the exception is out of force, with what hangs on it."
	return out
}

// wishFields ask for what an exception is to be, beside its rule and what it is for.
func wishFields(v tenure.Exception, now time.Time) []field {
	out := []field{
		{Kind: textField, Name: "title", Label: "Title", Value: v.Title, Most: 120, Needed: true, Example: "Lab robot until the new CI"},
		{Kind: areaField, Name: "reason", Label: "Why is it needed?", Value: v.Reason, Most: tenure.MaxText, Needed: true},
		{Kind: dateField, Name: "expires_at", Label: "It ends on", Needed: true, Hint: "By " + day(now.Add(tenure.MaxException-24*time.Hour)) + " at the latest, at the end of the day (UTC)."},
	}
	out = append(out, riskFields("before", "Risk without controls", v.Before)...)
	out = append(out, riskFields("after", "Risk with controls", v.After)...)
	return append(out,
		field{Kind: areaField, Name: "controls", Label: "What compensates for the rule?", Value: v.Controls, Most: tenure.MaxText, Needed: true},
		checkField(v.Check),
		field{Kind: textField, Name: "owner", Label: "Who answers for the remedy?", Value: v.OwnerName, Code: true, Hint: "An active person, by userName; empty: you.", Part: "Remedy"},
		field{Kind: areaField, Name: "plan", Label: "How does it become needless?", Value: v.Plan, Most: tenure.MaxText, Needed: true},
		field{Kind: dateField, Name: "remedy_by", Label: "By when?", Hint: "Empty: by the end of the exception."},
	)
}

// subjectWords are what exceptions are for, and the words for it.
var subjectWords = [...][2]string{
	{tenure.SubjectUser, "Person"}, {tenure.SubjectAccount, "Service account"}, {tenure.SubjectWorkspace, "Workspace"}, {tenure.SubjectProvider, "Provider"}, {tenure.SubjectTenant, "Tenant"},
}

func (d *Dash) exceptionForm(r *http.Request) *formPage {
	by, q := web.Principal(r.Context()), r.URL.Query()
	page := &formPage{
		frame: d.frame(r, "Ask for an exception"), Heading: "Ask for an exception", Action: exceptionsPath, Button: "Ask for it", Back: exceptionsPath,
		Lead: []string{"One rule does not hold for one thing, until a day. Nothing changes until another person approves; it ends by itself, with what hangs on it."},
	}
	page.Address = exceptionsPath + "/new"
	rule := field{Kind: oneField, Name: "rule", Label: "Which rule?"}
	for i, m := range tenure.Rules() {
		rule.Options = append(rule.Options, option{Value: string(m.Rule), Label: string(m.Rule), Hint: m.What, On: q.Get("rule") == string(m.Rule) || q.Get("rule") == "" && i == 0})
	}
	kind := field{Kind: oneField, Name: "subject_kind", Label: "For what?"}
	for i, k := range subjectWords {
		kind.Options = append(kind.Options, option{Value: k[0], Label: k[1], On: q.Get("kind") == k[0] || q.Get("kind") == "" && i == 0})
	}
	which := field{Kind: textField, Name: "subject", Label: "Which?", Code: true, Value: q.Get("subject"), Hint: "The userName, the name of the workspace, or the id of the service account or the provider. Of the tenant nothing."}
	if which.Value == "" && by.User() != "" {
		which.Value = by.Standing().UserName
	}
	page.Fields = append([]field{rule, kind, which}, wishFields(tenure.Exception{}, page.Now)...)
	return page
}

func (d *Dash) newException(w http.ResponseWriter, r *http.Request) error {
	return d.ask(w, d.exceptionForm(r))
}

// sentWish reads what wishFields asked for.
func sentWish(r *http.Request) (exception.Spec, error) {
	spec := exception.Spec{
		Title: sent(r, "title"), Reason: lines(r, "reason"), Controls: lines(r, "controls"), Check: sent(r, "check"),
		Risks: exception.Risks{
			Before: tenure.Risk{Likelihood: sent(r, "likelihood_before"), Impact: sent(r, "impact_before")},
			After:  tenure.Risk{Likelihood: sent(r, "likelihood_after"), Impact: sent(r, "impact_after")},
		},
		Remedy: exception.Remedy{Owner: sent(r, "owner"), Plan: lines(r, "plan")},
	}
	for name, to := range map[string]*time.Time{"expires_at": &spec.Time.End, "remedy_by": &spec.Remedy.By} {
		text := sent(r, name)
		if text == "" {
			continue
		}
		end, err := endOfDay(text)
		if err != nil {
			return spec, tenure.InvalidField(name, "expected a day, such as 2027-03-31")
		}
		*to = end
	}
	return spec, nil
}

func (d *Dash) createException(w http.ResponseWriter, r *http.Request) error {
	spec, err := sentWish(r)
	var v exception.View
	if err == nil {
		spec.Rule, spec.Subject = tenure.Rule(sent(r, "rule")), exception.Subject{Kind: sent(r, "subject_kind"), ID: sent(r, "subject")}
		v, err = d.Exceptions.Ask(r.Context(), web.Principal(r.Context()), spec)
	}
	if err != nil {
		return d.askAgain(w, r, d.exceptionForm(r), err)
	}
	return d.showException(w, r, v, fmt.Sprintf("“%s” is asked for: another person decides.", v.Title))
}

func (d *Dash) renewPage(r *http.Request) (*formPage, error) {
	v, err := d.Exceptions.Read(r.Context(), web.Principal(r.Context()), tenure.ExceptionID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	path := exceptionsPath + "/" + string(v.ID)
	page := &formPage{
		frame: d.frame(r, "Renew an exception"), Heading: fmt.Sprintf("Renew “%s”", v.Title), Action: path + "/renew", Button: "Ask for it", Back: path,
		Lead: []string{"This asks for a new exception of the same rule, for the same thing. Once another person approves, it takes the place of this one, with what hangs on it."},
		Facts: []fact{
			{Name: "Rule", Text: string(v.Rule), Code: true},
			{Name: "For", Text: v.About()},
			{Name: "Ends", At: d.frame(r, "").At(v.End())},
			{Name: "Renewed before", Text: strings.ReplaceAll(plural(v.Renewals, "time"), "0 times", "never")},
		},
	}
	page.Fields = wishFields(v.Exception, page.Now)
	page.Address = page.Action
	return page, nil
}

func (d *Dash) renewForm(w http.ResponseWriter, r *http.Request) error {
	v, err := d.Exceptions.Read(r.Context(), web.Principal(r.Context()), tenure.ExceptionID(r.PathValue("id")))
	if err == nil && !mayOnException(web.Principal(r.Context()), v, "renew") {
		err = tenure.ErrNotFound
	}
	if err != nil {
		return err
	}
	page, err := d.renewPage(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) renew(w http.ResponseWriter, r *http.Request) error {
	spec, err := sentWish(r)
	var v exception.View
	if err == nil {
		v, err = d.Exceptions.Renew(r.Context(), web.Principal(r.Context()), tenure.ExceptionID(r.PathValue("id")), spec)
	}
	if err != nil {
		page, failed := d.renewPage(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showException(w, r, v, fmt.Sprintf("“%s” is asked for: another person decides.", v.Title))
}
