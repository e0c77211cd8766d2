package notice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/webhook"
)

// How the webhook tries.
const (
	tries        = 24 * time.Hour   // after which a notice is given up
	firstRest    = 10 * time.Second // after the first failure; each further one doubles it
	longestRest  = time.Hour
	claim        = time.Minute // longer than one attempt takes
	perRound     = 100         // notices of one tenant
	roundTime    = 20 * time.Second
	tenantsAtOne = 8
)

// NewSecret makes the secret that the tenant's webhook signs with; it is returned
// once. The one before is good no more.
func (n *Notices) NewSecret(ctx context.Context, by tenure.Principal) (tenure.Secret, error) {
	if err := access.Check(by, tenure.MakeHookSecret); err != nil {
		return tenure.Secret{}, err
	}
	secret := webhook.NewSecret()
	seal, err := n.Sealer(ctx)
	if err != nil {
		return tenure.Secret{}, err
	}
	sealed, err := seal(secret, store.BoundWebhook(by.Tenant()))
	if err != nil {
		return tenure.Secret{}, err
	}
	err = n.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SetWebhookSecret(ctx, by.Tenant(), sealed, by.Label()); err != nil {
			return err
		}
		return tx.Append(ctx, audit.WebhookSecretMade(by))
	})
	if err != nil {
		return tenure.Secret{}, fmt.Errorf("make the webhook's secret: %w", err)
	}
	return secret, nil
}

// sink is where a tenant's notices go, and what they are signed with.
type sink struct {
	url    string
	secret tenure.Secret
}

// errNoSink says that the tenant has no webhook.
var errNoSink = &tenure.Error{
	Kind: tenure.Conflict, Code: "no_webhook", Msg: "no webhook is set: set the policy webhook_url first",
}

func (n *Notices) sink(ctx context.Context, tenant tenure.TenantID) (sink, error) {
	policy, err := n.DB.Policy(ctx, tenant)
	if err != nil {
		return sink{}, err
	}
	if policy.Webhook == "" {
		return sink{}, errNoSink
	}
	sealed, err := n.DB.WebhookSecret(ctx, tenant)
	if tenure.IsKind(err, tenure.NotFound) {
		err = &tenure.Error{Kind: tenure.Conflict, Code: "no_webhook_secret", Msg: "the webhook has no secret to sign with: make one first"}
	}
	if err != nil {
		return sink{}, err
	}
	secret, err := n.Open(ctx, sealed, store.BoundWebhook(tenant))
	return sink{policy.Webhook, secret}, err
}

// Test sends a notice that nobody raised, at once, and gives the sink's status and
// how long it took. Conflict: there is no webhook, or no secret. BadGateway: the
// sink could not be reached, or did not accept.
func (n *Notices) Test(ctx context.Context, by tenure.Principal) (int, time.Duration, error) {
	if err := access.Check(by, tenure.TestHook); err != nil {
		return 0, 0, err
	}
	to, err := n.sink(ctx, by.Tenant())
	if err != nil {
		return 0, 0, err
	}
	now := n.DB.Now()
	start := time.Now()
	status, err := n.post(ctx, to, tenure.Notice{
		ID: tenure.NoticeID(tenure.NewID(now)), Tenant: by.Tenant(), At: now, Kind: tenure.NoticeTest, Severity: tenure.Info,
		Message: "This is a test of the webhook, asked for by " + by.Label() + ".",
	})
	took := time.Since(start)
	if err != nil {
		return status, took, &tenure.Error{Kind: tenure.BadGateway, Code: "webhook_failed", Msg: "the webhook did not accept: " + webhook.Reason(err), Err: err}
	}
	return status, took, nil
}

// Deliver sends what is owed by now. Each tenant has its own turn beside the
// others; a notice is sent at least once, and again until the sink accepts it, for
// a day. It may run on several replicas.
func (n *Notices) Deliver(ctx context.Context) error {
	tenants, err := n.DB.NoticeTenants(ctx, n.DB.Now())
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, tenantsAtOne)
	errs := make([]error, len(tenants))
	for i, tenant := range tenants {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = n.deliverTo(ctx, tenant)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (n *Notices) deliverTo(ctx context.Context, tenant tenure.TenantID) error {
	to, broken := n.sink(ctx, tenant)
	if errors.Is(broken, errNoSink) {
		return n.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.DropNotices(ctx, tenant) })
	}
	due, err := n.DB.NoticesDue(ctx, tenant, n.DB.Now(), perRound)
	if err != nil {
		return err
	}
	start := time.Now()
	for _, one := range due {
		if ctx.Err() != nil || time.Since(start) > roundTime {
			return nil
		}
		mine := false
		err := n.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			var err error
			mine, err = tx.ClaimNotice(ctx, one, tx.Now().Add(claim))
			return err
		})
		if err != nil {
			return err
		}
		if !mine {
			continue
		}
		one.Attempts++
		failed := broken
		if failed == nil {
			_, failed = n.post(ctx, to, one)
		}
		if ctx.Err() != nil {
			return nil // told to stop: the claim runs out, and it is tried again
		}
		if err := n.settle(ctx, one, failed); err != nil || failed != nil {
			return err
		}
	}
	return nil
}

// settle notes what became of an attempt.
func (n *Notices) settle(ctx context.Context, one tenure.Notice, failed error) error {
	outcome := "sent"
	err := n.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		rest := longestRest
		if one.Attempts < 10 {
			rest = min(longestRest, firstRest<<(one.Attempts-1))
		}
		switch {
		case failed == nil:
			return tx.SettleNotice(ctx, one)
		case tx.Now().Sub(one.At) >= tries:
			outcome = "given_up"
			if err := tx.SettleNotice(ctx, one); err != nil {
				return err
			}
			return tx.Append(ctx, audit.WebhookGivenUp(one, webhook.Reason(failed)))
		default:
			outcome = "failed"
			return tx.PostponeNotices(ctx, one, tx.Now().Add(rest))
		}
	})
	if err != nil {
		return err
	}
	n.Metrics.sent.WithLabelValues(outcome).Inc()
	if failed != nil {
		n.Log.Warn("webhook", "tenant", one.Tenant, "notice", one.ID, "attempts", one.Attempts, "outcome", outcome, "error", webhook.Reason(failed))
	}
	return nil
}

// post sends one notice and gives the sink's status; an error unless that is 2xx.
func (n *Notices) post(ctx context.Context, to sink, one tenure.Notice) (int, error) {
	body, err := json.Marshal(envelope(one))
	if err != nil {
		return 0, err
	}
	client := n.Public
	if one.Tenant == tenure.DefaultTenant {
		client = n.Client
	}
	status, _, err := webhook.Post(ctx, client, webhook.Message{
		URL: to.url, ID: string(one.ID), ContentType: "application/cloudevents+json; charset=utf-8", Body: body, Secret: to.secret,
	}, n.DB.Now())
	return status, err
}

// cloudEvent is the envelope of CloudEvents 1.0 in structured mode.
type cloudEvent struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Time        time.Time `json:"time"`
	Subject     string    `json:"subject,omitempty"`
	ContentType string    `json:"datacontenttype"`
	Data        eventData `json:"data"`
}

// eventData is the notice itself.
type eventData struct {
	Tenant     string `json:"tenant"`
	Kind       string `json:"kind"`
	Severity   string `json:"severity"`
	User       string `json:"user_id,omitempty"`
	ObjectKind string `json:"object_kind,omitempty"`
	ObjectID   string `json:"object_id,omitempty"`
	Object     string `json:"object,omitempty"`
	Message    string `json:"message"`
}

func envelope(n tenure.Notice) cloudEvent {
	e := cloudEvent{
		SpecVersion: "1.0", ID: string(n.ID), Source: "/tenants/" + string(n.Tenant), Type: "dev.tenure.notice." + n.Kind + ".v1",
		Time: n.At.UTC(), ContentType: "application/json",
		Data: eventData{string(n.Tenant), n.Kind, string(n.Severity), string(n.User), n.ObjectKind, n.ObjectID, n.Object, n.Message},
	}
	if n.ObjectID != "" {
		e.Subject = n.ObjectKind + "/" + n.ObjectID
	}
	return e
}
