package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Sizes of pooled memory.
const (
	bodyStart = 4 << 10  // a new body buffer
	bodyKeep  = 1 << 20  // a larger one is not kept
	copySize  = 4 << 10  // what an open stream holds to copy through
	maxError  = 64 << 10 // how much of a provider's error is passed on
)

// body is a request's body in pooled memory. It goes back to the pool when the
// handler and every reader of the transport have let go of it, and not before:
// the transport may still send a body when the answer is already over.
type body struct {
	pool *sync.Pool
	buf  *[]byte
	refs atomic.Int32
}

func newBodies() *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, 0, bodyStart); return &b }}
}

// readBody reads the whole body within the limits of size and time.
func (g *Gateway) readBody(rc *http.ResponseController, w http.ResponseWriter, r *http.Request) (*body, error) {
	limits := g.Limits
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, &tenure.Error{
			Kind: tenure.UnsupportedMedia, Code: "unsupported_content_encoding",
			Msg: "send the request body without Content-Encoding",
		}
	}
	if r.ContentLength > limits.MaxBody {
		return nil, tooLarge(limits.MaxBody)
	}
	_ = rc.SetReadDeadline(time.Now().Add(limits.BodyTimeout))
	b := &body{pool: g.bodies}
	b.buf, _ = g.bodies.Get().(*[]byte)
	b.refs.Store(1)
	err := b.fill(http.MaxBytesReader(w, r.Body, limits.MaxBody), int(max(r.ContentLength, 0)))
	_ = rc.SetReadDeadline(time.Time{})
	if err == nil {
		return b, nil
	}
	b.release()
	var limit *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &limit):
		return nil, tooLarge(limits.MaxBody)
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, &tenure.Error{Kind: tenure.Invalid, Code: "request_timeout", Msg: "the request body did not arrive in time", Err: err}
	}
	return nil, &tenure.Error{Kind: tenure.ClientClosed, Code: "client_closed", Msg: "the request body broke off", Err: err}
}

func tooLarge(limit int64) error {
	return &tenure.Error{
		Kind: tenure.TooLarge, Code: "request_too_large",
		Msg: "the request body is larger than " + sizeText(limit),
	}
}

func (b *body) fill(src io.Reader, expect int) error {
	buf := (*b.buf)[:0]
	if cap(buf) < expect+1 {
		buf = make([]byte, 0, expect+1)
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := src.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		*b.buf = buf
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (b *body) bytes() []byte { return *b.buf }

func (b *body) release() {
	if b.refs.Add(-1) > 0 {
		return
	}
	if cap(*b.buf) <= bodyKeep {
		b.pool.Put(b.buf)
	}
	b.buf = nil
}

// splice replaces one part of the body by another text; the zero splice none.
type splice struct {
	from, to int
	text     []byte
}

func (b *body) size(s splice) int64 { return int64(len(*b.buf) - (s.to - s.from) + len(s.text)) }

// reader gives the body once more, from its beginning.
func (b *body) reader(s splice) io.ReadCloser {
	b.refs.Add(1)
	all := *b.buf
	return &bodyReader{body: b, parts: [3][]byte{all[:s.from], s.text, all[s.to:]}}
}

// bodyReader reads a body for the transport. Close may come while a Read is
// under way, from another goroutine; afterwards the memory is not touched.
type bodyReader struct {
	mu    sync.Mutex
	body  *body
	parts [3][]byte
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	n := 0
	for i := range r.parts {
		k := copy(p[n:], r.parts[i])
		r.parts[i] = r.parts[i][k:]
		n += k
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (r *bodyReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.body != nil {
		r.body.release()
		r.body = nil
	}
	return nil
}

// buffers are what streams are copied through: small, because ten thousand
// streams hold one each.
type buffers struct{ pool sync.Pool }

func newBuffers() *buffers {
	return &buffers{pool: sync.Pool{New: func() any { return new([copySize]byte) }}}
}

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	a, _ := b.pool.Get().(*[copySize]byte)
	return a[:]
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(s []byte) { b.pool.Put((*[copySize]byte)(s)) }
