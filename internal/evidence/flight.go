package evidence

import (
	"context"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
)

// What an export holds (a state of the database, a connection), it holds for so long at
// the most, however slowly it is read, and so many at once do in a process.
const (
	longest = 30 * time.Minute
	atOnce  = 3
)

// largest is how much a bundle has at the most, in bytes: what is larger is another form
// of zip.
const largest = 4<<30 - 1

var (
	errLong  = &tenure.Error{Kind: tenure.TooSlow, Code: "evidence_too_slow", Msg: "the export took longer than 30 minutes, and was ended: ask for a shorter period, or read it faster"}
	errLarge = &tenure.Error{Kind: tenure.Invalid, Code: "evidence_too_large", Msg: "the bundle is larger than 4 GiB, and was ended: ask for a shorter period"}
)

// board makes an export a request in flight, which ends when whoever asks for it may do so
// no more. What it gives must be closed by leave.
func (e *Evidence) board(ctx context.Context, by tenure.Principal, unblock func()) (context.Context, func(), error) {
	ctx, cancel := context.WithTimeoutCause(ctx, longest, errLong)
	if e.Live == nil || !e.Live.Follows() { // a verb at the command line
		return ctx, cancel, nil
	}
	ctx, f, err := e.Live.Enter(ctx, by, tenure.ExportEvidence, unblock)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return ctx, func() { e.Live.Leave(f); cancel() }, nil
}

// why is what ended an export: where it was cut, that.
func why(ctx context.Context, err error) error {
	if cut := live.Cause(ctx); err != nil && cut != nil {
		return cut
	}
	return err
}

// outlet writes as long as its export is in flight.
type outlet struct {
	ctx context.Context
	w   io.Writer
	n   int64
}

// piece is how much is written at once, in bytes: nothing that is cut goes on for longer.
const piece = 16 << 10

// Write implements io.Writer.
func (o *outlet) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if o.ctx.Err() != nil {
			return n, context.Cause(o.ctx)
		}
		if o.n >= largest {
			return n, errLarge
		}
		var k int
		k, err = o.w.Write(p[n:min(len(p), n+piece)])
		n, o.n = n+k, o.n+int64(k)
		if err != nil && o.ctx.Err() != nil {
			err = context.Cause(o.ctx) // a cut frees the writer by a deadline, which is not why
		}
	}
	return n, err
}
