package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// socketsEach is how many sockets one person may have on a replica.
const socketsEach = 20

// socketsPlan is what `bench sockets` does, as its flags say.
type socketsPlan struct {
	tenure, database string
	sockets, pushes  int
}

// commandSockets carries out `bench sockets` and reports.
func commandSockets(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	p := &socketsPlan{}
	flags := newFlags("sockets", stderr)
	flags.StringVar(&p.tenure, "tenure", "./bin/tenure", "the tenure program")
	flags.StringVar(&p.database, "database", os.Getenv("TENURE_DATABASE_URL"), "URL of a migrated, empty PostgreSQL database; SQLite without it")
	flags.IntVar(&p.sockets, "sockets", 2000, "WebSockets of beliefs at once")
	flags.IntVar(&p.pushes, "pushes", 200, "beliefs that are recorded, each told to the 20 sockets of its person")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || p.sockets < socketsEach || p.pushes < 1 {
		return fmt.Errorf("-sockets must be at least %d, -pushes at least 1, and nothing else is taken", socketsEach)
	}
	if err := checkFiles(p.sockets); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, scimLimit)
	defer cancel()
	return p.measure(ctx, stdout)
}

func (p *socketsPlan) measure(ctx context.Context, stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "tenure-bench-sockets-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := startSCIM(ctx, p.tenure, dir, p.database)
	if err != nil {
		return err
	}
	defer s.stop()
	tokens := make([]string, p.sockets/socketsEach)
	for i := range tokens {
		if tokens[i], err = mintPAT(ctx, s.addr, fmt.Sprintf("p%d@example.com", i)); err != nil {
			return err
		}
	}
	told := make(chan time.Time, socketsEach)
	empty, err := residentBytes(s.child.pid)
	if err != nil {
		return err
	}
	started := time.Now()
	sockets := make([]*websocket.Conn, len(tokens)*socketsEach)
	for i := range sockets {
		if sockets[i], err = openSocket(ctx, s.addr, tokens[i/socketsEach]); err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
		defer func() { _ = sockets[i].CloseNow() }()
		go followSocket(ctx, sockets[i], told)
	}
	opened := time.Since(started)
	full, err := residentBytes(s.child.pid)
	if err != nil {
		return err
	}
	var push histogram
	for i := range p.pushes {
		if err := pushOne(ctx, sockets[i%len(tokens)*socketsEach], i, told, &push); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "| sockets | opened in | RSS before, after | KB a socket | push p50 | p99 | greatest |\n|---|---|---|---|---|---|---|\n")
	fmt.Fprintf(stdout, "| %d | %v | %.0f MB, %.0f MB | %.1f | %v | %v | %v |\n", len(sockets), opened.Round(time.Millisecond), empty/1e6, full/1e6, (full-empty)/1e3/float64(len(sockets)),
		push.quantile(0.5).Round(100*time.Microsecond), push.quantile(0.99).Round(100*time.Microsecond), push.quantile(1).Round(100*time.Microsecond))
	return nil
}

// mintPAT makes a token of somebody whom a proxy names.
func mintPAT(ctx context.Context, addr, who string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/api/v1/tokens", strings.NewReader(`{"name":"bench"}`))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-User-Id", who)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	var made struct{ Token string }
	err = json.NewDecoder(res.Body).Decode(&made)
	if err == nil && made.Token == "" {
		err = fmt.Errorf("no token: %s", res.Status)
	}
	return made.Token, errors.Join(err, res.Body.Close())
}

// openSocket opens a socket that watches one scope.
func openSocket(ctx context.Context, addr, token string) (*websocket.Conn, error) {
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/v1/ws/beliefs", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}}) //nolint:bodyclose // Dial closes it
	if err != nil {
		return nil, err
	}
	return c, c.Write(ctx, websocket.MessageText, []byte(`{"v":1,"type":"subscribe","id":"s","scope":"project:bench"}`))
}

// followSocket tells when a socket is told of a belief.
func followSocket(ctx context.Context, c *websocket.Conn, told chan<- time.Time) {
	for {
		_, text, err := c.Read(ctx)
		if err != nil {
			return
		}
		if strings.Contains(string(text), `"type":"belief.upserted"`) {
			told <- time.Now()
		}
	}
}

// pushOne records a belief by one socket, and takes the time until each of its person's
// sockets is told.
func pushOne(ctx context.Context, by *websocket.Conn, i int, told <-chan time.Time, push *histogram) error {
	sent := time.Now()
	text := fmt.Sprintf(`{"v":1,"type":"record","belief":{"scope":"project:bench","type":"decision","name":"n%d","content":"what was decided in the %dth place"}}`, i, i)
	if err := by.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		return err
	}
	for n := range socketsEach {
		select {
		case at := <-told:
			push.record(at.Sub(sent))
		case <-time.After(10 * time.Second):
			return fmt.Errorf("belief %d was told to %d sockets only", i, n)
		}
	}
	return nil
}
