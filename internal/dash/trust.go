package dash

import (
	"fmt"
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/trust"
	"github.com/tenure-gateway/tenure/internal/web"
)

const (
	trustPath   = "/admin/trust"
	publicTrust = "/trust"
	insideTrust = "/settings/trust"
)

// A trustShown is what both pages show.
type trustShown struct {
	frame
	trust.Page
}

// Cadence is how often the page is reviewed.
func (s trustShown) Cadence() string { return span(s.Every) }

// A trustView is the trust page as its readers see it.
type trustView struct {
	trustShown
	Fields []field // of who asks for evidence
	Wrong  string
	Action string // where the request goes
	Asked  *tenure.TrustRequest
}

// A trustAdmin is what administrators see of it.
type trustAdmin struct {
	trustShown
	listing
	Notice string
	Rows   []tenure.TrustRequest
	May    bool   // say that it was found true
	Decide bool   // answer and decline
	Link   string // where it is read; "": nobody may
}

func (d *Dash) trustRoutes() []web.Route {
	one := trustPath + "-requests/{id}"
	return []web.Route{
		d.route("GET "+publicTrust, tenure.Public, d.trustPublic),
		d.route("POST "+publicTrust, tenure.Public, d.askPublic),
		d.route("GET "+publicTrust+"/{tenant}", tenure.Public, d.trustPublic),
		d.route("POST "+publicTrust+"/{tenant}", tenure.Public, d.askPublic),
		d.look("GET "+insideTrust, tenure.ReadTrust, d.trustInside),
		d.do("POST "+insideTrust, tenure.AskEvidence, d.askInside),
		d.look("GET "+trustPath, tenure.ListTrustAsks, d.trustAdmin),
		d.do("POST "+trustPath+"/review", tenure.ReviewTrust, d.reviewTrust),
		d.look("GET "+one+"/answer", tenure.CloseTrustAsk, d.askCloseTrust(true)),
		d.do("POST "+one+"/answer", tenure.CloseTrustAsk, d.closeTrust(true)),
		d.look("GET "+one+"/decline", tenure.CloseTrustAsk, d.askCloseTrust(false)),
		d.do("POST "+one+"/decline", tenure.CloseTrustAsk, d.closeTrust(false)),
	}
}

// trustOf is whose public page a request is about, as its address has it.
func trustOf(r *http.Request) (tenant, path string) {
	if tenant = r.PathValue("tenant"); tenant == "" {
		return string(tenure.DefaultTenant), publicTrust
	}
	return tenant, r.URL.EscapedPath()
}

// trustPublic shows the page to everybody, or leads there who has to sign in for it.
func (d *Dash) trustPublic(w http.ResponseWriter, r *http.Request) error {
	tenant, path := trustOf(r)
	p, err := d.Trust.Public(r.Context(), tenant)
	if tenure.IsKind(err, tenure.NotFound) && path == publicTrust {
		inside, failed := d.Trust.Inside(r.Context())
		if failed != nil {
			return failed
		}
		if inside {
			http.Redirect(w, r, insideTrust, http.StatusSeeOther)
			return nil
		}
	}
	if err != nil {
		return err
	}
	return d.showTrust(w, r, http.StatusOK, trustView{trustShown: trustShown{Page: p}, Action: path, Fields: askFields("", "")})
}

func (d *Dash) trustInside(w http.ResponseWriter, r *http.Request) error {
	by := web.Principal(r.Context())
	p, err := d.Trust.Read(r.Context(), by)
	if err != nil {
		return err
	}
	return d.showTrust(w, r, http.StatusOK, trustView{trustShown: trustShown{Page: p}, Action: insideTrust, Fields: askFields(by.Label(), p.Tenant.Name)})
}

func (d *Dash) showTrust(w http.ResponseWriter, r *http.Request, status int, v trustView) error {
	v.frame = d.frame(r, "Trust")
	v.Address = v.Action
	return d.show(w, status, "trust", v)
}

// askFields are the questions to who asks for evidence. A label that is an address is
// theirs already.
func askFields(label, organisation string) []field {
	topics := field{Kind: manyField, Name: "wants", Label: "What you ask for"}
	for _, t := range tenure.TrustTopics() {
		topics.Options = append(topics.Options, option{Value: t.Name, Label: t.What})
	}
	return []field{
		topics,
		{Kind: textField, Name: "name", Label: "Your name", Most: tenure.MaxName, Needed: true},
		{Kind: textField, Name: "email", Label: "E-mail address", Value: label, Most: tenure.MaxName, Needed: true, Hint: "The answer goes there.", Example: "auditor@example.com"},
		{Kind: textField, Name: "organisation", Label: "Organisation", Value: organisation, Most: tenure.MaxName},
		{Kind: areaField, Name: "message", Label: "What for", Most: tenure.MaxText},
	}
}

// asked reads the form of who asks for evidence.
func asked(r *http.Request) trust.Ask {
	return trust.Ask{Name: sent(r, "name"), Email: sent(r, "email"), Organisation: sent(r, "organisation"), Wants: words(r, "wants"), Message: lines(r, "message")}
}

func (d *Dash) askPublic(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	tenant, path := trustOf(r)
	p, err := d.Trust.Public(r.Context(), tenant)
	if err != nil {
		return err
	}
	q, err := d.Trust.AskPublic(r.Context(), tenant, asked(r))
	return d.askedFor(w, r, trustView{trustShown: trustShown{Page: p}, Action: path, Fields: askFields("", "")}, q, err)
}

func (d *Dash) askInside(w http.ResponseWriter, r *http.Request) error {
	by := web.Principal(r.Context())
	p, err := d.Trust.Read(r.Context(), by)
	if err != nil {
		return err
	}
	q, err := d.Trust.Ask(r.Context(), by, asked(r))
	return d.askedFor(w, r, trustView{trustShown: trustShown{Page: p}, Action: insideTrust, Fields: askFields("", "")}, q, err)
}

// askedFor shows what came of a request: that it waits, or what was wrong with it.
func (d *Dash) askedFor(w http.ResponseWriter, r *http.Request, v trustView, q tenure.TrustRequest, err error) error {
	if err == nil {
		v.Asked, v.Fields = &q, nil
		return d.showTrust(w, r, http.StatusCreated, v)
	}
	p := &formPage{Fields: v.Fields}
	p.typed(r)
	if !p.blame(err) {
		return err
	}
	v.Wrong = p.Wrong
	if failed := d.showTrust(w, r, web.Status(tenure.AsError(err).Kind), v); failed != nil {
		return failed
	}
	return err // answered; for the record
}

func (d *Dash) trustAdmin(w http.ResponseWriter, r *http.Request) error {
	return d.showTrustAdmin(w, r, "")
}

func (d *Dash) showTrustAdmin(w http.ResponseWriter, r *http.Request, notice string) error {
	by := web.Principal(r.Context())
	p, err := d.Trust.Read(r.Context(), by)
	if err != nil {
		return err
	}
	page := trustAdmin{
		trustShown: trustShown{d.frame(r, "Trust page"), p}, listing: d.listing(r, trustPath), Notice: notice,
		May: mayOpen(by, tenure.ReviewTrust), Decide: mayOpen(by, tenure.CloseTrustAsk),
	}
	page.Address = trustPath
	switch {
	case p.Shown == tenure.TrustPeople:
		page.Link = insideTrust
	case p.Shown == tenure.TrustPublic && by.Tenant() == tenure.DefaultTenant:
		page.Link = publicTrust
	case p.Shown == tenure.TrustPublic:
		page.Link = publicTrust + "/" + string(by.Tenant())
	}
	rows, err := d.Trust.Requests(r.Context(), by, tenure.TrustRequestID(r.URL.Query().Get("cursor")), perPage+1)
	if err != nil {
		return err
	}
	page.Rows = cut(&page.listing, rows, func(q tenure.TrustRequest) string { return string(q.ID) })
	return d.show(w, http.StatusOK, "trustadmin", page)
}

func (d *Dash) reviewTrust(w http.ResponseWriter, r *http.Request) error {
	if err := d.Trust.Review(r.Context(), web.Principal(r.Context()), sent(r, "read")); err != nil {
		return err
	}
	return d.showTrustAdmin(w, r, "Noted: you read the page, and it is true.")
}

// closeTrustForm asks how a request is closed.
func (d *Dash) closeTrustForm(r *http.Request, answered bool) (*formPage, error) {
	q, err := d.Trust.Request(r.Context(), web.Principal(r.Context()), tenure.TrustRequestID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	verb, button, label, hint := "decline", "Decline", "Why not", "It is in the audit log. Tell them by e-mail: Tenure sends none."
	if answered {
		verb, button, label, hint = "answer", "Answer", "What you sent them", "Such as the name of a bundle of evidence, and its digest. Tenure sends no e-mail: you have."
	}
	page := &formPage{
		frame: d.frame(r, "Request for evidence"), Heading: fmt.Sprintf("%s the request of %s?", button, q.Name), Button: button,
		Action: trustPath + "-requests/" + string(q.ID) + "/" + verb, Back: trustPath, Danger: !answered,
		Facts:  askedFacts(q),
		Fields: []field{{Kind: areaField, Name: "answer", Label: label, Hint: hint, Most: tenure.MaxText, Needed: true}},
	}
	page.Address = page.Action
	page.Facts = append(page.Facts, fact{Name: "Asked", At: page.At(q.At)})
	return page, nil
}

// askedFacts are what a request says.
func askedFacts(q tenure.TrustRequest) []fact {
	out := []fact{{Name: "E-mail", Text: q.Email}}
	for _, f := range []fact{{Name: "Organisation", Text: q.Organisation}, {Name: "What for", Text: q.Message}} {
		if f.Text != "" {
			out = append(out, f)
		}
	}
	for _, t := range tenure.TrustTopics() {
		for _, name := range q.Wants {
			if name == t.Name {
				out = append(out, fact{Name: "Asks for", Text: t.What})
			}
		}
	}
	return out
}

func (d *Dash) askCloseTrust(answered bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		page, err := d.closeTrustForm(r, answered)
		if err != nil {
			return err
		}
		return d.ask(w, page)
	}
}

func (d *Dash) closeTrust(answered bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		q, err := d.Trust.Close(r.Context(), web.Principal(r.Context()), tenure.TrustRequestID(r.PathValue("id")), answered, lines(r, "answer"))
		if err != nil {
			page, failed := d.closeTrustForm(r, answered)
			if failed != nil {
				return failed
			}
			return d.askAgain(w, r, page, err)
		}
		return d.showTrustAdmin(w, r, fmt.Sprintf("The request of %s is %s.", q.Name, q.State))
	}
}
