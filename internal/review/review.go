// Package review runs access reviews: it takes a snapshot of everything that gives
// access, has each item decided by somebody whose access it is not, ends what is revoked,
// tries whether it is dead, and closes with a signed report. It owns who may decide which
// item, and what becomes of those that nobody decides.
//
// It ends nothing by itself: how a thing ends, and how it is tried, are functions that it
// is given.
package review

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Reviews is the act on access reviews. Its fields are set before first use.
type Reviews struct {
	DB *store.DB
	// Flush writes what is known of last uses.
	Flush func(context.Context) error
	// Things are what reviews are about.
	Things Things
	// Sign signs a statement.
	Sign func(ctx context.Context, kind, text string) (string, error)
	// Checkpoint gives the newest signed root of the audit log.
	Checkpoint func(context.Context) (string, error)
	// Version is that of the product.
	Version func() string
	Log     *slog.Logger
	Metrics *Metrics
}

// Things are how what reviews are about is found, ended and tried.
type Things struct {
	// Beside gives what of a tenant is in the settings and has no row.
	Beside func(tenure.TenantID) []tenure.ReviewSubject
	// End ends what an item is about, by the act that ends such things. ErrAnother: it is
	// another thing by now.
	End func(ctx context.Context, i tenure.ReviewItem, reason string) error
	// Alive judges, as a request would be, whether what an item is about still gives access.
	Alive func(context.Context, tenure.ReviewItem) (bool, error)
	// Gone says why what an item is about is not what it was; "": it is.
	Gone func(context.Context, tenure.ReviewItem) (string, error)
	// Change makes something else of it, as by may, and reports whether it could.
	Change func(ctx context.Context, by tenure.Principal, i tenure.ReviewItem, to string) (bool, error)
}

// What makes an item remarkable.
const (
	unusedFor = 90 * 24 * time.Hour
	longFor   = 180 * 24 * time.Hour
)

// maxTitle is the longest title of a review, in bytes.
const maxTitle = 200

// Spec says what review to open; what is zero is as the tenant's policy has it.
type Spec struct {
	Title      string
	Kinds      []string // of items; none: all
	Workspaces []string // ids or names; none: all, and what lies in none
	Due        time.Duration
	Unanswered string
}

// Counts say how far a review is.
type Counts = store.ReviewCounts

// View is a review and how far it is: of all of it, or of what the asker is to decide.
type View struct {
	tenure.Review
	Counts Counts
	Mine   Counts // of what the asker is to decide
}

// Open opens a review: everything that gives access, as it is at this instant, is
// written down with who is to decide it. Invalid: the spec is wrong, and how.
func (r *Reviews) Open(ctx context.Context, by tenure.Principal, spec Spec) (View, error) {
	if err := access.Check(by, tenure.OpenReview); err != nil {
		return View{}, err
	}
	if err := tenure.CheckName(spec.Title, maxTitle, "Access review, fourth quarter"); err != nil {
		return View{}, err
	}
	if err := r.Flush(ctx); err != nil { // what was just used is not unused
		return View{}, err
	}
	var row tenure.Review
	err := r.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if row, err = r.plan(ctx, tx, by.Tenant(), spec); err != nil {
			return err
		}
		row.OpenedBy = by.Label()
		return r.take(ctx, tx, by, &row)
	})
	if err != nil {
		return View{}, fmt.Errorf("open an access review: %w", err)
	}
	return r.view(ctx, by, row)
}

// plan makes a review of a spec and the tenant's policy.
func (r *Reviews) plan(ctx context.Context, tx *store.Tx, tenant tenure.TenantID, spec Spec) (tenure.Review, error) {
	row := tenure.Review{ID: tenure.ReviewID(tenure.NewID(tx.Now())), Tenant: tenant, Title: spec.Title, OpenedAt: tx.Now()}
	policy, err := tx.Policy(ctx, tenant)
	if err != nil {
		return row, err
	}
	if row.Kinds, err = tenure.ParseReviewKinds(spec.Kinds); err != nil {
		return row, err
	}
	for _, name := range spec.Workspaces {
		w, err := tx.Workspace(ctx, tenant, name)
		if tenure.IsKind(err, tenure.NotFound) {
			return row, tenure.InvalidField("workspaces", "there is no workspace %q", tenure.Shown(name))
		}
		if err != nil {
			return row, err
		}
		if !slices.Contains(row.Workspaces, w.ID) {
			row.Workspaces = append(row.Workspaces, w.ID)
		}
	}
	due := spec.Due
	if due == 0 {
		due = policy.ReviewDue
	}
	if due < time.Second || due > 90*24*time.Hour {
		return row, tenure.InvalidField("due_in", "the reviewers get 90 days at most")
	}
	row.DueAt, row.SecondDue = row.OpenedAt.Add(due), row.OpenedAt.Add(due+due/2)
	switch row.Unanswered = spec.Unanswered; {
	case spec.Unanswered == "" && policy.ReviewRevokes:
		row.Unanswered = tenure.UnansweredRevoke
	case spec.Unanswered == "":
		row.Unanswered = tenure.UnansweredEscalate
	case spec.Unanswered != tenure.UnansweredRevoke && spec.Unanswered != tenure.UnansweredEscalate:
		return row, tenure.InvalidField("unanswered", "expected escalate or revoke")
	}
	row.From, err = tx.LastReviewed(ctx, row, row.OpenedAt.Add(-policy.ReviewEvery))
	return row, err
}

// take writes a review and its items down, and tells the audit log.
func (r *Reviews) take(ctx context.Context, tx *store.Tx, by tenure.Principal, row *tenure.Review) error {
	if err := tx.InsertReview(ctx, *row); err != nil {
		return err
	}
	marks := store.ReviewMarks{UnusedSince: tx.Now().Add(-unusedFor), LongAfter: tx.Now().Add(longFor)}
	n, err := tx.TakeReviewItems(ctx, *row, marks, r.Things.Beside(row.Tenant))
	if err != nil {
		return err
	}
	row.Items = n
	h := sha256.New()
	err = tx.EachReviewItem(ctx, store.ItemFilter{Tenant: row.Tenant, Review: row.ID}, func(i tenure.ReviewItem) error {
		_, err := h.Write(canonical(i))
		return err
	})
	if err != nil {
		return err
	}
	row.Snapshot = hex.EncodeToString(h.Sum(nil))
	if err := tx.SealReview(ctx, *row); err != nil {
		return err
	}
	return tx.Append(ctx, audit.ReviewOpened(by, *row))
}

// canonical is an item as it was taken, in one form: what the hash of a snapshot is over.
func canonical(i tenure.ReviewItem) []byte {
	var b bytes.Buffer
	s := i.ReviewSubject
	fields := []any{
		i.N, string(s.Kind), s.Subject, s.Name, string(s.Person), string(s.Workspace), s.WorkspaceName, s.Grant, s.Source, instant(s.GrantedAt), s.GrantedBy,
		instant(s.LastUsedAt), instant(s.ExpiresAt), s.Flags,
	}
	if s.Via != "" { // items of before have none
		fields = append(fields, string(s.Via))
	}
	_ = json.NewEncoder(&b).Encode(fields) // of text and numbers, which cannot fail
	return b.Bytes()
}

// instant writes a time in one form; the zero time is "".
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

// readsAll reports whether the asker may read reviews whole.
func readsAll(by tenure.Principal) bool { return access.Check(by, tenure.ReadAllReviews) == nil }

// List lists reviews, newest first: all, or those in which the asker has something to
// decide. after is the last one of the page before.
func (r *Reviews) List(ctx context.Context, by tenure.Principal, open bool, after tenure.ReviewID, limit int) ([]View, error) {
	if err := access.Check(by, tenure.ListReviews); err != nil {
		return nil, err
	}
	f := store.ReviewFilter{Tenant: by.Tenant(), Open: open, After: after, Limit: limit}
	if !readsAll(by) {
		if f.Reviewer = by.User(); f.Reviewer == "" {
			return []View{}, nil
		}
	}
	rows, err := r.DB.Reviews(ctx, f)
	if err != nil {
		return nil, err
	}
	out := make([]View, 0, len(rows))
	for _, row := range rows {
		v, err := r.view(ctx, by, row)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// view counts what of a review the asker may see.
func (r *Reviews) view(ctx context.Context, by tenure.Principal, row tenure.Review) (View, error) {
	v := View{Review: row}
	var err error
	if v.Mine, err = r.DB.CountReview(ctx, mine(by, store.ItemFilter{Tenant: row.Tenant, Review: row.ID})); err != nil {
		return v, err
	}
	if !readsAll(by) {
		v.Counts, v.Snapshot, v.Report = v.Mine, "", ""
		v.Items = v.Mine.Items
		return v, nil
	}
	v.Counts, err = r.DB.CountReview(ctx, store.ItemFilter{Tenant: row.Tenant, Review: row.ID})
	return v, err
}

// mine narrows a filter to what the asker is to decide.
func mine(by tenure.Principal, f store.ItemFilter) store.ItemFilter {
	f.Reviewer = by.User()
	switch {
	case f.Reviewer == "" && access.Check(by, tenure.DecideAnyReview) == nil:
		f.Reviewer = "" // whoever is no person stands beside all reviewers
	case f.Reviewer == "":
		f.Reviewer = "nobody"
	case access.Check(by, tenure.DecideAnyReview) == nil:
		f.OrNobodys = by.User()
	}
	return f
}

// Get reads a review. NotFound: there is none, or the asker has nothing to decide in it
// and may not read it.
func (r *Reviews) Get(ctx context.Context, by tenure.Principal, id tenure.ReviewID) (View, error) {
	if err := access.Check(by, tenure.ReadReview); err != nil {
		return View{}, err
	}
	row, err := r.DB.Review(ctx, by.Tenant(), id)
	if err != nil {
		return View{}, err
	}
	v, err := r.view(ctx, by, row)
	if err == nil && v.Mine.Items == 0 && !readsAll(by) {
		err = tenure.ErrNotFound
	}
	return v, err
}

// ItemFilter chooses items; Mine narrows it to what the asker is to decide.
type ItemFilter struct {
	store.ItemFilter
	Mine bool
}

// Items lists the items of a review that the asker may see, in their order.
func (r *Reviews) Items(ctx context.Context, by tenure.Principal, id tenure.ReviewID, f ItemFilter) ([]tenure.ReviewItem, error) {
	if _, err := r.Get(ctx, by, id); err != nil {
		return nil, err
	}
	return r.DB.ReviewItems(ctx, f.within(by, id))
}

// Each visits the items of a review that the asker may see, one at a time.
func (r *Reviews) Each(ctx context.Context, by tenure.Principal, id tenure.ReviewID, f ItemFilter, visit func(tenure.ReviewItem) error) error {
	if _, err := r.Get(ctx, by, id); err != nil {
		return err
	}
	return r.DB.EachReviewItem(ctx, f.within(by, id), visit)
}

func (f ItemFilter) within(by tenure.Principal, id tenure.ReviewID) store.ItemFilter {
	f.Tenant, f.Review = by.Tenant(), id
	if f.Mine || !readsAll(by) {
		f.ItemFilter = mine(by, f.ItemFilter)
	}
	return f.ItemFilter
}

// Item reads an item. NotFound: there is none, or none that the asker may see.
func (r *Reviews) Item(ctx context.Context, by tenure.Principal, id tenure.ReviewID, n int64) (tenure.ReviewItem, error) {
	if err := access.Check(by, tenure.ReadReview); err != nil {
		return tenure.ReviewItem{}, err
	}
	return seen(ctx, r.DB, by, id, n)
}

// items is what seen asks: of the database, or in a transaction.
type items interface {
	ReviewItem(context.Context, tenure.TenantID, tenure.ReviewID, int64) (tenure.ReviewItem, error)
}

// seen reads an item that the asker may see.
func seen(ctx context.Context, db items, by tenure.Principal, id tenure.ReviewID, n int64) (tenure.ReviewItem, error) {
	i, err := db.ReviewItem(ctx, by.Tenant(), id, n)
	if err == nil && !readsAll(by) && (by.User() == "" || i.Reviewer != by.User()) {
		err = tenure.ErrNotFound
	}
	return i, err
}

// checkReason answers Invalid for what is no reason.
func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return tenure.InvalidField("reason", "say why, for whoever looks at it later")
	}
	return tenure.CheckText("reason", reason)
}

// closed answers Conflict for a review that is closed.
func closed(row tenure.Review) error {
	if row.ClosedAt.IsZero() {
		return nil
	}
	return &tenure.Error{Kind: tenure.Conflict, Code: codeClosed, Msg: "this review is closed, and nothing is decided in it any more"}
}
