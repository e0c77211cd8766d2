package review

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Statement is the kind of statement that a report is.
const Statement = "access-review"

// Report is what a closed review came to. It is signed as it is here, in JSON.
type Report struct {
	Review      string       `json:"review"`
	Tenant      string       `json:"tenant"`
	Title       string       `json:"title"`
	Kinds       []string     `json:"kinds" doc:"Of items; empty: all"`
	Workspaces  []string     `json:"workspaces" doc:"Ids; empty: all, and what lies in none"`
	From        time.Time    `json:"period_from"`
	To          time.Time    `json:"period_to" doc:"When it was opened: the items are of this instant"`
	OpenedBy    string       `json:"opened_by"`
	DueAt       time.Time    `json:"due_at"`
	Unanswered  string       `json:"unanswered" doc:"What becomes of what nobody decides: escalate or revoke"`
	ClosedAt    time.Time    `json:"closed_at"`
	ClosedBy    string       `json:"closed_by"`
	CloseReason string       `json:"close_reason,omitempty"`
	Items       int64        `json:"items"`
	Unresolved  int64        `json:"unresolved" doc:"Of which nobody has decided, or which were revoked and are not dead"`
	Coverage    float64      `json:"coverage_percent"`
	ByKind      []ReportLine `json:"by_kind"`
	Decide      Times        `json:"time_to_decide" doc:"Since the review was opened"`
	Remediate   Times        `json:"time_to_remediate" doc:"From the decision to revoke until it was tried, and dead"`
	ByReviewer  []Pace       `json:"by_reviewer" doc:"How many items each has decided, and how many of them within one minute; who decided most, first; 100 at most"`
	Together    int64        `json:"kept_together" doc:"Items that were kept by an act that kept several"`
	Largest     int64        `json:"kept_together_most" doc:"How many items one act kept, at most"`
	ByPolicy    int64        `json:"decided_by_policy" doc:"Items that nobody had decided by the due date, and that were revoked"`
	Self        int64        `json:"self_reviews" doc:"Items that somebody decided whose access they are; never more than 0"`
	NoReviewer  int64        `json:"no_independent_reviewer" doc:"Items that no administrator but whose they are could decide"`
	Snapshot    string       `json:"snapshot_sha256" doc:"Over the items as they were taken"`
	Intact      *bool        `json:"snapshot_intact,omitempty" doc:"The hash was made anew when the review was closed, and is the same: nobody has changed what was taken; absent: it was not made anew"`
	Digest      string       `json:"items_sha256" doc:"Over the items with what was decided: of the lines of the CSV, behind its head"`
	Version     string       `json:"product_version"`
	Checkpoint  string       `json:"audit_checkpoint" doc:"The signed root of the audit log that the review's events are under"`
}

// Agrees says in words whether what was taken still had the hash of the snapshot when the
// review was closed.
func Agrees(r Report) string {
	switch {
	case r.Intact == nil:
		return "was not compared"
	case *r.Intact:
		return "agrees"
	}
	return "does not agree"
}

// ReportLine counts the items of a kind by what became of them.
type ReportLine struct {
	Kind   string           `json:"kind"`
	Items  int64            `json:"items"`
	States map[string]int64 `json:"states"`
}

// Pace is how much somebody has decided, and how fast.
type Pace struct {
	By    string `json:"by"`
	Items int64  `json:"items"`
	Kept  int64  `json:"kept"`
	Most  int64  `json:"most_within_a_minute"`
}

// Fastest is who has decided most within a minute, or nil.
func Fastest(r Report) *Pace {
	var fastest *Pace
	for n, p := range r.ByReviewer {
		if fastest == nil || p.Most > fastest.Most {
			fastest = &r.ByReviewer[n]
		}
	}
	return fastest
}

// Times are a distribution, in milliseconds.
type Times struct {
	Count  int     `json:"count"`
	Median float64 `json:"median_ms"`
	P95    float64 `json:"p95_ms"`
}

// Close closes a review; what was not decided stays undecided, and what was revoked and
// is not dead is not tried any more: the report says so. Conflict: it is closed, or
// something of it is being ended at this moment.
func (r *Reviews) Close(ctx context.Context, by tenure.Principal, id tenure.ReviewID, reason string) (View, error) {
	if err := access.Check(by, tenure.CloseReview); err != nil {
		return View{}, err
	}
	if err := checkReason(reason); err != nil {
		return View{}, err
	}
	row, err := r.close(ctx, by, by.Tenant(), id, reason)
	if err != nil {
		return View{}, err
	}
	if signed, err := r.sign(tenure.WithOnce(ctx, nil), row); err == nil { // else the housekeeper signs it
		row = signed
	}
	return r.view(ctx, by, row)
}

// close closes a review in a transaction. Whoever is not valid is the policy.
func (r *Reviews) close(ctx context.Context, by tenure.Principal, tenant tenure.TenantID, id tenure.ReviewID, reason string) (tenure.Review, error) {
	var row tenure.Review
	err := r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if row, err = hold(ctx, tx, tenant, id); err != nil {
			return err
		}
		if err := nothingMoves(ctx, tx, row); err != nil {
			return err
		}
		counts, err := tx.CountReview(ctx, store.ItemFilter{Tenant: tenant, Review: id})
		if err != nil {
			return err
		}
		if counts.Unresolved > 0 && !by.Valid() {
			return &tenure.Error{Kind: tenure.Conflict, Code: "review_open", Msg: "not every item is resolved"}
		}
		row.ClosedAt, row.ClosedBy, row.CloseWhy = tx.Now(), "policy", reason
		if by.Valid() {
			row.ClosedBy = by.Label()
		}
		if err := tx.CloseReview(ctx, row); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ReviewClosed(by, row, counts.Unresolved))
	})
	if err != nil {
		return row, fmt.Errorf("close review %s: %w", id, err)
	}
	return row, nil
}

// nothingMoves answers Conflict while something of a review is being ended or changed:
// what is signed is what has come of it.
func nothingMoves(ctx context.Context, tx *store.Tx, row tenure.Review) error {
	n, err := tx.ItemsInFlight(ctx, row.Tenant, row.ID, tx.Now())
	if err != nil || n == 0 {
		return err
	}
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "review_busy", RetryAfter: claim,
		Msg: fmt.Sprintf("%d of its items are being ended or changed at this moment; close the review when it is told what came of them, in a minute", n),
	}
}

// sign makes the report of a closed review, and keeps it. Unavailable: the vault is sealed.
func (r *Reviews) sign(ctx context.Context, row tenure.Review) (tenure.Review, error) {
	report, err := r.report(ctx, row)
	if err != nil {
		return row, err
	}
	text, err := json.Marshal(report)
	if err != nil {
		return row, err
	}
	if row.Report, err = r.Sign(ctx, Statement, string(text)+"\n"); err != nil {
		return row, err
	}
	return row, r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SetReviewReport(ctx, row) })
}

// report sums a closed review up.
func (r *Reviews) report(ctx context.Context, row tenure.Review) (Report, error) {
	out := Report{
		Review: string(row.ID), Tenant: string(row.Tenant), Title: row.Title, Kinds: []string{}, Workspaces: []string{},
		From: row.From.UTC(), To: row.OpenedAt.UTC(), OpenedBy: row.OpenedBy, DueAt: row.DueAt.UTC(), Unanswered: row.Unanswered,
		ClosedAt: row.ClosedAt.UTC(), ClosedBy: row.ClosedBy, CloseReason: row.CloseWhy, Snapshot: row.Snapshot, Version: r.Version(), Items: row.Items,
	}
	for _, k := range row.Kinds {
		out.Kinds = append(out.Kinds, string(k))
	}
	for _, w := range row.Workspaces {
		out.Workspaces = append(out.Workspaces, string(w))
	}
	lines := map[tenure.ReviewKind]*ReportLine{}
	var decide, remediate []time.Duration
	paces := paces{}
	h, taken := sha256.New(), sha256.New()
	err := r.DB.EachReviewItem(ctx, store.ItemFilter{Tenant: row.Tenant, Review: row.ID}, func(i tenure.ReviewItem) error {
		line := lines[i.Kind]
		if line == nil {
			line = &ReportLine{Kind: string(i.Kind), States: map[string]int64{}}
			lines[i.Kind] = line
		}
		line.Items++
		line.States[i.State()]++
		count(&out, i)
		if !i.DecidedAt.IsZero() {
			decide = append(decide, i.DecidedAt.Sub(row.OpenedAt))
			paces.note(i)
		}
		if !i.EndedAt.IsZero() {
			remediate = append(remediate, i.Took)
		}
		taken.Write(canonical(i)) // which cannot fail
		h.Write([]byte(csvLine(i)))
		return nil
	})
	if err != nil {
		return out, err
	}
	intact := hex.EncodeToString(taken.Sum(nil)) == row.Snapshot
	out.Intact = &intact
	for _, k := range tenure.ReviewKinds {
		if lines[k] != nil {
			out.ByKind = append(out.ByKind, *lines[k])
		}
	}
	out.ByReviewer, out.Coverage = paces.told(), 100
	if out.Items > 0 {
		out.Coverage = math.Floor(float64(out.Items-out.Unresolved)/float64(out.Items)*1000) / 10
	}
	out.Decide, out.Remediate, out.Digest = timesOf(decide), timesOf(remediate), hex.EncodeToString(h.Sum(nil))
	out.Checkpoint, err = r.Checkpoint(ctx)
	return out, err
}

// count counts one item.
func count(out *Report, i tenure.ReviewItem) {
	if i.Open() {
		out.Unresolved++
	}
	if i.Together > 1 {
		out.Together++
		out.Largest = max(out.Largest, i.Together)
	}
	if i.Decision != "" && i.DecidedUser == "" && i.DecidedBy == byPolicy {
		out.ByPolicy++
	}
	if i.Person != "" && i.DecidedUser == i.Person {
		out.Self++
	}
	if hasFlag(i, tenure.FlagNoIndependent) {
		out.NoReviewer++
	}
}

// timesOf gives the middle of a distribution, and what 95 of a hundred are below.
func timesOf(all []time.Duration) Times {
	if len(all) == 0 {
		return Times{}
	}
	slices.Sort(all)
	at := func(share float64) float64 {
		return float64(all[int(share*float64(len(all)-1)+0.5)].Microseconds()) / 1000
	}
	return Times{Count: len(all), Median: at(0.5), P95: at(0.95)}
}

// Signed gives the signed report of a closed review. Conflict: it is open. Unavailable:
// it is not signed yet.
func (r *Reviews) Signed(ctx context.Context, by tenure.Principal, id tenure.ReviewID) (string, error) {
	if err := access.Check(by, tenure.ReadAllReviews); err != nil {
		return "", err
	}
	row, err := r.DB.Review(ctx, by.Tenant(), id)
	switch {
	case err != nil:
		return "", err
	case row.ClosedAt.IsZero():
		return "", &tenure.Error{Kind: tenure.Conflict, Code: "review_open", Msg: "this review is open; its report is made when it is closed"}
	case row.Report == "":
		return "", &tenure.Error{Kind: tenure.Unavailable, Code: "report_not_signed", RetryAfter: time.Minute, Msg: "the report is not signed yet: the vault is sealed, or it is being done"}
	}
	return row.Report, nil
}

// Reported gives what the signed report of a closed review says.
func (r *Reviews) Reported(ctx context.Context, by tenure.Principal, id tenure.ReviewID) (Report, error) {
	signed, err := r.Signed(ctx, by, id)
	if err != nil {
		return Report{}, err
	}
	var out Report
	_, text, _ := strings.Cut(signed, "\n") // which says what kind of statement it is
	text, _, _ = strings.Cut(text, "\n")
	if json.Unmarshal([]byte(text), &out) != nil {
		return Report{}, &tenure.Error{Kind: tenure.Conflict, Code: "report_unreadable", Msg: "what stands in the database as the report of this review is none: somebody has changed it there"}
	}
	return out, nil
}
