package audit_test

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A kept tree is what is stored of one.
type kept map[string]tlog.Hash

func (k kept) put(all []store.TreeHash) {
	for _, s := range all {
		k[fmt.Sprint(s.Level, "/", s.N)] = s.Hash
	}
}

func (k kept) read(level int, n int64, count int) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for i := range int64(count) {
		h, ok := k[fmt.Sprint(level, "/", n+i)]
		if !ok {
			break
		}
		out = append(out, h)
	}
	return out, nil
}

// The tree is RFC 6962's, by another's hand: roots, proofs of records, and proofs that
// one tree is the beginning of another check out by tlog's own checks.
func TestTreeIsThatOfRFC6962(t *testing.T) {
	stored := kept{}
	var r audit.Range
	roots := []tlog.Hash{sha256.Sum256(nil)}
	var leaves []tlog.Hash
	const all = 70_000 // beyond 256 times 256
	for i := range all {
		leaves = append(leaves, tlog.RecordHash([]byte(fmt.Sprint(i))))
		stored.put(r.Grow(leaves[i:]))
		roots = append(roots, r.Root())
	}
	for _, n := range []int64{1, 2, 3, 255, 256, 257, 1000, 65_535, 65_536, 65_537, all} {
		want, err := tlog.TreeHash(n, audit.Stored(stored.read))
		if err != nil || want != roots[n] {
			t.Errorf("root of %d: %v, want %v (%v)", n, roots[n], want, err)
		}
		again, err := audit.Resume(n, stored.read)
		if err != nil || again.Root() != roots[n] {
			t.Errorf("resumed at %d: %v", n, err)
		}
		for _, i := range []int64{0, n / 2, n - 1} {
			proof, err := tlog.ProveRecord(n, i, audit.Stored(stored.read))
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(proof, n, roots[n], i, leaves[i]); err != nil {
				t.Errorf("leaf %d of %d: %v", i, n, err)
			}
		}
		proof, err := tlog.ProveTree(all, n, audit.Stored(stored.read))
		if err == nil {
			err = tlog.CheckTree(proof, all, roots[all], n, roots[n])
		}
		if err != nil {
			t.Errorf("%d in %d: %v", n, all, err)
		}
	}
	// A whole that grows by more than one at a time is the same.
	var other audit.Range
	other.Grow(leaves)
	if other.Root() != roots[all] {
		t.Error("grown at once it has another root")
	}
	delete(stored, "0/300")
	if _, err := audit.Resume(301, stored.read); err == nil {
		t.Error("a missing hash is not missed")
	}
}

// Every field of an event is in its leaf, and no two can be exchanged.
func TestLeafHasEveryField(t *testing.T) {
	e := tenure.AuditEvent{
		ID: "i", At: time.Unix(1, 2000), Tenant: "t", Workspace: "w", Action: "a", ActorKind: "k", ActorID: "ai", Actor: "ac", ObjectID: "oi", Object: "o",
		Outcome: "success", Reason: "r", RequestID: "q", Address: "ad", Detail: map[string]string{"x": "1", "y": "2"}, Salt: []byte("salt"),
	}
	seen := map[tlog.Hash]string{audit.Leaf(e): "as it is"}
	for name, change := range map[string]func(*tenure.AuditEvent){
		"id": func(e *tenure.AuditEvent) { e.ID = "j" }, "at": func(e *tenure.AuditEvent) { e.At = e.At.Add(time.Microsecond) },
		"tenant": func(e *tenure.AuditEvent) { e.Tenant = "u" }, "workspace": func(e *tenure.AuditEvent) { e.Workspace = "" },
		"action": func(e *tenure.AuditEvent) { e.Action = "b" }, "actor kind": func(e *tenure.AuditEvent) { e.ActorKind = "l" },
		"actor id": func(e *tenure.AuditEvent) { e.ActorID = "bi" }, "actor": func(e *tenure.AuditEvent) { e.Actor = "bc" },
		"object id": func(e *tenure.AuditEvent) { e.ObjectID = "pi" }, "object": func(e *tenure.AuditEvent) { e.Object = "p" },
		"outcome": func(e *tenure.AuditEvent) { e.Outcome = "refused" }, "reason": func(e *tenure.AuditEvent) { e.Reason = "s" },
		"request": func(e *tenure.AuditEvent) { e.RequestID = "r" }, "address": func(e *tenure.AuditEvent) { e.Address = "ae" },
		"detail":       func(e *tenure.AuditEvent) { e.Detail = map[string]string{"x": "1", "y": "3"} },
		"no detail":    func(e *tenure.AuditEvent) { e.Detail = nil },
		"detail moved": func(e *tenure.AuditEvent) { e.Detail = map[string]string{"x": "12", "y": ""} },
		"moved over":   func(e *tenure.AuditEvent) { e.ActorID, e.Actor = "aia", "c" },
		"salt":         func(e *tenure.AuditEvent) { e.Salt = []byte("pepper") },
		"moved across": func(e *tenure.AuditEvent) { e.Tenant, e.Workspace = "tw", "" },
	} {
		changed := e
		change(&changed)
		leaf := audit.Leaf(changed)
		if other, ok := seen[leaf]; ok {
			t.Errorf("%s: the same leaf as %s", name, other)
		}
		seen[leaf] = name
	}
	erased := tenure.AuditEvent{
		ID: e.ID, At: e.At, Tenant: e.Tenant, Workspace: e.Workspace, Action: e.Action, ActorKind: e.ActorKind, Outcome: e.Outcome, RequestID: e.RequestID,
		Erased: audit.Commitment(e),
	}
	if audit.Leaf(erased) != audit.Leaf(e) {
		t.Error("an erased event has another leaf")
	}
}
