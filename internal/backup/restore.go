package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// RestoreOptions say how far a restore may go, and what it is told beside the backup.
type RestoreOptions struct {
	// Replace lets a database be replaced that is not empty.
	Replace bool
	// Serving tells that it is this process that serves from the database, which then
	// must be of the same installation. Otherwise nobody may.
	Serving bool
	// DryRun does everything, and then undoes it.
	DryRun bool
	// SHA256 is that of the backup, in hexadecimal, where it is known; "": it is not.
	SHA256 string
	// Ends are what is known to have ended since.
	Ends Ends
}

// Restored tells what a restore has done.
type Restored struct {
	Summary
	store.Replaced
	// VouchedBy tells who knows the backup to be one that was made here: "sha256", the
	// name of a list, "audit log"; "": nobody does.
	VouchedBy string
	Lists     []Told // what the lists have ended, in their order
	DryRun    bool
	// KnownUntil is up to when ends of access are known: whatever ended later, and is on
	// no list, lives again.
	KnownUntil time.Time
	Now        time.Time
}

// Told is what one list has ended.
type Told struct {
	Name    string
	Entries int // that tell of an end
	Ended   int // of them: what was live in the backup
	Unknown int // what the backup does not have
	Events  int // of the audit log that it has
	// Tenants are those of whose ends it has all, from the backup on.
	Tenants []tenure.TenantID
	Vague   int // events that say how many have left a group, and not who
}

// errDry undoes a restore that was only tried.
var errDry = errors.New("tried only")

// Restore puts a backup in the place of what the database holds, in one transaction.
// Invalid: it does not open, is not whole, or is of a newer version. Conflict: the
// database is not empty, somebody serves from it, or it is of another installation.
// Forbidden: imports are switched off, or the database's role may not.
func (b *Backups) Restore(ctx context.Context, by tenure.Principal, r io.Reader, with Unlock, o RestoreOptions, tell Progress) (Restored, error) {
	if err := b.mayImport(by); err != nil {
		return Restored{}, err
	}
	out, err := b.restore(ctx, by, r, with, o, tell)
	switch after := context.WithoutCancel(ctx); {
	case err != nil:
		err = errors.Join(err, b.note(after, audit.RestoreFailed(by, err)))
	case o.DryRun:
		err = b.note(after, audit.RestoreTried(by, out.audited()))
	}
	return out, err
}

// audited is what the audit log is told.
func (r Restored) audited() audit.Restore {
	return audit.Restore{
		At: r.At, Install: r.Install, Version: r.Version, Digest: r.Digest, Rows: r.Replaced.Rows, Ended: total(r.Ended) + total(r.Gone), //nolint:staticcheck // the header's rows are a method
		Sessions: r.Sessions, Listed: endedByLists(r.Lists), KnownUntil: r.KnownUntil,
	}
}

// eraseAgain erases what had been erased from the log in the database that was replaced,
// where an event that goes on tells so. What a hand has erased there is back.
func eraseAgain(ctx context.Context, tx *store.Tx, was *store.Replaced) error {
	if len(was.Unerased) == 0 {
		return nil
	}
	type event struct {
		tenant tenure.TenantID
		id     string
	}
	tellers, err := tx.Tellers(ctx, 0)
	if err != nil {
		return err
	}
	told := map[event]string{}
	for _, t := range tellers {
		for id := range strings.FieldsSeq(t.Detail["events"]) {
			told[event{t.Tenant, id}] = t.ID
		}
	}
	for _, e := range was.Unerased {
		teller := told[event{e.Tenant, e.ID}]
		if teller == "" || audit.Lasts(e.Action) {
			continue
		}
		if err := tx.EraseEvent(ctx, e.ID, teller, audit.Commitment(e)); err != nil {
			return err
		}
		was.Ended["erased_events"]++
	}
	was.Unerased = nil
	return nil
}

func (b *Backups) restore(ctx context.Context, by tenure.Principal, r io.Reader, with Unlock, o RestoreOptions, tell Progress) (Restored, error) {
	ids, err := with.identities()
	if err != nil {
		return Restored{}, err
	}
	in, err := read(r, ids, tell)
	if err != nil {
		return Restored{}, err
	}
	if err := o.Ends.of(in.Install); err != nil {
		return Restored{}, err
	}
	incoming, done, err := b.upToDate(ctx, in)
	if err != nil {
		return Restored{}, err
	}
	defer done()
	out := Restored{DryRun: o.DryRun}
	replaced, err := b.DB.Replace(ctx, incoming, store.ReplaceOptions{
		Over: o.Replace, Alone: !o.Serving, Ours: o.Serving,
		First: func(ctx context.Context, tx *store.Tx) (err error) {
			out.Lists, err = o.Ends.apply(ctx, tx, in.Header)
			return err
		},
		Then: func(ctx context.Context, tx *store.Tx, was *store.Replaced) error {
			var err error
			out.Now = tx.Now()
			if out.KnownUntil, err = o.Ends.until(ctx, tx, in.Header, out.Lists); err != nil {
				return err
			}
			if was.Later {
				out.KnownUntil = tx.Now()
			}
			out.Summary, out.Replaced = Summary{in.Header, in.digest}, *was
			if out.VouchedBy, err = o.vouches(ctx, tx, in); err != nil {
				return err
			}
			if err = eraseAgain(ctx, tx, was); err != nil {
				return err
			}
			if err = tx.RelinkBeliefs(ctx); err != nil {
				return err
			}
			if o.DryRun {
				return errDry
			}
			told := out.audited()
			if told.Epoch, err = tx.NewEpoch(ctx, audit.Tellers()...); err != nil {
				return err
			}
			return tx.Append(ctx, audit.BackupRestored(by, told))
		},
	})
	if o.DryRun && errors.Is(err, errDry) {
		return out, nil
	}
	out.Replaced = replaced
	if errors.Is(err, store.ErrNotEmpty) {
		return Restored{}, &tenure.Error{Kind: tenure.Conflict, Code: "not_empty", Msg: "the database is not empty: restore into an empty one, or say that this one is to be replaced (--replace, in the API replace=true)", Err: err}
	}
	if err != nil {
		return Restored{}, fmt.Errorf("restore, and nothing has changed: %w", err)
	}
	return out, nil
}

// vouches sees who knows the backup: whoever can read its recipients can make another.
// Its digest is told by the caller, by the event of its making on a list, or by that in
// the log of the database that it replaces. What serves takes no other.
func (o RestoreOptions) vouches(ctx context.Context, tx *store.Tx, in *reader) (string, error) {
	switch {
	case o.SHA256 != "" && !strings.EqualFold(o.SHA256, in.digest):
		return "", tenure.InvalidField("sha256", "this is another backup: its SHA-256 is %s", in.digest)
	case o.SHA256 != "":
		return "sha256", nil
	}
	for _, l := range o.Ends.lists {
		if slices.Contains(l.backups, in.digest) {
			return l.name, nil
		}
	}
	events, err := tx.AuditEvents(ctx, store.AuditFilter{Tenant: tenure.DefaultTenant, Action: backupCreated, Limit: mostBackups})
	if err != nil {
		return "", err
	}
	for _, e := range events {
		if e.Action == backupCreated && e.Seq > in.Audit && e.Detail["sha256"] == in.digest {
			return "audit log", nil
		}
	}
	if o.Serving {
		return "", &tenure.Error{
			Kind: tenure.Conflict, Code: "backup_unknown",
			Msg: "nothing here knows this backup: give its SHA-256 (sha256), as it was told when it was made, or the audit log that tells of it (revocations)",
		}
	}
	return "", nil
}

const backupCreated = "backup.created"

// mostBackups is how many backups are looked for in the audit log, the newest first.
const mostBackups = 10_000

func total(counts map[string]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

func endedByLists(lists []Told) (n int64) {
	for _, l := range lists {
		n += int64(l.Ended)
	}
	return n
}

// upToDate gives the rows of a backup as the present schema has them. Those of an
// older one are put into a file of that version first, which is then migrated as any
// database is: what a migration moves is moved.
func (b *Backups) upToDate(ctx context.Context, in *reader) (store.Incoming, func(), error) {
	incoming := store.Incoming{Install: in.Install, Feed: in.Feed, Audit: in.Audit, Each: in.each}
	same, newest, known, err := store.AsSQLite(in.Database, in.Schema)
	switch {
	case err != nil:
		return incoming, nil, err
	case in.Schema > known:
		return incoming, nil, newer(fmt.Sprintf("its schema is of version %d, this program knows %d", in.Schema, known), in.Version)
	case same == newest:
		return incoming, func() {}, nil
	}
	dir, err := os.MkdirTemp(b.Dir, "restore-")
	if err != nil {
		return incoming, nil, err
	}
	remove := func() { _ = os.RemoveAll(dir) }
	snap, err := stage(ctx, filepath.Join(dir, "older.db"), same, incoming)
	if err != nil {
		remove()
		return incoming, nil, fmt.Errorf("bring the backup up to date: %w", err)
	}
	incoming.Each = func(ctx context.Context, table func(string, []string, func() ([]any, error)) error) error {
		for _, t := range snap.Tables {
			if err := table(t.Name, t.Names(), pulled(ctx, snap.Snapshot, t)); err != nil {
				return err
			}
		}
		return nil
	}
	return incoming, func() { snap.close(); remove() }, nil
}

// staged is an older backup in a database of its own.
type staged struct {
	*store.Snapshot
	close func()
}

func stage(ctx context.Context, path string, schema int64, rows store.Incoming) (*staged, error) {
	old, err := store.OpenSQLiteAt(ctx, path, schema)
	if err != nil {
		return nil, err
	}
	_, err = old.Replace(ctx, rows, store.ReplaceOptions{Over: true, Bare: true})
	if err = errors.Join(err, old.Close()); err != nil {
		return nil, err
	}
	db, err := store.OpenSQLite(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	snap, err := db.Snapshot(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &staged{snap, func() { _ = errors.Join(snap.Close(), db.Close()) }}, nil
}

// pulled gives the rows of a table one by one.
func pulled(ctx context.Context, snap *store.Snapshot, t store.Table) func() ([]any, error) {
	errStop := errors.New("enough")
	next, stop := iter.Pull2(func(yield func([]any, error) bool) {
		err := snap.Each(ctx, t, func(row []any) error {
			if !yield(row, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	})
	return func() ([]any, error) {
		row, err, ok := next()
		if !ok || err != nil {
			stop()
		}
		if !ok {
			return nil, io.EOF
		}
		return row, err
	}
}

func newer(what, version string) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: "backup_newer", Msg: fmt.Sprintf("the backup was made by a newer Tenure (%s): %s; restore it with that version, or a later one", version, what)}
}
