package dash

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/web"
)

// System is what this process knows of itself: of the whole installation, and so for
// the default tenant alone.
type System struct {
	Version  string
	Started  time.Time
	Database Database
	Lag      time.Duration // since the database last answered
	Feed     uint64        // the generation of the change feed
	Ready    error         // nil: credentials can be verified
	Sealed   error         // why stored secrets cannot be opened; nil: they can
	Open     int           // streams
	Hits     uint64        // tokens resolved without the database
	Misses   uint64
	Waiting  int             // tokens whose last use is not written yet
	Audit    ledger.Standing // what is known of the audit log's tree
	Settings []Setting       // of the installation
}

// Database is what is known of the database.
type Database struct {
	Engine, Journal string
	Bytes           int64
	Schema          int64
}

// Setting is one setting in force: of a secret, only that it is set.
type Setting struct{ Name, Value string }

// A systemPage shows what this process knows of itself.
type systemPage struct {
	frame
	System
	NotOK string
}

func (d *Dash) system(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	p := web.Principal(r.Context())
	system, err := d.System(r.Context(), p)
	if err != nil {
		return err
	}
	page := systemPage{frame: d.frame(r, "System"), System: system}
	if system.Ready != nil {
		page.NotOK = sentence(tenure.AsError(system.Ready).Msg)
	}
	return d.show(w, http.StatusOK, "system", page)
}

// Size is the database's, for people.
func (p systemPage) Size() string {
	size, unit := float64(p.Database.Bytes), "bytes"
	for _, next := range [...]string{"KiB", "MiB", "GiB", "TiB"} {
		if size < 1024 {
			break
		}
		size, unit = size/1024, next
	}
	if unit == "bytes" {
		return fmt.Sprintf("%.0f bytes", size)
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}

// Lookups is how many tokens were looked for.
func (p systemPage) Lookups() uint64 { return p.Hits + p.Misses }

// LagText says how long ago the database answered.
func (p systemPage) LagText() string { return took(p.Lag) }

// Share is how many in a hundred tokens were resolved without the database.
func (p systemPage) Share() string {
	if p.Hits+p.Misses == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*float64(p.Hits)/float64(p.Hits+p.Misses))
}

// Systems tells of this process to whoever may read its health.
type Systems func(ctx context.Context, by tenure.Principal) (System, error)
