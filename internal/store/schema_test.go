package store_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/store"
)

// PostgreSQL's schema is written anew, not translated: these tests hold it to what
// SQLite's migrations come to. What may differ is named here, and nothing else is.

// ofPostgres are columns and tables that only PostgreSQL has.
var ofPostgres = []string{
	"audit_hold_locks", // SQLite has one writer at a time
	"changes.xid",      // the order of commits
	"changes.ended",    // for a standby that takes over without the last of them
	// Row-level security needs the tenant in the row itself.
	"group_members.tenant_id", "oidc_domains.tenant_id", "scim_connector_counts.tenant_id",
	"scim_connector_figures.tenant_id", "scim_connector_tokens.tenant_id", "user_emails.tenant_id",
}

// booleans are columns that have 0 and 1 in SQLite.
var booleans = []string{"access_review_items.given", "access_reviews.automatic", "audit_sinks.everywhere", "audit_sinks.paused", "oidc_connections.trust_email", "service_accounts.active", "tenants.active", "users.active"}

// A relation is a table or a view as both databases can tell it.
type relation struct {
	Columns map[string]column
	Indexes []string // unique or not, their columns and condition
	Checks  []string // a column and what it may hold
	Watched []string // the columns whose update the feed tells; nil: none; "*": any
}

// A column's default is a literal, "now", or nothing.
type column struct {
	Type    string
	NotNull bool
	Default string
}

// postgres migrates the database and opens it.
func postgres(t *testing.T, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS("migrations/postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestSchemasAgree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	made, err := store.OpenSQLite(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	lite, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lite.Close() })
	want, got := ofSQLite(t, lite), ofPG(t, postgres(t, postgrestest.URL(t)))
	for _, name := range ofPostgres {
		table, col, inTable := strings.Cut(name, ".")
		_, there := got[table]
		if inTable {
			_, there = got[table].Columns[col]
			delete(got[table].Columns, col)
		} else {
			delete(got, table)
		}
		if !there {
			t.Errorf("%s is permitted and not there", name)
		}
	}
	for _, name := range both(want, got) {
		w, inLite := want[name]
		g, inPG := got[name]
		if inLite != inPG {
			t.Errorf("%s: in SQLite %v, in PostgreSQL %v", name, inLite, inPG)
			continue
		}
		for _, col := range both(w.Columns, g.Columns) {
			if w.Columns[col] != g.Columns[col] {
				t.Errorf("%s.%s: %+v in SQLite, %+v in PostgreSQL", name, col, w.Columns[col], g.Columns[col])
			}
		}
		for what, lists := range map[string][2][]string{
			"indexes": {w.Indexes, g.Indexes}, "checks": {w.Checks, g.Checks}, "watched": {w.Watched, g.Watched},
		} {
			if !slices.Equal(lists[0], lists[1]) {
				t.Errorf("%s: %s\n in SQLite     %q\n in PostgreSQL %q", name, what, lists[0], lists[1])
			}
		}
	}
}

// both are the keys of two maps, in order.
func both[V any](a, b map[string]V) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}

// rows reads all rows of a query as text.
func rows(t *testing.T, db *sql.DB, query string, args ...any) [][]string {
	t.Helper()
	r, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	defer func() { _ = r.Close() }()
	names, err := r.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for r.Next() {
		row, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := r.Scan(into...); err != nil {
			t.Fatal(err)
		}
		text := make([]string, len(names))
		for i, v := range row {
			text[i] = v.String
		}
		all = append(all, text)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	ofTheTools  = []string{"goose_db_version", "sqlite_sequence"}
	liteCheck   = regexp.MustCompile(`CHECK \((\w+) IN \(([^)]*)\)\)`)
	liteWatch   = regexp.MustCompile(`(?s)AFTER UPDATE(?: OF ([a-z_, ]+?))? ON \w+`)
	literal     = regexp.MustCompile(`'[^']*'`)
	condition   = regexp.MustCompile(`(?s) WHERE (.*)$`)
	oneOf       = regexp.MustCompile(`=ANYARRAY\[([^\]]*)\]`) // as PostgreSQL writes IN
	punctuation = regexp.MustCompile(`::[a-z]+|[() ]`)
)

// ofSQLite reads SQLite's schema; its types are told as PostgreSQL's should be.
func ofSQLite(t *testing.T, db *sql.DB) map[string]relation {
	t.Helper()
	all := map[string]relation{}
	for _, m := range rows(t, db, `SELECT name, type, sql FROM sqlite_master WHERE type IN ('table', 'view')`) {
		name := m[0]
		if slices.Contains(ofTheTools, name) {
			continue
		}
		r := relation{Columns: map[string]column{}}
		var key []string
		for _, c := range rows(t, db, `SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info($1) ORDER BY pk`, name) {
			col := column{Type: typeOf(name, c[0], c[1]), NotNull: c[2] == "1" || c[4] != "0", Default: defaultOf(c[3])}
			if col.Type == "boolean" {
				col.Default = map[string]string{"0": "false", "1": "true"}[col.Default]
			}
			if m[1] == "view" {
				col = column{}
			}
			r.Columns[c[0]] = col
			if c[4] != "0" {
				key = append(key, c[0])
			}
		}
		if len(key) > 0 {
			r.Indexes = append(r.Indexes, "unique "+strings.Join(key, ", "))
		}
		for _, i := range rows(t, db, `SELECT l.name, l."unique", COALESCE(m.sql, ''), (SELECT group_concat(name, ', ') FROM
				(SELECT name FROM pragma_index_info(l.name) ORDER BY seqno))
			FROM pragma_index_list($1) l LEFT JOIN sqlite_master m ON m.name = l.name AND m.type = 'index' WHERE l.origin <> 'pk'`, name) {
			r.Indexes = append(r.Indexes, indexOf(i[1] == "1", i[3], i[2]))
		}
		for _, c := range liteCheck.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(booleans, name+"."+c[1]) {
				r.Checks = append(r.Checks, c[1]+": "+strings.Join(literal.FindAllString(c[2], -1), " "))
			}
		}
		for _, trigger := range rows(t, db, `SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = $1 AND name = $1 || '_updated'`, name) {
			r.Watched = []string{"*"}
			if of := liteWatch.FindStringSubmatch(trigger[0]); of[1] != "" {
				r.Watched = strings.Split(of[1], ", ")
			}
		}
		all[name] = r.sorted()
	}
	return all
}

// ofPG reads PostgreSQL's schema.
func ofPG(t *testing.T, db *sql.DB) map[string]relation {
	t.Helper()
	all := map[string]relation{}
	for _, m := range rows(t, db, `SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')`) {
		name := m[0]
		if slices.Contains(ofTheTools, name) {
			continue
		}
		r := relation{Columns: map[string]column{}}
		for _, c := range rows(t, db, `SELECT attname, format_type(atttypid, atttypmod), attnotnull::int, pg_get_expr(adbin, adrelid)
			FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
			WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped`, name) {
			r.Columns[c[0]] = column{Type: c[1], NotNull: c[2] == "1", Default: defaultOf(c[3])}
			if m[1] == "v" {
				r.Columns[c[0]] = column{}
			}
		}
		for _, i := range rows(t, db, `SELECT indisunique::int, pg_get_indexdef(indexrelid), (SELECT string_agg(attname, ', ' ORDER BY place)
				FROM unnest(indkey::int[]) WITH ORDINALITY AS k(num, place) JOIN pg_attribute ON attrelid = indrelid AND attnum = num)
			FROM pg_index WHERE indrelid = $1::regclass`, name) {
			if name+"."+i[2] != "changes.xid" {
				r.Indexes = append(r.Indexes, indexOf(i[0] == "1", i[2], i[1]))
			}
		}
		for _, c := range rows(t, db, `SELECT attname, pg_get_constraintdef(c.oid) FROM pg_constraint c
			JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1] WHERE contype = 'c' AND conrelid = $1::regclass`, name) {
			r.Checks = append(r.Checks, c[0]+": "+strings.Join(literal.FindAllString(c[1], -1), " "))
		}
		for _, trigger := range rows(t, db, `SELECT (SELECT string_agg(attname, ', ') FROM unnest(tgattr::int[]) AS num
				JOIN pg_attribute ON attrelid = tgrelid AND attnum = num)
			FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname = $2`, name, name+"_updated") {
			r.Watched = []string{"*"}
			if trigger[0] != "" {
				r.Watched = strings.Split(trigger[0], ", ")
			}
		}
		all[name] = r.sorted()
	}
	return all
}

func (r relation) sorted() relation {
	slices.Sort(r.Indexes)
	slices.Sort(r.Checks)
	slices.Sort(r.Watched)
	return r
}

// typeOf is the type in PostgreSQL of a column of SQLite.
func typeOf(table, col, liteType string) string {
	switch {
	case slices.Contains(booleans, table+"."+col):
		return "boolean"
	case liteType == "TEXT" && (strings.HasSuffix(col, "_at") || col == "at" || col == "until" || strings.HasSuffix(col, "_until")):
		return "timestamp with time zone"
	}
	return cmp.Or(map[string]string{"TEXT": "text", "INTEGER": "bigint", "BLOB": "bytea", "REAL": "double precision"}[liteType], liteType)
}

// defaultOf is a default without what only one database writes around it.
func defaultOf(text string) string {
	text, _, _ = strings.Cut(text, "::")
	if text == "now()" || strings.HasPrefix(text, "strftime(") {
		return "now"
	}
	return text
}

// indexOf tells an index that was made by the statement.
func indexOf(unique bool, columns, statement string) string {
	kind := "index"
	if unique {
		kind = "unique"
	}
	where := ""
	if c := condition.FindStringSubmatch(statement); c != nil {
		where = c[1]
		for _, name := range []string{"active = true", "active = TRUE"} {
			where = strings.ReplaceAll(where, name, "active = 1")
		}
		where = " where " + oneOf.ReplaceAllString(punctuation.ReplaceAllString(where, ""), "IN$1")
	}
	return fmt.Sprintf("%s %s%s", kind, columns, where)
}
