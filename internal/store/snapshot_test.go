package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// backedUp are the tables that a backup has. A table that a migration adds is in it by
// itself: whoever adds one says here that it belongs there, or in leftOut why not.
var backedUp = []string{
	"access_review_items", "access_reviews", "api_tokens", "audit_checkpoints", "audit_checkpoints_before", "audit_events", "audit_holds", "audit_keys", "audit_leaves", "audit_sinks", "audit_subtrees", "belief_keys", "beliefs", "exceptions", "extraction_settings", "group_members", "groups", "memberships", "meta", "model_prices", "model_usage", "notices", "oidc_connections", "oidc_domains",
	"oidc_subjects", "past_holdings", "policies", "provider_credentials", "provider_keys", "revocations", "scim_connector_counts",
	"scim_connector_figures", "scim_connector_tokens", "scim_connectors", "service_accounts", "sessions", "tenants", "token_requests", "trust_requests", "trust_reviews",
	"usage_limits", "usage_minutes", "user_emails", "users", "webhook_secrets", "workspace_groups", "workspaces",
}

func everywhere(t *testing.T) context.Context { return tenure.Everywhere(t.Context()) }

func freshSQLite(t *testing.T) (*store.DB, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(everywhere(t), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, path
}

func openPG(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.OpenPostgres(everywhere(t), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Every table is either in a backup or left out with a reason, in both databases.
func TestBackupsHaveEveryTable(t *testing.T) {
	lite, _ := freshSQLite(t)
	serve, _ := storetest.Postgres(t)
	for name, db := range map[string]*store.DB{"SQLite": lite, "PostgreSQL": openPG(t, serve)} {
		snap, err := db.Snapshot(everywhere(t))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, table := range snap.Tables {
			got = append(got, table.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, backedUp) {
			t.Errorf("%s: a backup has the tables\n%q, and should have\n%q", name, got, backedUp)
		}
		if at := func(table string) int {
			return slices.IndexFunc(snap.Tables, func(t store.Table) bool { return t.Name == table })
		}; at("oidc_domains") < at("oidc_connections") {
			t.Errorf("%s: oidc_domains comes before what it refers to", name)
		}
		if err := snap.Close(); err != nil {
			t.Error(err)
		}
	}
}

// fillEverything puts rows with values of all kinds into every table, past the triggers.
func fillEverything(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	triggers := rows(t, db, `SELECT name, sql FROM sqlite_master WHERE type = 'trigger'`)
	for _, trigger := range triggers {
		if _, err := db.Exec(`DROP TRIGGER ` + trigger[0]); err != nil {
			t.Fatal(err)
		}
	}
	for table, r := range ofSQLite(t, db) {
		if !slices.Contains(backedUp, table) {
			continue
		}
		for n := range 3 {
			var names, values []string
			for name, c := range r.Columns {
				names, values = append(names, name), append(values, valueFor(r, name, c, n))
			}
			if _, err := db.Exec(fmt.Sprintf(`INSERT INTO %s (%s) VALUES (%s)`, table, strings.Join(names, ", "), strings.Join(values, ", "))); err != nil {
				t.Fatalf("%s: %v", table, err)
			}
		}
	}
	for _, trigger := range triggers {
		if _, err := db.Exec(trigger[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// valueFor is a literal for a column of the n-th row. All texts of a row are alike, so
// that what refers to something finds it.
func valueFor(r relation, name string, c column, n int) string {
	for _, check := range r.Checks {
		if of, values, _ := strings.Cut(check, ": "); of == name {
			return strings.Fields(values)[0]
		}
	}
	if !c.NotNull && n == 2 {
		return "NULL"
	}
	switch c.Type {
	case "boolean":
		return fmt.Sprint(n % 2)
	case "bigint":
		return fmt.Sprint(int64(1)<<40 + int64(n))
	case "double precision":
		return fmt.Sprintf("%d.25", n)
	case "bytea":
		return fmt.Sprintf("x'00ff22%02x'", n)
	case "timestamp with time zone":
		return []string{"'2026-01-02T03:04:05.123456Z'", "'2026-01-02 03:04:05'", "'2026-01-02T03:04:05.5Z'"}[n]
	}
	return fmt.Sprintf("'x%d é \" \\ ' || char(10) || '%s'", n, "<&>")
}

// dump is every row of a database as a line, in order.
func dump(t *testing.T, db *store.DB) []string {
	t.Helper()
	snap, err := db.Snapshot(everywhere(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	var out []string
	for _, table := range snap.Tables {
		names := table.Names()
		if err := snap.Each(everywhere(t), table, func(row []any) error {
			line := map[string]any{}
			for i, v := range row {
				line[names[i]] = v
			}
			text, err := json.Marshal(line)
			out = append(out, table.Name+" "+string(text))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(out)
	return out
}

// over puts what one database holds in the place of what another does.
func over(t *testing.T, from, to *store.DB, o store.ReplaceOptions) store.Replaced {
	t.Helper()
	got, err := tryOver(t, from, to, o)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func tryOver(t *testing.T, from, to *store.DB, o store.ReplaceOptions) (store.Replaced, error) {
	t.Helper()
	snap, err := from.Snapshot(everywhere(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	return to.Replace(everywhere(t), incoming(snap), o)
}

func incoming(snap *store.Snapshot) store.Incoming {
	return store.Incoming{
		Install: snap.Install, Feed: snap.Feed, Audit: snap.Audit,
		Each: func(ctx context.Context, table func(string, []string, func() ([]any, error)) error) error {
			for _, t := range snap.Tables {
				var all [][]any
				if err := snap.Each(ctx, t, func(row []any) error { all = append(all, slices.Clone(row)); return nil }); err != nil {
					return err
				}
				if err := table(t.Name, t.Names(), func() ([]any, error) {
					if len(all) == 0 {
						return nil, io.EOF
					}
					row := all[0]
					all = all[1:]
					return row, nil
				}); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// From SQLite to PostgreSQL and back, every row of every table is the same.
func TestRowsGoToPostgresAndBack(t *testing.T) {
	lite, path := freshSQLite(t)
	fillEverything(t, path)
	serve, super := storetest.Postgres(t)
	owner := openPG(t, super)
	bare := store.ReplaceOptions{Over: true, Bare: true}
	const pgIndexes = `SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1`
	before := rows(t, postgres(t, super), pgIndexes)
	over(t, lite, owner, store.ReplaceOptions{Over: true, Bare: true, Alone: true}) // makes its indexes again
	if after := rows(t, postgres(t, super), pgIndexes); len(before) < 20 || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("PostgreSQL's indexes were\n%v\nand are\n%v", before, after)
	}
	app := openPG(t, serve)
	want := dump(t, lite)
	if len(want) < 3*len(backedUp) {
		t.Fatalf("only %d rows", len(want))
	}
	compareDumps(t, "PostgreSQL", want, dump(t, owner))
	compareDumps(t, "PostgreSQL, by the role that serves", want, dump(t, app))
	back, backPath := freshSQLite(t)
	over(t, app, back, bare)
	if was, is := schemaOf(t, path), schemaOf(t, backPath); was != is {
		t.Errorf("SQLite's schema was\n%s\nand is\n%s", was, is)
	}
	compareDumps(t, "SQLite again", want, dump(t, back))
	// What row-level security goes by is there too.
	for _, table := range []string{"user_emails", "group_members", "scim_connector_tokens", "oidc_domains"} {
		got := rows(t, postgres(t, super), `SELECT count(*) FROM `+table+` WHERE tenant_id = ''`)
		if got[0][0] != "0" {
			t.Errorf("%s: %s rows are nobody's", table, got[0][0])
		}
	}
}

// schemaOf is what a file of SQLite says of its schema.
func schemaOf(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	return fmt.Sprint(rows(t, db, `SELECT type, name, COALESCE(sql, '') FROM sqlite_schema ORDER BY type, name`))
}

func compareDumps(t *testing.T, what string, want, got []string) {
	t.Helper()
	if slices.Equal(want, got) {
		return
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s lacks %s", what, line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s has %s", what, line)
		}
	}
}

// A replacement that fails has changed nothing, triggers included.
func TestReplacementIsAllOrNothing(t *testing.T) {
	from, path := freshSQLite(t)
	fillEverything(t, path)
	lite, litePath := freshSQLite(t)
	_, super := storetest.Postgres(t)
	errTest := errors.New("as the test wants it")
	for name, db := range map[string]*store.DB{"SQLite": lite, "PostgreSQL": openPG(t, super)} {
		before := dump(t, db)
		_, err := tryOver(t, from, db, store.ReplaceOptions{Over: true, Then: func(context.Context, *store.Tx, *store.Replaced) error { return errTest }})
		if !errors.Is(err, errTest) {
			t.Fatalf("%s: %v", name, err)
		}
		compareDumps(t, name, before, dump(t, db))
	}
	state, err := store.StateOfSQLite(everywhere(t), litePath)
	if err != nil || len(state.Triggers) > 0 {
		t.Errorf("SQLite: triggers are lost: %q, %v", state.Triggers, err)
	}
	pg, err := store.StateOfPostgres(everywhere(t), super)
	if err != nil || len(pg.Missing)+len(pg.Disabled) > 0 {
		t.Errorf("PostgreSQL: triggers are lost: %q %q, %v", pg.Missing, pg.Disabled, err)
	}
}

// What is not empty is replaced only when told to; and the role that serves, which
// owns no table, does not replace anything.
func TestReplacementIsRefused(t *testing.T) {
	from, path := freshSQLite(t)
	fillEverything(t, path)
	if _, err := tryOver(t, from, from, store.ReplaceOptions{}); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("over what is not empty: %v", err)
	}
	serve, super := storetest.Postgres(t)
	if _, err := tryOver(t, from, openPG(t, serve), store.ReplaceOptions{}); !tenure.IsKind(err, tenure.Forbidden) {
		t.Errorf("by the role that serves: %v", err)
	}
	// Another process is connected.
	owner := openPG(t, super)
	openPG(t, serve)
	if _, err := tryOver(t, from, owner, store.ReplaceOptions{Alone: true}); !tenure.IsKind(err, tenure.Conflict) {
		t.Errorf("while another is connected: %v", err)
	}
}
