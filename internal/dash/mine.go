package dash

import (
	"net/http"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// perPage is how many rows one page lists.
const perPage = 100

// A tokensPage is Access tokens: the form, the one time that a token is shown, and
// the list of one's own.
type tokensPage struct {
	frame
	Notice string  // what has just ended, "" for nothing
	Reveal *reveal // a token that has just been generated, in place of the form
	Form   tokenForm
	Offer  token.Offer
	// Excepted are the exceptions by which a token may live longer.
	Excepted []tenure.Exception
	Notices  []tenure.Notice // to oneself, unread
	Person   bool            // who asks can have tokens
	Live     []tenure.Token
	Ended    []tenure.Token
	Next     tenure.TokenID // where the next page begins, or ""
	Older    bool           // this is not the first page
}

// A rootPage is what single mode has in place of access tokens.
type rootPage struct {
	frame
	Notices []tenure.Notice
	Root    *rootCard
	Setup   setup
}

// settings is the first page of one's own: access tokens or, in single mode, the
// root token.
func (d *Dash) settings(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	if d.Single {
		return d.root(w, r)
	}
	page, err := d.tokensPage(r)
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "tokens", page)
}

func (d *Dash) root(w http.ResponseWriter, r *http.Request) error {
	page := rootPage{frame: d.frame(r, "Root token"), Setup: d.setup(r, web.Principal(r.Context()), "troot_YOUR_ROOT_TOKEN", tenure.DataPlane)}
	notices, err := d.Notices.Mine(r.Context(), web.Principal(r.Context()), true, "", noticesHere)
	if err != nil {
		return err
	}
	page.Notices = notices.Notices
	if page.Root, err = d.rootCard(r); err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "root", page)
}

// tokensPage reads what Access tokens shows.
func (d *Dash) tokensPage(r *http.Request) (tokensPage, error) {
	ctx, by := r.Context(), web.Principal(r.Context())
	page := tokensPage{frame: d.frame(r, "Access tokens"), Person: by.User() != ""}
	notices, err := d.Notices.Mine(ctx, by, true, "", noticesHere)
	if page.Notices = notices.Notices; err != nil {
		return page, err
	}
	if page.Offer, err = d.Tokens.Offer(ctx, by); err != nil {
		return page, err
	}
	if page.Excepted, err = d.Exceptions.InForce(ctx, by, tenure.Deviation{Tenant: by.Tenant(), Workspace: page.Workspace, User: by.User()}, tenure.RuleTokenLifetime, tenure.RuleTokenExpires); err != nil {
		return page, err
	}
	page.Form = tokenForm{Workspace: string(page.Workspace), Life: tenure.FormatSpan(page.Offer.Usual), Scopes: page.Offer.Scopes}
	after := tenure.TokenID(r.URL.Query().Get("cursor"))
	if r.Method == http.MethodPost {
		after = ""
	}
	tokens, err := d.Tokens.Mine(ctx, by, after, perPage)
	if err != nil {
		return page, err
	}
	page.Next, page.Older = tokens.Next, after != ""
	for _, t := range tokens.Tokens {
		if t.Live(page.Now) {
			page.Live = append(page.Live, t)
		} else {
			page.Ended = append(page.Ended, t)
		}
	}
	return page, nil
}

// Several tells that there is more than one workspace to tell apart.
func (p tokensPage) Several() bool {
	spaces := map[tenure.WorkspaceID]bool{}
	for _, s := range p.Spaces {
		spaces[s.ID] = true
	}
	for _, t := range p.Live {
		spaces[t.Workspace] = true
	}
	return len(spaces) > 1
}

// Rotated tells that a newer secret is in use, and until when this one is good.
func (p tokensPage) Rotated(t tenure.Token) bool { return !t.RotatedAt.IsZero() }

// A reveal is the one time that a token is shown.
type reveal struct {
	Name   string // "" for the root token
	Secret tenure.Secret
	Says   string // what has become of the secret before, "" when there was none
	Setup  setup
}

// A setup is what the examples are filled in with.
type setup struct {
	Base      string // public URL
	Key       string
	OpenAI    string // a model to ask by OpenAI's routes
	Anthropic string // likewise, by Anthropic's
	Unknown   string // those of the two that stand for a model that could not be told
	None      bool   // there is no provider, and so no model
	Lacks     string // the only protocol without a provider, as people call it, or ""
	Chat      bool   // the token has the scope of OpenAI's routes
	Messages  bool   // likewise, of Anthropic's
}

// What stands in an example for a model that nobody could tell.
const (
	someOpenAI    = "YOUR_MODEL"
	someAnthropic = "YOUR_CLAUDE_MODEL"
)

// setup fills in examples for whoever holds the key: with models that they reach.
func (d *Dash) setup(r *http.Request, holder tenure.Principal, key string, scopes tenure.Scopes) setup {
	s := setup{Base: d.Base(r), Key: key, Chat: scopes.Has(tenure.ScopeChat), Messages: scopes.Has(tenure.ScopeMessages)}
	if d.Suggest != nil && holder.Valid() {
		var without []tenure.ProviderKind
		s.OpenAI, s.Anthropic, without = d.Suggest(r.Context(), holder)
		if s.None = len(without) > 1; len(without) == 1 {
			s.Lacks = map[tenure.ProviderKind]string{tenure.OpenAI: "OpenAI", tenure.Anthropic: "Anthropic"}[without[0]]
		}
	}
	var unknown []string // but for what its own sentence explains
	if s.OpenAI == "" {
		if s.OpenAI = someOpenAI; s.Lacks != "OpenAI" {
			unknown = append(unknown, someOpenAI)
		}
	}
	if s.Anthropic == "" {
		if s.Anthropic = someAnthropic; s.Lacks != "Anthropic" {
			unknown = append(unknown, someAnthropic)
		}
	}
	s.Unknown = strings.Join(unknown, " and ")
	return s
}

// revealed is a token that was generated just now.
func (d *Dash) revealed(r *http.Request, row tenure.Token, secret tenure.Secret, says string) *reveal {
	// What it reaches is asked as it will be: by the token. Where that fails the
	// examples have a placeholder; the token is shown all the same.
	holder, _ := d.Tokens.Resolve(r.Context(), secret.Reveal())
	return &reveal{Name: row.Name, Secret: secret, Says: says, Setup: d.setup(r, holder, secret.Reveal(), row.Scopes)}
}

// ends is how long something that was rotated lives on, in words.
func ends(overlap time.Duration, at moment) string {
	if overlap == 0 {
		return "The secret before has ended, with what it carried."
	}
	return "The secret before works on until " + at.Exact + "; change it where you use it until then."
}
