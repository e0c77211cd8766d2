package dash

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Times of a page that listens.
const (
	// heartbeat keeps what lies between from closing the connection, and is when a
	// session is looked at that nobody uses.
	heartbeat = 20 * time.Second
	// writeTime is how long one event has to leave.
	writeTime = 10 * time.Second
)

// events tells a page when the session ends that it was asked with: server-sent
// events, of which the only one is "ended", with the reason (see static/app.js).
func (d *Dash) events(w http.ResponseWriter, r *http.Request) error {
	p := web.Principal(r.Context())
	ctx, leave, err := d.Directory.Listen(r.Context(), p)
	if err != nil {
		return err
	}
	defer leave()
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the server's own limit is for bodies
	say := func(format string, args ...any) error {
		_ = rc.SetWriteDeadline(time.Now().Add(writeTime))
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return rc.Flush()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for nginx
	w.WriteHeader(http.StatusOK)
	if say(": listening\n\n") != nil {
		return nil // the page has gone
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		gone := false
		select {
		case <-ctx.Done():
			gone = true
		case <-beat.C:
		}
		if why := d.Directory.WhyOver(context.WithoutCancel(ctx), p); why != "" {
			_ = say("event: ended\ndata: %s\n\n", why)
			return nil
		}
		if gone || say(": alive\n\n") != nil {
			return nil
		}
	}
}

// An endedPage says that a session is over, why, and what to do.
type endedPage struct {
	frame
	Why string
}

// ended is where static/app.js goes from a page whose session is over: nothing of
// that page stays in the browser.
func (d *Dash) ended(w http.ResponseWriter, r *http.Request) error {
	page := endedPage{frame: d.frame(r, "Your session has ended"), Why: r.URL.Query().Get("why")}
	switch page.Why {
	case directory.OverDeactivated, directory.OverSignedOut, directory.OverExpired:
	default:
		page.Why = directory.OverEnded
	}
	return d.show(w, http.StatusOK, "ended", page)
}
