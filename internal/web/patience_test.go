package web_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// patient serves routes with little patience.
func patient(t *testing.T, p web.Patience, routes ...web.Route) *httptest.Server {
	t.Helper()
	rt := router(newLines())
	rt.Patience = p
	for i := range routes {
		routes[i].Fail = fail
		if routes[i].Action == "" {
			routes[i].Action = tenure.Public
		}
	}
	if err := rt.Mount(routes); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(rt)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// dial opens a connection that speaks a protocol.
func dial(t *testing.T, s *httptest.Server, protocol string) net.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Who takes no answer loses it, and the room: two streams of one HTTP/2 connection give
// no window.
func TestALaneIsNotHeldByWhoDoesNotRead(t *testing.T) {
	entered := make(chan struct{}, 100)
	s := patient(t, web.Patience{Write: 500 * time.Millisecond}, web.Route{
		Pattern: "GET /metrics", Lane: &web.Lane{Name: "m", Max: 2}, Handle: func(w http.ResponseWriter, _ *http.Request) error {
			entered <- struct{}{}
			_, err := w.Write(bytes.Repeat([]byte("x"), 20_000))
			return err
		},
	})
	conn := dial(t, s, "h2")
	frame := func(kind, flags byte, stream byte, body []byte) []byte {
		return append([]byte{0, 0, byte(len(body)), kind, flags, 0, 0, 0, stream}, body...)
	}
	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = append(out, frame(4, 0, 0, []byte{0, 4, 0, 0, 0, 0})...) // no window
	out = append(out, frame(4, 1, 0, nil)...)
	block := append([]byte{0x82, 0x87, 0x01, 1, 'x', 0x04, 8}, "/metrics"...)
	for _, id := range []byte{1, 3} {
		out = append(out, frame(1, 5, id, block)...)
	}
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	<-entered
	<-entered
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		res, err := s.Client().Get(s.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("they hold the room for good: %d", res.StatusCode)
		}
	}
}

// An answer that moves is not cut, however long it takes and however long its handler
// thinks; and what was given to one request is not there for the next.
func TestAnAnswerThatMovesIsNotCut(t *testing.T) {
	const patience = 100 * time.Millisecond
	download := func(w http.ResponseWriter, _ *http.Request) error {
		for range 4 {
			time.Sleep(2 * patience)
			if _, err := w.Write(bytes.Repeat([]byte("x"), 100_000)); err != nil {
				return err
			}
		}
		return nil
	}
	short := func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, "short")
		return err
	}
	s := patient(t, web.Patience{Write: patience},
		web.Route{Pattern: "GET /download", Handle: download},
		web.Route{Pattern: "GET /short", Handle: short},
		web.Route{Pattern: "GET /stream", Handle: short, Streams: true})
	for _, http2 := range []bool{false, true} {
		client := s.Client()
		if !http2 {
			base, _ := s.Client().Transport.(*http.Transport)
			one := base.Clone()
			one.ForceAttemptHTTP2, one.TLSClientConfig.NextProtos = false, []string{"http/1.1"}
			defer one.CloseIdleConnections()
			client = &http.Client{Transport: one}
		}
		res, err := client.Get(s.URL + "/download")
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if n != 400_000 || err != nil || (res.ProtoMajor == 2) != http2 {
			t.Errorf("%s: %d bytes, %v", res.Proto, n, err)
		}
	}
	conn := dial(t, s, "http/1.1")
	in := bufio.NewReader(conn)
	for _, path := range []string{"/short", "/stream", "/short"} {
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s on the same connection: %v", path, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		time.Sleep(2 * patience)
	}
}

// A body of which nobody is known to have asked it comes soon or not at all. Who is
// known has the server's time, and so has the work on it.
func TestABodyOfNobodyKnownComesSoon(t *testing.T) {
	const patience = 200 * time.Millisecond
	read := func(w http.ResponseWriter, r *http.Request) error {
		if _, err := io.ReadAll(r.Body); err != nil {
			return &tenure.Error{Kind: tenure.Invalid, Msg: "broken"}
		}
		select {
		case <-r.Context().Done():
			t.Error("the work was ended by the body's deadline")
		case <-time.After(2 * patience):
		}
		return ok(w, r)
	}
	s := patient(t, web.Patience{Read: patience}, web.Route{Pattern: "POST /open", Handle: read}, web.Route{Pattern: "POST /closed", Handle: read, Action: tenure.MintToken})
	for _, c := range []struct {
		path   string
		parts  []string
		status int
	}{
		{"/open", []string{"abcdef"}, http.StatusOK},
		{"/open", []string{"abc", "def"}, http.StatusRequestTimeout},
		{"/closed", []string{"abc", "def"}, http.StatusOK},
	} {
		conn := dial(t, s, "http/1.1")
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 6\r\n\r\n%s", c.path, c.parts[0]); err != nil {
			t.Fatal(err)
		}
		if len(c.parts) > 1 {
			time.Sleep(3 * patience)
			_, _ = io.WriteString(conn, c.parts[1])
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.status {
			t.Errorf("%s %q: %d, want %d", c.path, c.parts, res.StatusCode, c.status)
		}
	}
}

// One network of nobody known leaves room to others, and to who shows a credential.
func TestOneNetworkLeavesRoom(t *testing.T) {
	lines := newLines()
	rt := router(lines)
	rt.Address = func(r *http.Request) string { return r.Header.Get("From") }
	entered, over := make(chan struct{}), make(chan struct{})
	hold := func(w http.ResponseWriter, r *http.Request) error {
		entered <- struct{}{}
		<-over
		return ok(w, r)
	}
	lane := &web.Lane{Name: "a", Max: 10, PerNetwork: 2}
	if err := rt.Mount([]web.Route{
		{Pattern: "GET /hold", Action: tenure.Public, Handle: hold, Fail: fail, Lane: lane},
		{Pattern: "GET /open", Action: tenure.Public, Handle: ok, Fail: fail, Lane: lane},
		{Pattern: "GET /closed", Action: tenure.ReadSelf, Handle: ok, Fail: fail, Lane: lane},
	}); err != nil {
		t.Fatal(err)
	}
	get := func(path, from string) int {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.Header.Set("From", from)
		r.Header.Set("Authorization", "Bearer x")
		rec := httptest.NewRecorder()
		rt.ServeHTTP(rec, r)
		return rec.Code
	}
	held := make(chan int, 4)
	for _, from := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8:0:1::7", "2001:db8:0:1::8"} {
		go func() { held <- get("/hold", from) }()
		<-entered
	}
	lines.take()
	for from, want := range map[string]int{"192.0.2.1": http.StatusTooManyRequests, "2001:db8:0:1:ffff::": http.StatusTooManyRequests, "192.0.2.2": http.StatusOK, "2001:db8:0:2::7": http.StatusOK} {
		if code := get("/open", from); code != want {
			t.Errorf("%s: %d, want %d", from, code, want)
		}
	}
	if log := lines.take(); strings.Count(log, `"shed":"network"`) != 2 {
		t.Errorf("the log says\n%s", log)
	}
	if code := get("/closed", "192.0.2.1"); code != http.StatusOK {
		t.Errorf("with a credential: %d", code)
	}
	close(over)
	for range 4 {
		<-held
	}
	if code := get("/open", "192.0.2.1"); code != http.StatusOK {
		t.Errorf("afterwards: %d", code)
	}
}
