package dash

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A tokenForm is the form that generates a token, as it was last filled in.
type tokenForm struct {
	refused
	Name      string
	Workspace string
	Life      string // as tenure.FormatSpan writes it
	Scopes    tenure.Scopes
	Models    string // patterns with spaces or lines between
	Networks  string // likewise
}

// Narrowed tells that what is folded away has something in it, or is wrong.
func (f tokenForm) Narrowed() bool {
	return f.Models+f.Networks != "" || f.Field == "models" || f.Field == "cidrs"
}

// Elsewhere tells that what was wrong has no field of its own.
func (f tokenForm) Elsewhere() bool {
	return f.Msg != "" && !slices.Contains([]string{"name", "workspace", "scopes", "expires_in", "models", "cidrs"}, f.Field)
}

// A lifeOption is one lifetime that the form offers.
type lifeOption struct {
	Value string
	Words string
	Until string
	Now   bool // it is the one chosen
	By    bool // an exception opens it
}

// Lives are the lifetimes to choose from: the usual ones, and those that the policy
// names, up to its longest.
func (p tokensPage) Lives() []lifeOption {
	const day = 24 * time.Hour
	all := []time.Duration{7 * day, 30 * day, 90 * day, 180 * day, 365 * day, p.Offer.Usual, p.Offer.Longest}
	all = slices.DeleteFunc(all, func(l time.Duration) bool { return l > p.Offer.Longest || l <= 0 })
	slices.Sort(all)
	var out []lifeOption
	for _, l := range slices.Compact(all) {
		form := "2 Jan 2006"
		if l%day != 0 || l < 2*day {
			form = "2 Jan 2006, 15:04 UTC"
		}
		value := tenure.FormatSpan(l)
		out = append(out, lifeOption{Value: value, Words: lasting(l), Until: p.Now.UTC().Add(l).Format(form), Now: value == p.Form.Life})
	}
	for _, x := range p.Excepted {
		value := byException + string(x.ID)
		out = append(out, lifeOption{Value: value, Words: exceptedLife(x), Now: value == p.Form.Life, By: true})
	}
	return out
}

// byException is what comes before the id of the exception that a choice of lifetimes names.
const byException = "exception:"

// exceptedLife says to people how long a token lives by an exception.
func exceptedLife(x tenure.Exception) string {
	if x.Rule == tenure.RuleTokenExpires {
		return "without an end of its own, by “" + x.Title + "”, which ends on " + day(x.End())
	}
	return "by “" + x.Title + "”, on " + day(x.End())
}

// A scopeOption is one scope that the form offers.
type scopeOption struct {
	Name  string
	Opens string
	On    bool
}

// Scopes are those that the policy opens, each with what it opens.
func (p tokensPage) Scopes() []scopeOption {
	var out []scopeOption
	for _, name := range p.Offer.Open.Names() {
		one, err := tenure.ParseScopes(name)
		if err == nil {
			out = append(out, scopeOption{Name: name, Opens: opens(name), On: p.Form.Scopes.Has(one)})
		}
	}
	return out
}

// Makers are the workspaces in which one may make tokens.
func (p tokensPage) Makers() []directory.WorkspaceRole {
	return slices.DeleteFunc(slices.Clone(p.Spaces), func(s directory.WorkspaceRole) bool { return !slices.Contains(p.Offer.Minters, s.Role) })
}

// mint generates a token and shows it, this once, in the answer to the form: it
// is in no URL, so in no history and no log, and the page is not stored. To load
// the page again is to send the form again, which browsers ask about first;
// static/app.js gives it the address of the page, which shows no secret.
func (d *Dash) mint(w http.ResponseWriter, r *http.Request) error {
	if err := form(w, r); err != nil {
		return err
	}
	asked := tokenForm{
		Name: strings.TrimSpace(r.PostForm.Get("name")), Workspace: r.PostForm.Get("workspace"), Life: r.PostForm.Get("expires_in"),
		Models: strings.TrimSpace(r.PostForm.Get("models")), Networks: strings.TrimSpace(r.PostForm.Get("cidrs")),
	}
	asked.Scopes, _ = tenure.ParseScopes(strings.Join(r.PostForm["scope"], " ")) // what it shows again; Mint judges
	row, secret, err := d.mintAs(r, asked)
	wrong, refused := asRefused(err)
	if err != nil && !refused {
		return err
	}
	page, failed := d.tokensPage(r)
	if failed != nil {
		return failed
	}
	if refused {
		asked.refused = wrong
		page.Form = asked
		if failed := d.show(w, http.StatusBadRequest, "tokens", page); failed != nil {
			return failed
		}
		return err // answered; for the record
	}
	page.Title = "Token generated"
	page.Reveal = d.revealed(r, row, secret, "")
	return d.show(w, http.StatusOK, "tokens", page)
}

func (d *Dash) mintAs(r *http.Request, asked tokenForm) (tenure.Token, tenure.Secret, error) {
	spec := token.Spec{Name: asked.Name, Workspace: asked.Workspace, Scopes: r.PostForm["scope"]}
	if len(spec.Scopes) == 0 {
		return tenure.Token{}, tenure.Secret{}, tenure.InvalidField("scopes", "choose one scope at least: a token without scopes opens nothing")
	}
	if fields := strings.Fields(asked.Models); len(fields) > 0 {
		spec.Models = fields
	}
	if fields := strings.Fields(asked.Networks); len(fields) > 0 {
		spec.Networks = fields
	}
	if id, ok := strings.CutPrefix(asked.Life, byException); ok {
		spec.Exception = tenure.ExceptionID(id)
	} else if life, err := tenure.ParseLifetime(asked.Life); err == nil && life > 0 {
		spec.Life = life
	} else {
		return tenure.Token{}, tenure.Secret{}, tenure.InvalidField("expires_in", "choose one of the lifetimes offered")
	}
	return d.Tokens.Mint(r.Context(), web.Principal(r.Context()), spec)
}
