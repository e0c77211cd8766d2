package dash

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A choice is one entry of a select.
type choice struct {
	Value, Text string
	Chosen      bool
}

// choices marks the entry that is chosen; values and texts alternate.
func choices(chosen string, entries ...string) []choice {
	out := make([]choice, 0, len(entries)/2)
	for i := 0; i+1 < len(entries); i += 2 {
		out = append(out, choice{entries[i], entries[i+1], entries[i] == chosen})
	}
	return out
}

// looking is what a list was asked for: the address itself says it, so that it can
// be kept and sent on.
type looking struct {
	refused
	query url.Values
	path  string
}

// look reads the filters of a list from the address. What holds a token is not
// shown again, and refused.
func look(path string, query url.Values) looking {
	l := looking{query: url.Values{}, path: path}
	for name, values := range query {
		text := strings.TrimSpace(values[0])
		if tenure.HoldsToken(text) {
			l.refused = refused{Field: name, Msg: tokenInSearch}
			text = ""
		}
		if text != "" {
			l.query.Set(name, text)
		}
	}
	return l
}

// Get is the value of a filter.
func (l looking) Get(name string) string { return l.query.Get(name) }

// Filtered tells that the list is not the whole.
func (l looking) Filtered() bool {
	for name := range l.query {
		if name != "cursor" {
			return true
		}
	}
	return false
}

// First tells that this is the first page.
func (l looking) First() bool { return l.Get("cursor") == "" }

// Path is the list's own address.
func (l looking) Path() string { return l.path }

// Newest is the address of the first page, with the same filters.
func (l looking) Newest() string { return l.After("") }

// Self is the address of the page.
func (l looking) Self() string { return l.After(l.Get("cursor")) }

// After is the address of the page that begins after a cursor.
func (l looking) After(cursor string) string {
	q := url.Values{}
	for k, v := range l.query {
		q[k] = v
	}
	q.Set("cursor", cursor)
	if cursor == "" {
		q.Del("cursor")
	}
	if len(q) == 0 {
		return l.path
	}
	return l.path + "?" + q.Encode()
}

// days reads a filter that is a number of days, and gives the instant so long ago
// or, if ahead, in the future; zero when it is not set.
func (l looking) days(name string, now time.Time, ahead bool) time.Time {
	n, err := strconv.Atoi(l.Get(name))
	if err != nil || n < 1 || n > 3650 {
		return time.Time{}
	}
	if !ahead {
		n = -n
	}
	return now.AddDate(0, 0, n)
}

// day reads a filter that is a day, in UTC.
func (l *looking) day(name string) time.Time {
	text := l.Get(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		l.refused = refused{Field: name, Msg: noDay}
	}
	return at
}

// maxNames is of how many workspaces the lists know the names.
const maxNames = 1000

// spaces are the workspaces that the asker may read about, by id and in order; to
// whom may not, they have their ids.
type spaces struct {
	names map[tenure.WorkspaceID]string
	List  []string
}

// Name is how a workspace is called, or its id where that is not known.
func (s spaces) Name(id tenure.WorkspaceID) string {
	if name := s.names[id]; name != "" {
		return name
	}
	return string(id)
}

func (d *Dash) spaces(r *http.Request) (spaces, error) {
	rows, err := d.Directory.Workspaces(r.Context(), web.Principal(r.Context()), "", maxNames)
	if tenure.IsKind(err, tenure.Forbidden) {
		err = nil
	}
	s := spaces{names: make(map[tenure.WorkspaceID]string, len(rows))}
	for _, w := range rows {
		s.names[w.ID] = w.Name
		s.List = append(s.List, w.Name)
	}
	return s, err
}

// Stamp is an instant as the audit log shows it, to the millisecond.
func (f frame) Stamp(t time.Time) moment {
	m := f.At(t)
	if m.ISO != "" {
		m.ISO = t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
		layout := "2 Jan 15:04:05.000"
		if t.UTC().Year() != f.Now.UTC().Year() {
			layout = "2 Jan 2006 15:04:05"
		}
		m.Words = t.UTC().Format(layout)
	}
	return m
}
