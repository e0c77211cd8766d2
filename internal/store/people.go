package store

import (
	"context"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// PersonFilter chooses people of one tenant, for a list to look through; zero
// fields choose all who are not deleted.
type PersonFilter struct {
	Tenant      tenure.TenantID
	Search      string // a part of the userName or the display name, in any case
	State       string // "active", "deactivated" or "deleted"; "": all but the deleted
	Role        tenure.Role
	Source      tenure.Source
	WithTokens  bool          // only those who have a token that lives
	UnseenSince time.Time     // neither made nor seen since
	After       tenure.UserID // the last of the page before: the cursor
	Limit       int
}

// PersonRow is a person in a list.
type PersonRow struct {
	Person
	Tokens     int      // that live
	Workspaces []string // the names of the first three
	Spaces     int      // how many workspaces there are
}

// liveTokens are those of a person that live at now, u being their row.
func (w *where) liveTokens(now time.Time) string {
	return `FROM api_tokens t WHERE t.user_id = u.id AND ` + w.lives(now)
}

// where chooses the rows of users, called u.
func (f PersonFilter) where(w *where, now time.Time) {
	w.and(`u.tenant_id = ?`, f.Tenant)
	if f.State == "deleted" {
		w.and(`u.deleted_at IS NOT NULL`)
	} else {
		w.and(`u.deleted_at IS NULL`)
	}
	if f.State == "active" || f.State == "deactivated" {
		w.and(`u.active = ?`, f.State == "active")
	}
	if f.Search != "" {
		part := "%" + likeText(tenure.FoldUserName(f.Search)) + "%"
		w.and(`(u.user_name_fold LIKE ? ESCAPE '\' OR u.display_name_fold LIKE ? ESCAPE '\')`, part, part)
	}
	if f.Role != "" {
		w.and(`u.role = ?`, f.Role)
	}
	if f.Source != "" {
		w.and(`u.source = ?`, f.Source)
	}
	if !f.UnseenSince.IsZero() {
		w.and(`COALESCE(u.last_seen_at, u.created_at) < ?`, stamp(f.UnseenSince))
	}
	if f.WithTokens {
		w.and(`EXISTS (SELECT 1 ` + w.liveTokens(now) + `)`)
	}
}

// likeText makes text stand for itself in a pattern of LIKE … ESCAPE '\'.
func likeText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// People lists people in the order of their userNames, with what they have at now.
func (r reads) People(ctx context.Context, f PersonFilter, now time.Time) ([]PersonRow, error) {
	var w where
	count := `(SELECT COUNT(*) ` + w.liveTokens(now) + `)`
	f.where(&w, now)
	if f.After != "" {
		last, err := one(ctx, r.run, scalar[string], `SELECT user_name_fold FROM users WHERE tenant_id = $1 AND id = $2`, f.Tenant, f.After)
		if err != nil {
			return nil, err
		}
		w.and(`(u.user_name_fold, u.id) > (?, ?)`, last, f.After)
	}
	limit := w.arg(f.Limit)
	rows, err := manyOf(ctx, r.run, false, func(row scanner) (PersonRow, error) {
		var p PersonRow
		err := row.Scan(&p.ID, &p.UserName, &p.DisplayName, &p.Active, &p.Role, &p.Source, into(&p.CreatedAt), into(&p.DeactivatedAt),
			into(&p.LastSeenAt), into(&p.DeletedAt), &p.Tokens)
		p.Tenant = f.Tenant
		return p, err
	}, `SELECT u.id, u.user_name, u.display_name, u.active, u.role, u.source, u.created_at, u.deactivated_at, u.last_seen_at, u.deleted_at, `+count+`
		FROM users u`+w.String()+` ORDER BY u.user_name_fold, u.id LIMIT `+limit, w.args...)
	if err != nil || len(rows) == 0 {
		return rows, err
	}
	return rows, r.fillWorkspaces(ctx, f.Tenant, rows)
}

// fillWorkspaces reads in how many workspaces the people of a page are, and the
// names of the first three.
func (r reads) fillWorkspaces(ctx context.Context, tenant tenure.TenantID, page []PersonRow) error {
	at := make(map[tenure.UserID]*PersonRow, len(page))
	var w where
	ids := make([]string, len(page))
	in := w.arg(tenant)
	for i := range page {
		at[page[i].ID] = &page[i]
		ids[i] = w.arg(page[i].ID)
	}
	_, err := manyOf(ctx, r.run, false, func(row scanner) (struct{}, error) {
		var id tenure.UserID
		var name string
		var n int
		err := row.Scan(&id, &name, &n)
		if p := at[id]; p != nil && err == nil {
			p.Workspaces, p.Spaces = append(p.Workspaces, name), n
		}
		return struct{}{}, err
	}, `SELECT user_id, name, n FROM (
			SELECT x.user_id, w.name, COUNT(*) OVER (PARTITION BY x.user_id) AS n, ROW_NUMBER() OVER (PARTITION BY x.user_id ORDER BY w.name) AS place
			FROM (SELECT DISTINCT workspace_id, user_id FROM workspace_roles WHERE tenant_id = `+in+` AND user_id IN (`+strings.Join(ids, ", ")+`)) x
			JOIN workspaces w ON w.id = x.workspace_id AND w.deleted_at IS NULL) y
		WHERE place <= 3 ORDER BY user_id, place`, w.args...)
	return err
}

// Others is how many workspaces there are beside those that are named.
func (p PersonRow) Others() int { return p.Spaces - len(p.Workspaces) }
