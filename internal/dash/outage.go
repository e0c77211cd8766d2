package dash

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// outageField is the field that says how long a workspace goes on without the database.
const outageField = "outage_grace_seconds"

// outageGrace says what a workspace does while the database is away.
func outageGrace(w tenure.Workspace, now time.Time) string {
	grace := w.BestEffort(now)
	switch {
	case w.OutageGrace == 0:
		return "strict"
	case w.GraceMax == 0:
		return "strict: the policy does not let it go on"
	case grace == 0:
		return "strict: its exception is not in force"
	}
	return "best effort, for " + tenure.FormatSpan(grace) + ", by an exception until " + day(w.ExceptionEnds)
}

// outageForm asks how long the tokens of a workspace go on while the database is away.
func (d *Dash) outageForm(r *http.Request) (*formPage, error) {
	ws, err := d.Directory.Workspace(r.Context(), web.Principal(r.Context()), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	path := workspacesPath + "/" + string(ws.ID)
	excepted, err := d.Exceptions.InForce(r.Context(), web.Principal(r.Context()), tenure.Deviation{Tenant: ws.Tenant, Workspace: ws.ID}, tenure.RuleBestEffort)
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: d.frame(r, "Without the database"), Heading: "“" + ws.Name + "” without the database", Action: path + "/outage", Button: "Save", Back: path,
		Lead:  []string{"While Tenure cannot reach its database it cannot know whose access has ended. After a few seconds it refuses everybody, unless their workspace goes on."},
		Alert: "During an outage of the database, somebody who was deactivated, or whose token was revoked, may go on here for up to this time.",
	}
	most := fmt.Sprintf("The tenant’s policy best_effort_max lets it be %d at most.", ws.GraceMax/time.Second)
	if ws.GraceMax == 0 {
		most = "The tenant’s policy best_effort_max lets it be nothing but 0: a super admin changes that first."
	}
	page.Address = path + "/outage"
	page.Fields = []field{{
		Kind: textField, Name: outageField, Label: "Seconds", Value: strconv.FormatInt(int64(ws.OutageGrace/time.Second), 10), Most: 3, Needed: true,
		Hint: "How long its tokens that are in use go on asking models. 0: strict, as everybody. " + most + " Each use is told in the audit.",
	}}
	by := field{Kind: oneField, Name: "exception", Label: "By which exception?", Options: []option{{Label: "None: strict", On: ws.Exception == ""}}}
	for _, x := range excepted {
		by.Options = append(by.Options, option{Value: string(x.ID), Label: x.Title, Hint: "It ends on " + day(x.End()) + ", and this with it.", On: x.ID == ws.Exception})
	}
	if len(excepted) == 0 {
		by.Hint = "There is none in force: ask for one of the rule best_effort."
	}
	page.Fields = append(page.Fields, by)
	return page, nil
}

func (d *Dash) askOutage(w http.ResponseWriter, r *http.Request) error {
	page, err := d.outageForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) setOutage(w http.ResponseWriter, r *http.Request) error {
	var ws directory.WorkspaceRole
	n, err := strconv.ParseUint(sent(r, outageField), 10, 16)
	if err != nil {
		err = tenure.InvalidField(outageField, "expected a number of seconds from 0 (strict) to %d", tenure.MaxOutageGrace/time.Second)
	} else {
		grace, by := time.Duration(n)*time.Second, tenure.ExceptionID(sent(r, "exception"))
		if grace == 0 { // what was chosen for the time before is needless
			by = ""
		}
		ws, err = d.Directory.UpdateWorkspace(r.Context(), web.Principal(r.Context()), r.PathValue("id"), directory.WorkspaceSpec{OutageGrace: &grace, Exception: &by})
	}
	if err != nil {
		page, failed := d.outageForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showWorkspace(w, r, string(ws.ID), fmt.Sprintf("Without the database, “%s” is now %s.", ws.Name, outageGrace(ws.Workspace, d.Directory.DB.Now())))
}
