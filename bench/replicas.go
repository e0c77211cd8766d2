package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	replicasLimit = 30 * time.Minute // of a run, for whatever hangs
	loadPeople    = 50               // who send the load beside
	loadConns     = 24               // connections on which they send it
	tooLate       = time.Second      // after which nothing may succeed
	feedWindow    = 5 * time.Second  // in which the CPU time of the feed is taken
	feedRate      = 100              // revocations a second in it
)

// replicasPlan is what `bench replicas` does, as its flags say.
type replicasPlan struct {
	tenure, database, operator string
	replicas, streams, rate    int
	times                      int
	progress                   io.Writer
}

func parseReplicas(args []string, stderr io.Writer) (*replicasPlan, error) {
	p := &replicasPlan{progress: stderr}
	flags := newFlags("replicas", stderr)
	flags.StringVar(&p.tenure, "tenure", "./bin/tenure", "the tenure program")
	flags.StringVar(&p.database, "database", os.Getenv("TENURE_DATABASE_URL"), "URL of the migrated PostgreSQL database, for the replicas")
	flags.StringVar(&p.operator, "operator", os.Getenv("TENURE_OPERATOR_URL"), "URL of the same, for psql: of somebody who owns the tables")
	flags.IntVar(&p.replicas, "replicas", 3, "how many serve; at least 3")
	flags.IntVar(&p.streams, "streams", 1000, "streams that are open meanwhile")
	flags.IntVar(&p.rate, "rate", 500, "requests a second meanwhile")
	flags.IntVar(&p.times, "times", 200, "revocations of each kind")
	short := flags.Bool("short", false, "a smoke run of seconds: 5 revocations of each kind, 50 streams, 50 requests a second")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *short {
		p.times, p.streams, p.rate = min(p.times, 5), min(p.streams, 50), min(p.rate, 50)
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case p.database == "" || p.operator == "":
		return nil, errors.New("-database and -operator are missing; scripts/with-postgres sets both")
	case p.replicas < 3 || p.times < 1 || p.streams < 0 || p.rate < 0:
		return nil, errors.New("-replicas must be at least 3, -times at least 1, -streams and -rate at least 0")
	}
	if _, err := os.Stat(p.tenure); err != nil {
		return nil, fmt.Errorf("-tenure: %w (build it first)", err)
	}
	return p, checkFiles(p.streams)
}

// commandReplicas measures how long a revocation on one replica takes to reach the
// others, and reports.
func commandReplicas(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	p, err := parseReplicas(args, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, replicasLimit)
	defer cancel()
	dir, err := os.MkdirTemp("", "tenure-bench-replicas-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c := &cluster{plan: p, dir: dir}
	defer c.stop()
	if err := c.start(ctx); err != nil {
		return err
	}
	idle, busy, err := c.feedCost(ctx)
	if err != nil {
		return err
	}
	if err := c.load(ctx); err != nil {
		return err
	}
	var rows []revocations
	for _, w := range []struct {
		name string
		act  func(context.Context, *victim) error
	}{
		{"`DELETE /api/v1/tokens/{id}`", c.byAPI},
		{"SCIM PATCH `active: false`", c.bySCIM},
		{"`UPDATE api_tokens` in psql", c.bySQL},
	} {
		row := revocations{name: w.name}
		for i := range p.times {
			if err := c.revoke(ctx, fmt.Sprintf("%d-%d@example.com", len(rows), i), w.act, &row); err != nil {
				return fmt.Errorf("%s, number %d: %w", w.name, i, err)
			}
		}
		fmt.Fprintf(p.progress, "%s: cut elsewhere p50 %v, p99 %v\n", w.name, at(row.cuts, 0.5), at(row.cuts, 0.99))
		rows = append(rows, row)
	}
	c.report(stdout, rows, idle, busy)
	return nil
}

// cluster is the replicas, what is behind them and what is asked of them.
type cluster struct {
	plan  *replicasPlan
	dir   string
	nodes []*stand
	undo  []func()
	shell *psql
	// errs counts the answers of the load that were not 200, sent all of them.
	errs, sent atomic.Int64
}

func (c *cluster) stop() {
	for _, undo := range slices.Backward(c.undo) {
		undo()
	}
}

func (c *cluster) start(ctx context.Context) error {
	up, upAddr, err := startOwn(ctx, pinning{}, sideLoad, "upstream", "-chunks", strconv.Itoa(1<<30), "-every", "250ms")
	if err != nil {
		return err
	}
	c.undo = append(c.undo, up.stop)
	for i := range c.plan.replicas {
		home := filepath.Join(c.dir, strconv.Itoa(i))
		log, err := os.Create(home + ".log")
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }() // the child writes to a handle of its own
		addr, err := freeAddress()
		if err != nil {
			return err
		}
		node, err := startChild(ctx, pinning{}, sideGateway, []string{c.plan.tenure, "serve"}, []string{
			"HOME=" + home, "TENURE_HOME=" + home, "TENURE_MODE=teams", "TENURE_LISTEN=" + addr, "TENURE_DATABASE_URL=" + c.plan.database,
			"TENURE_KEY_URL=file:" + filepath.Join(c.dir, "master.key"), "TENURE_TRUSTED_PROXIES=127.0.0.1/32", "TENURE_SCIM_TOKEN=" + scimToken,
			"TENURE_SHUTDOWN_GRACE=1s", "OPENAI_API_KEY=sk-bench", "OPENAI_BASE_URL=http://" + upAddr + "/v1",
		}, log, log)
		if err != nil {
			return err
		}
		c.undo = append(c.undo, node.stop)
		s := &stand{addr: addr, measured: node}
		if err := s.waitReady(ctx); err != nil {
			return fmt.Errorf("replica %d: %w; its log ends:\n%s", i, err, tail(log.Name(), 2000))
		}
		c.nodes = append(c.nodes, s)
	}
	if c.shell, err = startPSQL(ctx, c.plan.operator); err == nil {
		c.undo = append(c.undo, c.shell.stop)
	}
	return err
}

// victim is somebody whose access ends.
type victim struct {
	name, userID, tokenID, token string
}

// newVictim provisions somebody by SCIM and mints a token for them, on the first
// replica.
func (c *cluster) newVictim(ctx context.Context, name string) (*victim, error) {
	base := "http://" + c.nodes[0].addr
	scim := http.Header{"Authorization": {"Bearer " + scimToken}}
	status, body, err := ask(ctx, http.MethodPost, base+scimPrefix+"/Users", `{"schemas":["`+userURN+`"],"userName":"`+name+`","active":true}`, scim)
	if err != nil || status != http.StatusCreated {
		return nil, fmt.Errorf("POST /Users: status %d, %w: %.300s", status, err, body)
	}
	v := &victim{name: name}
	if v.userID, err = idOf(body); err != nil {
		return nil, err
	}
	status, body, err = ask(ctx, http.MethodPost, base+"/api/v1/tokens", `{"name":"bench"}`, http.Header{"X-User-Id": {name}})
	if err != nil || status != http.StatusCreated {
		return nil, fmt.Errorf("POST /api/v1/tokens: status %d, %w: %.300s", status, err, body)
	}
	var made struct{ ID, Token string }
	err = json.Unmarshal(body, &made)
	v.tokenID, v.token = made.ID, made.Token
	return v, err
}

func (c *cluster) byAPI(ctx context.Context, v *victim) error {
	status, body, err := ask(ctx, http.MethodDelete, "http://"+c.nodes[0].addr+"/api/v1/tokens/"+v.tokenID, "", http.Header{"X-User-Id": {v.name}})
	return must2xx(status, body, err)
}

func (c *cluster) bySCIM(ctx context.Context, v *victim) error {
	status, body, err := ask(ctx, http.MethodPatch, "http://"+c.nodes[0].addr+scimPrefix+"/Users/"+v.userID,
		scimPatch([]string{`{"op":"replace","path":"active","value":false}`}), http.Header{"Authorization": {"Bearer " + scimToken}})
	return must2xx(status, body, err)
}

func (c *cluster) bySQL(_ context.Context, v *victim) error {
	return c.shell.run(`UPDATE api_tokens SET revoked_at = now() WHERE id = '` + v.tokenID + `';`)
}

func must2xx(status int, body []byte, err error) error {
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("status %d: %.300s", status, body)
	}
	return err
}

// revocations is what was measured of one way to revoke. All times are from the
// moment at which it was asked for.
type revocations struct {
	name                 string
	answers, lasts, cuts []time.Duration
	late                 int // successes more than a second after
}

// revoke opens a stream of somebody on the second replica, asks the third again and
// again, ends their access by act, and measures until when both went on.
func (c *cluster) revoke(ctx context.Context, name string, act func(context.Context, *victim) error, r *revocations) error {
	v, err := c.newVictim(ctx, name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	flowing, cut := make(chan struct{}), make(chan time.Time, 1)
	streaming := make(chan error, 1)
	go func() {
		streaming <- c.follow(ctx, c.nodes[1], v.token, sync.OnceFunc(func() { close(flowing) }))
		cut <- time.Now()
	}()
	select {
	case <-flowing:
	case err := <-streaming:
		return fmt.Errorf("the stream did not begin: %w", err)
	}
	probing := make(chan probe, 1)
	asked := make(chan struct{})
	go func() { probing <- c.probe(ctx, c.nodes[2], v.token, sync.OnceFunc(func() { close(asked) })) }()
	<-asked
	time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond) // in no step with anybody's polls
	start := time.Now()
	if err := act(ctx, v); err != nil {
		return err
	}
	r.answers = append(r.answers, time.Since(start))
	ended := <-cut
	p := <-probing
	if p.err != nil {
		return p.err
	}
	r.cuts = append(r.cuts, ended.Sub(start))
	r.lasts = append(r.lasts, max(0, p.last.Sub(start)))
	if p.last.Sub(start) > tooLate || ended.Sub(start) > tooLate {
		r.late++
	}
	return nil
}

// follow reads a stream until it ends, however it does.
func (c *cluster) follow(ctx context.Context, s *stand, token string, first func()) error {
	w, err := dialWire(s.addr, time.Now().Add(replicasLimit))
	if err != nil {
		return err
	}
	defer w.conn.Close()
	stop := context.AfterFunc(ctx, func() { w.conn.Close() })
	defer stop()
	as := *s
	as.token = token
	if _, err := w.conn.Write(as.chatRequest(true)); err != nil {
		return err
	}
	h, err := w.readHead()
	if err != nil {
		return err
	}
	if h.status != http.StatusOK {
		return fmt.Errorf("status %d", h.status)
	}
	return w.readBody(h, func([]byte) { first() })
}

// probe is what asking again and again came to.
type probe struct {
	last time.Time // when the last request was sent that was answered with 200
	err  error
}

func (c *cluster) probe(ctx context.Context, s *stand, token string, first func()) probe {
	defer first()
	w, err := dialWire(s.addr, time.Now().Add(time.Minute))
	if err != nil {
		return probe{err: err}
	}
	defer func() { w.conn.Close() }()
	as := *s
	as.token = token
	request := as.chatRequest(false)
	var p probe
	for ctx.Err() == nil {
		sent := time.Now()
		h, err := w.roundTrip(request)
		switch {
		case err != nil: // cut in the middle of an answer: no success
			again, err := dialWire(s.addr, time.Now().Add(time.Minute))
			if err != nil {
				return probe{err: err}
			}
			w.conn.Close()
			w = again
			continue
		case h.status == http.StatusUnauthorized, h.status == http.StatusTooManyRequests: // the 429 of a credential that is bad
			return p
		case h.status != http.StatusOK:
			return probe{err: fmt.Errorf("a probe was answered with %d", h.status)}
		}
		p.last = sent
		first()
		time.Sleep(time.Millisecond)
	}
	return probe{err: ctx.Err()}
}

// feedCost takes the CPU time a second of a replica that serves nobody: with
// nothing to hear, and while feedRate tokens a second are revoked by SQL.
func (c *cluster) feedCost(ctx context.Context) (idle, busy float64, err error) {
	n := int(feedWindow.Seconds()) * feedRate
	if err := c.shell.run(fmt.Sprintf(`INSERT INTO api_tokens (id, tenant_id, workspace_id, name, kind, token_hash, token_prefix, created_at)
		SELECT 'bench-' || i, 'default', 'default', 'bench', 'pat', 'bench-' || i, 'tpat_', now() FROM generate_series(1, %d) i;`, n)); err != nil {
		return 0, 0, err
	}
	pid := c.nodes[len(c.nodes)-1].measured.pid
	window := func(work func() error) (float64, error) {
		before, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		start := time.Now()
		if err := work(); err != nil {
			return 0, err
		}
		took := time.Since(start)
		after, err := cpuTime(pid)
		return (after - before).Seconds() / took.Seconds(), err
	}
	if idle, err = window(func() error { return sleep(ctx, feedWindow) }); err != nil {
		return 0, 0, err
	}
	busy, err = window(func() error {
		tick := time.NewTicker(time.Second / feedRate)
		defer tick.Stop()
		for i := range n {
			<-tick.C
			if err := c.shell.run(fmt.Sprintf(`UPDATE api_tokens SET revoked_at = now() WHERE id = 'bench-%d';`, i+1)); err != nil {
				return err
			}
		}
		return nil
	})
	return idle, busy, err
}

// at is the value below which the part q of all lies, or the greatest for 1.
func at(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(10 * time.Microsecond)
}

func (c *cluster) report(w io.Writer, rows []revocations, idle, busy float64) {
	fmt.Fprintf(w, "%s; unpinned: %d replicas, PostgreSQL, upstream and client share all cores; %d streams open, %d requests a second (%d of %d not answered with 200)\n\n",
		machine(), c.plan.replicas, c.plan.streams, c.plan.rate, c.errs.Load(), c.sent.Load())
	fmt.Fprint(w, "Milliseconds from the moment at which a revocation is asked for, on one replica or in the database, until it is answered; until another replica's last 200; "+
		"until another replica's stream is cut.\n\n| | times | answered p50 / p99 | last 200 p50 / p99 / max | stream cut p50 / p99 / max | later than a second |\n|---|---|---|---|---|---|\n")
	ms := func(all []time.Duration, q float64) string { return fmt.Sprintf("%.1f", at(all, q).Seconds()*1e3) }
	for _, r := range rows {
		fmt.Fprintf(w, "| %s | %d | %s / %s | %s / %s / %s | %s / %s / %s | %d |\n", r.name, len(r.cuts), ms(r.answers, 0.5), ms(r.answers, 0.99),
			ms(r.lasts, 0.5), ms(r.lasts, 0.99), ms(r.lasts, 1), ms(r.cuts, 0.5), ms(r.cuts, 0.99), ms(r.cuts, 1), r.late)
	}
	fmt.Fprintf(w, "\nFollowing the feed takes a replica that serves nobody %.1f%% of a core when nothing happens, %.1f%% at %d revocations a second.\n", idle*100, busy*100, feedRate)
}
