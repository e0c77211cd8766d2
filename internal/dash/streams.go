package dash

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Rows of streams.
const (
	streamsShown   = 25  // on the Overview
	streamsPerPage = 100 // on their own page
)

// A streamsPart is the list of open streams, which refreshes itself.
type streamsPart struct {
	Rows   []openStream
	Total  int
	CanCut bool
	Now    time.Time
}

// An openStream is a row of it.
type openStream struct {
	tenure.Stream
	Since string // "12 s"
	ISO   string
}

// More is how many streams are not in the list.
func (p streamsPart) More() int { return p.Total - len(p.Rows) }

// A streamsPage lists the open streams alone.
type streamsPage struct {
	frame
	Live   streamsPart
	Search string
	Next   string
	Older  bool
}

func (d *Dash) streamsPart(ctx context.Context, by tenure.Principal, f directory.StreamFilter) (streamsPart, error) {
	part, _, err := d.streamsAfter(ctx, by, f)
	return part, err
}

func (d *Dash) streamsAfter(ctx context.Context, by tenure.Principal, f directory.StreamFilter) (streamsPart, string, error) {
	all, err := d.Directory.Streams(ctx, by, f)
	// Whoever would have to sign in again first is led there by the button.
	may := access.Check(by, tenure.CutStream)
	part := streamsPart{Total: all.Total, CanCut: may == nil || access.AfterSignIn(may), Now: d.Directory.Now()}
	for _, s := range all.Streams {
		part.Rows = append(part.Rows, openStream{s, short(part.Now.Sub(s.Started)), s.Started.UTC().Format(time.RFC3339)})
	}
	return part, all.Next, err
}

func (d *Dash) streams(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	q := r.URL.Query()
	page := streamsPage{frame: d.frame(r, "Open streams"), Search: q.Get("q"), Older: q.Get("cursor") != ""}
	var err error
	page.Live, page.Next, err = d.streamsAfter(r.Context(), web.Principal(r.Context()), directory.StreamFilter{Text: page.Search, After: q.Get("cursor"), Limit: streamsPerPage})
	if err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "streams", page)
}

// liveStreams answers the Overview's own asking with the list alone.
func (d *Dash) liveStreams(w http.ResponseWriter, r *http.Request) error {
	part, err := d.streamsPart(r.Context(), web.Principal(r.Context()), directory.StreamFilter{Limit: streamsShown})
	if err != nil {
		return err
	}
	return d.part(w, "live", part)
}

// failQuietly answers what a page asks by itself: what is there stays, and whoever
// may not ask any more sees the whole page anew, which says so.
func (d *Dash) failQuietly(w http.ResponseWriter, r *http.Request, err error) {
	d.secure(w, r)
	if kind := tenure.AsError(err).Kind; kind == tenure.Unauthenticated || kind == tenure.Forbidden {
		if r.Header.Get("HX-Request") == "" {
			d.Fail(w, r, err)
			return
		}
		w.Header().Set("HX-Refresh", "true")
	}
	w.WriteHeader(http.StatusNoContent)
}

func (d *Dash) askCut(w http.ResponseWriter, r *http.Request) error {
	s, err := d.Directory.Stream(r.Context(), web.Principal(r.Context()), r.PathValue("id"))
	if err != nil {
		return err
	}
	page := confirmPage{
		frame: d.frame(r, "Cut a stream"), Heading: fmt.Sprintf("Cut the stream of %s?", s.Who), Button: "Cut",
		Action: "/admin/streams/" + s.ID + "/cut", Back: "/admin",
	}
	page.Facts = []fact{
		{Name: "Model", Text: orDash(s.Model)},
		{Name: "Token", Text: orDash(s.TokenName)},
		{Name: "Workspace", Text: orDash(s.WorkspaceName)},
		{Name: "Running since", At: page.At(s.Started)},
		{Name: "Request", Text: s.ID, Code: true},
	}
	page.Ends = []string{
		"This one request ends at once, in the middle of its answer; its program is told that an administrator ended it.",
		"The token stays good: the same program may ask again. To end that too, revoke the token.",
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) cutStream(w http.ResponseWriter, r *http.Request) error {
	s, ended, err := d.Directory.CutStream(r.Context(), web.Principal(r.Context()), r.PathValue("id"))
	notice := fmt.Sprintf("The stream of %s is cut: %s ended in %s.", s.Who, total(ended), took(ended.Took))
	switch {
	case err != nil:
		return err
	case ended.Streams == 0:
		notice = fmt.Sprintf("The stream of %s had ended already.", s.Who)
	}
	return d.showOverview(w, r, "Stream cut", notice)
}
