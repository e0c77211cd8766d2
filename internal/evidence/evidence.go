// Package evidence makes what an auditor asks for of one tenant and one period: full
// populations, checks on them, a sample with its timelines, and the proof that the audit
// events are those of the log, in one signed file that verifies offline. It owns the
// bundle's form, its checks and its verification.
//
// It changes nothing, and says of nobody that they comply with anything: it shows what
// is, and what could not be seen from here.
package evidence

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Kind is the kind of statement that a manifest is signed as.
const Kind = "evidence"

// Evidence exports bundles. Its fields are set before first use.
type Evidence struct {
	DB *store.DB
	// Version is that of the program, which is the collector's.
	Version string
	// Place gives the audit events their places, Sign signs a statement: the ledger's.
	Place func(context.Context) (int, error)
	Sign  func(ctx context.Context, kind, text string) (string, error)
	// House tells what the installation is set to, and what seals its secrets.
	House func(context.Context, tenure.Principal) (House, error)
	// Standing tells what the installation knows of its log; nil: nothing does.
	Standing func(context.Context, tenure.Principal) (LogStanding, error)

	// Live has each export as a request in flight, where this process serves; nil: none.
	Live *live.Live

	mu   sync.Mutex
	busy map[tenure.TenantID]*UnderWay
}

// Query is what a bundle is of.
type Query struct {
	From, To time.Time // from an instant on, and before another
	Controls []string  // references; none: all
	Sample   int       // items of each population that have a timeline
	Seed     string    // of the sample; "": one is made
	// Tell is told what is being written, and how many rows are; nil: nobody.
	Tell func(what string, rows int64)
	// Unblock frees the writer from a client that does not read, when the export is cut;
	// nil: it never waits. It may be called from elsewhere.
	Unblock func()
}

// Bounds of a query.
const (
	maxSample = 200
	maxSeed   = 100
)

// check refuses a query that no bundle answers, and completes it.
func (q *Query) check(now time.Time) error {
	switch {
	case q.From.IsZero():
		return tenure.InvalidField("from", "from: expected an instant, such as 2026-01-01T00:00:00Z")
	case q.To.IsZero():
		q.To = now
	}
	q.From, q.To = q.From.UTC(), q.To.UTC()
	switch {
	case !q.From.Before(q.To):
		return tenure.InvalidField("to", "to must be later than from")
	case q.Sample < 0 || q.Sample > maxSample:
		return tenure.InvalidField("sample", "sample: expected a number from 0 to %d", maxSample)
	case len(q.Seed) > maxSeed:
		return tenure.InvalidField("seed", "seed: at most %d bytes", maxSeed)
	}
	if q.Seed == "" {
		var b [8]byte
		_, _ = rand.Read(b[:]) // crypto/rand never fails (Go 1.24 and later)
		q.Seed = hex.EncodeToString(b[:])
	}
	if q.Tell == nil {
		q.Tell = func(string, int64) {}
	}
	return knownControls(q.Controls)
}

// Export writes a bundle of the asker's tenant. Invalid: no bundle answers the query.
// Conflict: one is being made of the tenant, or several are of others. TooSlow: it took too
// long. Unauthenticated, Forbidden: whoever asked for it may do so no more. Unavailable: the vault is sealed, and
// nothing can be signed. What is written when it fails has no signature.
func (e *Evidence) Export(ctx context.Context, by tenure.Principal, q Query, w io.Writer) (Manifest, error) {
	if err := access.Check(by, tenure.ExportEvidence); err != nil {
		return Manifest{}, err
	}
	if err := q.check(e.DB.Now()); err != nil {
		return Manifest{}, err
	}
	now, err := e.enter(by)
	if err != nil {
		return Manifest{}, err
	}
	defer e.leave(by)
	tell := q.Tell
	q.Tell = func(what string, rows int64) {
		e.mu.Lock()
		now.What, now.Rows = what, rows
		e.mu.Unlock()
		tell(what, rows)
	}
	ctx, land, err := e.board(context.WithValue(ctx, tenure.ReachKey{}, string(by.Tenant())), by, q.Unblock)
	if err != nil {
		return Manifest{}, err
	}
	defer land()
	tenant, err := e.DB.Tenant(ctx, string(by.Tenant()))
	if err != nil {
		return Manifest{}, err
	}
	facts := audit.Evidence{From: q.From, To: q.To, Controls: q.Controls, Sample: q.Sample, Seed: q.Seed}
	if err := e.append(ctx, audit.EvidenceBegun(by, facts)); err != nil {
		return Manifest{}, err
	}
	m, err := e.write(ctx, by, tenant, q, &outlet{ctx: ctx, w: w}, facts)
	if err != nil {
		return m, fmt.Errorf("export evidence: %w", why(ctx, err))
	}
	return m, nil
}

func (e *Evidence) append(ctx context.Context, event tenure.AuditEvent) error {
	return e.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.Append(ctx, event) })
}

// enter lets one export of a tenant in, and few at once.
func (e *Evidence) enter(by tenure.Principal) (*UnderWay, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.busy[by.Tenant()] != nil {
		return nil, &tenure.Error{Kind: tenure.Conflict, Code: "evidence_under_way", Msg: "evidence of this tenant is being exported: wait until it is done"}
	}
	if len(e.busy) >= atOnce {
		return nil, &tenure.Error{Kind: tenure.Conflict, Code: "evidence_under_way", Msg: "evidence of other tenants is being exported: wait until one of them is done"}
	}
	if e.busy == nil {
		e.busy = map[tenure.TenantID]*UnderWay{}
	}
	now := &UnderWay{Since: e.DB.Now(), By: by.Label(), What: "begin"}
	e.busy[by.Tenant()] = now
	return now, nil
}

func (e *Evidence) leave(by tenure.Principal) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.busy, by.Tenant())
}

// write writes the bundle: populations and checks, the page, the manifest, and, when the
// audit log knows of it, its signature.
func (e *Evidence) write(ctx context.Context, by tenure.Principal, tenant tenure.Tenant, q Query, w io.Writer, facts audit.Evidence) (Manifest, error) {
	if _, err := e.Place(ctx); err != nil { // what happened until now is under a checkpoint
		return Manifest{}, err
	}
	moment, err := e.DB.Moment(ctx)
	if err != nil {
		return Manifest{}, err
	}
	defer func() { _ = moment.Close() }()
	x := &export{Moment: moment, tenant: tenant, query: q, bundle: newBundle(w, moment.At, q.Tell), by: by, version: e.Version}
	if x.install, err = moment.Meta(ctx, "install.id"); err != nil {
		return Manifest{}, err
	}
	if tenant.ID == tenure.DefaultTenant {
		if x.house, err = e.House(ctx, by); err != nil {
			return Manifest{}, err
		}
	}
	if e.Standing != nil {
		stands, err := e.Standing(ctx, by)
		if err != nil {
			return Manifest{}, err
		}
		x.log.Standing = &stands
	}
	if err := x.sections(ctx); err != nil {
		return Manifest{}, err
	}
	if err := x.page(); err != nil {
		return Manifest{}, err
	}
	if err := x.bundle.text("README.txt", readme); err != nil {
		return Manifest{}, err
	}
	m := x.manifest()
	digest, err := x.bundle.manifest(m)
	if err != nil {
		return m, err
	}
	facts.Manifest, facts.Files, facts.Failed = digest, len(m.Files), m.Checks[failed]
	if err := e.append(ctx, audit.EvidenceExported(by, facts)); err != nil {
		return m, err
	}
	note, err := e.Sign(ctx, Kind, statement(digest))
	if err != nil {
		return m, err
	}
	m.Digest = digest
	return m, x.bundle.end(note)
}

// statement is what is signed of a manifest.
func statement(digest string) string { return "sha256 " + digest + "\n" }

// readme tells whoever opens a bundle what to do with it.
const readme = `This is evidence of one tenant of Tenure, of one period. Open index.html
in any browser; it needs no network, and prints.

To verify it, on any machine, with the program "tenure" and nothing else:

    tenure evidence verify THIS-FILE.zip --key KEY

KEY is the public key of the audit log. Get it from whoever runs the installation by
another way than this file ("tenure audit keys", or the page Keys), and note it down.

  manifest.json   what was asked, what is here: each file with its size and SHA-256
  manifest.note   the signature over the SHA-256 of manifest.json (a C2SP signed note)
  checks.jsonl    each question with its answer: passed, failed, or not assessable here
  *.csv, *.jsonl  the populations, each in both forms
  sample.jsonl    the sample, each item with its timeline
  log.jsonl       the audit events of the period at their places of the log's tree

Whether a control is met is for you to say: nothing here says it.
The form is told in docs/reference/evidence.md of the product.
`
