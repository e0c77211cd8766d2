package web

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// LogWriter batches log lines: a request's line costs a copy, not a system
// call. What is written reaches the underlying writer within LogFlush, and all
// of it by Close.
type LogWriter struct {
	mu   sync.Mutex
	buf  *bufio.Writer
	line []byte // reused from request to request
	stop chan struct{}
	done chan struct{}
}

// LogFlush is how long a log line waits at the most.
const LogFlush = 100 * time.Millisecond

// NewLogWriter starts batching in front of w.
func NewLogWriter(w io.Writer) *LogWriter {
	l := &LogWriter{buf: bufio.NewWriterSize(w, 64<<10), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		tick := time.NewTicker(LogFlush)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.Flush()
			case <-l.stop:
				l.Flush()
				return
			}
		}
	}()
	return l
}

// Write implements io.Writer.
func (l *LogWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// Flush writes what is waiting.
func (l *LogWriter) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.buf.Flush()
}

// Close writes what is left.
func (l *LogWriter) Close() error {
	close(l.stop)
	<-l.done
	return nil
}
