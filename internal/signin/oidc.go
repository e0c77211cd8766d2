package signin

import (
	"crypto/cipher"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/federation"
	"github.com/tenure-gateway/tenure/internal/oidc"
	"github.com/tenure-gateway/tenure/internal/web"
)

// OIDC signs people in at an identity provider (OpenID Connect Core 1.0 §3.1), and
// out. Its fields are set before first use.
type OIDC struct {
	Connections *federation.Connections
	Signin      *Signin
	// Base is the public URL of a request, without a slash at its end.
	Base func(*http.Request) string
	// Life is how long ago a person may have shown the provider who they are.
	Life time.Duration
	// Client asks the provider of the settings, and Guarded those that are stored:
	// but for providers on this machine, where Connections.Local allows them.
	Client, Guarded *http.Client
	// Seal encrypts what a browser keeps between the start and the end of a sign-in.
	// Unavailable: the keys that it needs cannot be had.
	Seal func() (cipher.AEAD, error)
	// Fail answers a browser with a page.
	Fail func(http.ResponseWriter, *http.Request, error)

	mu        sync.Mutex
	providers map[providerKey]*oidc.Provider
}

type providerKey struct {
	id             tenure.ConnectionID
	issuer, client string
}

// Routes are the routes under /oidc/.
func (o *OIDC) Routes() []web.Route {
	return []web.Route{
		{Pattern: "GET /oidc/{connection}/start", Action: tenure.Public, Handle: o.start, Fail: o.Fail},
		{Pattern: "GET /oidc/{connection}/callback", Action: tenure.Public, Handle: o.callback, Fail: o.Fail},
		{Pattern: "POST /oidc/{connection}/backchannel", Action: tenure.Public, Handle: o.backchannel, Fail: failBackchannel},
	}
}

// provider gives the identity provider behind a connection.
func (o *OIDC) provider(r *http.Request, c tenure.OIDCConnection) (*oidc.Provider, error) {
	key := providerKey{c.ID, c.Issuer, c.ClientID}
	o.mu.Lock()
	p := o.providers[key]
	o.mu.Unlock()
	if p != nil {
		return p, nil
	}
	secret, err := o.Connections.Secret(r.Context(), c)
	if err != nil {
		return nil, err
	}
	stored, err := o.Connections.Stored(r.Context())
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if p = o.providers[key]; p == nil {
		if o.providers == nil {
			o.providers = make(map[providerKey]*oidc.Provider)
		}
		client := o.Guarded
		if c.ID == tenure.BuiltinConnection || o.Connections.Local && tenure.OnThisMachine(c.Issuer) {
			client = o.Client
		}
		p = oidc.NewProvider(c.Issuer, c.ClientID, secret, client, o.Signin.Tokens.DB.Now)
		for other := range o.providers { // with a secret that serves nothing any more
			if other.id != tenure.BuiltinConnection && !stored[other.id] {
				delete(o.providers, other)
			}
		}
		o.providers[key] = p
	}
	return p, nil
}

// Forget drops what is held of a connection that has ended.
func (o *OIDC) Forget(id tenure.ConnectionID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.providers, func(key providerKey, _ *oidc.Provider) bool { return key.id == id })
}

// Way tells by which connection whoever asks would sign in: the one that the address
// names, the one that their session came by, or that of the default tenant. others
// tells whether an e-mail address may lead to another one.
func (o *OIDC) Way(r *http.Request) (name string, others bool, err error) {
	if named := r.URL.Query().Get("connection"); named != "" && r.URL.Path == "/login" {
		c, err := o.Connections.ByName(r.Context(), named)
		if err == nil {
			return c.Name, false, nil
		}
		if !tenure.IsKind(err, tenure.NotFound) {
			return "", false, err
		}
	}
	carried, err := o.Signin.Carriers.Extract(r)
	if err == nil && carried.Cookie != "" {
		if p, err := o.Signin.Directory.ResolveSession(r.Context(), carried.Cookie, directory.Asserted{}); err == nil {
			if c, err := o.Connections.Of(r.Context(), p.Tenant(), p.Session()); err == nil {
				return c.Name, false, nil
			}
		}
	}
	return o.Connections.Main(r.Context())
}

// Own tells whether the session that a request came with was opened by a connection.
func (o *OIDC) Own(r *http.Request) bool {
	by := web.Principal(r.Context())
	if by.Session() == "" {
		return false
	}
	_, err := o.Connections.Of(r.Context(), by.Tenant(), by.Session())
	return err == nil
}

// Begin starts the sign-in of somebody with this e-mail address and gives where it
// goes on. NotFound: its domain leads nowhere.
func (o *OIDC) Begin(w http.ResponseWriter, r *http.Request, address, returnTo string) (string, error) {
	if o.Signin.Origins.Check(r) != nil { // else another site signs its visitor in as somebody else
		return "", errCrossSite
	}
	c, err := o.Connections.ByAddress(r.Context(), address)
	if err != nil {
		return "", err
	}
	return o.begin(w, r, c, attempt{ReturnTo: returnTo}, strings.TrimSpace(address))
}

// start sends a browser to the provider. One that another site sent here gets the
// sign-in page first: nobody is signed in unasked.
func (o *OIDC) start(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	c, err := o.Connections.ByName(r.Context(), r.PathValue("connection"))
	if err != nil {
		return err
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default: // another site, be it a neighbour
		go303(w, r, "/login?"+url.Values{"connection": {c.Name}}.Encode())
		return nil
	}
	next, err := o.begin(w, r, c, attempt{ReturnTo: q.Get("return_to"), Again: q.Get("reauth") == "1"}, "")
	if err == nil {
		go303(w, r, next)
	}
	return err
}

func go303(w http.ResponseWriter, r *http.Request, where string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, where, http.StatusSeeOther) //nolint:gosec // a path of ours (ownPath), or where discovery says
}

// begin binds an attempt to the browser and gives the provider's address for it.
func (o *OIDC) begin(w http.ResponseWriter, r *http.Request, c tenure.OIDCConnection, a attempt, hint string) (string, error) {
	session := o.Signin.Carriers.SessionCookie(r)
	if session == "" {
		return "", errPlainHTTP
	}
	p, err := o.provider(r, c)
	if err != nil {
		return "", err
	}
	a.fresh(c, o.Base(r)+"/oidc/"+c.Name+"/callback", o.Signin.Tokens.DB.Now())
	ask := oidc.Request{
		Redirect: a.Redirect, Scopes: c.Scopes, State: a.State, Nonce: a.Nonce, Verifier: a.Verifier, MaxAge: o.Life, Again: a.Again, Hint: hint,
	}
	if a.Again {
		ask.MaxAge = 0
	}
	policy, err := o.Signin.Tokens.DB.Policy(r.Context(), c.Tenant)
	if err != nil {
		return "", err
	}
	if policy.MFA == tenure.MFAAll || policy.MFA == tenure.MFAAdmin && a.Again { // before, it is not known who administers
		ask.ACRs = strings.Fields(policy.MFAValues)
	}
	next, err := p.AuthorizationURL(r.Context(), ask)
	if err != nil {
		return "", err
	}
	with, err := o.Seal()
	if err != nil {
		return "", err
	}
	sealed, err := a.seal(with)
	if err != nil {
		return "", err
	}
	forgetAttempts(w, r, session)
	http.SetCookie(w, cookie(attemptCookie(session, a.State), sealed, int(attemptLife.Seconds())))
	return next, nil
}

// forgetAttempts keeps what a browser sends with each request small.
func forgetAttempts(w http.ResponseWriter, r *http.Request, session string) {
	var begun []string
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, attemptsOf(session)) {
			begun = append(begun, c.Name)
		}
	}
	if len(begun) < maxAttempts {
		return
	}
	for _, name := range begun {
		http.SetCookie(w, cookie(name, "", -1))
	}
}

// callback ends a sign-in: it believes the provider's answer and opens a session.
func (o *OIDC) callback(w http.ResponseWriter, r *http.Request) error {
	if err := o.Signin.Fresh(); err != nil {
		return err
	}
	session := o.Signin.Carriers.SessionCookie(r)
	if session == "" {
		return errPlainHTTP
	}
	a, err := o.attempt(w, r, session)
	if err != nil {
		return o.refused(r, err)
	}
	c, err := o.Connections.ByName(r.Context(), a.Connection)
	if err == nil && string(c.ID) != a.ID { // another one has its name by now
		err = errNotBegun
	}
	if err != nil {
		return o.refused(r, err)
	}
	how, userName, err := o.redeem(r, c, a)
	if err != nil {
		return o.refused(r, err)
	}
	p, err := o.Signin.Directory.JoinSubject(r.Context(), c.Tenant, userName, how)
	if err != nil {
		return o.refused(r, err)
	}
	if err := o.Signin.endPresented(r); err != nil { // a sign-in never goes on in an old session
		return err
	}
	if err := o.Signin.open(w, r, p, how); err != nil {
		return o.refused(r, err)
	}
	go303(w, r, a.ReturnTo)
	return nil
}

// refused counts a sign-in that came to nothing, and slows down who has many. Whose
// account somebody was kept from is told singly, where that is known.
func (o *OIDC) refused(r *http.Request, err error) error {
	e := tenure.AsError(err)
	if e.Kind == tenure.Internal || e.Kind == tenure.Unavailable {
		return err
	}
	if !directory.ToldSingly(err) {
		o.Signin.Log.Count("oidc.refused", e.Code, o.Signin.Carriers.Address(r))
	}
	return o.slowed(r, err)
}

// slowed gives the answer to what was refused: err or, when too much was from that
// address, TooMany.
func (o *OIDC) slowed(r *http.Request, err error) error {
	wait := o.Signin.Throttle.Failed(o.Signin.Carriers.Address(r), "")
	if wait == 0 {
		return err
	}
	return &tenure.Error{
		Kind: tenure.TooMany, Code: "too_many_failures", RetryAfter: wait, Err: err,
		Msg: "too much was refused from this address; a good sign-in is always taken; wait a moment",
	}
}

// attempt gives what this browser began, if the answer is to that. It ends there,
// whatever comes of it.
func (o *OIDC) attempt(w http.ResponseWriter, r *http.Request, session string) (attempt, error) {
	state := r.URL.Query()["state"]
	if len(state) != 1 {
		return attempt{}, errNotBegun
	}
	name := attemptCookie(session, state[0])
	if name == "" {
		return attempt{}, errNotBegun
	}
	http.SetCookie(w, cookie(name, "", -1))
	found := r.CookiesNamed(name)
	if len(found) != 1 {
		return attempt{}, errNotBegun
	}
	with, err := o.Seal()
	if err != nil {
		return attempt{}, err
	}
	a, err := openAttempt(with, found[0].Value, o.Signin.Tokens.DB.Now())
	if err != nil || a.Connection != r.PathValue("connection") || state[0] != a.State {
		return attempt{}, errNotBegun
	}
	return a, nil
}

// redeem has the provider's answer checked, and gives what it says of the person.
func (o *OIDC) redeem(r *http.Request, c tenure.OIDCConnection, a attempt) (tenure.SignIn, string, error) {
	var none tenure.SignIn
	p, err := o.provider(r, c)
	if err != nil {
		return none, "", err
	}
	q := r.URL.Query()
	if err := p.CheckIssuer(r.Context(), q["iss"]); err != nil {
		return none, "", distrust(err)
	}
	if told, ok := q["error"]; ok {
		return none, "", providerSaid(told[0])
	}
	if len(q["code"]) != 1 || q.Get("code") == "" {
		return none, "", distrust(errors.New("the answer has not exactly one code"))
	}
	// Before the provider is asked: one attempt is one question.
	if err := o.Signin.Directory.Redeem(r.Context(), "sign-in\x00"+a.State, a.Ends); err != nil {
		return none, "", err
	}
	tokens, err := p.Exchange(r.Context(), q.Get("code"), a.Redirect, a.Verifier)
	if err != nil {
		return none, "", distrust(err)
	}
	verifier, err := p.Verifier(r.Context())
	if err != nil {
		return none, "", err
	}
	t, err := verifier.IDToken(r.Context(), tokens.ID, a.Nonce)
	if err == nil && t.Text(c.UserNameClaim) == "" {
		t, err = p.Complete(r.Context(), t, tokens.Access)
	}
	if err != nil {
		return none, "", distrust(err)
	}
	at, err := a.authenticated(t.AuthTime, o.Signin.Tokens.DB.Now(), o.Life)
	if err != nil {
		return none, "", err
	}
	name, err := userName(t, c.UserNameClaim, c.TrustEmail)
	if err != nil {
		return none, "", errNoName.with(err)
	}
	return tenure.SignIn{
		Via: "oidc", Connection: c.ID, Issuer: c.Issuer, Subject: t.Subject, SID: sessionName(t.SessionID),
		ACR: bounded(t.ACR), AMR: methods(t), AuthAt: at,
	}, name, nil
}

// sessionName is what is stored of a provider's name for its session, and looked for:
// the name, or where it is long its digest.
func sessionName(sid string) string {
	if len(sid) > 255 {
		return "sha256:" + tenure.DigestOf(sid).String()
	}
	return sid
}

// methods are the words of amr, with spaces between. One that has a space in it is none.
func methods(t oidc.Token) string {
	return bounded(strings.Join(slices.DeleteFunc(slices.Clone(t.AMR), func(word string) bool { return strings.ContainsFunc(word, unicode.IsSpace) }), " "))
}

// bounded keeps what is stored of a provider's words short.
func bounded(text string) string {
	if len(text) > 255 {
		return ""
	}
	return text
}
