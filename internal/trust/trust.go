// Package trust is a tenant's trust page: what of the rules is enforced now, who answers
// for it and when they last found it true, and who asks for evidence. It owns what the
// page says and the requests that are made there.
//
// What it says is read from the policy, the settings and the database at that instant:
// nobody types it. It sends no evidence: an administrator does (internal/evidence).
package trust

import (
	"context"
	"fmt"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Bounds on what strangers may leave.
const (
	mostWaiting = 100 // requests of a tenant that nobody signed in made, and that wait
	mostRecent  = 5   // requests from one address in a day
)

// Trust is the act on trust pages. Its fields are set before first use.
type Trust struct {
	DB *store.DB
	// Facts are what the settings say.
	Facts Facts
	// Sealed tells why stored secrets cannot be opened; nil: they can.
	Sealed func() error
	// Broken tells that the audit log was found changed, or that nothing is signed.
	Broken func() bool
}

// Page is what a trust page says.
type Page struct {
	Tenant   tenure.Tenant
	Shown    string // tenure.TrustOff, TrustPeople or TrustPublic: who may read it
	Owner    string // "": nobody is named
	Every    time.Duration
	Reviewed tenure.TrustReview
	Due      time.Time // when it should be read again; zero: it never was read
	Overdue  bool
	Says     []Statement
	Digest   string // of what it says
	Changed  bool   // it says something else than when it was last found true
}

// Public gives the page of a tenant, by its id or name, as everybody may read it.
// NotFound: there is no such tenant, or not everybody may.
func (t *Trust) Public(ctx context.Context, tenant string) (Page, error) {
	ctx = tenure.Everywhere(ctx)
	row, err := t.DB.Tenant(ctx, tenant)
	if err != nil {
		return Page{}, err
	}
	if !row.Active {
		return Page{}, tenure.ErrNotFound
	}
	policy, err := t.DB.Policy(ctx, row.ID)
	if err != nil {
		return Page{}, err
	}
	if policy.TrustPage != tenure.TrustPublic { // before anything that takes time is looked at
		return Page{}, tenure.ErrNotFound
	}
	return t.page(ctx, row)
}

// Inside tells whether who is signed in may read the page of the default tenant, so that
// the public address can lead them there.
func (t *Trust) Inside(ctx context.Context) (bool, error) {
	p, err := t.DB.Policy(tenure.Everywhere(ctx), tenure.DefaultTenant)
	return p.TrustPage == tenure.TrustPeople, err
}

// Published tells whether the asker's tenant has a page for its people; not where that
// cannot be found out.
func (t *Trust) Published(ctx context.Context, by tenure.Principal) bool {
	p, err := t.DB.Policy(ctx, by.Tenant())
	return err == nil && p.TrustPage != tenure.TrustOff
}

// Read gives the page of the asker's tenant. NotFound: the policy has none, and the asker
// does not administer.
func (t *Trust) Read(ctx context.Context, by tenure.Principal) (Page, error) {
	if err := access.Check(by, tenure.ReadTrust); err != nil {
		return Page{}, err
	}
	row, err := t.DB.Tenant(ctx, string(by.Tenant()))
	if err != nil {
		return Page{}, err
	}
	p, err := t.page(ctx, row)
	if err == nil && p.Shown == tenure.TrustOff && access.Check(by, tenure.ListTrustAsks) != nil {
		return Page{}, tenure.ErrNotFound
	}
	return p, err
}

func (t *Trust) page(ctx context.Context, tenant tenure.Tenant) (Page, error) {
	policy, err := t.DB.Policy(ctx, tenant.ID)
	if err != nil {
		return Page{}, err
	}
	reviewed, err := t.DB.TrustReview(ctx, tenant.ID)
	if err != nil {
		return Page{}, err
	}
	p := Page{Tenant: tenant, Shown: policy.TrustPage, Owner: policy.TrustOwner, Every: policy.TrustReview, Reviewed: reviewed}
	if !reviewed.At.IsZero() {
		p.Due = reviewed.At.Add(policy.TrustReview)
	}
	p.Overdue = !t.DB.Now().Before(p.Due)
	p.Says, err = t.says(ctx, tenant.ID, policy)
	p.Digest = digest(p.Says)
	p.Changed = reviewed.Read != "" && reviewed.Read != p.Digest
	return p, err
}

// Review notes that the asker read the page, with this digest, and found it true; "" is
// what it says now. Conflict: it says something else than what they read.
func (t *Trust) Review(ctx context.Context, by tenure.Principal, read string) error {
	if err := access.Check(by, tenure.ReviewTrust); err != nil {
		return err
	}
	p, err := t.Read(ctx, by)
	if err != nil {
		return err
	}
	if read != "" && read != p.Digest {
		return &tenure.Error{Kind: tenure.Conflict, Code: "trust_page_changed", Msg: "the page says something else than what you read: read it again"}
	}
	err = t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		before, err := tx.TrustReview(ctx, by.Tenant())
		if err != nil {
			return err
		}
		if err := tx.SetTrustReview(ctx, by.Tenant(), tenure.TrustReview{At: tx.Now(), By: by.Label(), Read: p.Digest}); err != nil {
			return err
		}
		return tx.Append(ctx, audit.TrustReviewed(by, before, p.Digest))
	})
	if err != nil {
		return fmt.Errorf("review of the trust page: %w", err)
	}
	return nil
}

// Ask is what somebody asks for.
type Ask struct {
	Name, Email, Organisation string
	Wants                     []string // names of tenure.TrustTopics
	Message                   string
}

// AskPublic leaves a request of nobody known with a tenant that has a public page.
// Invalid: a field is none. TooMany: too many wait, or came from there.
func (t *Trust) AskPublic(ctx context.Context, tenant string, a Ask) (tenure.TrustRequest, error) {
	p, err := t.Public(ctx, tenant)
	if err != nil {
		return tenure.TrustRequest{}, err
	}
	return t.ask(tenure.Everywhere(ctx), tenure.Principal{}, p, a)
}

// Ask leaves a request of who is signed in.
func (t *Trust) Ask(ctx context.Context, by tenure.Principal, a Ask) (tenure.TrustRequest, error) {
	if err := access.Check(by, tenure.AskEvidence); err != nil {
		return tenure.TrustRequest{}, err
	}
	p, err := t.Read(ctx, by)
	if err != nil {
		return tenure.TrustRequest{}, err
	}
	return t.ask(ctx, by, p, a)
}

func (t *Trust) ask(ctx context.Context, by tenure.Principal, p Page, a Ask) (tenure.TrustRequest, error) {
	q := tenure.TrustRequest{
		Tenant: p.Tenant.ID, User: by.User(), Name: a.Name, Email: a.Email, Organisation: a.Organisation, Wants: a.Wants, Message: a.Message,
		Address: network(tenure.OriginOf(ctx).Address), State: tenure.TrustOpen,
	}
	if err := plausible(&q); err != nil {
		return q, err
	}
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		q.ID, q.At = tenure.TrustRequestID(tenure.NewID(tx.Now())), tx.Now()
		if q.User != "" {
			if err := tx.InsertTrustRequest(ctx, q); err != nil {
				return err
			}
		} else if taken, err := tx.TakeTrustRequest(ctx, q, mostWaiting, mostRecent, tx.Now().Add(-24*time.Hour)); err != nil {
			return err
		} else if !taken {
			return tooMany(p.Owner)
		}
		return tx.Append(ctx, audit.TrustRequested(by, q))
	})
	return q, err
}

// network is from where a request came, as it is counted: an address of IPv4, and of IPv6
// the network of 64 bits that one subscriber has.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

func tooMany(owner string) error {
	msg := "there are too many requests already; try again tomorrow"
	if owner != "" {
		msg += ", or write to " + owner
	}
	return &tenure.Error{Kind: tenure.TooMany, Code: "too_many_requests_for_evidence", Msg: msg, RetryAfter: time.Hour}
}

// plausible makes a request tidy. Invalid: a field of it is none.
func plausible(q *tenure.TrustRequest) error {
	for _, f := range []struct {
		name   string
		text   *string
		needed bool
	}{{"name", &q.Name, true}, {"email", &q.Email, true}, {"organisation", &q.Organisation, false}, {"message", &q.Message, false}} {
		*f.text = strings.TrimSpace(*f.text)
		if f.needed && *f.text == "" {
			return tenure.InvalidField(f.name, "%s is missing", f.name)
		}
		if err := tenure.CheckText(f.name, *f.text); err != nil {
			return err
		}
		if f.name != "message" && (len(*f.text) > tenure.MaxName || strings.Contains(*f.text, "\n")) {
			return tenure.InvalidField(f.name, "%s is one line of at most %d bytes", f.name, tenure.MaxName)
		}
	}
	if a, err := mail.ParseAddress(q.Email); err != nil || a.Address != q.Email {
		return tenure.InvalidField("email", "the answer goes to an e-mail address such as auditor@example.com")
	}
	var wants []string
	for _, topic := range tenure.TrustTopics() {
		if slices.Contains(q.Wants, topic.Name) {
			wants = append(wants, topic.Name)
		}
	}
	for _, name := range q.Wants {
		if !slices.Contains(wants, name) {
			return tenure.InvalidField("wants", "there is no evidence %q to ask for", tenure.Shown(name))
		}
	}
	if q.Wants = wants; len(wants) == 0 {
		return tenure.InvalidField("wants", "choose at least one kind of evidence")
	}
	return nil
}

// Requests lists who asked the asker's tenant for evidence, newest first.
func (t *Trust) Requests(ctx context.Context, by tenure.Principal, after tenure.TrustRequestID, limit int) ([]tenure.TrustRequest, error) {
	if err := access.Check(by, tenure.ListTrustAsks); err != nil {
		return nil, err
	}
	return t.DB.TrustRequests(ctx, by.Tenant(), after, limit)
}

// Request reads one request for evidence.
func (t *Trust) Request(ctx context.Context, by tenure.Principal, id tenure.TrustRequestID) (tenure.TrustRequest, error) {
	if err := access.Check(by, tenure.ListTrustAsks); err != nil {
		return tenure.TrustRequest{}, err
	}
	return t.DB.TrustRequest(ctx, by.Tenant(), id)
}

// Close notes that a request was answered, with what, or declined, and why. Invalid: that
// is not said. Conflict: somebody else closed it.
func (t *Trust) Close(ctx context.Context, by tenure.Principal, id tenure.TrustRequestID, answered bool, answer string) (tenure.TrustRequest, error) {
	if err := access.Check(by, tenure.CloseTrustAsk); err != nil {
		return tenure.TrustRequest{}, err
	}
	answer = strings.TrimSpace(answer)
	if answer == "" {
		return tenure.TrustRequest{}, tenure.InvalidField("answer", "say what was sent, or why nothing is")
	}
	if err := tenure.CheckText("answer", answer); err != nil {
		return tenure.TrustRequest{}, err
	}
	var q tenure.TrustRequest
	err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if q, err = tx.TrustRequest(ctx, by.Tenant(), id); err != nil {
			return err
		}
		q.State, q.ClosedAt, q.ClosedBy, q.Answer = tenure.TrustDeclined, tx.Now(), by.Label(), answer
		if answered {
			q.State = tenure.TrustAnswered
		}
		err = tx.CloseTrustRequest(ctx, q)
		if tenure.IsKind(err, tenure.NotFound) {
			return &tenure.Error{Kind: tenure.Conflict, Code: "request_closed", Msg: "somebody has answered or declined it already"}
		}
		if err != nil {
			return err
		}
		return tx.Append(ctx, audit.TrustClosed(by, q))
	})
	return q, err
}
