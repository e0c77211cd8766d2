package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// load opens the streams, and sends requests at the rate, over all replicas, until
// the run ends.
func (c *cluster) load(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	c.undo = append(c.undo, func() { cancel(); wg.Wait() })
	tokens := make([]string, loadPeople)
	for i := range tokens {
		v, err := c.newVictim(ctx, fmt.Sprintf("load%d@example.com", i))
		if err != nil {
			return err
		}
		tokens[i] = v.token
	}
	var open atomic.Int64
	for i := range c.plan.streams {
		wg.Go(func() {
			_ = c.follow(ctx, c.nodes[i%len(c.nodes)], tokens[i%len(tokens)], sync.OnceFunc(func() { open.Add(1) }))
		})
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(30 * time.Second); int(open.Load()) < c.plan.streams; {
		if time.Now().After(deadline) {
			return fmt.Errorf("only %d of %d streams opened", open.Load(), c.plan.streams)
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	if c.plan.rate == 0 {
		return nil
	}
	for i := range loadConns {
		wg.Go(func() {
			c.knock(ctx, c.nodes[i%len(c.nodes)], tokens[i%len(tokens)], time.Duration(loadConns)*time.Second/time.Duration(c.plan.rate))
		})
	}
	return sleep(ctx, time.Second)
}

// knock sends one request every interval.
func (c *cluster) knock(ctx context.Context, s *stand, token string, every time.Duration) {
	as := *s
	as.token = token
	request := as.chatRequest(false)
	tick := time.NewTicker(every)
	defer tick.Stop()
	w, err := dialWire(s.addr, time.Now().Add(replicasLimit))
	if err != nil {
		c.errs.Add(1)
		return
	}
	defer w.conn.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.sent.Add(1)
		if h, err := w.roundTrip(request); err != nil || h.status != http.StatusOK {
			c.errs.Add(1)
			if err != nil {
				return
			}
		}
	}
}
