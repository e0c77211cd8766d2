package evidence_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/evidence"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// tree is the place of the ledger: places and a checkpoint that says its size and root,
// and is signed by nobody.
type tree struct {
	db    *store.DB
	grown audit.Range
	twist string // action whose events are given the leaf of another
}

func (l *tree) place(ctx context.Context) (int, error) {
	ctx = tenure.Everywhere(ctx)
	events, err := l.db.Unplaced(ctx, 0, 10_000)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	return len(events), l.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var leaves []tlog.Hash
		for i, e := range events {
			if e.Action == l.twist {
				e.Actor = "mallory"
			}
			leaves = append(leaves, audit.Leaf(e))
			if err := tx.PutLeaf(ctx, l.grown.Size+int64(i), e.Seq, leaves[i]); err != nil {
				return err
			}
		}
		from := l.grown.Size
		for _, h := range l.grown.Grow(leaves) {
			if h.Level > 0 {
				if err := tx.PutSubtree(ctx, h); err != nil {
					return err
				}
			}
		}
		if err := tx.TakeTree(ctx, store.Tree{Size: from}, store.Tree{Size: l.grown.Size}); err != nil {
			return err
		}
		return tx.PutCheckpoint(ctx, store.Checkpoint{Size: l.grown.Size, At: tx.Now(), Note: fmt.Sprintf("%d %v", l.grown.Size, l.grown.Root())})
	})
}

func trust() evidence.Trust {
	return evidence.Trust{
		Statement: func(signed string) (string, string, error) {
			return strings.TrimPrefix(signed, "evidence: "), "key", nil
		},
		Checkpoint: func(note string) (size int64, root tlog.Hash, err error) {
			var text string
			if _, err = fmt.Sscanf(note, "%d %s", &size, &text); err == nil {
				root, err = tlog.ParseHash(text)
			}
			return size, root, err
		},
	}
}

// house is a database with what an export needs.
type house struct {
	*testing.T
	db   *store.DB
	tree *tree
	*evidence.Evidence
}

// open is a house on SQLite.
func open(t *testing.T) *house {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), nil)
	return of(t, db, err)
}

func of(t *testing.T, db *store.DB, err error) *house {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l := &tree{db: db}
	return &house{t, db, l, &evidence.Evidence{
		DB: db, Version: "v1", Place: l.place,
		Sign:  func(_ context.Context, kind, text string) (string, error) { return kind + ": " + text, nil },
		House: func(context.Context, tenure.Principal) (evidence.House, error) { return evidence.House{}, nil },
	}}
}

func (h *house) event(tenant tenure.TenantID, action, who string) {
	h.Helper()
	err := h.db.Tx(tenure.Everywhere(h.Context()), func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, tenure.AuditEvent{Tenant: tenant, Action: action, ActorKind: "session", Actor: who, ActorID: "u-" + who, Object: who, ObjectID: "o-" + who, Outcome: audit.Success, Detail: map[string]string{"role": who}})
	})
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) export(tenant tenure.TenantID, q evidence.Query) ([]byte, evidence.Manifest) {
	h.Helper()
	s := &tenure.Standing{Kind: tenure.Operator, Tenant: tenant, TenantActive: true, Role: tenure.SuperAdmin, Name: "test"}
	by, err := s.Admit(time.Now(), 0)
	if err != nil {
		h.Fatal(err)
	}
	var b bytes.Buffer
	m, err := h.Export(h.Context(), by, q, &b)
	if err != nil {
		h.Fatal(err)
	}
	return b.Bytes(), m
}

func verified(bundle []byte, trust evidence.Trust) (evidence.Verified, error) {
	return evidence.Verify(bytes.NewReader(bundle), int64(len(bundle)), trust)
}

func content(t *testing.T, bundle []byte, name string) string {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(in, name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The events of one tenant among those of another add up to the root of all, whatever the
// period is, and the bundle has nothing of the other one.
func TestEventsOfOneTenantAddUp(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { addUp(t, open(t)) })
	t.Run("postgres", func(t *testing.T) {
		serve, _ := storetest.Postgres(t)
		db, err := store.OpenPostgres(t.Context(), serve, nil)
		addUp(t, of(t, db, err))
	})
}

func addUp(t *testing.T, h *house) {
	t.Helper()
	err := h.db.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertTenant(ctx, tenure.Tenant{ID: "other", Name: "other", Active: true, CreatedAt: tx.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
	var at []time.Time
	for i := range 700 { // beyond 256 in a row that is not told
		who := tenure.TenantID("other")
		if i%7 == 0 && (i < 100 || i > 500) {
			who = tenure.DefaultTenant
		}
		h.event(who, "policy.changed", fmt.Sprintf("%s%d", who, i))
		if i%200 == 0 {
			at = append(at, h.db.Now())
			if _, err := h.tree.place(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, from := range at {
		for _, to := range append(at[i+1:], time.Now().Add(time.Hour)) {
			bundle, m := h.export(tenure.DefaultTenant, evidence.Query{From: from, To: to, Controls: []string{"AC-2(4)"}})
			v, err := verified(bundle, trust())
			if err != nil || v.Proved+m.Log.Unproved != m.Log.Events || v.Places < 700 {
				t.Fatalf("%d: %+v %v", i, v, err)
			}
			kept := trust()
			kept.Kept = m.Log.Checkpoint
			if _, err := verified(bundle, kept); err != nil {
				t.Error(err)
			}
			kept.Kept = fmt.Sprintf("%d %v", v.Places, tlog.Hash{1})
			if _, err := verified(bundle, kept); err == nil || !strings.Contains(err.Error(), "written anew") {
				t.Errorf("%v", err)
			}
			if strings.Contains(content(t, bundle, "log.jsonl"), "other") {
				t.Error("another tenant's event is told")
			}
		}
	}
}

// A seed draws the same sample again, whatever is asked beside it, and another seed
// another one; a period without an end ends now.
func TestSampleIsReproducible(t *testing.T) {
	h := open(t)
	err := h.db.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error {
		for i := range 40 {
			u := tenure.User{ID: tenure.UserID(tenure.NewID(tx.Now())), Tenant: tenure.DefaultTenant, UserName: fmt.Sprintf("p%d@example.com", i), Active: true, Role: tenure.Member, Source: "scim", CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
			if err := tx.InsertUser(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now().Add(-time.Hour)
	first, _ := h.export(tenure.DefaultTenant, evidence.Query{From: from, Sample: 5, Seed: "a"})
	again, _ := h.export(tenure.DefaultTenant, evidence.Query{From: from, Sample: 5, Seed: "a", Controls: []string{"CC6.2"}})
	other, _ := h.export(tenure.DefaultTenant, evidence.Query{From: from, Sample: 5, Seed: "b"})
	if a := content(t, first, "sample.jsonl"); strings.Count(a, "\n") != 5 || a != content(t, again, "sample.jsonl") || a == content(t, other, "sample.jsonl") {
		t.Errorf("%s\n%s", a, content(t, again, "sample.jsonl"))
	}
}

// Whatever people call themselves is text on the page and no formula in a cell.
func TestHostileNames(t *testing.T) {
	h := open(t)
	hostile := []string{`<script>alert(1)</script>`, `=HYPERLINK("http://x")`, `+1`, `-1`, `@SUM(A1)`, "\t=1", `"><img src=x onerror=alert(1)>`}
	for _, name := range hostile {
		h.event(tenure.DefaultTenant, "user.role_granted", name)
	}
	bundle, _ := h.export(tenure.DefaultTenant, evidence.Query{From: time.Now().Add(-time.Hour)})
	page := content(t, bundle, "index.html")
	if strings.Contains(page, "<script") || strings.Contains(page, "<img") || regexp.MustCompile(`(?i)(src|href)\s*=\s*["']?(http|//)`).MatchString(page) {
		t.Error("the page runs or fetches something")
	}
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the name is not on the page")
	}
	rows, err := csv.NewReader(strings.NewReader(content(t, bundle, "grants.csv"))).ReadAll()
	if err != nil || len(rows) != 1+len(hostile) {
		t.Fatal(len(rows), err)
	}
	for _, row := range rows[1:] {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t", rune(cell[0])) {
				t.Errorf("%q is a formula", cell)
			}
		}
	}
}

// An event that is not the one of its leaf fails its check, and the bundle does not verify.
func TestAChangedEventFailsItsCheck(t *testing.T) {
	h := open(t)
	h.tree.twist = "policy.changed"
	h.event(tenure.DefaultTenant, "policy.changed", "alice")
	bundle, m := h.export(tenure.DefaultTenant, evidence.Query{From: time.Now().Add(-time.Hour)})
	checks := content(t, bundle, "checks.jsonl")
	if m.Checks["failed"] != 1 || !strings.Contains(checks, "it is not the one of its leaf: it was changed") {
		t.Errorf("%v\n%s", m.Checks, checks)
	}
	if _, err := verified(bundle, trust()); err == nil || !strings.Contains(err.Error(), "not at their places") {
		t.Errorf("%v", err)
	}
}

// Nobody is said to comply with anything.
func TestNothingIsSaidToComply(t *testing.T) {
	h := open(t)
	bundle, m := h.export(tenure.DefaultTenant, evidence.Query{From: time.Now().Add(-time.Hour)})
	claim := regexp.MustCompile(`(?i)\b(is|are|fully|be) compliant\b|\bcompliant with\b|\bcertified\b|\bcompliance\b`)
	for _, f := range m.Files {
		if said := claim.FindString(content(t, bundle, f.Name)); said != "" {
			t.Errorf("%s says %q", f.Name, said)
		}
	}
	files, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(text)), "compliant") {
			t.Errorf("%s claims it", name)
		}
	}
	guide, err := os.ReadFile("../../docs/guides/evidence.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range regexp.MustCompile(`"check_id":"([^"]+)"`).FindAllStringSubmatch(content(t, bundle, "checks.jsonl"), -1) {
		if !strings.Contains(string(guide), "(`"+id[1]+"`)") {
			t.Errorf("docs/guides/evidence.md does not name %s", id[1])
		}
	}
	for _, c := range evidence.Controls() {
		if !regexp.MustCompile(`^(CC6\.[1236]|A\.5\.1[5-8]|A\.8\.[2-5]|AC-2(\(\d+\))?|IA-5)$`).MatchString(c) {
			t.Errorf("%s", c)
		}
	}
}

// A file that unpacks to more than was signed is read no further.
func TestBombIsNotUnpacked(t *testing.T) {
	h := open(t)
	bundle, _ := h.export(tenure.DefaultTenant, evidence.Query{From: time.Now().Add(-time.Hour)})
	in, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"people.csv", "log.jsonl", "manifest.json"} {
		var b bytes.Buffer
		out := zip.NewWriter(&b)
		for _, f := range in.File {
			w, err := out.Create(f.Name)
			if err != nil {
				t.Fatal(err)
			}
			if f.Name == target {
				_, err = io.CopyN(w, zeros{}, 64<<20)
			} else {
				_, err = io.WriteString(w, content(t, bundle, f.Name))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := verified(b.Bytes(), trust()); err == nil || !strings.HasPrefix(err.Error(), target) {
			t.Errorf("%s: %v", target, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// What was removed is told also where no leaf names its teller any more, as after a tree was
// begun anew; not where a restore brought it back, and not twice where it was removed again.
func TestRemovedWithoutALeaf(t *testing.T) {
	h := open(t)
	h.event(tenure.DefaultTenant, "policy.changed", "grace")
	rows, err := h.db.AuditTail(tenure.Everywhere(t.Context()), tenure.DefaultTenant, "", 1)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	now := h.db.Now()
	for _, c := range []struct{ first, says string }{
		{rows[0].ID, `"result":"passed"`},
		{"0198c0de-0000-7000-8000-000000000001", "removed by retention, 2 of them"},
		{"0198c0de-0000-7000-8000-000000000001", "removed by retention, 2 of them"},
	} {
		err := h.db.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, audit.EventsRemoved(tenure.NewID(tx.Now()), audit.Removal{
				Tenant: tenure.DefaultTenant, First: c.first, Last: c.first, Oldest: now, Newest: now, Leaves: [][]byte{{1}, []byte(c.first)},
			}))
		})
		if err != nil {
			t.Fatal(err)
		}
		bundle, _ := h.export(tenure.DefaultTenant, evidence.Query{From: now.Add(-time.Hour)})
		for line := range strings.Lines(content(t, bundle, "checks.jsonl")) {
			if strings.Contains(line, `"log.kept"`) && !strings.Contains(line, c.says) {
				t.Errorf("%s, want %s", line, c.says)
			}
		}
	}
}
