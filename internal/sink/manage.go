package sink

import (
	"context"
	"fmt"
	"net"
	"net/url"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/webhook"
)

// most is how many sinks a tenant may have.
const most = 20

// Listed is a sink with how far behind it is.
type Listed struct {
	tenure.AuditSink
	Standing
}

// List gives the sinks of the asker's tenant.
func (s *Sinks) List(ctx context.Context, by tenure.Principal) ([]Listed, error) {
	if err := access.Check(by, tenure.ListSinks); err != nil {
		return nil, err
	}
	ctx = tenure.Everywhere(ctx)
	rows, err := s.DB.AuditSinks(ctx, by.Tenant())
	out := make([]Listed, len(rows))
	for i, row := range rows {
		var failed error
		if out[i], failed = s.listed(ctx, row); failed != nil {
			return nil, failed
		}
	}
	return out, err
}

func (s *Sinks) listed(ctx context.Context, row tenure.AuditSink) (Listed, error) {
	stands, err := behind(ctx, s.DB, row.All(), row.Cursor)
	stands.Trouble = row.Error
	return Listed{row, stands}, err
}

// Get gives a sink of the asker's tenant. NotFound: the tenant has no such sink.
func (s *Sinks) Get(ctx context.Context, by tenure.Principal, id tenure.SinkID) (Listed, error) {
	if err := access.Check(by, tenure.ListSinks); err != nil {
		return Listed{}, err
	}
	ctx = tenure.Everywhere(ctx)
	row, err := s.DB.AuditSink(ctx, by.Tenant(), id)
	if err != nil {
		return Listed{}, err
	}
	return s.listed(ctx, row)
}

// OwnFile gives the file that this process writes, which has the events of all tenants,
// to whoever may list the sinks of the default tenant. NotFound: there is none for them.
func (s *Sinks) OwnFile(by tenure.Principal) (path string, stands Standing, err error) {
	if err := access.Check(by, tenure.ListSinks); err != nil {
		return "", stands, err
	}
	if s.File == nil || by.Tenant() != tenure.DefaultTenant {
		return "", stands, tenure.ErrNotFound
	}
	return s.File.Path, s.File.Standing(), nil
}

// Create makes the asker's tenant a sink, of which the id and the making are filled in.
// It gets what comes from now on, or with fromStart the whole log. The secret is sealed;
// of a webhook it is made, and returned once. Invalid: what is wrong with it. Forbidden:
// one of all tenants is the operator's to make. Conflict: the name is taken.
func (s *Sinks) Create(ctx context.Context, by tenure.Principal, row tenure.AuditSink, secret tenure.Secret, fromStart bool) (tenure.AuditSink, tenure.Secret, error) {
	none := tenure.Secret{}
	if err := access.Check(by, tenure.CreateSink); err != nil {
		return row, none, err
	}
	if row.Everywhere && by.Kind() != tenure.Operator {
		return row, none, &tenure.Error{
			Kind: tenure.Forbidden, Code: "operator_only", Field: "everywhere",
			Msg: "a sink of all tenants is made by the operator alone, with \"tenure audit sink create --everywhere\"",
		}
	}
	row, err := checked(row, secret)
	if err != nil {
		return row, none, err
	}
	shown := none
	if row.Kind == tenure.SinkWebhook {
		secret = webhook.NewSecret()
		shown = secret
	}
	seal, err := s.Sealer(ctx)
	if err != nil {
		return row, none, err
	}
	at, err := s.begin(tenure.Everywhere(ctx), fromStart)
	if err != nil {
		return row, none, err
	}
	row.Cursor, row.Signed = at.next, at.signed
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		have, err := tx.AuditSinks(ctx, by.Tenant())
		if err != nil {
			return err
		}
		if len(have) >= most {
			return &tenure.Error{Kind: tenure.Conflict, Code: "too_many_sinks", Msg: fmt.Sprintf("a tenant has at most %d audit sinks", most)}
		}
		row.ID, row.Tenant, row.CreatedAt, row.CreatedBy = tenure.SinkID(tenure.NewID(tx.Now())), by.Tenant(), tx.Now(), by.Label()
		var sealed store.SealedKey
		if !secret.IsZero() {
			if sealed, err = seal(secret, store.BoundAuditSink(row)); err != nil {
				return err
			}
		}
		if err := tx.InsertAuditSink(ctx, row, sealed); err != nil {
			return err
		}
		return tx.Append(ctx, audit.SinkChanged(by, row, hostOf(row), "created"))
	})
	if err != nil {
		return row, none, fmt.Errorf("create audit sink: %w", err)
	}
	return row, shown, nil
}

// begin is where a new sink begins.
func (s *Sinks) begin(ctx context.Context, fromStart bool) (position, error) {
	if fromStart {
		return position{}, nil
	}
	size, err := s.DB.TreeSize(ctx)
	return position{next: size, signed: size}, err
}

// hostOf is what of a sink's address may be told: the path may be a secret.
func hostOf(row tenure.AuditSink) string {
	if row.Kind == tenure.SinkSyslog {
		host, _, _ := net.SplitHostPort(row.Address)
		return host
	}
	u, err := url.Parse(row.Address)
	if err != nil {
		return ""
	}
	return u.Host
}

// Pause stops a sink, or lets it go on at once where it was. NotFound: the tenant has no
// such sink.
func (s *Sinks) Pause(ctx context.Context, by tenure.Principal, id tenure.SinkID, paused bool) (tenure.AuditSink, error) {
	what := map[bool]string{true: "paused", false: "resumed"}[paused]
	var row tenure.AuditSink
	err := s.change(ctx, by, id, what, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.PauseAuditSink(ctx, by.Tenant(), id, paused); err != nil {
			return err
		}
		var err error
		row, err = tx.AuditSink(ctx, by.Tenant(), id)
		return err
	})
	return row, err
}

// Delete removes a sink; what it did not get it will not get. NotFound: the tenant has no
// such sink.
func (s *Sinks) Delete(ctx context.Context, by tenure.Principal, id tenure.SinkID) error {
	return s.change(ctx, by, id, "deleted", func(ctx context.Context, tx *store.Tx) error { return tx.DeleteAuditSink(ctx, by.Tenant(), id) })
}

// changeable is why who asks may not change a sink of their tenant; nil: they may.
func changeable(by tenure.Principal, row tenure.AuditSink) error {
	if row.Everywhere && by.Kind() != tenure.Operator {
		return &tenure.Error{Kind: tenure.Forbidden, Code: "operator_only", Msg: "a sink of all tenants is the operator's, at the command line"}
	}
	return nil
}

func (s *Sinks) change(ctx context.Context, by tenure.Principal, id tenure.SinkID, what string, do func(context.Context, *store.Tx) error) error {
	if err := access.Check(by, tenure.ChangeSink); err != nil {
		return err
	}
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := tx.AuditSink(ctx, by.Tenant(), id)
		if err != nil {
			return err
		}
		if err := changeable(by, row); err != nil {
			return err
		}
		if err := do(ctx, tx); err != nil {
			return err
		}
		return tx.Append(ctx, audit.SinkChanged(by, row, hostOf(row), what))
	})
	if err != nil {
		return fmt.Errorf("change audit sink %s: %w", id, err)
	}
	return nil
}
