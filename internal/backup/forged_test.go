package backup_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/backup"
)

// forged is a backup with another header, made as anybody can who has the public key.
func forged(t *testing.T, text []byte, change func(header map[string]any)) []byte {
	t.Helper()
	identity, err := age.ParseX25519Identity(secretKey)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := age.Decrypt(bytes.NewReader(text), identity)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(opened)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(plain), "\n"), "\n")
	var header map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &header); err != nil {
		t.Fatal(err)
	}
	change(header)
	first, _ := json.Marshal(header)
	body := string(first) + "\n" + strings.Join(lines[1:len(lines)-1], "")
	var end struct{ Rows int64 }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	sealed, err := age.Encrypt(&out, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(sealed)
	fmt.Fprintf(packed, `%s{"end":true,"rows":%d,"sha256":"%x"}`+"\n", body, end.Rows, sha256.Sum256([]byte(body)))
	if packed.Close() != nil || sealed.Close() != nil {
		t.Fatal("not closed")
	}
	return out.Bytes()
}

func number(v any) float64 {
	n, _ := v.(float64)
	return n
}

// Whoever can encrypt to the recipients can make a file. What serves takes none that
// nobody knows, and none takes away more of the audit log than it brings.
func TestForgedBackups(t *testing.T) {
	db := opened(t)
	work(t, db, "alice@example.com")
	create(t, db) // so that there is an audit log
	text := create(t, db)
	create(t, db)
	other := forged(t, text, func(h map[string]any) { h["version"] = "v2" })
	further := forged(t, text, func(h map[string]any) { h["audit"] = 2 + number(h["audit"]) })
	nearer := forged(t, text, func(h map[string]any) { h["audit"] = number(h["audit"]) - 1 })

	for name, text := range map[string][]byte{"further": further, "nearer": nearer} {
		if _, err := restore(t, db, text, backup.RestoreOptions{Replace: true}); err == nil {
			t.Errorf("a header whose audit log goes %s than its rows: %v", name, err)
		}
	}
	if _, err := restore(t, db, other, backup.RestoreOptions{Replace: true, Serving: true}); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("what nobody knows, while it serves: %v", err)
	}
	out, err := restore(t, db, other, backup.RestoreOptions{Replace: true, DryRun: true})
	if err != nil || out.VouchedBy != "" {
		t.Errorf("what nobody knows, at the command line: %q, %v", out.VouchedBy, err)
	}
	digest := out.Digest
	var e backup.Ends
	if err := e.AddList("audit.json", strings.NewReader(fmt.Sprintf(`{"action":"backup.created","at":"2026-01-01T00:00:00Z","detail":{"sha256":%q}}`, digest))); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]backup.RestoreOptions{
		"sha256": {Replace: true, Serving: true, DryRun: true, SHA256: strings.ToUpper(digest)}, "audit.json": {Replace: true, Serving: true, DryRun: true, Ends: e},
	} {
		if out, err := restore(t, db, other, o); err != nil || out.VouchedBy != want {
			t.Errorf("vouched for by %q, want %q: %v", out.VouchedBy, want, err)
		}
	}
	if _, err := restore(t, db, other, backup.RestoreOptions{Replace: true, SHA256: strings.Repeat("0", 64)}); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("another digest than was told: %v", err)
	}
	if out, err := restore(t, db, text, backup.RestoreOptions{Replace: true, Serving: true}); err != nil || out.VouchedBy != "audit log" {
		t.Errorf("one of this database's own: %q, %v", out.VouchedBy, err)
	}
}
