package web

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Patience is how long a client may keep a request in hand by what it does not do: a
// request that waits for its client takes room from all others.
type Patience struct {
	// Write is how long each piece of an answer has to leave, unless the route
	// streams; 0: as long as it takes. An answer that moves has no limit.
	Write time.Duration
	// Read is how long the body of a request has to come of which nobody is known to
	// have asked it; 0: as long as the server lets it.
	Read time.Duration
}

// piece is how much of an answer has the time of one piece, in bytes.
const piece = 16 << 10

var errLate = &tenure.Error{Kind: tenure.TooSlow, Code: "request_timeout", Msg: "the request body did not arrive in time"}

// pass writes in pieces, each of which has its time. Between them there is none, so
// that a handler may think.
func (w *recorder) pass(b []byte) (n int, err error) {
	if w.within == 0 {
		return w.ResponseWriter.Write(b)
	}
	defer w.deadline(time.Time{})
	for {
		part := b[n:min(len(b), n+piece)]
		w.deadline(time.Now().Add(w.within))
		k, err := w.ResponseWriter.Write(part)
		n += k
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

// last gives what the server still holds of an answer its time. The server lifts it
// before the next request on the connection.
func (w *recorder) last() {
	if w.within != 0 {
		w.deadline(time.Now().Add(w.within))
	}
}

func (w *recorder) deadline(t time.Time) {
	_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t) // a test's recorder has none
}

// lateBody is a body that has to come in time.
type lateBody struct {
	io.ReadCloser
	late bool
}

// body gives a request's body its time, or nil if there is none to come.
func (p Patience) body(w http.ResponseWriter, r *http.Request) *lateBody {
	if p.Read == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := &lateBody{ReadCloser: r.Body}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.Read)) // until the body is there: the server lifts it then
	r.Body = b
	return b
}

// Steadily gives the body of a request as much time as it takes, as long as no piece of
// it takes longer than within. done lifts that: whoever answers may think.
func Steadily(w http.ResponseWriter, r *http.Request, within time.Duration) (done func()) {
	b := &steadyBody{ReadCloser: r.Body, control: http.NewResponseController(w), within: within}
	r.Body = b
	return func() { _ = b.control.SetReadDeadline(time.Time{}) }
}

// steadyBody is a body each of whose pieces has to come in time.
type steadyBody struct {
	io.ReadCloser
	control *http.ResponseController
	within  time.Duration
}

// Read implements io.Reader.
func (b *steadyBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.within)) // a test's recorder has none
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errLate
	}
	return n, err
}

// Read implements io.Reader.
func (b *lateBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.late = b.late || errors.Is(err, os.ErrDeadlineExceeded)
	return n, err
}
