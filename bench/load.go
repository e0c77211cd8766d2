package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Names of the figures of a cell; README.md tells what each means.
const (
	figCPU      = "cpu_us"
	figRate     = "rate"
	figP50      = "p50_us"
	figP99      = "p99_us"
	figBytes    = "alloc_bytes"
	figAllocs   = "allocs"
	figRSS      = "rss_mb"
	figBusy     = "core_busy"
	figErrors   = "errors"
	figFirst50  = "ttfb_p50_us"
	figFirst99  = "ttfb_p99_us"
	figStreamKB = "kb_a_stream"
	figLost     = "lost"
)

const (
	tickBacklog    = 4096 // arrivals that may wait for a free connection
	failuresInARow = 10   // until a connection gives up
)

// loader sends chat requests on a number of keep-alive connections.
type loader struct {
	stand     *stand
	request   []byte
	deadline  time.Time
	recording atomic.Bool // inside the measured window
	stopped   atomic.Bool
	ticks     chan time.Time // open loop: times of arrival; closed loop: nil
	workers   []*worker
	running   sync.WaitGroup
}

// worker is one connection of the load.
type worker struct {
	wire     *wire
	hist     histogram
	done     atomic.Uint64
	errors   atomic.Uint64
	firstErr error // read it after the worker has ended
}

// measureClosed measures a closed loop: each connection sends its next request
// as soon as the last one is answered.
func measureClosed(ctx context.Context, s *stand, conns int, warm, window time.Duration) (map[string]float64, error) {
	l, err := newLoader(s, conns, warm+window)
	if err != nil {
		return nil, err
	}
	l.start()
	return l.measure(ctx, warm, window)
}

// measureOpen measures an open loop: requests arrive at a steady rate, whether
// or not earlier ones are answered, and waiting for a connection counts.
func measureOpen(ctx context.Context, s *stand, conns, rate int, warm, window time.Duration) (map[string]float64, error) {
	l, err := newLoader(s, conns, warm+window)
	if err != nil {
		return nil, err
	}
	l.ticks = make(chan time.Time, tickBacklog)
	l.start()
	go l.arrive(time.Second / time.Duration(rate))
	return l.measure(ctx, warm, window)
}

// newLoader connects conns connections for a load that lasts length.
func newLoader(s *stand, conns int, length time.Duration) (*loader, error) {
	l := &loader{
		stand:    s,
		request:  s.chatRequest(false),
		deadline: time.Now().Add(length + 15*time.Second),
	}
	for range conns {
		w, err := dialWire(s.addr, l.deadline)
		if err != nil {
			l.hangUp()
			return nil, err
		}
		l.workers = append(l.workers, &worker{wire: w})
	}
	return l, nil
}

// hangUp closes all connections.
func (l *loader) hangUp() {
	for _, w := range l.workers {
		w.wire.conn.Close()
	}
}

// start lets every connection work until the loader is stopped.
func (l *loader) start() {
	for _, w := range l.workers {
		l.running.Go(func() { l.work(w) })
	}
}

// arrive makes requests arrive every interval, until the loader is stopped. A
// request's time starts when this clock strikes for it: a late clock is the
// load client's fault and shifts the arrival.
func (l *loader) arrive(interval time.Duration) {
	defer close(l.ticks)
	for next := time.Now(); !l.stopped.Load(); next = next.Add(interval) {
		time.Sleep(time.Until(next))
		select {
		case l.ticks <- time.Now():
		default: // hopelessly behind: the error shows in the rate
		}
	}
}

// next returns when the next request starts; false ends the worker.
func (l *loader) next() (time.Time, bool) {
	if l.ticks == nil {
		return time.Now(), !l.stopped.Load()
	}
	start, more := <-l.ticks
	return start, more
}

// work sends requests on one connection.
func (l *loader) work(w *worker) {
	for failures := 0; failures < failuresInARow; {
		start, more := l.next()
		if !more {
			return
		}
		h, err := w.wire.roundTrip(l.request)
		if l.recording.Load() {
			w.hist.record(time.Since(start))
		}
		w.done.Add(1)
		if err == nil && h.status != http.StatusOK {
			w.failed(fmt.Errorf("status %d", h.status))
		} else if err == nil {
			failures = 0
		}
		if err == nil && !h.close {
			continue
		}
		if err != nil {
			failures++
			w.failed(err)
		}
		w.wire.conn.Close()
		again, err := dialWire(l.stand.addr, l.deadline)
		if err != nil {
			w.failed(err)
			return
		}
		w.wire = again
	}
}

// failed counts an error and keeps the first one.
func (w *worker) failed(err error) {
	w.errors.Add(1)
	if w.firstErr == nil {
		w.firstErr = err
	}
}

// done returns the requests answered so far.
func (l *loader) done() (n uint64) {
	for _, w := range l.workers {
		n += w.done.Load()
	}
	return n
}

// snapshot is the state of the measured process at one end of the window.
type snapshot struct {
	at   time.Time
	done uint64
	cpu  time.Duration
}

// takeSnapshot reads CPU time and count together.
func takeSnapshot(pid int, done func() uint64) (snapshot, error) {
	cpu, err := cpuTime(pid)
	return snapshot{at: time.Now(), done: done(), cpu: cpu}, err
}

// measure waits for the warm-up, takes the window's figures and stops the load.
// The memory counters are read outside the CPU window, each with the count that
// belongs to it, so that reading them costs the gateway nothing that is counted.
func (l *loader) measure(ctx context.Context, warm, window time.Duration) (map[string]float64, error) {
	defer l.hangUp()
	defer l.running.Wait()
	defer l.stopped.Store(true)
	if err := sleep(ctx, warm); err != nil {
		return nil, err
	}
	before, known := l.stand.readAllocated(ctx)
	beforeDone := l.done()
	first, errFirst := takeSnapshot(l.stand.measured.pid, l.done)
	l.recording.Store(true)
	errSleep := sleep(ctx, window)
	l.recording.Store(false)
	last, errLast := takeSnapshot(l.stand.measured.pid, l.done)
	rss, errRSS := residentBytes(l.stand.measured.pid)
	if err := errors.Join(errFirst, errSleep, errLast, errRSS); err != nil {
		return nil, err
	}
	figures := windowFigures(first, last)
	figures[figRSS] = rss / 1e6
	if after, ok := l.stand.readAllocated(ctx); known && ok {
		n := float64(max(l.done()-beforeDone, 1))
		figures[figBytes] = (after.bytes - before.bytes) / n
		figures[figAllocs] = (after.objects - before.objects) / n
	}
	l.stopped.Store(true)
	l.running.Wait()
	return figures, l.addLatencies(figures)
}

// windowFigures returns what two snapshots tell: CPU time a request, requests a
// second, and how busy the gateway was, in cores.
func windowFigures(first, last snapshot) map[string]float64 {
	n := float64(max(last.done-first.done, 1))
	cpu := (last.cpu - first.cpu).Seconds()
	seconds := last.at.Sub(first.at).Seconds()
	return map[string]float64{
		figCPU:  cpu * 1e6 / n,
		figRate: float64(last.done-first.done) / seconds,
		figBusy: cpu / seconds,
	}
}

// addLatencies adds the latencies of all connections to the figures. A load in
// which one request of a thousand failed is no measurement but an error.
func (l *loader) addLatencies(figures map[string]float64) error {
	all := new(histogram)
	var failed, done uint64
	var firstErr error
	for _, w := range l.workers {
		all.merge(&w.hist)
		failed += w.errors.Load()
		done += w.done.Load()
		if firstErr == nil {
			firstErr = w.firstErr
		}
	}
	figures[figP50] = micros(all.quantile(0.50))
	figures[figP99] = micros(all.quantile(0.99))
	figures[figErrors] = float64(failed)
	if failed*1000 > done || done == 0 {
		return fmt.Errorf("%d of %d requests failed, the first with: %w", failed, done, firstErr)
	}
	return nil
}

// micros returns d in microseconds.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// sleep waits for d, or less when ctx ends, whose error it then returns.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
