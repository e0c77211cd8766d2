package ledger_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/ledger"
)

// A statement holds by the keys that sign checkpoints, for its kind alone; and neither a
// checkpoint nor a statement is taken for the other.
func TestStatements(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		l.append(1, "test.one")
		checkpoint, err := l.Checkpoint(l.ctx, operator(t))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := l.Sign(l.ctx, "evidence", "sha256 abc\n")
		if err != nil {
			t.Fatal(err)
		}
		keys, err := l.Keys(l.ctx, operator(t))
		if err != nil || len(keys) != 1 {
			t.Fatal(keys, err)
		}
		key := keys[0].Public
		_, stranger, err := note.GenerateKey(rand.Reader, "tenure/another")
		if err != nil {
			t.Fatal(err)
		}
		text, by, err := ledger.OpenStatement(signed, "evidence", key)
		if err != nil || text != "sha256 abc\n" || by != keys[0].Name {
			t.Errorf("%q by %q, %v", text, by, err)
		}
		for name, refused := range map[string]struct{ signed, kind, key string }{
			"changed":          {strings.Replace(signed, "abc", "abd", 1), "evidence", key},
			"of another kind":  {signed, "review", key},
			"a kind's head":    {signed, "evid", key},
			"a checkpoint":     {checkpoint, "evidence", key},
			"by a stranger":    {signed, "evidence", stranger},
			"by nobody at all": {strings.SplitAfter(signed, "\n\n")[0], "evidence", key},
		} {
			if text, _, err := ledger.OpenStatement(refused.signed, refused.kind, refused.key); err == nil {
				t.Errorf("%s: %q", name, text)
			}
		}
		// Whoever can have a statement signed cannot have a history signed by it.
		forged, err := l.Sign(l.ctx, "evidence", checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Verify(l.ctx, operator(t), ledger.Question{Keys: []string{key}, Checkpoints: []string{forged}}); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("a statement for a checkpoint: %v", err)
		}

		// For a while after a rotation two keys sign, and either is enough.
		if _, err := l.RotateKey(l.ctx, operator(t)); err != nil {
			t.Fatal(err)
		}
		signed, err = l.Sign(l.ctx, "evidence", "later\n")
		if err != nil {
			t.Fatal(err)
		}
		if keys, err = l.Keys(l.ctx, operator(t)); err != nil {
			t.Fatal(err)
		}
		if _, by, err = ledger.OpenStatement(signed, "evidence", key, keys[0].Public); err != nil || by != keys[0].Name {
			t.Errorf("after the rotation: by %q, %v", by, err)
		}
	})
}
