package notice

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

const day = 24 * time.Hour

// Stages are how long before something ends people are told, the longest first.
// Nobody modifies them.
var (
	endStages    = []time.Duration{30 * day, 14 * day, 7 * day, day}
	orphanStages = []time.Duration{7 * day, day}
)

// What the sweep remembers in the database.
const (
	metaSwept    = "notice.swept"     // until when tokens' ends were looked at
	metaRotation = "notice.rotation." // and a tenant: the policy, and until when
	metaAudit    = "notice.audit_seq" // up to which event
	newestEvents = 24 * time.Hour     // of the log that the first sweep looks at
	auditBatch   = 500                // events at a time
	settling     = time.Minute        // more than a transaction takes
)

// Sweep raises what is due by now. It may run on several replicas and again at
// any time: each matter is told once. Of stages that passed while nothing ran,
// only the nearest is told.
func (n *Notices) Sweep(ctx context.Context) error {
	return errors.Join(n.expiring(ctx), n.rotation(ctx), n.keys(ctx), n.accounts(ctx), n.exceptions(ctx), n.reviews(ctx), n.alerts(ctx), n.sinks(ctx))
}

// A window is a span of ends that have come into a stage since the last sweep,
// and are in no nearer one.
type window struct {
	stage    time.Duration
	from, to time.Time // after from, until to
}

// windows are those since an instant; the zero time is the first sweep of all.
func windows(since, now time.Time, stages []time.Duration) []window {
	var out []window
	for i, stage := range stages {
		nearer := time.Duration(0)
		if i+1 < len(stages) {
			nearer = stages[i+1]
		}
		from := now.Add(nearer)
		if !since.IsZero() && since.Add(stage).After(from) {
			from = since.Add(stage)
		}
		if to := now.Add(stage); from.Before(to) {
			out = append(out, window{stage, from, to})
		}
	}
	return out
}

// nearest is the smallest stage that an end has come into; 0: none.
func nearest(left time.Duration, stages []time.Duration) time.Duration {
	near := time.Duration(0)
	for _, stage := range stages {
		if left <= stage {
			near = stage
		}
	}
	return near
}

// expiring tells of tokens near their end. A token that was made to live no
// longer than a stage is not told of at that stage.
func (n *Notices) expiring(ctx context.Context) error {
	now := n.DB.Now()
	unix, _, err := n.DB.MetaNumber(ctx, metaSwept)
	if err != nil {
		return err
	}
	var all []tenure.Notice
	for _, w := range windows(instant(unix), now, endStages) {
		tokens, err := n.DB.TokensEnding(ctx, w.from, w.to, now)
		if err != nil {
			return err
		}
		for _, t := range tokens {
			if t.ExpiresAt.Sub(t.CreatedAt) > w.stage {
				all = append(all, aboutToken(t, tenure.NoticeTokenExpiring, w.stage, t.ExpiresAt,
					fmt.Sprintf("The token %q (%s…) expires %s, at %s.", t.Name, t.Prefix, in(t.ExpiresAt.Sub(now)), at(t.ExpiresAt))))
			}
		}
	}
	if err := n.raise(ctx, all); err != nil {
		return fmt.Errorf("notices of tokens: %w", err)
	}
	return n.remember(ctx, metaSwept, strconv.FormatInt(now.UnixMicro(), 10))
}

func aboutToken(t store.Due, kind string, stage time.Duration, due time.Time, message string) tenure.Notice {
	return tenure.Notice{
		Tenant: t.Tenant, Kind: kind, Severity: tenure.Warning, User: t.Owner, ObjectKind: "token", ObjectID: string(t.ID), Object: t.Name,
		Message: message, Dedupe: fmt.Sprintf("%s:%s:%s:%d", kind, t.ID, tenure.FormatSpan(stage), due.Unix()),
	}
}

// rotation tells of secrets that the policy wants to be changed.
func (n *Notices) rotation(ctx context.Context) error {
	tenants, err := n.DB.PoliciesOf(ctx, "rotate_every")
	if err != nil {
		return err
	}
	for _, p := range tenants {
		var policy tenure.Policy
		if policy.Set("rotate_every", p.Value) != nil || policy.RotateEvery == 0 {
			continue // what nobody can read is not set
		}
		if err := n.rotationIn(ctx, p.Tenant, policy.RotateEvery); err != nil {
			return fmt.Errorf("notices of rotation: %w", err)
		}
	}
	return nil
}

func (n *Notices) rotationIn(ctx context.Context, tenant tenure.TenantID, every time.Duration) error {
	now, key := n.DB.Now(), metaRotation+string(tenant)
	text, err := n.DB.Meta(ctx, key)
	if err != nil {
		return err
	}
	since := time.Time{}
	if span, until, ok := strings.Cut(text, " "); ok && span == tenure.FormatSpan(every) { // under another policy, all was otherwise
		unix, _ := strconv.ParseInt(until, 10, 64)
		since = instant(unix)
	}
	var all []tenure.Notice
	for _, w := range append(windows(since, now, endStages), window{0, since, now}) {
		if w.stage >= every {
			continue // it would be told of as soon as it was made
		}
		from := w.from.Add(-every)
		if w.from.IsZero() {
			from = time.Time{}.AddDate(1, 0, 0)
		}
		tokens, err := n.DB.TokensMade(ctx, tenant, from, w.to.Add(-every), now)
		if err != nil {
			return err
		}
		for _, t := range tokens {
			due := t.CreatedAt.Add(every)
			if !t.ExpiresAt.IsZero() && !t.ExpiresAt.After(due) {
				continue // it ends before, and that is told
			}
			kind, message := tenure.NoticeRotationDue, fmt.Sprintf("The token %q (%s…) is due for rotation %s, at %s.", t.Name, t.Prefix, in(due.Sub(now)), at(due))
			if w.stage == 0 {
				kind, message = tenure.NoticeRotationOverdue, fmt.Sprintf("The token %q (%s…) is overdue for rotation since %s.", t.Name, t.Prefix, at(due))
			}
			all = append(all, aboutToken(t, kind, w.stage, due, message))
		}
	}
	if err := n.raise(ctx, all); err != nil {
		return err
	}
	return n.remember(ctx, key, tenure.FormatSpan(every)+" "+strconv.FormatInt(now.UnixMicro(), 10))
}

// accounts tells of service accounts near their end, and of those that need an
// owner: these at once, and again before the grace is over.
func (n *Notices) accounts(ctx context.Context) error {
	now := n.DB.Now()
	rows, err := n.DB.AccountsNear(ctx, now, now.Add(endStages[0]))
	if err != nil {
		return err
	}
	var all []tenure.Notice
	for _, a := range rows {
		one := tenure.Notice{
			Tenant: a.Tenant, Kind: tenure.NoticeAccountEnding, Severity: tenure.Warning, User: a.Owner,
			ObjectKind: "service_account", ObjectID: string(a.ID), Object: a.Name,
		}
		end := a.ExpiresAt
		var stage time.Duration
		if a.OrphanedAt.IsZero() {
			stage = nearest(end.Sub(now), endStages)
			if !a.CreatedAt.IsZero() && end.Sub(a.CreatedAt) <= stage {
				continue
			}
			one.Message = fmt.Sprintf("The service account %q ends %s, at %s, and its tokens with it.", a.Name, in(end.Sub(now)), at(end))
		} else {
			if end.IsZero() || a.GraceEndsAt.Before(end) {
				end = a.GraceEndsAt
			}
			if !end.After(now) {
				continue // it has stopped
			}
			stage = nearest(end.Sub(now), orphanStages)
			one.Kind, one.User = tenure.NoticeAccountOrphaned, ""
			one.Message = fmt.Sprintf("The owner of the service account %q has left; it stops %s, at %s: give it a new owner, or end it.", a.Name, in(end.Sub(now)), at(end))
			if stage > 0 && stage < end.Sub(a.OrphanedAt) { // the first is told whatever is left
				end = end.Truncate(time.Second)
			} else {
				stage, end = 0, a.OrphanedAt
			}
		}
		one.Dedupe = fmt.Sprintf("%s:%s:%s:%d", one.Kind, a.ID, tenure.FormatSpan(stage), end.Unix())
		all = append(all, one)
	}
	if err := n.raise(ctx, all); err != nil {
		return fmt.Errorf("notices of service accounts: %w", err)
	}
	return nil
}

// alerts are what the audit log has that cannot wait.
var alerts = []string{"token.reuse_detected", "token.leaked", "root_token.used", "policy.changed", "database.went_back", "vault.sealed", "vault.tampered", "provider.key_refused", audit.BegunAnew, audit.HistoryReplaced, audit.FaultFound, audit.HoldPlaced, audit.HoldReleased, "trust.requested", "exception.failed", "beliefs.disclosed"}

// alerts turns events into notices, each once; uses of the root token once an hour
// and actor.
func (n *Notices) alerts(ctx context.Context) error {
	after, begun, err := n.DB.MetaNumber(ctx, metaAudit)
	if err != nil {
		return err
	}
	last, old, err := n.DB.AuditEnd(ctx, n.DB.Now().Add(-newestEvents))
	if err != nil {
		return err
	}
	if !begun {
		after = old
	}
	// Events are numbered before they are committed: one of a lower number may come
	// yet. What is settled is not read again; the rest is, and told once.
	_, settled, err := n.DB.AuditEnd(ctx, n.DB.Now().Add(-settling))
	if err != nil {
		return err
	}
	for after < last {
		events, err := n.DB.AuditAfter(ctx, after, alerts, auditBatch)
		if err != nil {
			return err
		}
		all := make([]tenure.Notice, 0, len(events))
		for _, e := range events {
			one, err := n.alert(ctx, e)
			if err != nil {
				return err
			}
			if one.Kind != "" {
				all = append(all, one)
			}
		}
		if err := n.raise(ctx, all); err != nil {
			return fmt.Errorf("notices of events: %w", err)
		}
		if after = last; len(events) == auditBatch {
			after = events[auditBatch-1].Seq
		}
		if err := n.remember(ctx, metaAudit, strconv.FormatInt(min(after, settled), 10)); err != nil {
			return err
		}
	}
	return nil
}

func (n *Notices) alert(ctx context.Context, e tenure.AuditEvent) (tenure.Notice, error) {
	one := tenure.Notice{
		Tenant: e.Tenant, Severity: tenure.Alert, ObjectKind: "token", ObjectID: e.ObjectID, Object: e.Object, Dedupe: "event:" + e.ID,
	}
	where := ""
	if e.Address != "" {
		where = " from " + e.Address
	}
	var err error
	switch e.Action {
	case "root_token.used":
		one.Kind, one.ObjectKind, one.ObjectID, one.Object = tenure.NoticeRootUsed, "root_token", e.ActorID, e.Actor
		one.Dedupe = fmt.Sprintf("root_token:%s:%d", e.ActorID, e.At.Unix()/3600)
		one.Message = fmt.Sprintf("The root token was used%s at %s, first for %s. Further uses of this hour are in the audit log.", where, at(e.At), e.Object)
	case "policy.changed":
		if e.Object == "admin_scope_approval" && e.Detail["after"] == "none" { // no other change is
			one.Kind, one.ObjectKind, one.ObjectID = tenure.NoticeApprovalOff, "policy", e.Object
			one.Message = fmt.Sprintf("%s set the policy admin_scope_approval to none%s at %s: one super admin alone now grants scopes of administration.", e.Actor, where, at(e.At))
		}
	case "database.went_back":
		one.Kind, one.ObjectKind = tenure.NoticeDatabaseBack, "database"
		one.Message = fmt.Sprintf("At %s %s found the database at an earlier state than it had seen. Of %s ends of access that it remembered, %s were forgotten, and are written again. "+
			"What else was written in between is lost: compare with the identity provider.", at(e.At), e.Actor, e.Detail["remembered"], e.Detail["ended_again"])
	case "vault.sealed": // of replicas that lose one key service, the first tells
		one.Kind, one.ObjectKind = tenure.NoticeVaultSealed, "vault"
		one.Dedupe = fmt.Sprintf("vault_sealed:%d", e.At.Unix()/600)
		one.Message = fmt.Sprintf("Since %s stored secrets cannot be opened by %s, and model requests answer 503: %s.", at(e.At), e.Actor, e.Reason)
	case "vault.tampered":
		one.Kind, one.ObjectKind = tenure.NoticeTampered, "vault"
		one.Dedupe = fmt.Sprintf("vault_tampered:%s:%d", e.ObjectID, e.At.Unix()/86400)
		one.Message = fmt.Sprintf("At %s a sealed secret (%s, %s) did not open though the key is right: its row was changed or moved in the database. Find out by whom, and store the secret anew.", at(e.At), e.Object, e.ObjectID)
	case "trust.requested":
		one.Kind, one.ObjectKind, one.Severity = tenure.NoticeTrustRequested, "trust_request", tenure.Warning
		one.Message = fmt.Sprintf("%s (%s) asked for evidence on the trust page at %s. Answer or decline it there.", e.Object, e.Detail["email"], at(e.At))
	case "provider.key_refused":
		one.Kind, one.ObjectKind = tenure.NoticeKeyRefused, "provider"
		one.Dedupe = fmt.Sprintf("key_refused:%s:%d", e.Detail["key_id"], e.At.Unix()/86400)
		one.Message = fmt.Sprintf("Since %s the provider %s does not accept its key %q, version %s, any more: it answered 401. Rotate the key.", at(e.At), e.Object, e.Detail["key"], e.Detail["version"])
	case audit.BegunAnew, audit.HistoryReplaced, audit.FaultFound:
		ofAudit(e, &one)
	case audit.HoldPlaced, audit.HoldReleased:
		ofHold(e, &one)
	case "exception.failed":
		one.Kind, one.ObjectKind, one.User = tenure.NoticeControlFailed, "exception", tenure.UserID(e.Detail["owner"])
		one.Message = fmt.Sprintf("The exception %q is out of force since %s: %s. Mend that, and have it approved again.", e.Object, at(e.At), e.Reason)
	case "beliefs.disclosed":
		one.Kind, one.ObjectKind, one.ObjectID, one.Severity, one.User = tenure.NoticeBeliefsRead, "exception", e.Detail["exception"], tenure.Warning, tenure.UserID(e.ObjectID)
		one.Dedupe = "beliefs_read:" + one.ObjectID
		one.Message = fmt.Sprintf("%s read what the beliefs of %s say, first at %s, by an exception that another administrator approved. Each look is in the audit log.", e.Actor, e.Object, at(e.At))
	case "token.leaked":
		one.Kind = tenure.NoticeTokenLeaked
		one.Message = fmt.Sprintf("The token %q was reported as leaked at %s.", e.Object, at(e.At))
		one.User, err = n.DB.TokenOwner(ctx, e.Tenant, tenure.TokenID(e.ObjectID))
	default:
		one.Kind = tenure.NoticeTokenReused
		one.Message = fmt.Sprintf("A secret of the token %q that was rotated away was used%s at %s: whoever has it should not.", e.Object, where, at(e.At))
		one.User, err = n.DB.TokenOwner(ctx, e.Tenant, tenure.TokenID(e.ObjectID))
	}
	return one, err
}

// ofAudit tells that the audit log is not what it was.
func ofAudit(e tenure.AuditEvent, one *tenure.Notice) {
	one.Kind, one.ObjectKind = tenure.NoticeAuditReplaced, "audit"
	switch e.Action {
	case audit.BegunAnew:
		one.Message = fmt.Sprintf("%s began the tree of the audit log anew at %s: %s. What was wrong: %s. What is before is vouched for since then only.", e.Actor, at(e.At), e.Reason, e.Detail["fault"])
	case audit.HistoryReplaced:
		one.Message = fmt.Sprintf("At %s %s found another history of the audit log than the one of which it had signed %s events. If nobody restored a backup or began anew, find out who wrote to the database.",
			at(e.At), e.Actor, e.Detail["size"])
	default:
		one.Kind = tenure.NoticeAuditFault
		one.Message = fmt.Sprintf("At %s the audit log was found changed: at place %s %s. Find out by whom; \"tenure audit verify\" names it.", at(e.At), e.Detail["place"], e.Reason)
	}
}

// ofHold tells of a legal hold that was placed or released.
func ofHold(e tenure.AuditEvent, one *tenure.Notice) {
	one.Kind, one.ObjectKind, one.Severity = tenure.NoticeHoldPlaced, "audit_hold", tenure.Warning
	one.Message = fmt.Sprintf("%s placed a legal hold at %s: %s. Until it is released nothing of the audit log is removed or erased.", e.Actor, at(e.At), e.Object)
	if e.Action == audit.HoldReleased {
		one.Kind = tenure.NoticeHoldReleased
		one.Message = fmt.Sprintf("%s released the legal hold %q at %s: %s. What is older than audit_retention is removed from now on, where no other hold is in force.", e.Actor, e.Object, at(e.At), e.Reason)
	}
}

func (n *Notices) remember(ctx context.Context, key, value string) error {
	return n.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SetMeta(ctx, key, value) })
}

// instant is the time of a count of microseconds; 0 is the zero time.
func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us)
}

// in says how long something is away, for people.
func in(d time.Duration) string {
	switch days := (d + day - 1) / day; {
	case d <= time.Hour:
		return "within the hour"
	case d <= day:
		return "within a day"
	default:
		return fmt.Sprintf("in %d days", days)
	}
}

func at(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
