package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/tenure-gateway/tenure/internal/store"
)

// How much room a disk should have.
const (
	mib       = 1 << 20
	scantDisk = 64 * mib
	smallDisk = 1024 * mib
)

// database looks at the database, and opens it to be read. nil: it cannot be.
func (d *Doctor) database(ctx context.Context) (findings, *store.DB) {
	switch {
	case !d.cfg.Postgres.IsZero():
		return d.postgres(ctx)
	case d.cfg.Database != "":
		return d.sqlite(ctx)
	}
	var f findings
	f.skip("database", "reach", "TENURE_DATABASE_URL names none")
	return f, nil
}

func (d *Doctor) sqlite(ctx context.Context) (findings, *store.DB) {
	const area = "database"
	var f findings
	path := d.cfg.Database
	s, err := store.StateOfSQLite(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.skip(area, "reach", path+" is not there yet: the first start makes it")
		return f, nil
	case err != nil:
		f.fail(area, "reach", path+": "+cause(err), "see that it is a SQLite database which the user that serves may read and write; otherwise put the backup back.")
		return f, nil
	}
	f.ok(area, "reach", fmt.Sprintf("SQLite %s, %s, %.1f MiB", s.Version, path, float64(s.Bytes)/mib))
	f.either(s.Mode.Perm()&0o077 == 0, area, "mode", fmt.Sprintf("mode %#o", s.Mode.Perm()), "others can read it: chmod 600 "+path)
	f.either(s.WAL, area, "journal", map[bool]string{true: "write-ahead log", false: "no write-ahead log"}[s.WAL], "something else has changed that: the next start sets it again.")
	switch free := fmt.Sprintf("%d MiB free on its disk", s.Free/mib); {
	case s.Free < scantDisk:
		f.fail(area, "disk", free, "make room: without it every write is refused.")
	default:
		f.either(s.Free >= smallDisk, area, "disk", free, "make room before it is full: then every write is refused.")
	}
	f.ok(area, "lease", map[bool]string{true: "a server is serving from it", false: "no server is serving from it now"}[s.Serving])
	ready := d.schema(&f, s.Schema)
	d.lost(&f, s.Schema, s.Triggers, nil)
	d.integrity(ctx, &f, path)
	if !ready {
		return f, nil
	}
	db, err := store.LookSQLite(path)
	if err != nil {
		f.fail(area, "read", cause(err), "see that the user that serves may read it.")
		return f, nil
	}
	return f, db
}

func (d *Doctor) integrity(ctx context.Context, f *findings, path string) {
	faults, err := store.CheckSQLite(ctx, path)
	switch {
	case ctx.Err() != nil:
		f.warn("database", "integrity", "the quick check of the file took too long, and was given up", "run it by hand when there is time: sqlite3 "+path+" 'PRAGMA quick_check'")
	case err != nil:
		f.fail("database", "integrity", cause(err), "stop the server, keep the file, and put the backup back.")
	case len(faults) > 0:
		f.fail("database", "integrity", strings.Join(faults, "; "), "stop the server, keep the file, and put the backup back.")
	default:
		f.ok("database", "integrity", "the quick check found nothing")
	}
}

// schema compares the version of the schema, and reports whether it can be read.
func (d *Doctor) schema(f *findings, s store.Schema) bool {
	const area = "database"
	switch {
	case s.Version == 0:
		f.fail(area, "schema", "there is none", "run: tenure migrate")
	case s.Pending():
		f.fail(area, "schema", fmt.Sprintf("version %d; this program needs %d", s.Version, s.Needed), "run \"tenure migrate\" as the owner of the tables.")
	case s.Version > s.Needed:
		f.ok(area, "schema", fmt.Sprintf("version %d, newer than this program needs (%d): it reads that too", s.Version, s.Needed))
	default:
		f.ok(area, "schema", fmt.Sprintf("version %d: nothing is pending", s.Version))
	}
	return !s.Pending()
}

// lost tells of the triggers that write the feed of changes, and hold what must
// hold: without them an edit by hand ends nothing.
func (d *Doctor) lost(f *findings, s store.Schema, missing, disabled []string) {
	const area, check = "database", "triggers"
	switch {
	case s.Version != s.Needed:
		f.skip(area, check, "those of another version are not known")
	case len(missing) > 0:
		f.fail(area, check, "gone or changed: "+some(missing), "a change there ends nothing: put the backup's schema back, or make them again from the migrations.")
	case len(disabled) > 0:
		f.fail(area, check, "disabled: "+some(disabled), "a change there ends nothing: as the owner, run ALTER TABLE … ENABLE TRIGGER for each, then restart every replica.")
	default:
		f.ok(area, check, "all there, and at work")
	}
}

// some names a few of many.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
