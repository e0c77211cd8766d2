package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows how far something has come: a bar on a terminal, and elsewhere a
// line every few seconds, so that a log is not filled.
type progress struct {
	out   io.Writer
	what  string
	every time.Duration
	bar   bool
	at    time.Time
}

// Pauses between two showings.
const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 5 * time.Second
)

func newProgress(out io.Writer, what string) *progress {
	p := &progress{out: out, what: what, every: lineEvery, at: time.Now()}
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.bar, p.every, p.at = true, barEvery, time.Time{}
		}
	}
	return p
}

// tell shows it, if it was not shown just before.
func (p *progress) tell(done, of int64) {
	if now := time.Now(); now.Sub(p.at) < p.every && (!p.bar || done < of) || of == 0 {
		return
	}
	p.at = time.Now()
	part := min(1, float64(done)/float64(of))
	if !p.bar {
		fmt.Fprintf(p.out, "%d of %d rows %s (%d%%)\n", done, of, p.what, int(100*part))
		return
	}
	const width = 30
	full := int(width * part)
	fmt.Fprintf(p.out, "\r[%s%s] %3d%% %s, %d rows ", strings.Repeat("=", full), strings.Repeat(" ", width-full), int(100*part), p.what, done)
}

// next begins another part.
func (p *progress) next(what string) {
	p.end()
	p.what = what
}

// end leaves the bar's line.
func (p *progress) end() {
	if p.bar && !p.at.IsZero() {
		fmt.Fprintln(p.out)
		p.at = time.Time{}
	}
}
