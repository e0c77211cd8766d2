package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/backup"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Keys of tests only.
const (
	phrase    = "correct horse battery staple"
	publicKey = "age1z7uewtqh3y47esdy9hmk7ygm3tny9mzjldd7xk0ppwp6997dc9msp5cw3l"
	secretKey = "AGE-SECRET-KEY-1S9PGTHTFXPG682NG7FRMVRTXF4MVWWXTRLE6HZNHM8YPUEPLYNQQSN6ZNL"
)

func operator(t *testing.T) tenure.Principal {
	t.Helper()
	s := &tenure.Standing{Kind: tenure.Operator, Tenant: tenure.DefaultTenant, TenantActive: true, Role: tenure.SuperAdmin, Name: "test"}
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ctx(t *testing.T) context.Context { return tenure.Everywhere(t.Context()) }

// opened gives a database in a file of its own.
func opened(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.OpenSQLite(ctx(t), filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// work puts a person into the database.
func work(t *testing.T, db *store.DB, name string) {
	t.Helper()
	err := db.Tx(ctx(t), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertUser(ctx, tenure.User{ID: tenure.UserID(tenure.NewID(tx.Now())), Tenant: tenure.DefaultTenant, UserName: name, Active: true, Role: tenure.Member, Source: "proxy", CreatedAt: tx.Now(), UpdatedAt: tx.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, db *store.DB) []byte {
	t.Helper()
	var out bytes.Buffer
	b := &backup.Backups{DB: db, Version: "v1"}
	if _, err := b.Create(ctx(t), operator(t), &out, backup.Lock{Recipients: []string{publicKey}}, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func restore(t *testing.T, db *store.DB, text []byte, o backup.RestoreOptions) (backup.Restored, error) {
	t.Helper()
	b := &backup.Backups{DB: db, Version: "v1", Dir: t.TempDir()}
	return b.Restore(ctx(t), operator(t), bytes.NewReader(text), backup.Unlock{Identities: []string{secretKey}}, o, nil)
}

// A backup of an older schema is brought up to date before it comes in: one that Tenure
// made when that was its schema.
func TestOlderBackup(t *testing.T) {
	text, err := os.ReadFile("testdata/schema10.age")
	if err != nil {
		t.Fatal(err)
	}
	db := opened(t)
	out, err := restore(t, db, text, backup.RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if out.Schema != 10 {
		t.Errorf("the backup is of schema %d: this tests nothing", out.Schema)
	}
	if _, err := db.UserByName(ctx(t), tenure.DefaultTenant, "alice@example.com"); err != nil {
		t.Errorf("alice is not there: %v", err)
	}
}

// Wherever a file is cut or changed, it is refused, and nothing of it is there.
func TestDamagedBackups(t *testing.T) {
	from, db := opened(t), opened(t)
	work(t, from, "alice@example.com")
	whole := create(t, from)
	for at := 200; at < len(whole); at += len(whole) / 12 {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1
		for name, text := range map[string][]byte{"cut": whole[:at], "flipped": flipped} {
			if _, err := restore(t, db, text, backup.RestoreOptions{Replace: true}); !tenure.IsKind(err, tenure.Invalid) {
				t.Errorf("%s at %d of %d: %v", name, at, len(whole), err)
			}
		}
	}
	if _, err := db.UserByName(ctx(t), tenure.DefaultTenant, "alice@example.com"); !errors.Is(err, tenure.ErrNotFound) {
		t.Errorf("something of a damaged backup is there: %v", err)
	}
	if _, err := restore(t, db, whole, backup.RestoreOptions{Replace: true}); err != nil {
		t.Errorf("the whole one: %v", err)
	}
}

// Lists name what has ended in the ways that are at hand; a person who came back is
// none of it, and what they had carried is.
func TestLists(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"ids":      {"# since\n01a20488-66ec-7611-acea-bbee9934a35a\n", true},
		"a digest": {strings.Repeat("0f", 32) + "\n", true},
		"a prefix": {"tpat_abcd\ntsvc_abcd\n", true},
		"a token":  {tenure.NewToken(tenure.KindPAT).Reveal() + "\n", true},
		"events":   {`{"action":"token.revoked","object_id":"x","at":"2026-01-01T00:00:00Z"}` + "\n", true},
		"an array": {`[{"action":"user.deactivated","object_id":"x","at":"2026-01-01T00:00:00Z"}]`, true},
		"words":    {"everything\n", false},
		"JSON":     {`{"hello":1}` + "\n", false},
		"half":     {`[{"action":`, false},
		"too much": {"tpat_abcde\n", false},
	} {
		var e backup.Ends
		if err := e.AddList("list", strings.NewReader(c.text)); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What ended while the backup was begun, by the clock of whoever ended it before it, is
// ended; what came back since is not.
func TestEndsAroundTheBackup(t *testing.T) {
	var later time.Duration
	from, err := store.OpenSQLite(ctx(t), filepath.Join(t.TempDir(), "tenure.db"), func() time.Time { return time.Now().Add(later) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = from.Close() })
	work(t, from, "alice@example.com")
	work(t, from, "bob@example.com")
	id := func(db *store.DB, name string) tenure.User {
		t.Helper()
		u, err := db.UserByName(ctx(t), tenure.DefaultTenant, name)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	alice, bob := id(from, "alice@example.com"), id(from, "bob@example.com")
	be := func(role tenure.Role) {
		t.Helper()
		if err := from.Tx(ctx(t), func(ctx context.Context, tx *store.Tx) error {
			return tx.SetRole(ctx, tenure.DefaultTenant, alice.ID, role)
		}); err != nil {
			t.Fatal(err)
		}
	}
	be(tenure.Admin)
	text := create(t, from)
	event := func(action string, u tenure.User, before time.Duration) string {
		return fmt.Sprintf(`{"action":%q,"object_id":%q,"at":%q}`+"\n", action, u.ID, time.Now().Add(-before).UTC().Format(time.RFC3339Nano))
	}
	var e backup.Ends
	if err := e.AddList("list", strings.NewReader(event("user.deactivated", alice, 0)+event("user.deactivated", bob, time.Hour))); err != nil {
		t.Fatal(err)
	}
	db := opened(t)
	out, err := restore(t, db, text, backup.RestoreOptions{Ends: e})
	if err != nil || len(out.Lists) != 1 || out.Lists[0].Entries != 1 || out.Lists[0].Ended != 1 {
		t.Fatalf("%+v, %v", out.Lists, err)
	}
	if id(db, "alice@example.com").Active || !id(db, "bob@example.com").Active {
		t.Error("alice is active, or bob is not")
	}

	// A list is heeded before what the database that goes knows: that changes rows, too.
	be(tenure.Member)
	later = time.Minute
	if _, err := restore(t, from, text, backup.RestoreOptions{Replace: true, Ends: e}); err != nil {
		t.Fatal(err)
	}
	if id(from, "alice@example.com").Active {
		t.Error("alice is active: her role had changed, and the list was not heeded")
	}
}

// A backup that could not be begun leaves nothing behind that would be in the way of the
// next, and one that is being written is not touched.
func TestABackupThatCouldNotBeBegun(t *testing.T) {
	db := opened(t)
	work(t, db, "alice@example.com")
	b, lock := &backup.Backups{DB: db, Version: "v1"}, backup.Lock{Recipients: []string{publicKey}}
	path := filepath.Join(t.TempDir(), "snap.age")
	gone, cancel := context.WithCancel(ctx(t))
	cancel()
	if _, err := b.CreateFile(gone, operator(t), path, lock, nil, func() {}); err == nil {
		t.Fatal("it was begun: this tests nothing")
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) > 0 {
		t.Errorf("it left %v, %v", files, err)
	}
	if err := os.WriteFile(path+".part", []byte("another's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateFile(ctx(t), operator(t), path, lock, nil, func() {}); tenure.AsError(err).Code != "file_exists" {
		t.Errorf("beside another that is written: %v", err)
	}
	if text, err := os.ReadFile(path + ".part"); err != nil || string(text) != "another's" {
		t.Errorf("of another that is written: %q, %v", text, err)
	}
	if err := os.Remove(path + ".part"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateFile(ctx(t), operator(t), path, lock, nil, func() {}); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// Only who may, and only while it is switched on.
func TestWhoMayBackUp(t *testing.T) {
	db := opened(t)
	s := &tenure.Standing{Kind: tenure.AssertedIdentity, Tenant: tenure.DefaultTenant, TenantActive: true, Role: tenure.Admin, UserActive: true, User: "u", UserName: "u"}
	admin, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	lock, unlock := backup.Lock{Passphrase: tenure.NewSecret(phrase)}, backup.Unlock{Passphrase: tenure.NewSecret(phrase)}
	for name, c := range map[string]struct {
		b  *backup.Backups
		by tenure.Principal
	}{
		"an admin":     {&backup.Backups{DB: db}, admin},
		"switched off": {&backup.Backups{DB: db, NoExports: true, NoImports: true}, operator(t)},
	} {
		if _, err := c.b.Create(ctx(t), c.by, &bytes.Buffer{}, lock, nil); !tenure.IsKind(err, tenure.Forbidden) {
			t.Errorf("%s makes a backup: %v", name, err)
		}
		if _, err := c.b.Restore(ctx(t), c.by, &bytes.Buffer{}, unlock, backup.RestoreOptions{}, nil); !tenure.IsKind(err, tenure.Forbidden) {
			t.Errorf("%s restores one: %v", name, err)
		}
	}
}
