package dash

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/review"
	"github.com/tenure-gateway/tenure/internal/web"
)

const reviewsPath = "/admin/reviews"

// A reviewsPage lists access reviews.
type reviewsPage struct {
	frame
	listing
	Rows []reviewRow
	May  bool // open another one
}

// A reviewRow is a review, and how far it is.
type reviewRow struct {
	review.View
	Link    string // the review's own page
	Decided int64
	Percent int64
}

func reviewRowOf(v review.View) reviewRow {
	row := reviewRow{View: v, Link: reviewsPath + "/" + string(v.ID), Decided: v.Counts.Items - v.Counts.Undecided, Percent: 100}
	if v.Counts.Items > 0 {
		row.Percent = row.Decided * 100 / v.Counts.Items
	}
	return row
}

// Open tells that the review is.
func (r reviewRow) Open() bool { return r.ClosedAt.IsZero() }

func (d *Dash) reviews(w http.ResponseWriter, r *http.Request) error {
	page := reviewsPage{frame: d.frame(r, "Access reviews"), listing: d.listing(r, reviewsPath), May: may(web.Principal(r.Context()), tenure.OpenReview)}
	rows, err := d.Reviews.List(r.Context(), web.Principal(r.Context()), false, tenure.ReviewID(r.URL.Query().Get("cursor")), perPage+1)
	if err != nil {
		return err
	}
	for _, v := range cut(&page.listing, rows, func(v review.View) string { return string(v.ID) }) {
		page.Rows = append(page.Rows, reviewRowOf(v))
	}
	return d.show(w, http.StatusOK, "reviews", page)
}

// kindWords are the words for kinds of item.
var kindWords = [...][2]string{
	{string(tenure.ReviewPerson), "People"},
	{string(tenure.ReviewRole), "Roles"},
	{string(tenure.ReviewMembership), "Memberships"},
	{string(tenure.ReviewPAT), "Personal tokens"},
	{string(tenure.ReviewService), "Service tokens"},
	{string(tenure.ReviewAccount), "Service accounts"},
	{string(tenure.ReviewConnector), "SCIM connectors"},
	{string(tenure.ReviewOIDC), "OIDC connections"},
	{string(tenure.ReviewKey), "Provider keys"},
	{string(tenure.ReviewException), "Exceptions"},
	{string(tenure.ReviewProxy), "Trusted proxies"},
	{string(tenure.ReviewRoot), "Root token"},
}

// spaced is a word of the machine for people.
func spaced(word string) string { return strings.ReplaceAll(word, "_", " ") }

func (d *Dash) reviewForm(r *http.Request) *formPage {
	page := &formPage{
		frame: d.frame(r, "New access review"), Heading: "New access review", Action: reviewsPath, Button: "Open review", Back: reviewsPath,
		Lead: []string{"Everything that gives access is written down as it is now, and given to whoever is to decide about it: never to whose it is."},
	}
	page.Address = reviewsPath + "/new"
	kinds := make([]option, 0, len(kindWords))
	for _, k := range kindWords {
		kinds = append(kinds, option{Value: k[0], Label: k[1]})
	}
	page.Fields = []field{
		{Kind: textField, Name: "name", Label: "Title", Needed: true, Most: 200, Value: "Access review, " + page.Now.UTC().Format("January 2006")},
		{Kind: textField, Name: "due_in", Label: "Due in", Code: true, Example: "14d", Hint: "Empty: as the policy review_due says."},
		{Kind: pickField, Name: "unanswered", Label: "What nobody decides", Options: []option{
			{Value: "", Label: "as the policy says", On: true},
			{Value: tenure.UnansweredEscalate, Label: "goes to the administrators"},
			{Value: tenure.UnansweredRevoke, Label: "is revoked"},
		}},
	}
	page.Folded, page.Fold = []field{{Kind: manyField, Name: "kinds", Label: "Only these kinds", Options: kinds, Hint: "None: all."}}, "Of a part only"
	return page
}

func (d *Dash) newReview(w http.ResponseWriter, r *http.Request) error {
	return d.ask(w, d.reviewForm(r))
}

func (d *Dash) openReview(w http.ResponseWriter, r *http.Request) error {
	spec := review.Spec{Title: sent(r, "name"), Kinds: r.PostForm["kinds"], Unanswered: sent(r, "unanswered")}
	var err error
	if text := sent(r, "due_in"); text != "" {
		if spec.Due, err = tenure.ParseLifetime(text); err != nil {
			err = tenure.InvalidField("due_in", "%v", err)
		}
	}
	var v review.View
	if err == nil {
		v, err = d.Reviews.Open(r.Context(), web.Principal(r.Context()), spec)
	}
	if err != nil {
		return d.askAgain(w, r, d.reviewForm(r), err)
	}
	return d.showReview(w, r, v.ID, nil, fmt.Sprintf("The review is open: %s.", plural(int(v.Counts.Items), "item")))
}

// A reviewPage is a review with a page of its items.
type reviewPage struct {
	frame
	looking
	reviewRow
	Notice string
	Rows   []itemRow
	Next   string
	Whole  bool // the asker reads all of it
	Keeps  bool // some of Rows may be kept together
	Closes bool
}

// An itemRow is an item as the asker meets it.
type itemRow struct {
	tenure.ReviewItem
	Path    string
	What    string // kind, for people
	State   string
	Flagged []string
	May     bool // decide it
	Give    bool // to another reviewer
	Keep    bool // with others
}

// Quick are the lists that are looked at most.
func (p reviewPage) Quick() []choice {
	return choices(p.Newest(), p.path, "All", p.path+"?mine=1&undecided=1", "For me to decide", p.path+"?undecided=1", "Undecided", p.path+"?flagged=1", "Flagged",
		p.path+"?decision=revoke", "To be revoked")
}

// Kinds are the kinds of item to choose from.
func (p reviewPage) Kinds() []choice {
	words := []string{"", "Any kind"}
	for _, k := range kindWords {
		words = append(words, k[0], k[1])
	}
	return choices(p.Get("kind"), words...)
}

func (d *Dash) review(w http.ResponseWriter, r *http.Request) error {
	return d.showReview(w, r, tenure.ReviewID(r.PathValue("id")), r.URL.Query(), "")
}

func (d *Dash) showReview(w http.ResponseWriter, r *http.Request, id tenure.ReviewID, query url.Values, notice string) error {
	by := web.Principal(r.Context())
	v, err := d.Reviews.Get(r.Context(), by, id)
	if tenure.IsKind(err, tenure.NotFound) && notice != "" { // the last one that they had to decide went on to somebody else
		http.Redirect(w, r, reviewsPath, http.StatusSeeOther)
		return nil
	}
	if err != nil {
		return err
	}
	page := reviewPage{
		frame: d.frame(r, v.Title), looking: look(reviewsPath+"/"+string(id), query), reviewRow: reviewRowOf(v), Notice: notice,
		Whole: may(by, tenure.ReadAllReviews), Closes: may(by, tenure.CloseReview),
	}
	page.Address = page.Self()
	f := review.ItemFilter{Mine: page.Get("mine") != ""}
	f.Kind, f.Flagged, f.Undecided, f.Decision = tenure.ReviewKind(page.Get("kind")), page.Get("flagged") != "", page.Get("undecided") != "", tenure.Decision(page.Get("decision"))
	f.Part, f.Limit = page.Get("q"), perPage+1
	f.After, _ = strconv.ParseInt(page.Get("cursor"), 10, 64) // what is no number is the beginning
	rows, err := d.Reviews.Items(r.Context(), by, id, f)
	if err != nil {
		return err
	}
	if len(rows) > perPage {
		rows = rows[:perPage]
		page.Next = strconv.FormatInt(rows[perPage-1].N, 10)
	}
	for _, i := range rows {
		row := d.itemRow(by, v, i)
		page.Keeps = page.Keeps || row.Keep
		page.Rows = append(page.Rows, row)
	}
	return d.show(w, http.StatusOK, "review", page)
}

func (d *Dash) itemRow(by tenure.Principal, v review.View, i tenure.ReviewItem) itemRow {
	row := itemRow{
		ReviewItem: i, Path: fmt.Sprintf("%s/%s/items/%d", reviewsPath, v.ID, i.N), What: spaced(string(i.Kind)), State: i.State(), Flagged: strings.Fields(i.Flags),
	}
	row.May = v.ClosedAt.IsZero() && i.GoneAt.IsZero() && i.EndedAt.IsZero() && d.Reviews.MayDecide(by, i)
	row.Give = v.ClosedAt.IsZero() && d.Reviews.MayReassign(by, i)
	row.Keep = row.May && i.Flags == "" && i.Undecided()
	for n, f := range row.Flagged {
		row.Flagged[n] = spaced(f)
	}
	return row
}

func (d *Dash) keepItems(w http.ResponseWriter, r *http.Request) error {
	var ns []int64
	for _, text := range r.PostForm["item"] {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return tenure.InvalidField("items", "expected numbers of items")
		}
		ns = append(ns, n)
	}
	id := tenure.ReviewID(r.PathValue("id"))
	kept, err := d.Reviews.Keep(r.Context(), web.Principal(r.Context()), id, slices.Clip(ns), sent(r, "reason"))
	if err != nil {
		return err
	}
	return d.showReview(w, r, id, url.Values{"mine": {"1"}, "undecided": {"1"}}, saidOfKept(kept))
}

// saidOfKept tells what became of items that were to be kept at once.
func saidOfKept(kept review.Kept) string {
	said := plural(kept.Items, "item") + " kept."
	for _, i := range kept.Gone {
		said += fmt.Sprintf(" “%s” is gone: %s.", i.Name, i.GoneWhy)
	}
	return said
}

func (d *Dash) closeForm(r *http.Request) (*formPage, error) {
	v, err := d.Reviews.Get(r.Context(), web.Principal(r.Context()), tenure.ReviewID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	path := reviewsPath + "/" + string(v.ID)
	page := &formPage{
		frame: d.frame(r, "Close a review"), Heading: fmt.Sprintf("Close “%s”?", v.Title), Action: path + "/close", Button: "Close review", Back: path,
		Lead:   []string{"A review closes by itself when every item is resolved. Closed now, what is undecided stays so, and the signed report says it."},
		Facts:  []fact{{Name: "Undecided", Text: fmt.Sprintf("%d of %d", v.Counts.Undecided, v.Counts.Items)}},
		Fields: []field{{Kind: areaField, Name: "reason", Label: "Reason", Needed: true, Most: 1000}},
	}
	page.Address = path + "/close"
	return page, nil
}

func (d *Dash) askCloseReview(w http.ResponseWriter, r *http.Request) error {
	page, err := d.closeForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) closeReview(w http.ResponseWriter, r *http.Request) error {
	page, err := d.closeForm(r)
	if err != nil {
		return err
	}
	v, err := d.Reviews.Close(r.Context(), web.Principal(r.Context()), tenure.ReviewID(r.PathValue("id")), sent(r, "reason"))
	if err != nil {
		return d.askAgain(w, r, page, err)
	}
	return d.showReview(w, r, v.ID, nil, "The review is closed.")
}

// A reviewReportPage shows a signed report, for printing.
type reviewReportPage struct {
	frame
	Report review.Report
	States []string
}

// Fastest is who has decided most within a minute, or nil.
func (p reviewReportPage) Fastest() *review.Pace { return review.Fastest(p.Report) }

// Agrees says whether the snapshot does.
func (p reviewReportPage) Agrees() string { return review.Agrees(p.Report) }

// Spaced is a word of the machine for people.
func (reviewReportPage) Spaced(word string) string { return spaced(word) }

func (d *Dash) reviewReport(w http.ResponseWriter, r *http.Request) error {
	report, err := d.Reviews.Reported(r.Context(), web.Principal(r.Context()), tenure.ReviewID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "reviewreport", reviewReportPage{frame: d.frame(r, "Report of an access review"), Report: report, States: review.States()})
}

// reviewsShown is of how many open reviews the Overview tells.
const reviewsShown = 3

// dueOf says when a review is due, and how far it is.
func dueOf(v review.View, now time.Time) string {
	when := "is overdue"
	if left := v.DueAt.Sub(now); left > 24*time.Hour {
		when = fmt.Sprintf("due in %d d", int(left.Hours()/24))
	} else if left > 0 {
		when = "due within a day"
	}
	return fmt.Sprintf("%s %s: %d of %d open", v.Title, when, v.Counts.Unresolved, v.Counts.Items)
}
