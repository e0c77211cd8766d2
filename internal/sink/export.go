package sink

import (
	"bufio"
	"context"
	"encoding/json"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
)

// ExportOCSF writes the events of all tenants that have a place, each as a line of OCSF.
// It cannot be verified: what it would take is no part of OCSF. tell is told how many of
// how many places are behind it.
func (s *Sinks) ExportOCSF(ctx context.Context, by tenure.Principal, w io.Writer, tell func(done, all int64)) (int64, error) {
	if err := access.Check(by, tenure.ExportAudit); err != nil {
		return 0, err
	}
	ctx = tenure.Everywhere(ctx)
	out := bufio.NewWriterSize(w, 1<<20)
	lines := json.NewEncoder(out)
	done := int64(0)
	for at := (position{}); ; {
		items, to, size, err := read(ctx, s.DB, "", at, page, false)
		if err != nil {
			return done, err
		}
		for _, i := range items {
			if err := lines.Encode(audit.OCSF(audit.Show(*i.placed.Event, &i.placed.Place))); err != nil {
				return done, err
			}
			done++
		}
		if at = to; at.next >= size {
			return done, out.Flush()
		}
		tell(at.next, size)
	}
}
