package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tenure-gateway/tenure"
)

// Sizes of pooled memory.
const (
	bodySmall = 16 << 10  // up to here a body is left to the garbage collector
	bodyAhead = 256 << 10 // at most so much is made ready before anything has come
	bodyKeep  = 4 << 20   // a larger one is not kept in the pool
	copySize  = 4 << 10   // what an open stream holds to copy through
	maxError  = 64 << 10  // how much of a provider's error is passed on
)

// body is a request's body. A large one is in pooled memory, and goes back to
// the pool when the handler and every reader of the transport have let go of it,
// and not before: the transport may still send a body when the answer is already
// over. A small one is not pooled: the transport knows a bytes.Reader, and sends
// it in one write with the head, which saves more than a pool does.
type body struct {
	pool *sync.Pool
	buf  *[]byte
	own  []byte // of a small one
	refs atomic.Int32
}

func newBodies() *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, 0, 2*bodySmall); return &b }}
}

// readBody reads the whole body within the limits of size and time. Nothing is held when
// it fails.
func (g *Gateway) readBody(b *body, w http.ResponseWriter, r *http.Request) error {
	limits := g.Limits
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return &tenure.Error{
			Kind: tenure.UnsupportedMedia, Code: "unsupported_content_encoding",
			Msg: "send the request body without Content-Encoding",
		}
	}
	if r.ContentLength > limits.MaxBody {
		return tooLarge(limits.MaxBody)
	}
	src := io.Reader(r.Body)
	if r.ContentLength >= 0 && r.ContentLength <= bodySmall {
		b.own = make([]byte, 0, r.ContentLength+1)
		b.buf = &b.own
	} else {
		src = http.MaxBytesReader(w, r.Body, limits.MaxBody)
		b.pool = g.bodies
		b.buf, _ = g.bodies.Get().(*[]byte)
	}
	b.refs.Store(1)
	err := b.fill(src, int(max(r.ContentLength, 0)))
	if err == nil {
		return nil
	}
	b.release()
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		return tooLarge(limits.MaxBody)
	}
	return &tenure.Error{Kind: tenure.ClientClosed, Code: "client_closed", Msg: "the request body broke off", Err: err}
}

func tooLarge(limit int64) error {
	return &tenure.Error{
		Kind: tenure.TooLarge, Code: "request_too_large",
		Msg: "the request body is larger than " + sizeText(limit),
	}
}

func (b *body) fill(src io.Reader, expect int) error {
	buf := (*b.buf)[:0]
	// What a client only claims to send takes no memory: beyond a first part, the
	// buffer grows with what has come.
	if want := min(expect, bodyAhead) + 1; cap(buf) < want {
		buf = make([]byte, 0, want)
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
	if b.refs.Add(-1) > 0 || b.pool == nil {
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

// edits are at most two splices, in the order in which they stand in the body.
type edits [2]splice

func inOrder(a, b splice) edits {
	if b.from < a.from {
		a, b = b, a
	}
	return edits{a, b}
}

func (b *body) size(e edits) int64 {
	n := len(*b.buf)
	for i := range e {
		n += len(e[i].text) - (e[i].to - e[i].from)
	}
	return int64(n)
}

// reader gives the body once more, from its beginning.
func (b *body) reader(e edits) io.ReadCloser {
	all := *b.buf
	if b.pool != nil {
		b.refs.Add(1)
		return &bodyReader{body: b, parts: e.parts(all)}
	}
	if e[1].to > 0 {
		parts := e.parts(all)
		all = slices.Concat(parts[:]...)
	}
	return io.NopCloser(bytes.NewReader(all))
}

func (e *edits) parts(all []byte) [5][]byte {
	return [5][]byte{all[:e[0].from], e[0].text, all[e[0].to:e[1].from], e[1].text, all[e[1].to:]}
}

// bodyReader reads a body for the transport. Close may come while a Read is
// under way, from another goroutine; afterwards the memory is not touched.
type bodyReader struct {
	mu    sync.Mutex
	body  *body
	parts [5][]byte
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
