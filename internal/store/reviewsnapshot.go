package store

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// ReviewMarks are what a snapshot tells by which of its items is remarkable.
type ReviewMarks struct {
	UnusedSince time.Time
	LongAfter   time.Time // what is good until later than this is long-lived
}

// taking is a snapshot that is taken in a transaction.
type taking struct {
	tx     *Tx
	review tenure.Review
	marks  ReviewMarks
	n      int64 // items so far
}

// TakeReviewItems takes everything that gives access as the items of a review, and says
// who is to decide each. beside are items that have no row: of the settings. It gives how
// many there are.
func (tx *Tx) TakeReviewItems(ctx context.Context, review tenure.Review, marks ReviewMarks, beside []tenure.ReviewSubject) (int64, error) {
	t := &taking{tx: tx, review: review, marks: marks}
	for _, kind := range tenure.ReviewKinds {
		if !t.wants(kind) {
			continue
		}
		for _, of := range t.of(kind) {
			if err := t.take(ctx, kind, of); err != nil {
				return 0, err
			}
		}
		for _, s := range beside {
			if s.Kind == kind {
				if err := t.put(ctx, s); err != nil {
					return 0, err
				}
			}
		}
	}
	return t.n, t.assign(ctx)
}

// wants reports whether items of a kind belong to the review: one of some workspaces has
// what lies in them.
func (t *taking) wants(kind tenure.ReviewKind) bool {
	inWorkspace := false
	switch kind {
	case tenure.ReviewMembership, tenure.ReviewPAT, tenure.ReviewService, tenure.ReviewAccount, tenure.ReviewKey, tenure.ReviewException:
		inWorkspace = true
	}
	if len(t.review.Workspaces) > 0 && !inWorkspace {
		return false
	}
	for _, k := range t.review.Kinds {
		if k == kind {
			return true
		}
	}
	return len(t.review.Kinds) == 0
}

// rowsOf says where items are found: what they are, the tables, and, with where, which rows.
type rowsOf struct {
	columns, tables string
	where           where
	via             string // the column that has the id of the group, or ""
}

// flag is a word where a condition holds.
func flag(word, cond string) string {
	return `CASE WHEN ` + cond + ` THEN '` + word + ` ' ELSE '' END`
}

const never = `CAST(NULL AS timestamptz)`

// present is a person who is there.
const present = `u.active = TRUE AND u.deleted_at IS NULL`

// answers is the id of whoever answers for the account a, if they may decide.
const answers = `CASE WHEN ` + present + ` AND u.role <> 'auditor' THEN a.owner_user_id ELSE '' END`

// of gives where items of a kind are found. What is joined is found by its id, and its
// tenant, in an expression, only compared: else a database without statistics finds it by that,
// and goes through every person for every workspace. The columns are subject, name, person,
// workspace, workspace_name, granted, source, granted_at, granted_by, last_used_at,
// expires_at, flags, reviewer; and via, where it is not empty.
func (t *taking) of(kind tenure.ReviewKind) []rowsOf {
	switch kind {
	case tenure.ReviewPerson:
		return []rowsOf{t.people()}
	case tenure.ReviewRole:
		return []rowsOf{t.roles()}
	case tenure.ReviewMembership:
		return []rowsOf{t.memberships(), t.throughGroups()}
	case tenure.ReviewPAT:
		return []rowsOf{t.personal()}
	case tenure.ReviewService:
		return []rowsOf{t.service()}
	case tenure.ReviewAccount:
		return []rowsOf{t.accounts()}
	case tenure.ReviewConnector:
		return []rowsOf{t.connectors()}
	case tenure.ReviewKey:
		return []rowsOf{t.keys()}
	case tenure.ReviewOIDC:
		return []rowsOf{t.connections()}
	case tenure.ReviewException:
		return []rowsOf{t.exceptions()}
	case tenure.ReviewRoot:
		return []rowsOf{t.root()}
	case tenure.ReviewProxy: // a setting, which has no row
	}
	return nil
}

// in begins the conditions of rows of the review's tenant and, where workspace is a
// column, of its workspaces.
func (t *taking) in(tenant, workspace string) where {
	var w where
	w.and(tenant+` = ?`, t.review.Tenant)
	if workspace != "" && len(t.review.Workspaces) > 0 {
		ids := make([]string, len(t.review.Workspaces))
		for i, id := range t.review.Workspaces {
			ids[i] = w.arg(id)
		}
		w.conds = append(w.conds, workspace+` IN (`+strings.Join(ids, `, `)+`)`)
	}
	return w
}

func (t *taking) unused(w *where, last, made string) string {
	return flag(tenure.FlagUnused, `COALESCE(`+last+`, `+made+`) < `+w.arg(stamp(t.marks.UnusedSince)))
}

func (t *taking) lasting(w *where, ends string) string {
	return flag(tenure.FlagEndless, ends+` IS NULL`) + ` || ` + flag(tenure.FlagLong, ends+` > `+w.arg(stamp(t.marks.LongAfter)))
}

func (t *taking) people() rowsOf {
	w := t.in("u.tenant_id", "")
	flags := t.unused(&w, "u.last_seen_at", "u.created_at") + ` || ` + flag(tenure.FlagAdmin, `u.role IN ('super_admin', 'admin')`)
	w.and(present)
	return rowsOf{`u.id, u.user_name, u.id, '', '', 'signs in', u.source, u.created_at, '', u.last_seen_at, ` + never + `, ` + flags + `, ''`, `users u`, w, ""}
}

func (t *taking) roles() rowsOf {
	w := t.in("u.tenant_id", "")
	flags := t.unused(&w, "u.last_seen_at", "u.created_at") + ` || ` + flag(tenure.FlagAdmin, `u.role IN ('super_admin', 'admin')`) +
		` || ` + flag(tenure.FlagShared, `u.role = 'super_admin'`)
	w.and(present + ` AND u.role <> 'member'`)
	return rowsOf{`u.id, u.user_name, u.id, '', '', u.role, 'direct', ` + never + `, '', u.last_seen_at, ` + never + `, ` + flags + `, ''`, `users u`, w, ""}
}

func (t *taking) memberships() rowsOf {
	w := t.in("m.tenant_id", "m.workspace_id")
	flags := t.unused(&w, "u.last_seen_at", "m.created_at") + ` || ` + flag(tenure.FlagAdmin, `m.role = 'workspace_admin'`)
	w.and(present)
	return rowsOf{
		`u.id, u.user_name, u.id, w.id, w.name, m.role, 'direct', m.created_at, '', u.last_seen_at, ` + never + `, ` + flags + `, ''`,
		`memberships m JOIN users u ON u.id = m.user_id AND u.tenant_id || '' = m.tenant_id
			JOIN workspaces w ON w.id = m.workspace_id AND w.tenant_id || '' = m.tenant_id AND w.deleted_at IS NULL`, w, "",
	}
}

func (t *taking) throughGroups() rowsOf {
	w := t.in("g.tenant_id", "g.workspace_id")
	flags := t.unused(&w, "u.last_seen_at", "m.added_at") + ` || ` + flag(tenure.FlagAdmin, `g.role = 'workspace_admin'`)
	w.and(present)
	return rowsOf{
		`u.id, u.user_name, u.id, w.id, w.name, g.role, 'group ' || d.display_name, m.added_at, g.created_by, u.last_seen_at, ` + never + `, ` + flags + `, ''`,
		`workspace_groups g JOIN group_members m ON m.group_id = g.group_id JOIN groups d ON d.id = g.group_id AND d.tenant_id || '' = g.tenant_id
			JOIN users u ON u.id = m.user_id AND u.tenant_id || '' = g.tenant_id
			JOIN workspaces w ON w.id = g.workspace_id AND w.tenant_id || '' = g.tenant_id AND w.deleted_at IS NULL`, w, "g.group_id",
	}
}

// living adds that a token is the newest of its line, and good.
func (t *taking) living(w *where, kind tenure.TokenKind) {
	w.and(`t.kind = ? AND t.rotated_at IS NULL AND `+w.lives(t.tx.now), string(kind))
}

func (t *taking) personal() rowsOf {
	w := t.in("t.tenant_id", "t.workspace_id")
	flags := t.unused(&w, "t.last_used_at", "t.created_at") + ` || ` + t.lasting(&w, "t.expires_at") + ` || ` +
		flag(tenure.FlagNoOwner, `NOT (`+present+`)`) + ` || ` + flag(tenure.FlagException, `t.exception_id <> ''`)
	t.living(&w, tenure.KindPAT)
	return rowsOf{
		`t.id, u.user_name || ', ' || t.name, u.id, w.id, w.name, t.scopes, 'own', t.created_at, t.created_by, t.last_used_at, t.expires_at, ` + flags + `, ''`,
		`api_tokens t JOIN users u ON u.id = t.user_id AND u.tenant_id || '' = t.tenant_id
			JOIN workspaces w ON w.id = t.workspace_id AND w.tenant_id || '' = t.tenant_id AND w.deleted_at IS NULL`, w, "",
	}
}

// ownerless is that nobody who is there answers for the account a.
const ownerless = `a.orphaned_at IS NOT NULL OR u.id IS NULL OR NOT (` + present + `)`

func (t *taking) service() rowsOf {
	w := t.in("t.tenant_id", "t.workspace_id")
	flags := t.unused(&w, "t.last_used_at", "t.created_at") + ` || ` + t.lasting(&w, "t.expires_at") + ` || ` +
		flag(tenure.FlagAdmin, `t.scopes LIKE '%:%'`) + ` || ` + flag(tenure.FlagNoOwner, ownerless) +
		` || ` + flag(tenure.FlagException, `t.exception_id <> ''`)
	t.living(&w, tenure.KindService)
	w.and(`a.active = TRUE AND a.ended_at IS NULL`)
	return rowsOf{
		`t.id, a.name || ', ' || t.name, '', w.id, w.name, t.scopes, 'service account ' || a.name, t.created_at, t.created_by, t.last_used_at, t.expires_at, ` + flags + `, ` + answers,
		`api_tokens t JOIN service_accounts a ON a.id = t.service_account_id AND a.tenant_id || '' = t.tenant_id
			JOIN workspaces w ON w.id = t.workspace_id AND w.tenant_id || '' = t.tenant_id AND w.deleted_at IS NULL
			LEFT JOIN users u ON u.id = a.owner_user_id AND u.tenant_id || '' = a.tenant_id`, w, "",
	}
}

func (t *taking) accounts() rowsOf {
	w := t.in("a.tenant_id", "a.workspace_id")
	const last = `(SELECT MAX(t.last_used_at) FROM api_tokens t WHERE t.service_account_id = a.id AND t.service_account_id <> '')`
	flags := t.unused(&w, last, "a.created_at") + ` || ` + t.lasting(&w, "a.expires_at") + ` || ` + flag(tenure.FlagNoOwner, ownerless)
	w.and(`a.active = TRUE AND a.ended_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > ?)`, stamp(t.tx.now))
	return rowsOf{
		`a.id, a.name, '', w.id, w.name, 'owner ' || COALESCE(u.user_name, 'gone'), 'direct', a.created_at, a.created_by, ` + last + `, a.expires_at, ` + flags + `, ` + answers,
		`service_accounts a JOIN workspaces w ON w.id = a.workspace_id AND w.tenant_id || '' = a.tenant_id AND w.deleted_at IS NULL
			LEFT JOIN users u ON u.id = a.owner_user_id AND u.tenant_id || '' = a.tenant_id`, w, "",
	}
}

func (t *taking) connectors() rowsOf {
	w := t.in("c.tenant_id", "")
	flags := t.unused(&w, "f.last_seen_at", "c.created_at") + ` || ` + flag(tenure.FlagAdmin, `1 = 1`)
	w.and(`c.deleted_at IS NULL`)
	return rowsOf{
		`c.id, c.name, '', '', '', 'provisions people and groups', 'direct', c.created_at, c.created_by, f.last_seen_at, ` + never + `, ` + flags + `, ''`,
		`scim_connectors c LEFT JOIN scim_connector_figures f ON f.connector_id = c.id`, w, "",
	}
}

func (t *taking) keys() rowsOf {
	w := t.in("k.tenant_id", "k.workspace_id")
	flags := t.unused(&w, "k.last_used_at", "k.created_at")
	w.and(`k.state <> 'retired'`)
	return rowsOf{
		`k.id, p.name || ', ' || k.name || ', version ' || CAST(k.version AS text), '', w.id, w.name, k.state, CASE WHEN k.reference <> '' THEN k.reference ELSE 'sealed here' END,
			k.created_at, k.created_by, k.last_used_at, ` + never + `, ` + flags + `, ''`,
		`provider_keys k JOIN provider_credentials p ON p.id = k.provider_id AND p.tenant_id || '' = k.tenant_id
			JOIN workspaces w ON w.id = k.workspace_id AND w.tenant_id || '' = k.tenant_id AND w.deleted_at IS NULL`, w, "",
	}
}

func (t *taking) connections() rowsOf {
	w := t.in("c.tenant_id", "")
	return rowsOf{
		`c.id, c.name, '', '', '', 'signs in people of ' || c.issuer, 'direct', c.created_at, c.created_by, ` + never + `, ` + never + `, ` + flag(tenure.FlagAdmin, `1 = 1`) + `, ''`,
		`oidc_connections c`, w, "",
	}
}

// exceptions are those in force; whose they are is the person whom they are for.
func (t *taking) exceptions() rowsOf {
	w := t.in("x.tenant_id", "x.workspace_id")
	flags := flag(tenure.FlagNoOwner, `u.id IS NULL OR NOT (`+present+`)`) + ` || ` + flag(tenure.FlagException, `1 = 1`)
	w.conds = append(w.conds, inForce(w.arg(stamp(t.tx.now)), w.arg(longestBefore(t.tx.now))))
	return rowsOf{
		`x.id, x.title, x.for_user, COALESCE(w.id, ''), COALESCE(w.name, ''), x.rule, 'of ' || x.subject_kind, x.decided_at, x.decided_by, ` + never + `, x.expires_at, ` + flags + `, ''`,
		`exceptions x LEFT JOIN users u ON u.id = x.owner_user_id AND u.tenant_id || '' = x.tenant_id
			LEFT JOIN workspaces w ON w.id = x.workspace_id AND w.tenant_id || '' = x.tenant_id`, w, "",
	}
}

func (t *taking) root() rowsOf {
	w := t.in("t.tenant_id", "")
	flags := t.unused(&w, "t.last_used_at", "t.created_at") + ` || ` + flag(tenure.FlagAdmin, `1 = 1`) + ` || ` + flag(tenure.FlagShared, `1 = 1`)
	t.living(&w, tenure.KindRoot)
	return rowsOf{
		`t.id, 'root token', '', '', '', 'everything', 'generated', t.created_at, t.created_by, t.last_used_at, t.expires_at, ` + flags + `, ''`, `api_tokens t`, w, "",
	}
}

const takenColumns = `kind, subject, name, person, workspace, workspace_name, granted, source, granted_at, granted_by, last_used_at, expires_at, flags, reviewer, via`

// take adds items by one statement, however many there are.
func (t *taking) take(ctx context.Context, kind tenure.ReviewKind, of rowsOf) error {
	w := of.where
	review, tenant, from, word := w.arg(t.review.ID), w.arg(t.review.Tenant), w.arg(t.n), w.arg(string(kind))
	n, err := t.tx.exec(ctx, `WITH s (subject, name, person, workspace, workspace_name, granted, source, granted_at, granted_by, last_used_at, expires_at, flags, reviewer, via)
			AS (SELECT `+of.columns+`, `+cmp.Or(of.via, `''`)+` FROM `+of.tables+w.String()+`)
		INSERT INTO access_review_items (review, tenant_id, n, `+takenColumns+`)
		SELECT CAST(`+review+` AS text), CAST(`+tenant+` AS text), CAST(`+from+` AS bigint) + ROW_NUMBER() OVER (ORDER BY s.subject, s.workspace, s.source, s.via),
			CAST(`+word+` AS text), s.subject, s.name, s.person, s.workspace, s.workspace_name, s.granted, s.source, s.granted_at, s.granted_by, s.last_used_at,
			s.expires_at, TRIM(s.flags), s.reviewer, s.via FROM s`, w.args...)
	t.n += int64(n)
	return err
}

// put adds one item that has no row.
func (t *taking) put(ctx context.Context, s tenure.ReviewSubject) error {
	t.n++
	_, err := t.tx.exec(ctx, `INSERT INTO access_review_items (review, tenant_id, n, `+takenColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, '', '')`,
		t.review.ID, t.review.Tenant, t.n, string(s.Kind), s.Subject, s.Name, s.Person, s.Workspace, s.WorkspaceName, s.Grant, s.Source, stamp(s.GrantedAt), s.GrantedBy,
		stamp(s.LastUsedAt), stamp(s.ExpiresAt), s.Flags)
	return err
}

// assign gives what lies in a workspace to somebody who heads it and is not whose it is,
// and marks what nobody but whose it is could decide. A super admin's is for super admins,
// and an exception for those who approve exceptions.
func (t *taking) assign(ctx context.Context) error {
	// Who heads what is found once, and not again for each item.
	_, err := t.tx.exec(ctx, `WITH h (id, first, last) AS MATERIALIZED (SELECT r.workspace_id, MIN(u.id), MAX(u.id)
			FROM workspace_roles r JOIN users u ON u.id = r.user_id AND u.tenant_id = r.tenant_id
			WHERE r.tenant_id = $1 AND r.rank = 1 AND u.role <> 'auditor' AND `+present+` GROUP BY r.workspace_id)
		UPDATE access_review_items SET reviewer = CASE WHEN h.first <> access_review_items.person THEN h.first ELSE h.last END FROM h
		WHERE access_review_items.review = $2 AND access_review_items.kind <> 'exception' AND access_review_items.reviewer = '' AND access_review_items.workspace = h.id
		AND (h.first <> access_review_items.person OR h.last <> access_review_items.person)
		AND NOT EXISTS (SELECT 1 FROM users s WHERE s.id = access_review_items.person AND s.role = 'super_admin')`, t.review.Tenant, t.review.ID)
	if err != nil {
		return err
	}
	return t.independent(ctx)
}

// independent marks the items that are for administrators where there is none but whose
// they are.
func (t *taking) independent(ctx context.Context) error {
	admins, err := t.administrators(ctx, `'super_admin', 'admin'`)
	if err != nil {
		return err
	}
	supers, err := t.administrators(ctx, `'super_admin'`)
	if err != nil {
		return err
	}
	mark := func(cond string, args ...any) error {
		var w where
		w.and(`review = ? AND reviewer = ''`, t.review.ID)
		w.and(cond, args...)
		word := w.arg(tenure.FlagNoIndependent)
		_, err := t.tx.exec(ctx, `UPDATE access_review_items SET flags = TRIM(flags || ' ' || CAST(`+word+` AS text))`+w.String(), w.args...)
		return err
	}
	switch {
	case len(admins) == 0:
		return mark(`1 = 1`)
	case len(admins) == 1:
		return mark(`person = ?`, admins[0])
	case len(supers) == 1:
		return mark(`person = ?`, supers[0])
	}
	return nil
}

// administrators gives two at most of those who are there.
func (t *taking) administrators(ctx context.Context, roles string) ([]tenure.UserID, error) {
	return many(ctx, t.tx.run, scalar[tenure.UserID], `SELECT u.id FROM users u WHERE u.tenant_id = $1 AND u.role IN (`+roles+`) AND `+present+` ORDER BY u.id LIMIT 2`, t.review.Tenant)
}
