package store

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Ending is what somebody knows to have ended whom the database has forgotten: a thing
// by its kind and id, or by its id alone, or a token by its digest or what is shown of
// it. The kind "carried" is everything that the user of this id carried; the others are
// those of carrying and of listed.
type Ending struct {
	Change
	From         time.Time // when it ended, where that is known: what the backup is younger than it knows
	Hash, Prefix string
	In           string // the workspace, or the issuer, that it is about
	Less         string // the role that is left, the subject, the state, or the line
}

// A byList is the end of a thing of which only a list tells. args says what the $1, $2
// and so on of the statement are: the id, now, until when what ends may have been made,
// what it was in, what is less, and that as a time.
type byList struct{ args, statement string }

// listed are those ends, by kind.
func listed() map[string]byList {
	below := func(form, role string) string {
		return strings.ReplaceAll(form, "%.role", "CAST("+role+" AS TEXT)") + ` < ` + strings.ReplaceAll(form, "%.role", "role")
	}
	const revoke = `UPDATE api_tokens SET revoked_at = $1, revoked_by = 'database', revoked_reason = 'ended before the database went back' WHERE revoked_at IS NULL AND created_at <= $2 AND `
	return map[string]byList{
		"membership":          {"id until in", `DELETE FROM memberships WHERE user_id = $1 AND created_at <= $2 AND workspace_id = $3`},
		"membership_role":     {"id in less", `UPDATE memberships SET role = $3 WHERE user_id = $1 AND workspace_id = $2 AND ` + below(workspaceRank, "$3")},
		"role":                {"id less", `UPDATE users SET role = $2 WHERE id = $1 AND ` + below(tenantRank, "$2")},
		"tenant":              {"id", `UPDATE tenants SET active = FALSE WHERE id = $1 AND active = TRUE`},
		"group":               {"id until", `DELETE FROM groups WHERE id = $1 AND created_at <= $2`},
		"mapping":             {"id until in", `DELETE FROM workspace_groups WHERE group_id = $1 AND created_at <= $2 AND workspace_id = $3`},
		"mapping_role":        {"id in less", `UPDATE workspace_groups SET role = $3 WHERE group_id = $1 AND workspace_id = $2 AND ` + below(workspaceRank, "$3")},
		"oidc_subject":        {"id until in less", `DELETE FROM oidc_subjects WHERE user_id = $1 AND created_at <= $2 AND issuer = $3 AND subject = $4`},
		"oidc_connection":     {"id", `DELETE FROM oidc_connections WHERE id = $1`},
		"orphan":              {"now id", `UPDATE service_accounts SET orphaned_at = $1 WHERE id = $2 AND orphaned_at IS NULL`},
		"token_request":       {"id less", `UPDATE token_requests SET state = $2 WHERE id = $1 AND state IN ('pending', 'approved')`},
		"exception_declined":  {"id less", `UPDATE exceptions SET decision = $2 WHERE id = $1 AND decision = ''`},
		"exception_shortened": {"id when", `UPDATE exceptions SET expires_at = $2 WHERE id = $1 AND expires_at > $2`},
		"exception_renewed":   {"id less", `UPDATE exceptions SET successor = $2 WHERE id = $1 AND successor = ''`},
		// What ended with a role that was given again: the tokens of those who had no other there.
		"membership_tokens": {"now until id in", revoke + `user_id = $3 AND workspace_id = $4`},
		"mapping_tokens": {"now until id in", revoke + `workspace_id = $4 AND user_id IN (SELECT user_id FROM group_members WHERE group_id = $3)
			AND user_id NOT IN (SELECT user_id FROM workspace_roles WHERE workspace_id = $4 AND group_id <> $3)`},
		// What a person erased, and what they deleted: a belief alone, or with all of a line.
		"beliefs":      {"id until", `DELETE FROM belief_keys WHERE user_id = $1 AND created_at <= $2`},
		"belief":       {"id less", `DELETE FROM beliefs WHERE id = $1 OR line <> '' AND line = $2`},
		"provider_key": {"id", `UPDATE provider_keys SET state = 'retired' WHERE id = $1 AND state <> 'retired'`},
		"provider_key_before": {"id in less", `UPDATE provider_keys SET state = 'retired'
			WHERE name = $1 AND provider_id = $2 AND version < CAST(CAST($3 AS TEXT) AS INTEGER) AND state = 'active'`},
		"connector_tokens": {"now until id", revoke + `id IN (SELECT token_id FROM scim_connector_tokens WHERE connector_id = $3)`},
		"root_tokens":      {"now until id", revoke + `kind = 'root' AND id <> $3`},
	}
}

// endListed does what a list tells.
func (tx *Tx) endListed(ctx context.Context, e Ending, l byList) (ended, known bool, err error) {
	all := map[string]any{"id": e.ID, "now": stamp(tx.now), "until": stamp(e.At.Add(clockSlack)), "in": e.In, "less": e.Less, "when": stamp(parseStamp(e.Less))}
	var args []any
	for name := range strings.FieldsSeq(l.args) {
		args = append(args, all[name])
	}
	n, err := tx.exec(ctx, l.statement, args...)
	return n > 0, true, err
}

// carrying are the kinds of things that an id alone may be of.
var carrying = []struct{ kind, table string }{
	{"token", "api_tokens"},
	{"user", "users"},
	{"session", "sessions"},
	{"service_account", "service_accounts"},
	{"connector", "scim_connectors"},
	{"workspace", "workspaces"},
	{"exception", "exceptions"},
}

// AsSQLite gives the version of SQLite's schema that has the same tables as a version of
// a database's of a kind: each numbers its own, and where a migration is of both it has
// the same name. newest is SQLite's newest, known the newest of that kind that this
// program knows.
func AsSQLite(kind string, version int64) (same, newest, known int64, err error) {
	files, err := numbered(sqliteMigrations, "migrations/sqlite")
	if err != nil {
		return 0, 0, 0, err
	}
	newest = files[len(files)-1].number
	if kind == "sqlite" {
		return version, newest, newest, nil
	}
	theirs, err := numbered(postgresMigrations, "migrations/postgres")
	if err != nil {
		return 0, 0, 0, err
	}
	same = theirs[0].number // up to it they had the same numbers
	for _, f := range files {
		if f.number > same && slices.ContainsFunc(theirs, func(t migration) bool { return t.name == f.name && t.number <= version }) {
			same = f.number
		}
	}
	return same, newest, theirs[len(theirs)-1].number, nil
}

// migration is the name of a file of one.
type migration struct {
	number int64
	name   string
}

// numbered lists migrations, the oldest first.
func numbered(files fs.FS, dir string) ([]migration, error) {
	names, err := fs.ReadDir(files, dir)
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no migrations: %w", err)
	}
	out := make([]migration, len(names))
	for i, file := range names {
		number, name, _ := strings.Cut(file.Name(), "_")
		if out[i].number, err = strconv.ParseInt(number, 10, 64); err != nil {
			return nil, err
		}
		out[i].name = name
	}
	return out, nil
}

// AuditPlace is where an event stands in the audit log.
type AuditPlace struct {
	ID     string
	Tenant tenure.TenantID
	Seq    int64
}

// AuditPlaces gives those of these events that the log has.
func (r reads) AuditPlaces(ctx context.Context, ids []string) ([]AuditPlace, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	w, marks := where{}, make([]string, len(ids))
	for i, id := range ids {
		marks[i] = w.arg(id)
	}
	return manyOf(ctx, r.run, false, func(row scanner) (p AuditPlace, err error) {
		err = row.Scan(&p.ID, &p.Tenant, &p.Seq)
		return p, err
	}, `SELECT id, tenant_id, seq FROM audit_events WHERE id IN (`+strings.Join(marks, ", ")+`)`, w.args...)
}

// AuditIDs gives the events of a tenant between two places in the log.
func (r reads) AuditIDs(ctx context.Context, tenant tenure.TenantID, from, to int64) ([]string, error) {
	return many(ctx, r.run, scalar[string], `SELECT id FROM audit_events WHERE tenant_id = $1 AND seq >= $2 AND seq <= $3`, tenant, from, to)
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
	}
	if l, ok := listed()[e.Kind]; ok {
		return tx.endListed(ctx, e, l)
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
