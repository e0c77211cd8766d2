package dash

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A formPage asks for what an act needs. It is a page of its own, so that it can
// ask for a fresh sign-in before anything is typed.
type formPage struct {
	frame
	Heading string
	Lead    []string // sentences under it
	Alert   string   // what to think of before, or ""
	Facts   []fact   // what it is about
	Find    *finder  // what narrows a choice of the form, or nil
	Fields  []field
	Folded  []field // those that one seldom needs
	Fold    string  // what they are called together
	Wrong   string  // what was wrong and belongs to no field
	Action  string  // where it goes
	Button  string
	Asks    bool   // it only asks: what is chosen leads to another page, and changes nothing
	Try     string // a second button, which shows what would come of it; "": there is none
	Danger  bool   // it ends something
	Back    string // where Cancel goes
}

// A finder is a search that narrows a choice.
type finder struct {
	Label, Value, Action string
}

// A field is one question of a form.
type field struct {
	Kind    fieldKind
	Name    string // of the value, and of the error that stands beside it
	Label   string
	Value   string
	Hint    string
	Example string // shown while the field is empty
	Most    int    // bytes
	Needed  bool
	Code    bool // it is an identifier, an address or a pattern
	Unshown bool // what was typed is not shown again
	Options []option
	Wrong   string
	Part    string // a heading before it, or ""
}

// Flat tells that the options are words alone, which go side by side.
func (f field) Flat() bool {
	for _, o := range f.Options {
		if o.Hint != "" || o.Group != "" || len(o.Label) > 20 {
			return false
		}
	}
	return true
}

type fieldKind string

const (
	textField   fieldKind = "text"
	secretField fieldKind = "password" // what was typed is not shown again
	dateField   fieldKind = "date"
	areaField   fieldKind = "area"
	pickField   fieldKind = "pick"   // one of the options, in a list that opens
	oneField    fieldKind = "one"    // one of the options, all of them in sight
	manyField   fieldKind = "many"   // any number of the options
	hiddenField fieldKind = "hidden" // what the form was shown with
)

// An option is one answer to choose.
type option struct {
	Value, Label string
	Hint         string
	Group        string // a heading before it, or ""
	On           bool
}

// options are values that are their own labels.
func options(now string, values ...string) []option {
	out := make([]option, len(values))
	for i, v := range values {
		out[i] = option{Value: v, Label: v, On: v == now}
	}
	return out
}

// typed puts into the form what was sent.
func (p *formPage) typed(r *http.Request) {
	for _, fields := range [][]field{p.Fields, p.Folded} {
		for i := range fields {
			fields[i].typed(r)
		}
	}
}

func (f *field) typed(r *http.Request) {
	sent := r.PostForm[f.Name]
	if f.Kind == secretField || f.Unshown {
		return
	}
	f.Value = strings.Join(sent, " ")
	for i := range f.Options {
		o := &f.Options[i]
		o.On = false
		for _, v := range sent {
			o.On = o.On || v == o.Value
		}
	}
}

// blame puts what an act said beside the field that it speaks of, or above the
// form. It reports whether the form is to be shown again with that.
func (p *formPage) blame(err error) bool {
	e := tenure.AsError(err)
	switch {
	case access.AfterSignIn(err):
		return false
	case e.Kind != tenure.Invalid && e.Kind != tenure.Conflict && e.Kind != tenure.NotFound && e.Kind != tenure.Forbidden && e.Kind != tenure.Precondition,
		e.Kind == tenure.NotFound && e.Field == "" && e.Code == tenure.ErrNotFound.Code:
		return false
	}
	msg := tenure.Redact(e.Msg)
	for _, fields := range [][]field{p.Fields, p.Folded} {
		for i := range fields {
			if e.Field != "" && fields[i].Name == e.Field && fields[i].Kind != hiddenField {
				fields[i].Wrong = msg
				return true
			}
		}
	}
	p.Wrong = msg
	return true
}

// Open tells that the folded fields are to be in sight: something is in them.
func (p *formPage) Open() bool {
	for _, f := range p.Folded {
		if f.Wrong != "" || f.Value != "" {
			return true
		}
	}
	return false
}

// ask answers with a form.
func (d *Dash) ask(w http.ResponseWriter, p *formPage) error {
	return d.show(w, http.StatusOK, "form", p)
}

// askAgain answers with the form as it was sent and what was wrong with it, or
// gives the error back where it is nothing that the form could mend.
func (d *Dash) askAgain(w http.ResponseWriter, r *http.Request, p *formPage, err error) error {
	p.typed(r)
	if !p.blame(err) {
		return err
	}
	if failed := d.show(w, web.Status(tenure.AsError(err).Kind), "form", p); failed != nil {
		return failed
	}
	return err // answered; for the record
}

// sent is a field of the form that was sent, without spaces around it.
func sent(r *http.Request, name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }

// words are the values of a field that has several, or several in one text with
// spaces, commas or line ends between; nil when there are none.
func words(r *http.Request, name string) []string {
	var out []string
	for _, text := range r.PostForm[name] {
		out = append(out, strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == ',' || c == '\n' || c == '\r' || c == '\t' })...)
	}
	return out
}

// mayIn is mayOpen for what lies in a workspace, in which the asker has a role.
func mayIn(p tenure.Principal, a tenure.Action, within tenure.Role) bool {
	err := access.CheckIn(p, a, within)
	return err == nil || access.AfterSignIn(err)
}

// may is mayOpen for what holds in the whole tenant.
func may(p tenure.Principal, a tenure.Action) bool { return mayIn(p, a, "") }

// A listing is what every list of administration shares: its search and its pages.
type listing struct {
	Path  string
	Query string // what is searched for
	State string // the filter, or ""
	Next  string // where the next page begins, or ""
	First bool   // this is the first page
}

// List is what the templates of a search and of its pages take.
func (l listing) List() listing { return l }

// From is the address of the page of the list that begins at a cursor, or of the first.
func (l listing) From(cursor string) string {
	v := url.Values{}
	for name, value := range map[string]string{"q": l.Query, "state": l.State, "cursor": cursor} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return l.Path
	}
	return l.Path + "?" + v.Encode()
}

func (d *Dash) listing(r *http.Request, path string) listing {
	q := r.URL.Query()
	return listing{Path: path, Query: strings.TrimSpace(q.Get("q")), State: q.Get("state"), First: q.Get("cursor") == ""}
}

// cut gives at most a page of rows, of which there is one more than that where
// there are further ones.
func cut[Row any](l *listing, rows []Row, id func(Row) string) []Row {
	if len(rows) > perPage {
		rows = rows[:perPage]
		l.Next = id(rows[perPage-1])
	}
	return rows
}

// spaceName gives the name of a workspace by its id. known keeps those that a page
// has asked for already.
func (d *Dash) spaceName(r *http.Request, known map[tenure.WorkspaceID]string, id tenure.WorkspaceID) string {
	if name := known[id]; name != "" {
		return name
	}
	w, err := d.Directory.Workspace(r.Context(), web.Principal(r.Context()), string(id))
	if err != nil {
		w.Name = string(id) // deleted, or not theirs to read about
	}
	if known != nil {
		known[id] = w.Name
	}
	return w.Name
}
