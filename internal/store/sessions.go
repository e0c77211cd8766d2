package store

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/tenure-gateway/tenure"
)

const sessionColumns = `s.id, s.tenant_id, s.user_id, COALESCE(u.user_name, ''), s.token_id, s.via, s.address, s.user_agent,
	s.connection_id, s.issuer, s.subject, s.sid, s.acr, s.amr, COALESCE(s.authenticated_at, s.created_at),
	s.created_at, s.last_seen_at, s.expires_at, s.ended_at, COALESCE(s.ended_by, ''), COALESCE(s.ended_reason, ''), s.exception_id, ` + heldColumns + `
	FROM sessions s LEFT JOIN users u ON u.id = s.user_id AND u.tenant_id = s.tenant_id
	LEFT JOIN exceptions x ON x.id = s.exception_id AND x.tenant_id = s.tenant_id`

func scanSession(row scanner) (tenure.Session, error) {
	var s tenure.Session
	var on held
	err := row.Scan(append([]any{
		&s.ID, &s.Tenant, &s.User, &s.UserName, &s.Token, &s.Via, &s.Address, &s.UserAgent,
		&s.Connection, &s.Issuer, &s.Subject, &s.SID, &s.ACR, &s.AMR, into(&s.AuthAt),
		into(&s.CreatedAt), into(&s.SeenAt), into(&s.ExpiresAt), into(&s.EndedAt), &s.EndedBy, &s.EndReason, &on.id,
	}, on.dest()...)...)
	if s.Exception = on.id; on.id != "" {
		_, until, _ := on.signsIn(s.User)
		s.ExpiresAt = earlier(s.ExpiresAt, until)
	}
	return s, err
}

// signsIn gives the time in which the exception lets a person sign in without a second
// factor; false: it never does, and until is long ago.
func (h *held) signsIn(user tenure.UserID) (from, until time.Time, ok bool) {
	if from, until, ok = h.lets(tenure.Deviation{User: user}, tenure.RuleMFAMissing); !ok {
		until = time.Unix(0, 0)
	}
	return from, until, ok
}

// Session reads one session's row. NotFound: no such session in the tenant.
func (r reads) Session(ctx context.Context, tenant tenure.TenantID, id tenure.SessionID) (tenure.Session, error) {
	return one(ctx, r.run, scanSession, `SELECT `+sessionColumns+` WHERE s.tenant_id = $1 AND s.id = $2`, tenant, id)
}

// OpenSessions lists the sessions of a person that have not ended, were used since
// idle and were opened since born, newest first. user "" is whoever holds the root
// token.
func (r reads) OpenSessions(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, now, idle, born time.Time) ([]tenure.Session, error) {
	return many(ctx, r.run, scanSession, `SELECT `+sessionColumns+`
		WHERE s.tenant_id = $1 AND s.user_id = $2 AND s.ended_at IS NULL AND s.expires_at > $3 AND s.last_seen_at >= $4 AND s.created_at > $5
		ORDER BY s.id DESC LIMIT 1000`,
		tenant, user, stamp(now), stamp(idle), stamp(born))
}

// sessionPolicy is what of a tenant's policy a session's standing is read with.
var sessionPolicy = `COALESCE((SELECT value FROM policies WHERE tenant_id = s.tenant_id AND key = 'root_token'), ''),
		COALESCE((SELECT value FROM policies WHERE tenant_id = s.tenant_id AND key = 'session_idle'), ''),
		COALESCE((SELECT value FROM policies WHERE tenant_id = s.tenant_id AND key = 'session_lifetime'), ''),
		COALESCE((SELECT value FROM policies WHERE tenant_id = s.tenant_id AND key = 'admin_idle'), ''),
		COALESCE((SELECT value FROM policies WHERE tenant_id = s.tenant_id AND key = 'reauth'), ''), s.created_at,
		` + factorPolicy("s")

// sessionLimits reads the limits; a value that cannot be read is the default.
func sessionLimits(idle, life, adminIdle, reauth string) tenure.SessionLimits {
	p := tenure.DefaultPolicy()
	for _, kv := range [...][2]string{{"session_idle", idle}, {"session_lifetime", life}, {"admin_idle", adminIdle}, {"reauth", reauth}} {
		if kv[1] != "" {
			_ = p.Set(kv[0], kv[1])
		}
	}
	return tenure.SessionLimits{Idle: p.SessionIdle, Life: p.SessionLife, AdminIdle: p.AdminIdle, Reauth: p.Reauth}
}

// factorPolicy is what of the policy of a row's tenant a second factor is judged with.
func factorPolicy(row string) string {
	return `COALESCE((SELECT value FROM policies WHERE tenant_id = ` + row + `.tenant_id AND key = 'mfa'), 'off'),
		COALESCE((SELECT value FROM policies WHERE tenant_id = ` + row + `.tenant_id AND key = 'mfa_values'), '')`
}

var sessionStanding = `SELECT s.id, s.tenant_id, COALESCE(n.active, FALSE), s.user_id, COALESCE(u.user_name, ''), COALESCE(u.active, FALSE), COALESCE(u.role, ''), COALESCE(u.source, ''),
	s.token_id, s.token_hash, s.via, s.expires_at, COALESCE(s.authenticated_at, s.created_at), s.last_seen_at, s.ended_at IS NOT NULL, s.lapsed_at IS NOT NULL,
	s.acr, s.amr, ` + sessionPolicy + `, s.exception_id, ` + heldColumns + `
	FROM sessions s LEFT JOIN tenants n ON n.id = s.tenant_id
	LEFT JOIN users u ON u.id = s.user_id AND u.tenant_id = s.tenant_id AND u.deleted_at IS NULL
	LEFT JOIN exceptions x ON x.id = s.exception_id AND x.tenant_id = s.tenant_id`

func scanSessionStanding(row scanner) (*tenure.Standing, error) {
	s := tenure.Standing{Kind: tenure.BrowserSession}
	var opener, root, idle, life, adminIdle, reauth, mfa, mfaValues string
	var born time.Time
	var on held
	err := row.Scan(append([]any{
		&s.Session, &s.Tenant, &s.TenantActive, &s.User, &s.UserName, &s.UserActive, &s.Role, &s.Source, &s.Token,
		&opener, &s.Via, into(&s.ExpiresAt), into(&s.AuthAt), into(&s.SeenAt), &s.Ended, &s.Lapsed,
		&s.ACR, &s.AMR, &root, &idle, &life, &adminIdle, &reauth, into(&born), &mfa, &mfaValues, &on.id,
	}, on.dest()...)...)
	s.Limits = sessionLimits(idle, life, adminIdle, reauth)
	s.ExpiresAt = earlier(s.ExpiresAt, born.Add(s.Limits.Life))
	if s.User != "" {
		s.Factor = tenure.StoredFactor(mfa, mfaValues)
		s.Factor.Has = tenure.SignIn{ACR: s.ACR, AMR: s.AMR}.Shows(s.Factor.Values)
	}
	if on.id != "" { // it is good while that is in force, alone
		from, until, ok := on.signsIn(s.User)
		s.NotBefore, s.ExpiresAt, s.Factor.Has, s.Ended = from, earlier(s.ExpiresAt, until), ok, s.Ended || !ok
	}
	if s.Via == "root" {
		s.Role, s.Name, s.Ended = tenure.SuperAdmin, s.Via, s.Ended || root == "off"
		if raw, derr := hex.DecodeString(opener); derr == nil && len(raw) == len(s.Digest) {
			s.Digest = tenure.Digest(raw)
		}
	}
	return &s, err
}

// SessionStanding reads what is known of the session whose secret has this
// digest. NotFound: there is none.
func (r reads) SessionStanding(ctx context.Context, d tenure.Digest) (*tenure.Standing, error) {
	return one(quick(ctx), r.run, scanSessionStanding, sessionStanding+` WHERE s.session_hash = $1`, d.String())
}

// SessionStandingOf is SessionStanding for a session whose secret was seen before.
func (r reads) SessionStandingOf(ctx context.Context, tenant tenure.TenantID, id tenure.SessionID) (*tenure.Standing, error) {
	return one(quick(ctx), r.run, scanSessionStanding, sessionStanding+` WHERE s.tenant_id = $1 AND s.id = $2`, tenant, id)
}

// InsertSession stores a new session: the digest of its secret, never the secret.
func (tx *Tx) InsertSession(ctx context.Context, s tenure.Session, d tenure.Digest) error {
	_, err := tx.exec(ctx, `INSERT INTO sessions (id, tenant_id, user_id, token_id, token_hash, session_hash, via, address, user_agent,
		created_at, last_seen_at, expires_at, connection_id, issuer, subject, sid, acr, amr, authenticated_at, exception_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		s.ID, s.Tenant, s.User, s.Token, s.OpenedBy, d.String(), s.Via, s.Address, s.UserAgent, stamp(s.CreatedAt), stamp(s.SeenAt), stamp(s.ExpiresAt),
		s.Connection, s.Issuer, s.Subject, s.SID, s.ACR, s.AMR, stamp(s.AuthAt), s.Exception)
	return err
}

// LapseSession notes that a session was idle for too long to administer with.
func (tx *Tx) LapseSession(ctx context.Context, tenant tenure.TenantID, id tenure.SessionID) error {
	_, err := tx.exec(ctx, `UPDATE sessions SET lapsed_at = $1 WHERE tenant_id = $2 AND id = $3 AND lapsed_at IS NULL`, stamp(tx.now), tenant, id)
	return err
}

// TrimSessions ends the sessions of a user but the newest, and forgets those that
// ended or expired long ago.
func (tx *Tx) TrimSessions(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, keep int, forget time.Time) error {
	if _, err := tx.exec(ctx, `UPDATE sessions SET ended_at = $1, ended_by = 'system', ended_reason = 'more recent sessions'
		WHERE tenant_id = $2 AND user_id = $3 AND ended_at IS NULL AND id NOT IN (
			SELECT id FROM sessions WHERE tenant_id = $2 AND user_id = $3 AND ended_at IS NULL ORDER BY id DESC LIMIT $4)`,
		stamp(tx.now), tenant, user, keep); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2 AND expires_at < $3`, tenant, user, stamp(forget))
	return err
}

// EndSession ends one session and reports whether it was still open.
func (tx *Tx) EndSession(ctx context.Context, tenant tenure.TenantID, id tenure.SessionID, by, reason string) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE sessions SET ended_at = $1, ended_by = $2, ended_reason = $3
		WHERE tenant_id = $4 AND id = $5 AND ended_at IS NULL`, stamp(tx.now), by, reason, tenant, id)
	return n > 0, err
}

// EndSessionsOf ends every open session of a user and gives their number.
func (tx *Tx) EndSessionsOf(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, by, reason string) (int, error) {
	return tx.exec(ctx, `UPDATE sessions SET ended_at = $1, ended_by = $2, ended_reason = $3
		WHERE tenant_id = $4 AND user_id = $5 AND ended_at IS NULL`, stamp(tx.now), by, reason, tenant, user)
}

// EndRootSessions ends every session that was opened with a root token.
func (tx *Tx) EndRootSessions(ctx context.Context, tenant tenure.TenantID, by, reason string) (int, error) {
	return tx.exec(ctx, `UPDATE sessions SET ended_at = $1, ended_by = $2, ended_reason = $3
		WHERE tenant_id = $4 AND via = 'root' AND ended_at IS NULL`, stamp(tx.now), by, reason, tenant)
}
