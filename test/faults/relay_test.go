package faults

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// relay forwards TCP connections, and can hold back what comes: the peers then hear
// nothing more and no connection is closed, as when a network is cut. What was held
// back arrives when it is mended, as TCP would send it again.
type relay struct {
	over   chan struct{} // closed at the end of the test
	ln     net.Listener
	target string
	cut    atomic.Bool
	mu     sync.Mutex
	pipes  []*pipe
}

// pipe is one forwarded connection.
type pipe struct {
	client, server net.Conn
	cut            atomic.Bool
	listens        atomic.Bool // the client has sent LISTEN
}

// newRelay listens on address and forwards to target.
func newRelay(t *testing.T, address, target string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln, target: target, over: make(chan struct{})}
	go r.accept()
	t.Cleanup(func() {
		close(r.over)
		_ = ln.Close()
		r.sever()
	})
	return r
}

func (r *relay) address() string { return r.ln.Addr().String() }

func (r *relay) accept() {
	for {
		client, err := r.ln.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout("tcp", r.target, 5*time.Second)
		if err != nil {
			_ = client.Close()
			continue
		}
		p := &pipe{client: client, server: server}
		r.mu.Lock()
		r.pipes = append(r.pipes, p)
		r.mu.Unlock()
		go r.forward(p, client, server)
		go r.forward(p, server, client)
	}
}

func (r *relay) forward(p *pipe, from, to net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if from == p.client && bytes.Contains(buf[:n], []byte("LISTEN tenure_changes")) {
			p.listens.Store(true)
		}
		for r.cut.Load() || p.cut.Load() {
			select {
			case <-r.over:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			_ = from.Close()
			_ = to.Close()
			return
		}
	}
}

// sever closes all connections.
func (r *relay) sever() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pipes {
		_ = p.client.Close()
		_ = p.server.Close()
	}
	r.pipes = nil
}

// deafen cuts the connections that listen, silently, and tells how many.
func (r *relay) deafen() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, p := range r.pipes {
		if p.listens.Load() && !p.cut.Swap(true) {
			n++
		}
	}
	return n
}
