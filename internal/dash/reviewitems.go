package dash

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/web"
)

// readItem reads the review and the item that a request is about.
func (d *Dash) readItem(r *http.Request) (review.View, tenure.ReviewItem, error) {
	ctx, by, id := r.Context(), web.Principal(r.Context()), tenure.ReviewID(r.PathValue("id"))
	n, err := strconv.ParseInt(r.PathValue("item"), 10, 64)
	if err != nil {
		return review.View{}, tenure.ReviewItem{}, tenure.ErrNotFound
	}
	v, err := d.Reviews.Get(ctx, by, id)
	if err != nil {
		return v, tenure.ReviewItem{}, err
	}
	i, err := d.Reviews.Item(ctx, by, id, n)
	return v, i, err
}

func (d *Dash) decideForm(r *http.Request) (*formPage, tenure.ReviewItem, error) {
	v, i, err := d.readItem(r)
	if err != nil {
		return nil, i, err
	}
	row := d.itemRow(web.Principal(r.Context()), v, i)
	page := &formPage{frame: d.frame(r, "Decide"), Heading: fmt.Sprintf("Should “%s” stay?", i.Name), Action: row.Path, Button: "Decide", Back: reviewsPath + "/" + string(v.ID)}
	page.Address = row.Path
	page.Facts = []fact{{Name: "What", Text: row.What}, {Name: "Grant", Text: i.Grant}, {Name: "Source", Text: i.Source}}
	if i.WorkspaceName != "" {
		page.Facts = append(page.Facts, fact{Name: "Workspace", Text: i.WorkspaceName})
	}
	if !i.GrantedAt.IsZero() {
		page.Facts = append(page.Facts, fact{Name: "Granted", At: page.At(i.GrantedAt)})
	}
	if i.GrantedBy != "" {
		page.Facts = append(page.Facts, fact{Name: "Granted by", Text: i.GrantedBy})
	}
	page.Facts = append(page.Facts, fact{Name: "Last used", At: page.At(i.LastUsedAt)}, fact{Name: "Expires", At: page.At(i.ExpiresAt)}, fact{Name: "Stands at", Text: spaced(row.State)})
	reviewer := fact{Name: "Reviewer", Text: reviewerOf(i)}
	if row.Give {
		reviewer.Link, reviewer.Does = row.Path+"/reassign", "Reassign"
	}
	page.Facts = append(page.Facts, reviewer)
	for _, f := range []fact{{Name: "Reason", Text: i.Reason}, {Name: "Failed", Text: i.Failure}, {Name: "Decided by", Text: i.DecidedBy}} {
		if f.Text != "" {
			page.Facts = append(page.Facts, f)
		}
	}
	if len(row.Flagged) > 0 {
		page.Alert = "Flagged: " + strings.Join(row.Flagged, ", ") + "."
	}
	if hint := notHere(i); hint != "" {
		page.Lead = append(page.Lead, hint)
	}
	if !row.May {
		page.Lead = []string{"Somebody else decides about this, or it is decided for good."}
	}
	page.Fields = []field{
		{Kind: oneField, Name: "decision", Label: "Decision", Options: []option{
			{Value: string(tenure.DecideKeep), Label: "Keep", On: true},
			{Value: string(tenure.DecideRevoke), Label: "Revoke", Hint: "It ends at once, and is tried."},
			{Value: string(tenure.DecideChange), Label: "Change", Hint: "To another role or owner, or for somebody to do."},
			{Value: string(tenure.DecideAbstain), Label: "Abstain", Hint: "It goes to the administrators."},
		}},
		{Kind: areaField, Name: "reason", Label: "Reason", Needed: true, Most: 1000, Example: "Still needed for the nightly report"},
		{Kind: hiddenField, Name: "seen", Value: strconv.FormatInt(i.Version, 10)},
	}
	page.Fold = "What to change"
	page.Folded = []field{
		{Kind: textField, Name: "to", Label: "To", Most: 500, Hint: "The new role, or owner of a service account; or what is to be done."},
		{Kind: textField, Name: "owner", Label: "By whom", Most: 255, Hint: "Empty: it is changed now."},
		{Kind: dateField, Name: "due_at", Label: "By when"},
	}
	return page, i, nil
}

// notHere says what to do about an item that cannot be revoked from here, or "".
func notHere(i tenure.ReviewItem) string {
	switch {
	case i.Kind == tenure.ReviewRoot:
		return "To revoke it sets the policy root_token to off: nobody has it for emergencies then."
	case i.Source == "settings":
		return "It is a setting (" + i.Subject + "): to revoke it from here fails. Have it changed there, by somebody until a day: a change."
	case i.Via != "":
		return "It is by a group: to revoke it from here fails. Have it changed at the identity provider, by somebody until a day: a change."
	}
	return ""
}

func (d *Dash) reviewItem(w http.ResponseWriter, r *http.Request) error {
	page, _, err := d.decideForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) decideItem(w http.ResponseWriter, r *http.Request) error {
	page, i, err := d.decideForm(r)
	if err != nil {
		return err
	}
	c := review.Choice{Decision: tenure.Decision(sent(r, "decision")), Reason: sent(r, "reason"), To: sent(r, "to"), Owner: sent(r, "owner")}
	c.Version, _ = strconv.ParseInt(sent(r, "seen"), 10, 64) // what is no number was never decided
	if text := sent(r, "due_at"); text != "" {
		if c.Due, err = time.Parse(time.DateOnly, text); err != nil {
			return d.askAgain(w, r, page, tenure.InvalidField("due_at", "expected a day"))
		}
	}
	done, err := d.Reviews.Decide(r.Context(), web.Principal(r.Context()), i.Review, i.N, c)
	if err != nil {
		return d.askAgain(w, r, page, err)
	}
	return d.showReview(w, r, i.Review, url.Values{"mine": {"1"}, "undecided": {"1"}}, saidOf(done))
}

// saidOf tells what became of an item.
func saidOf(i tenure.ReviewItem) string {
	switch i.State() {
	case "kept":
		return fmt.Sprintf("“%s” is kept.", i.Name)
	case "revoked":
		return fmt.Sprintf("“%s” is revoked: it was tried, and dead after %s.", i.Name, took(i.Took))
	case "gone":
		return fmt.Sprintf("“%s” was not revoked, and is gone: %s.", i.Name, strings.TrimSuffix(i.GoneWhy, "."))
	case "revoking":
		return fmt.Sprintf("“%s” is being revoked, and is not known to be dead yet: look again in a minute.", i.Name)
	case "failed":
		return fmt.Sprintf("“%s” could not be ended, and is tried again: %s.", i.Name, strings.TrimSuffix(i.Failure, "."))
	case "abstained":
		return fmt.Sprintf("“%s” went to the administrators.", i.Name)
	case "changed":
		return fmt.Sprintf("“%s” is changed: %s.", i.Name, i.Change)
	}
	return fmt.Sprintf("“%s” is for %s to change.", i.Name, i.ChangeOwner)
}

func (d *Dash) reassignForm(r *http.Request) (*formPage, tenure.ReviewItem, error) {
	v, i, err := d.readItem(r)
	if err != nil {
		return nil, i, err
	}
	row := d.itemRow(web.Principal(r.Context()), v, i)
	page := &formPage{
		frame: d.frame(r, "Reassign"), Heading: fmt.Sprintf("Who is to decide about “%s”?", i.Name), Action: row.Path + "/reassign", Button: "Reassign", Back: reviewsPath + "/" + string(v.ID),
		Lead:  []string{"It is never for whose access it is, nor for an auditor. The audit log tells who gave it to whom, and why."},
		Facts: []fact{{Name: "What", Text: row.What}, {Name: "Grant", Text: i.Grant}, {Name: "Source", Text: i.Source}, {Name: "Reviewer", Text: reviewerOf(i)}},
		Fields: []field{
			{Kind: textField, Name: "reviewer", Label: "Reviewer", Most: 255, Example: "ada@example.com", Hint: "Empty: any administrator."},
			{Kind: areaField, Name: "reason", Label: "Reason", Needed: true, Most: 1000, Example: "Knows the team"},
		},
	}
	page.Address = row.Path + "/reassign"
	if !row.Give {
		page.Lead = []string{"It is decided, gone, or your own access."}
	}
	return page, i, nil
}

// reviewerOf says who is to decide an item.
func reviewerOf(i tenure.ReviewItem) string {
	if i.Reviewer == "" {
		return "administrators"
	}
	if i.ReviewerName == "" {
		return string(i.Reviewer)
	}
	return i.ReviewerName
}

func (d *Dash) askReassign(w http.ResponseWriter, r *http.Request) error {
	page, _, err := d.reassignForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) reassignItem(w http.ResponseWriter, r *http.Request) error {
	page, i, err := d.reassignForm(r)
	if err != nil {
		return err
	}
	done, err := d.Reviews.Reassign(r.Context(), web.Principal(r.Context()), i.Review, i.N, sent(r, "reviewer"), sent(r, "reason"))
	if err != nil {
		return d.askAgain(w, r, page, err)
	}
	return d.showReview(w, r, i.Review, url.Values{"undecided": {"1"}}, fmt.Sprintf("“%s” is for %s to decide.", done.Name, reviewerOf(done)))
}
