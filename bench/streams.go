package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	streamSettle = time.Second // at most, between the last stream's start and the window
	spareFiles   = 100         // files a gateway needs beside its streams' connections
	stampDigits  = 19          // of Unix nanoseconds, until the year 2286
)

// streamLoad is a number of open streams and what their chunks tell.
type streamLoad struct {
	stand     *stand
	request   []byte
	deadline  time.Time
	recording atomic.Bool // inside the measured window
	closing   atomic.Bool // streams that end now are not lost
	chunks    atomic.Uint64
	lost      atomic.Uint64
	running   sync.WaitGroup

	mu       sync.Mutex
	first    histogram // time to the first chunk
	delay    histogram // from the upstream's stamp to here
	wires    []*wire
	firstErr error
}

// checkFiles returns an error when a gateway could not hold n streams, each of
// which is two open connections.
func checkFiles(n int) error {
	limits, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return fmt.Errorf("bench needs Linux's /proc: %w", err)
	}
	limit := maxOpenFiles(string(limits))
	if limit > 0 && 2*n+spareFiles > limit {
		return fmt.Errorf("%d streams need %d open files in the gateway, the limit is %d: at most %d streams",
			n, 2*n+spareFiles, limit, (limit-spareFiles)/2)
	}
	return nil
}

// measureStreams opens n streams, ramp of them a second, waits until they have
// settled, and measures the window.
func measureStreams(ctx context.Context, s *stand, n, ramp int, window time.Duration) (map[string]float64, error) {
	opening := time.Duration(n) * time.Second / time.Duration(ramp)
	l := &streamLoad{
		stand:    s,
		request:  s.chatRequest(true),
		deadline: time.Now().Add(opening + streamSettle + window + 30*time.Second),
	}
	defer l.close()
	empty, err := residentBytes(s.measured.pid)
	if err != nil {
		return nil, err
	}
	if err := l.open(ctx, n, time.Second/time.Duration(ramp)); err != nil {
		return nil, err
	}
	if err := sleep(ctx, min(streamSettle, window)); err != nil {
		return nil, err
	}
	first, errFirst := takeSnapshot(s.measured.pid, l.chunks.Load)
	l.recording.Store(true)
	errSleep := sleep(ctx, window)
	l.recording.Store(false)
	last, errLast := takeSnapshot(s.measured.pid, l.chunks.Load)
	full, errRSS := residentBytes(s.measured.pid)
	if err := errors.Join(errFirst, errSleep, errLast, errRSS); err != nil {
		return nil, err
	}
	l.close()
	figures := windowFigures(first, last)
	figures[figRSS] = full / 1e6
	err = l.addDelays(figures)
	figures[figStreamKB] = (full - empty) / 1e3 / max(float64(n)-figures[figLost], 1)
	return figures, err
}

// open starts n streams, one every interval.
func (l *streamLoad) open(ctx context.Context, n int, interval time.Duration) error {
	next := time.Now()
	for range n {
		if err := sleep(ctx, time.Until(next)); err != nil {
			return err
		}
		next = next.Add(interval)
		w, err := dialWire(l.stand.addr, l.deadline)
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.wires = append(l.wires, w)
		l.mu.Unlock()
		l.running.Go(func() { l.follow(w) })
	}
	return nil
}

// close ends all streams and waits for their goroutines.
func (l *streamLoad) close() {
	l.closing.Store(true)
	l.mu.Lock()
	for _, w := range l.wires {
		w.conn.Close()
	}
	l.mu.Unlock()
	l.running.Wait()
}

// follow reads one stream; a stream that ends before it is closed here is lost.
func (l *streamLoad) follow(w *wire) {
	err := l.read(w)
	if l.closing.Load() {
		return
	}
	if err == nil {
		err = errors.New("the stream ended early")
	}
	l.lost.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.firstErr == nil {
		l.firstErr = err
	}
}

// read sends the request and reads the stream's chunks until it ends.
func (l *streamLoad) read(w *wire) error {
	sent := time.Now()
	if _, err := w.conn.Write(l.request); err != nil {
		return err
	}
	h, err := w.readHead()
	if err != nil {
		return err
	}
	if h.status != http.StatusOK {
		return fmt.Errorf("status %d", h.status)
	}
	var find stampFinder
	started := false
	return w.readBody(h, func(piece []byte) {
		for len(piece) > 0 {
			var stamp int64
			if stamp, piece = find.next(piece); stamp == 0 {
				return
			}
			l.chunk(sent, time.Now(), stamp, !started)
			started = true
		}
	})
}

// chunk counts one chunk that was stamped by the upstream and is read now.
func (l *streamLoad) chunk(sent, now time.Time, stamp int64, isFirst bool) {
	l.chunks.Add(1)
	recording := l.recording.Load()
	if !isFirst && !recording {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if isFirst {
		l.first.record(now.Sub(sent))
	}
	if recording {
		l.delay.record(time.Duration(now.UnixNano() - stamp))
	}
}

// addDelays adds times to first chunk and delays of chunks to the figures. Lost
// streams are a figure, since the bare proxy does lose some (golang/go#40747);
// more than half of them are an error.
func (l *streamLoad) addDelays(figures map[string]float64) error {
	figures[figFirst50] = micros(l.first.quantile(0.50))
	figures[figFirst99] = micros(l.first.quantile(0.99))
	figures[figP50] = micros(l.delay.quantile(0.50))
	figures[figP99] = micros(l.delay.quantile(0.99))
	lost := l.lost.Load()
	figures[figLost] = float64(lost)
	if lost*2 > uint64(len(l.wires)) {
		return fmt.Errorf("%d of %d streams lost, the first with: %w", lost, len(l.wires), l.firstErr)
	}
	return nil
}

// stampFinder finds the stamps in a stream of bytes that may be cut anywhere.
type stampFinder struct {
	inside bool // behind the mark
	digits int
	value  int64
}

// next returns the first stamp that ends in piece and what follows it, or 0.
func (f *stampFinder) next(piece []byte) (stamp int64, rest []byte) {
	for i, c := range piece {
		switch {
		case c == stampMark:
			*f = stampFinder{inside: true}
		case !f.inside:
		case c >= '0' && c <= '9' && f.digits < stampDigits:
			f.value = f.value*10 + int64(c-'0')
			f.digits++
		default:
			found := *f
			*f = stampFinder{}
			if found.digits == stampDigits {
				return found.value, piece[i+1:]
			}
		}
	}
	return 0, nil
}
