package sink

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/webhook"
)

// DefaultOverlap is how long both secrets of a webhook sign after a rotation.
const DefaultOverlap = 24 * time.Hour

// NewSecret is what takes the place of a sink's secret.
type NewSecret struct {
	// Secret is the value of an OTLP sink's header, or the key of a syslog sink's new
	// certificate; of a webhook it is made.
	Secret tenure.Secret
	Cert   string // PEM; syslog only
	// Overlap is for how long requests of a webhook are signed with the secret before,
	// too; at most tenure.MaxOverlap.
	Overlap time.Duration
}

// ParseOverlap reads for how long both secrets are to sign: "0", "90m", "7d"; "" is
// DefaultOverlap. Invalid: it is no such length of time.
func ParseOverlap(text string) (time.Duration, error) {
	switch text {
	case "":
		return DefaultOverlap, nil
	case "0":
		return 0, nil
	}
	d, err := tenure.ParseLifetime(text)
	if err != nil {
		return 0, tenure.InvalidField("overlap", "overlap: %v", err)
	}
	return d, nil
}

// Rotate gives a sink another secret, tries it at once, and returns that of a webhook,
// once. NotFound: the tenant has no such sink. Invalid: what is wrong with the secret, or
// the sink has none. Conflict: somebody else has just changed it.
func (s *Sinks) Rotate(ctx context.Context, by tenure.Principal, id tenure.SinkID, to NewSecret) (tenure.AuditSink, tenure.Secret, error) {
	none := tenure.Secret{}
	if err := access.Check(by, tenure.ChangeSink); err != nil {
		return tenure.AuditSink{}, none, err
	}
	row, err := s.DB.AuditSink(ctx, by.Tenant(), id)
	if err != nil {
		return row, none, err
	}
	if err := changeable(by, row); err != nil {
		return row, none, err
	}
	was, err := s.DB.AuditSinkSecret(ctx, id)
	if err != nil {
		return row, none, err
	}
	if row, err = renewed(row, to); err != nil {
		return row, none, err
	}
	keep, shown := to.Secret, none
	if row.Kind == tenure.SinkWebhook {
		shown = webhook.NewSecret()
		if keep, err = s.pair(ctx, row, shown, was, to.Overlap); err != nil {
			return row, none, err
		}
	}
	seal, err := s.Sealer(ctx)
	if err != nil {
		return row, none, err
	}
	sealed, err := seal(keep, store.BoundAuditSink(row))
	if err != nil {
		return row, none, err
	}
	err = s.change(ctx, by, id, "rotated", func(ctx context.Context, tx *store.Tx) error {
		done, err := tx.RotateAuditSink(ctx, row, was, sealed)
		if err == nil && !done {
			err = &tenure.Error{Kind: tenure.Conflict, Code: "sink_changed", Msg: "the sink's secret was changed meanwhile: look, and try again"}
		}
		return err
	})
	return row, shown, err
}

// renewed is a sink with a new secret, or Invalid: what is wrong with it.
func renewed(row tenure.AuditSink, to NewSecret) (tenure.AuditSink, error) {
	if row.Kind == tenure.SinkSyslog {
		row.Cert = to.Cert
	}
	switch {
	case row.Kind != tenure.SinkWebhook && to.Secret.IsZero() && (row.Header != "" || to.Cert == ""):
		return row, tenure.InvalidField("secret", "this sink needs its new secret, or has none")
	case row.Kind != tenure.SinkSyslog && to.Cert != "":
		return row, tenure.InvalidField("cert", "certificates are for syslog")
	case to.Overlap < 0 || to.Overlap > tenure.MaxOverlap:
		return row, tenure.InvalidField("overlap", "both secrets sign for at most 7 days")
	}
	return checked(row, to.Secret)
}

// pair is a webhook's new secret with the one before it, and until when that signs, too.
// All is sealed as one, so that no request is signed with half of a rotation.
func (s *Sinks) pair(ctx context.Context, row tenure.AuditSink, made tenure.Secret, was store.SealedKey, overlap time.Duration) (tenure.Secret, error) {
	if overlap == 0 || len(was.Sealed) == 0 {
		return made, nil
	}
	before, err := s.Open(ctx, was, store.BoundAuditSink(row))
	if err != nil {
		return tenure.Secret{}, err
	}
	newest, _ := signers(before, time.Time{})
	until := strconv.FormatInt(s.DB.Now().Add(overlap).Unix(), 10)
	return tenure.NewSecret(made.Reveal() + " " + newest.Reveal() + " " + until), nil
}

// signers are what requests of a webhook are signed with at an instant: its secret, and
// the one before while it overlaps, else zero.
func signers(sealed tenure.Secret, now time.Time) (newest, before tenure.Secret) {
	parts := strings.Fields(sealed.Reveal())
	if len(parts) != 3 {
		return sealed, before
	}
	if until, err := strconv.ParseInt(parts[2], 10, 64); err == nil && now.Before(time.Unix(until, 0)) {
		before = tenure.NewSecret(parts[1])
	}
	return tenure.NewSecret(parts[0]), before
}
