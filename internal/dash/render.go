package dash

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// parsePages reads the templates, all into one set: a page is a file, and what it
// shows is the text of that file. A set for each page would hold the frame and the
// parts as often as there are pages, for the garbage collector to walk.
func parsePages() (*template.Template, error) {
	words := template.FuncMap{
		"asset": assetURL, "sentence": sentence, "pair": pair, "kind": kind, "role": roleWord, "count": plural, "htmx": func() string { return htmxConfig },
		"belieftype": beliefType, "beliefstatus": beliefStatus,
	}
	return template.New("").Funcs(words).ParseFS(templateFiles, "templates/*.html")
}

// htmxConfig keeps htmx within the policy (it evaluates nothing and adds no style),
// has it show the pages of errors too, and keeps no page in the browser's storage:
// one of them may have a secret on it.
const htmxConfig = `{"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"historyCacheSize":0,` +
	`"selfRequestsOnly":true,"responseHandling":[{"code":"204","swap":false},{"code":".*","swap":true}]}`

// A frame is what surrounds every page.
type frame struct {
	Title  string
	Tenant tenure.TenantID
	// Workspace is the one that is chosen at the top, "" where there is none; it is
	// one of Spaces, which are one's own.
	Workspace     tenure.WorkspaceID
	WorkspaceName string
	Spaces        []directory.WorkspaceRole
	Here          string // the address of the page, to come back to
	Who           string // "" when nobody is signed in: then there is no navigation
	CanLeave      bool   // there is a session to sign out of
	Single        bool
	Nav           []navGroup
	Base          string // public URL
	Address       string // what a page that answers a form gives as its address, so that loading it again sends nothing
	Now           time.Time
	Alarm         *rootAlarm // nil: the root token is silent
	Listens       bool       // the page waits for the end of its session (static/app.js)
}

func (d *Dash) frame(r *http.Request, title string) frame {
	p := web.Principal(r.Context())
	f := frame{Title: title, Tenant: p.Tenant(), Single: d.Single, Base: d.Base(r), Now: d.Tokens.DB.Now()}
	if p.Valid() {
		f.Nav = d.navFor(r)
	}
	if r.Method == http.MethodPost {
		f.Address = "/login"
		for _, group := range f.Nav {
			for _, l := range group.Links {
				if l.Current != "" {
					f.Address = l.Path
				}
			}
		}
	}
	d.place(r, &f)
	switch p.Kind() {
	case tenure.BrowserSession, tenure.AssertedIdentity:
		f.Who, f.CanLeave, f.Listens = p.Label(), true, true
	case tenure.RootToken:
		f.Who = p.Label()
	case tenure.PAT, tenure.ServiceToken, tenure.ConnectorToken, tenure.Operator: // no page is theirs
	}
	if f.Who != "" && p.User() == "" {
		f.Who = "Root token"
	}
	f.Alarm = d.rootAlarm(r, f)
	return f
}

// A rootAlarm is what every page says while the root token is in use.
type rootAlarm struct {
	Count int // uses of the last 24 hours
	Last  moment
	Here  bool // this page was asked for with it
}

// rootAlarm tells those who administer, and whoever came by the root token, that
// it is in use. In single mode it is the everyday credential. What cannot be read
// just now is no reason to withhold the page.
func (d *Dash) rootAlarm(r *http.Request, f frame) *rootAlarm {
	p := web.Principal(r.Context())
	if d.Single || !p.Valid() {
		return nil
	}
	a := &rootAlarm{Here: p.IsRoot()}
	if role := p.Standing().Role; role == tenure.SuperAdmin || role == tenure.Admin {
		if uses, err := d.Tokens.RootUses(r.Context(), p); err == nil {
			a.Count, a.Last = uses.Count, f.At(uses.Last)
		}
	}
	if a.Count == 0 && !a.Here {
		return nil
	}
	return a
}

// At is an instant as the pages show it: relative, with the exact one beside it.
func (f frame) At(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.UTC()
	return moment{ISO: t.Format(time.RFC3339), Exact: t.Format("Mon, 2 Jan 2006, 15:04:05 UTC"), Words: relative(f.Now, t)}
}

// soon is how long before its end a token is marked.
const soon = 7 * 24 * time.Hour

// Soon tells that t is near.
func (f frame) Soon(t time.Time) bool { return !t.IsZero() && t.Sub(f.Now) < soon }

// part answers with one block of the pages' templates.
func (d *Dash) part(w http.ResponseWriter, block string, data any) error {
	var body bytes.Buffer
	if err := d.pages.ExecuteTemplate(&body, block, data); err != nil {
		return fmt.Errorf("part %s: %w", block, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := w.Write(body.Bytes())
	return err
}

// A screen is what the template of a page shows; each embeds the frame around it.
type screen interface{ surround() frame }

func (f frame) surround() frame { return f }

// framed is what the frame shows.
type framed struct {
	frame
	Main template.HTML
}

// show answers with a page, once the whole of it could be made.
func (d *Dash) show(w http.ResponseWriter, status int, name string, p screen) error {
	var main, body bytes.Buffer
	if err := d.pages.ExecuteTemplate(&main, name+".html", p); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	//nolint:gosec // Not escaped again: it is what the template of the page has just made.
	if err := d.pages.ExecuteTemplate(&body, "frame.html", framed{p.surround(), template.HTML(main.String())}); err != nil {
		return fmt.Errorf("frame of page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}

// refused is how a page tells a field that was wrong.
type refused struct {
	Field string
	Msg   string
}

// asRefused reads an error that belongs beside a field of a form.
func asRefused(err error) (refused, bool) {
	var e *tenure.Error
	if errors.As(err, &e) && e.Kind == tenure.Invalid && e.Field != "" {
		return refused{Field: e.Field, Msg: tenure.Redact(e.Msg)}, true
	}
	return refused{}, false
}

// sentence makes a message of a room, which begins small and has no stop, one
// for people.
func sentence(msg string) string {
	r, size := utf8.DecodeRuneInString(msg)
	if size == 0 {
		return ""
	}
	msg = string(unicode.ToUpper(r)) + msg[size:]
	if strings.HasSuffix(msg, ".") || strings.HasSuffix(msg, "!") {
		return msg
	}
	return msg + "."
}

// plural counts in words: "1 token", "3 tokens".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// Space names a workspace of one's own; another is named by its id.
func (f frame) Space(id tenure.WorkspaceID) string {
	for _, s := range f.Spaces {
		if s.ID == id {
			return s.Name
		}
	}
	return string(id)
}

// pair hands two values to a template that takes both.
func pair(a, b any) map[string]any { return map[string]any{"A": a, "B": b} }
