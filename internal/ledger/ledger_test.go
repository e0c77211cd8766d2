package ledger_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// A log is an audit log with its ledger, in a database that a hand can reach.
type log struct {
	*ledger.Ledger
	t    *testing.T
	ctx  context.Context
	hand func(sql string) // the operator's, by the database's own shell
	// super is the URL of PostgreSQL for who owns the tables.
	super string
}

// plain seals nothing: what the vault does is its own tests'.
func plain(context.Context) (store.Sealer, error) {
	return func(secret tenure.Secret, to store.Bound) (store.SealedKey, error) {
		return store.SealedKey{Sealed: []byte(to.Credential + secret.Reveal()), DataKey: []byte{1}}, nil
	}, nil
}

func opened(_ context.Context, k store.SealedKey, to store.Bound) (tenure.Secret, error) {
	text, ok := strings.CutPrefix(string(k.Sealed), to.Credential)
	if !ok || to.Purpose != store.AuditSigningKey {
		return tenure.Secret{}, fmt.Errorf("%q is not sealed for %+v", k.Sealed, to)
	}
	return tenure.NewSecret(text), nil
}

func of(db *store.DB) *ledger.Ledger { return &ledger.Ledger{DB: db, Sealer: plain, Open: opened} }

// onBoth runs a test on either database.
func onBoth(t *testing.T, test func(*testing.T, *log)) {
	t.Run("sqlite", func(t *testing.T) { onSQLite(t, test) })
	t.Run("postgres", func(t *testing.T) {
		serve, super := storetest.Postgres(t)
		db, err := store.OpenPostgres(t.Context(), serve, nil)
		run(t, db, err, test, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", super, "-c")
	})
}

// onSQLite runs a test on SQLite alone, where the database makes no difference.
func onSQLite(t *testing.T, test func(*testing.T, *log)) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(t.Context(), path, nil)
	run(t, db, err, test, "sqlite3", path)
}

func run(t *testing.T, db *store.DB, err error, test func(*testing.T, *log), shell ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	super := ""
	if shell[0] == "psql" {
		super = shell[len(shell)-2]
	}
	test(t, &log{Ledger: of(db), super: super, t: t, ctx: tenure.Everywhere(t.Context()), hand: func(sql string) {
		t.Helper()
		if out, err := exec.Command(shell[0], append(shell[1:], sql)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, out)
		}
	}})
}

// append writes events, each in a transaction of what it tells of.
func (l *log) append(n int, action string) {
	l.t.Helper()
	for i := range n {
		err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, tenure.AuditEvent{
				Tenant: tenure.DefaultTenant, Action: action, ActorKind: "system", Actor: "test", ObjectID: fmt.Sprint(i), Outcome: "success",
				Detail: map[string]string{"n": fmt.Sprint(i), "text": "é\n\""},
			})
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *log) place() int {
	l.t.Helper()
	n, err := l.Place(l.ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

func operator(t *testing.T) tenure.Principal {
	t.Helper()
	p, err := (&tenure.Standing{Kind: tenure.Operator, Tenant: tenure.DefaultTenant, TenantActive: true, Role: tenure.SuperAdmin}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (l *log) verify(q ledger.Question) ledger.Answer {
	l.t.Helper()
	a, err := l.Verify(l.ctx, operator(l.t), q)
	if err != nil {
		l.t.Fatal(err)
	}
	return a
}

// A log that nobody touched verifies, however its places were given and whoever gave
// them; every event can be proved.
func TestUntouchedLogVerifies(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(3, "a.first")
		if n := l.place(); n != 4 { // and that a key was made
			t.Fatalf("placed %d", n)
		}
		if n := l.place(); n != 0 {
			t.Fatalf("placed %d again", n)
		}
		l.append(600, "a.many")
		other := of(l.DB) // another replica
		var both sync.WaitGroup
		for _, r := range []*ledger.Ledger{l.Ledger, other} {
			both.Go(func() {
				if _, err := r.Place(l.ctx); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		l.place()
		l.append(5, "a.last")
		if _, err := other.Place(l.ctx); err != nil {
			t.Fatal(err)
		}
		a := l.verify(ledger.Question{})
		if a.Fault != nil || a.Places != 609 || a.Waiting != 0 || a.Checkpoints < 3 || len(a.Keys) != 1 {
			t.Fatalf("%+v %+v", a, a.Fault)
		}
		l.append(1, "a.waits")
		if a := l.verify(ledger.Question{}); a.Fault != nil || a.Waiting != 1 {
			t.Errorf("%+v %+v", a, a.Fault)
		}
		l.place()
		keys, err := l.Keys(l.ctx, operator(t))
		if err != nil || len(keys) != 1 {
			t.Fatal(keys, err)
		}
		events, err := l.DB.AuditEvents(l.ctx, store.AuditFilter{Tenant: tenure.DefaultTenant, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range events {
			if i%50 != 0 {
				continue
			}
			p, err := l.Prove(l.ctx, operator(t), e.ID)
			if err != nil {
				t.Fatal(err)
			}
			if size, err := p.Check(keys[0].Public); err != nil || size != 610 {
				t.Errorf("%s: %d, %v", e.ID, size, err)
			}
			p.Event.Actor = "mallory"
			if _, err := p.Check(keys[0].Public); err == nil {
				t.Error("another event is proved too")
			}
		}
	})
}

// A signature that was added to a checkpoint hands nothing over.
func TestAnAddedSignatureHandsNothingOver(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(5, "a.b")
		l.place()
		keys, err := l.Keys(l.ctx, operator(t))
		if err != nil {
			t.Fatal(err)
		}
		private, public, err := note.GenerateKey(rand.Reader, strings.TrimSuffix(keys[0].Name, keys[0].Name[strings.LastIndex(keys[0].Name, "+"):]))
		if err != nil {
			t.Fatal(err)
		}
		evil, err := note.NewSigner(private)
		if err != nil {
			t.Fatal(err)
		}
		l.append(5, "a.c")
		l.place()
		all, err := l.DB.Checkpoints(l.ctx, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		l.hand("INSERT INTO audit_keys (id, public, sealed, data_key, created_at, retired_at) SELECT 'evil', '" + public + "', sealed, data_key, created_at, created_at FROM audit_keys")
		for i, c := range all {
			text, signatures, _ := strings.Cut(c.Note, "\n\n")
			signed, err := note.Sign(&note.Note{Text: text + "\n"}, evil)
			if err != nil {
				t.Fatal(err)
			}
			forged := string(signed)
			if i < len(all)-1 {
				forged += signatures // the true one, too
			}
			l.hand(fmt.Sprintf("UPDATE audit_checkpoints SET note = '%s' WHERE size = %d", forged, c.Size))
		}
		if a := l.verify(ledger.Question{Keys: []string{keys[0].Public}}); a.Fault == nil || !strings.Contains(a.Fault.What, "not to be trusted") {
			t.Errorf("%+v %+v", a, a.Fault)
		}
	})
}

// Whatever a hand does to the log in the database is named.
func TestWhatAHandDoesIsNamed(t *testing.T) {
	of := func(place int) string { return fmt.Sprintf("(SELECT seq FROM audit_leaves WHERE place = %d)", place) }
	hands := map[string]struct {
		sql   string
		place int64
		what  string
	}{
		"an actor changed":         {"UPDATE audit_events SET actor = 'mallory' WHERE seq = " + of(7), 7, "was changed"},
		"a time changed":           {"UPDATE audit_events SET at = (SELECT at FROM audit_events WHERE seq = " + of(0) + ") WHERE seq = " + of(9), 9, "was changed"},
		"a detail changed":         {`UPDATE audit_events SET detail = '{"n":"1"}' WHERE seq = ` + of(12), 12, "was changed"},
		"erased by hand":           {"UPDATE audit_events SET actor = '', erased = salt WHERE seq = " + of(3), 3, "was changed"},
		"erased by hand, by a MAC": {"UPDATE audit_events SET erased = hash FROM audit_leaves l WHERE l.seq = audit_events.seq AND audit_events.seq = " + of(3), 3, "there is something in its place"},
		"a leaf outside the tree":  {"UPDATE audit_leaves SET place = -1 WHERE place = 19; UPDATE meta SET value = '19' WHERE key = 'audit.tree'; DELETE FROM audit_checkpoints WHERE size > 19", 19, "none of the tree"},
		"removed":                  {"DELETE FROM audit_events WHERE seq = " + of(5), 5, "was removed"},
		"removed with its leaf":    {"DELETE FROM audit_events WHERE seq = " + of(5) + "; DELETE FROM audit_leaves WHERE place = 5", 5, "its leaf was removed"},
		"all removed":              {"DELETE FROM audit_events", 0, "was removed"},
		"two exchanged":            {"UPDATE audit_leaves SET seq = -1 WHERE place = 4; UPDATE audit_leaves SET seq = 5 WHERE place = 8; UPDATE audit_leaves SET seq = 9 WHERE place = 4", 4, "or another is in its place"},
		"cut off":                  {"DELETE FROM audit_events WHERE seq > " + of(14) + "; DELETE FROM audit_leaves WHERE place > 14", 15, "cut off"},
		"cut off with the number":  {"DELETE FROM audit_events WHERE seq > " + of(14) + "; DELETE FROM audit_leaves WHERE place > 14; UPDATE meta SET value = '15' WHERE key = 'audit.tree'", 15, "cut off"},
		"another's leaf":           {"UPDATE audit_leaves SET hash = (SELECT hash FROM audit_leaves WHERE place = 1) WHERE place = 2", 2, "was changed"},
		"a checkpoint changed":     {"UPDATE audit_checkpoints SET note = replace(note, 'tenure/', 'tenurf/') WHERE size = 11", 10, "not to be trusted"},
		"a checkpoint in a place":  {"UPDATE audit_checkpoints SET size = 12 WHERE size = 11", 11, "is one of 11"},
		"checkpoints removed only": {"DELETE FROM audit_checkpoints WHERE size = 11", -1, ""},
	}
	onBoth(t, func(t *testing.T, l *log) {
		l.append(10, "a.b")
		l.place()
		l.append(10, "a.c")
		l.place()
		tables := []string{"audit_events", "audit_leaves", "audit_checkpoints", "meta"}
		for _, table := range tables {
			l.hand("CREATE TABLE kept_" + table + " AS SELECT * FROM " + table)
		}
		for name, tt := range hands {
			l.hand(tt.sql)
			a := l.verify(ledger.Question{})
			switch {
			case tt.place < 0 && a.Fault != nil:
				t.Errorf("%s: %+v", name, *a.Fault)
			case tt.place >= 0 && (a.Fault == nil || a.Fault.Place != tt.place || !strings.Contains(a.Fault.What, tt.what)):
				t.Errorf("%s: %+v %+v", name, a, a.Fault)
			}
			undo := ""
			for _, table := range tables {
				undo += "DELETE FROM " + table + "; INSERT INTO " + table + " SELECT * FROM kept_" + table + ";"
			}
			l.hand(undo)
		}
		if a := l.verify(ledger.Question{}); a.Fault != nil {
			t.Errorf("%+v", *a.Fault)
		}
	})
}

// An event that is changed together with its leaf is within the checkpoint that it breaks.
func TestAnEventChangedWithItsLeafBreaksTheRoot(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		for range 2 {
			l.append(10, "a.b")
			l.place()
		}
		l.hand("UPDATE audit_events SET actor = 'mallory' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 12)")
		places, err := l.DB.PlacedEvents(l.ctx, 12, 1)
		if err != nil {
			t.Fatal(err)
		}
		literal := "X'%x'"
		if !strings.Contains(t.Name(), "sqlite") {
			literal = `'\x%x'`
		}
		l.hand(fmt.Sprintf("UPDATE audit_leaves SET hash = "+literal+" WHERE place = 12", [32]byte(audit.Leaf(*places[0].Event))))
		if a := l.verify(ledger.Question{}); a.Fault == nil || a.Fault.Place != 11 || !strings.Contains(a.Fault.What, "changed together") {
			t.Errorf("%+v %+v", a, a.Fault)
		}
	})
}

// Who can write to the database, and makes another history with all that belongs to it,
// is found out by a checkpoint that was kept elsewhere, or by the key that one trusts.
func TestAnotherHistoryIsFoundOut(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(10, "a.b")
		l.place()
		kept, err := l.Checkpoint(l.ctx, operator(t))
		if err != nil {
			t.Fatal(err)
		}
		keys, err := l.Keys(l.ctx, operator(t))
		if err != nil {
			t.Fatal(err)
		}
		good := ledger.Question{Keys: []string{keys[0].Public}, Checkpoints: []string{kept}}
		l.append(5, "a.c")
		l.place()
		if a := l.verify(good); a.Fault != nil || a.Places != 16 {
			t.Fatalf("%+v %+v", a, a.Fault)
		}
		l.hand("DELETE FROM audit_leaves; DELETE FROM audit_subtrees; DELETE FROM audit_checkpoints; DELETE FROM meta WHERE key = 'audit.tree'; UPDATE audit_events SET actor = 'mallory' WHERE object_id = '3'")
		again := of(l.DB)
		if _, err := again.Place(l.ctx); err != nil {
			t.Fatal(err)
		}
		if a := l.verify(ledger.Question{}); a.Fault != nil {
			t.Fatalf("consistent in itself: %+v", a.Fault)
		}
		if a := l.verify(good); a.Fault == nil || !strings.Contains(a.Fault.What, "written anew") {
			t.Errorf("%+v %+v", a, a.Fault)
		}
		l.hand("DELETE FROM audit_keys; DELETE FROM audit_checkpoints; DELETE FROM meta WHERE key = 'audit.tree'; DELETE FROM audit_leaves; DELETE FROM audit_subtrees")
		again = of(l.DB)
		if _, err := again.Place(l.ctx); err != nil {
			t.Fatal(err)
		}
		if a := l.verify(ledger.Question{Keys: good.Keys}); a.Fault == nil || !strings.Contains(a.Fault.What, "not to be trusted") {
			t.Errorf("%+v %+v", a, a.Fault)
		}
		if _, err := l.Verify(l.ctx, operator(t), ledger.Question{Keys: []string{"no key"}}); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%v", err)
		}
	})
}

// A key that is replaced hands over: who trusts the first one verifies all.
func TestKeysHandOver(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(3, "a.b")
		l.place()
		first, err := l.Keys(l.ctx, operator(t))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := l.RotateKey(l.ctx, operator(t)); err != nil {
				t.Fatal(err)
			}
			l.append(3, "a.c")
			if _, err := of(l.DB).Place(l.ctx); err != nil {
				t.Fatal(err)
			}
		}
		a := l.verify(ledger.Question{Keys: []string{first[0].Public}})
		if a.Fault != nil || a.Places != 12 || len(a.Keys) != 3 {
			t.Errorf("%+v %+v", a, a.Fault)
		}
		keys, err := l.Keys(l.ctx, operator(t))
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range keys { // whichever of them one trusts: each has signed with the next
			if a := l.verify(ledger.Question{Keys: []string{k.Public}}); a.Fault != nil || a.Places != 12 || len(a.Keys) != 3 {
				t.Errorf("key %d: %+v %+v", i, a, a.Fault)
			}
		}
		if len(keys) != 3 || !keys[0].RetiredAt.IsZero() || keys[1].RetiredAt.IsZero() || keys[2].RetiredAt.IsZero() {
			t.Errorf("%+v, %v", keys, err)
		}
		l.hand("INSERT INTO audit_checkpoints (size, at, note) SELECT 6, at, note FROM audit_checkpoints WHERE size = 4")
		if a := l.verify(ledger.Question{}); a.Fault == nil {
			t.Error("an old checkpoint in another place is right")
		}
	})
}

// A tree that was changed in the database is signed no more: else the next checkpoint
// would be over the change.
func TestWhatIsBrokenIsNotSigned(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(10, "a.b")
		l.place()
		l.append(1, "a.c")
		l.hand("UPDATE audit_leaves SET hash = (SELECT hash FROM audit_leaves WHERE place = 1) WHERE place = 2")
		again := of(l.DB) // what has started since
		if n, err := again.Place(l.ctx); err == nil || n > 0 || !strings.Contains(again.Standing().Trouble, "audit verify") {
			t.Errorf("%d places, %v, %+v", n, err, again.Standing())
		}
		if a := l.verify(ledger.Question{}); a.Waiting != 1 || a.Fault == nil || a.Fault.Place != 2 {
			t.Errorf("%+v %+v", a, a.Fault)
		}
		l.hand("DELETE FROM audit_leaves WHERE place > 8; UPDATE meta SET value = '9' WHERE key = 'audit.tree'")
		if _, err := of(l.DB).Place(l.ctx); err == nil || !strings.Contains(err.Error(), "the last checkpoint is over 11") {
			t.Error(err)
		}
	})
}

// While secrets cannot be sealed or opened events are written, wait, and are signed
// later; a key whose secret is lost is followed by another.
func TestSealed(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		sealed := &tenure.Error{Kind: tenure.Unavailable, Code: "vault_sealed", Msg: "sealed"}
		shut := of(l.DB)
		shut.Sealer = func(context.Context) (store.Sealer, error) { return nil, sealed }
		shut.Open = func(context.Context, store.SealedKey, store.Bound) (tenure.Secret, error) {
			return tenure.Secret{}, sealed
		}
		l.append(2, "a.b")
		for range 2 {
			if _, err := shut.Place(l.ctx); !tenure.IsKind(err, tenure.Unavailable) || shut.Standing().Trouble == "" {
				t.Errorf("%v, %+v", err, shut.Standing())
			}
			l.place()
			l.append(1, "a.c")
		}
		rows, err := l.DB.Sealed(l.ctx, "audit_keys", "", 10)
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		if err := l.DB.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error { // as "tenure vault reset" does
			_, err := tx.Destroy(ctx, "audit_keys", rows[0])
			return err
		}); err != nil {
			t.Fatal(err)
		}
		l.place()
		keys, err := l.Keys(l.ctx, operator(t))
		if err != nil || len(keys) != 2 || keys[1].RetiredAt.IsZero() || keys[0].Checkpoints != 1 || keys[1].Checkpoints != 2 {
			t.Errorf("%+v, %v", keys, err)
		}
		if a := l.verify(ledger.Question{}); a.Fault != nil || a.Places != 6 {
			t.Errorf("%+v %+v", a, a.Fault)
		}
		// Nobody has handed over: who trusts the one before is told so.
		if a := l.verify(ledger.Question{Keys: []string{keys[1].Public}}); a.Fault == nil || a.Fault.Place != 5 {
			t.Errorf("%+v %+v", a, a.Fault)
		}
	})
}
