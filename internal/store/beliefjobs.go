package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// The states of a BeliefJob.
const (
	JobWaiting  = "waiting"
	JobRunning  = "running"
	JobFinished = "finished"
	JobFailed   = "failed"
)

// BeliefJob is a turn out of which beliefs are to be drawn, or were.
type BeliefJob struct {
	ID        string // X-Request-Id of the turn
	Tenant    tenure.TenantID
	User      tenure.UserID
	Workspace tenure.WorkspaceID
	Token     tenure.TokenID
	Scope     tenure.BeliefScope
	State     string
	Sealed    []byte // what was said; empty once it is over
	SealedBy  string // id of the key
	Attempts  int
	Found     int    // how many beliefs were drawn out
	Error     string // code of why it failed last
	CreatedAt time.Time
}

const jobColumns = `id, tenant_id, user_id, workspace_id, token_id, scope, state, sealed, sealed_by, attempts, found, error, created_at FROM belief_jobs`

func scanBeliefJob(row scanner) (BeliefJob, error) {
	var j BeliefJob
	err := row.Scan(&j.ID, &j.Tenant, &j.User, &j.Workspace, &j.Token, &j.Scope, &j.State, &j.Sealed, &j.SealedBy, &j.Attempts, &j.Found, &j.Error, into(&j.CreatedAt))
	return j, err
}

// InsertBeliefJob stores a turn, and reports whether it was new.
func (tx *Tx) InsertBeliefJob(ctx context.Context, j BeliefJob) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO belief_jobs (id, tenant_id, user_id, workspace_id, token_id, scope, sealed, sealed_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING`,
		j.ID, j.Tenant, j.User, j.Workspace, j.Token, j.Scope, j.Sealed, j.SealedBy, stamp(tx.now))
	return n > 0, err
}

// BeliefJob reads one of a person's. NotFound: there is none.
func (r reads) BeliefJob(ctx context.Context, tenant tenure.TenantID, user tenure.UserID, id string) (BeliefJob, error) {
	return one(ctx, r.run, scanBeliefJob, `SELECT `+jobColumns+` WHERE tenant_id = $1 AND user_id = $2 AND id = $3`, tenant, user, id)
}

// tenantsBusy are the tenants that have as many jobs under way as $2, at $1.
const tenantsBusy = `SELECT tenant_id FROM belief_jobs WHERE state = 'running' AND lease_ends_at > $1 GROUP BY tenant_id HAVING COUNT(*) >= $2`

// BeliefJobsDue lists what waits by now, or whose holder is gone: of each tenant so many that
// it has no more than most under way, those that were tried least first.
func (r reads) BeliefJobsDue(ctx context.Context, now time.Time, most, limit int) ([]BeliefJob, error) {
	return many(ctx, r.run, scanBeliefJob, `SELECT `+strings.TrimSuffix(jobColumns, `FROM belief_jobs`)+`FROM (
			SELECT j.*, ROW_NUMBER() OVER (PARTITION BY tenant_id ORDER BY attempts, id) AS n FROM belief_jobs j WHERE state IN ('waiting', 'running')
			AND (next_try_at IS NULL OR next_try_at <= $1) AND (lease_ends_at IS NULL OR lease_ends_at <= $1)) due
		WHERE n <= $2 AND tenant_id NOT IN (`+tenantsBusy+`) ORDER BY attempts, id LIMIT $3`, stamp(now), most, limit)
}

// CountBeliefJobs is how many turns of a person wait.
func (r reads) CountBeliefJobs(ctx context.Context, tenant tenure.TenantID, user tenure.UserID) (int, error) {
	return one(ctx, r.run, scalar[int], `SELECT COUNT(*) FROM belief_jobs WHERE tenant_id = $1 AND user_id = $2 AND state IN ('waiting', 'running')`, tenant, user)
}

// TakeBeliefJob makes one process the one that works on a job until an instant, if it is
// still as it was read and its tenant has fewer than most under way, and reports whether it
// is this one.
func (tx *Tx) TakeBeliefJob(ctx context.Context, j BeliefJob, holder string, most int, until time.Time) (bool, error) {
	busy, err := many(ctx, tx.run, scalar[tenure.TenantID], tenantsBusy, stamp(tx.now), most)
	if err != nil || slices.Contains(busy, j.Tenant) {
		return false, err
	}
	n, err := tx.exec(ctx, `UPDATE belief_jobs SET state = 'running', holder = $1, lease_ends_at = $2, attempts = attempts + 1
		WHERE id = $3 AND attempts = $4 AND state IN ('waiting', 'running') AND (next_try_at IS NULL OR next_try_at <= $5) AND (lease_ends_at IS NULL OR lease_ends_at <= $5)`,
		holder, stamp(until), j.ID, j.Attempts, stamp(tx.now))
	return n > 0, err
}

// EndBeliefJob ends a job, finished or (why) failed, for whoever holds it, and reports
// whether it was theirs. What was said is deleted.
func (tx *Tx) EndBeliefJob(ctx context.Context, id, holder string, found int, why string) (bool, error) {
	state := JobFinished
	if why != "" {
		state = JobFailed
	}
	n, err := tx.exec(ctx, `UPDATE belief_jobs SET state = $1, found = $2, error = $3, sealed = $4, holder = '', lease_ends_at = NULL, ended_at = $5 WHERE id = $6 AND holder = $7`,
		state, found, why, []byte{}, stamp(tx.now), id, holder)
	return n > 0, err
}

// RestBeliefJob lets a job that failed wait until an instant.
func (tx *Tx) RestBeliefJob(ctx context.Context, id, holder, why string, until time.Time) error {
	_, err := tx.exec(ctx, `UPDATE belief_jobs SET state = 'waiting', error = $1, next_try_at = $2, holder = '', lease_ends_at = NULL WHERE id = $3 AND holder = $4`,
		why, stamp(until), id, holder)
	return err
}

// TrimBeliefJobs forgets jobs that ended before an instant.
func (tx *Tx) TrimBeliefJobs(ctx context.Context, before time.Time) error {
	_, err := tx.exec(ctx, `DELETE FROM belief_jobs WHERE ended_at < $1`, stamp(before))
	return err
}

// ExtractionSetting is when beliefs are drawn out of turns, as one thing says.
type ExtractionSetting struct {
	Kind       string // "workspace", "user" or "token"
	ID         string
	Tenant     tenure.TenantID
	Extraction tenure.Extraction
	Model      string // of a workspace
	UpdatedAt  time.Time
	UpdatedBy  string
}

// ExtractionSetting reads what one thing says. NotFound: nothing.
func (r reads) ExtractionSetting(ctx context.Context, tenant tenure.TenantID, kind, id string) (ExtractionSetting, error) {
	return one(ctx, r.run, func(row scanner) (ExtractionSetting, error) {
		s := ExtractionSetting{Kind: kind, ID: id, Tenant: tenant}
		err := row.Scan(&s.Extraction, &s.Model, into(&s.UpdatedAt), &s.UpdatedBy)
		return s, err
	}, `SELECT extraction, model, updated_at, updated_by FROM extraction_settings WHERE tenant_id = $1 AND subject_kind = $2 AND subject_id = $3`, tenant, kind, id)
}

// SetExtraction stores what one thing says.
func (tx *Tx) SetExtraction(ctx context.Context, s ExtractionSetting) error {
	_, err := tx.exec(ctx, `INSERT INTO extraction_settings (subject_kind, subject_id, tenant_id, extraction, model, updated_at, updated_by) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (subject_kind, subject_id) DO UPDATE SET extraction = excluded.extraction, model = excluded.model, updated_at = excluded.updated_at, updated_by = excluded.updated_by
		WHERE extraction_settings.tenant_id = excluded.tenant_id`,
		s.Kind, s.ID, s.Tenant, s.Extraction, s.Model, stamp(tx.now), s.UpdatedBy)
	return err
}
