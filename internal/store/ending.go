package store

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Ending is what somebody knows to have ended whom the database has forgotten: a thing
// by its kind and id, or by its id alone, or a token by its digest or what is shown of
// it. The kind "carried" is everything that the user of this id carried; "membership"
// is that of the user in the workspace In.
type Ending struct {
	Change
	From         time.Time // when it ended, where that is known: what the backup is younger than it knows
	Hash, Prefix string
	In           string
}

// carrying are the kinds of things that an id alone may be of.
var carrying = []struct{ kind, table string }{
	{"token", "api_tokens"},
	{"user", "users"},
	{"session", "sessions"},
	{"service_account", "service_accounts"},
	{"connector", "scim_connectors"},
	{"workspace", "workspaces"},
}

// SchemaVersions gives the version since which the tables have been as they are, and
// the newest that this program knows. They differ where a migration is of one database
// alone: then it changes no table.
func SchemaVersions() (tables, newest int64, err error) {
	tables, err = newestOf(sqliteMigrations, "migrations/sqlite")
	if err != nil {
		return 0, 0, err
	}
	other, err := newestOf(postgresMigrations, "migrations/postgres")
	return min(tables, other), max(tables, other), err
}

// newestOf is the number of the last migration.
func newestOf(files fs.FS, dir string) (int64, error) {
	names, err := fs.ReadDir(files, dir)
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("no migrations: %w", err)
	}
	number, _, _ := strings.Cut(names[len(names)-1].Name(), "_")
	return strconv.ParseInt(number, 10, 64)
}

// End ends what an Ending tells, if it lives: ended says that it did, known that the
// database has such a thing. What was made, or changed, after the end was told stays.
func (tx *Tx) End(ctx context.Context, e Ending) (ended, known bool, err error) {
	if e.At.IsZero() {
		e.At = tx.now
	}
	switch {
	case e.Hash != "" || e.Prefix != "":
		return tx.endTokens(ctx, e, `token_hash = $1 OR token_prefix = $2`, e.Hash, e.Prefix)
	case e.Kind == "carried":
		return tx.endTokens(ctx, e, `user_id = $1 AND user_id <> $2`, e.ID, "")
	case e.Kind == "membership":
		n, err := tx.exec(ctx, `DELETE FROM memberships WHERE user_id = $1 AND workspace_id = $2 AND created_at <= $3`, e.ID, e.In, stamp(e.At.Add(clockSlack)))
		return n > 0, true, err
	}
	for _, c := range carrying {
		if e.Kind != "" && e.Kind != c.kind {
			continue
		}
		n, err := one(ctx, tx.run, scalar[int], `SELECT count(*) FROM `+c.table+` WHERE id = $1`, e.ID)
		if err != nil {
			return ended, known, err
		}
		if n == 0 {
			continue
		}
		known = true
		e.Kind, e.Ended = c.kind, true
		ended, err = tx.EndAgain(ctx, e.Change)
		return ended, known, err
	}
	return false, false, nil
}

// endTokens ends the tokens that a condition finds.
func (tx *Tx) endTokens(ctx context.Context, e Ending, where string, args ...any) (ended, known bool, err error) {
	ids, err := many(ctx, tx.run, scalar[tenure.TokenID], `SELECT id FROM api_tokens WHERE `+where, args...)
	for _, id := range ids {
		var one bool
		if one, err = tx.EndAgain(ctx, Change{Kind: "token", ID: string(id), Ended: true, At: e.At}); err != nil {
			break
		}
		ended = ended || one
	}
	return ended, len(ids) > 0, err
}
