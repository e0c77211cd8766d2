package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// startWait is how long a program may take to say that it is ready, and to end
// when it is told to; on a busy machine it takes a second of it.
const startWait = 30 * time.Second

// Lines by which programs say that they are ready.
var (
	serveReady = regexp.MustCompile(`(?m)^Tenure serves on (http\S+)$`)
	demoReady  = regexp.MustCompile(`(?m)^Ctrl-C stops the demo\.$`)
)

// process is a running tenure.
type process struct {
	cmd    *exec.Cmd
	out    output // standard output
	errors output // standard error: the log
	url    string // of tenure serve
	ended  chan struct{}
	err    error // set once ended is closed
}

// start runs tenure with args in dir and waits until it has said ready. The
// first group of ready, if it has one, is the URL.
func start(dir string, env []string, ready *regexp.Regexp, args ...string) (*process, error) {
	p := &process{cmd: exec.Command("tenure", args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, env, &p.out, &p.errors
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	for deadline := time.Now().Add(startWait); ; {
		if m := ready.FindStringSubmatch(p.out.String()); m != nil {
			p.url = m[len(m)-1]
			return p, nil
		}
		select {
		case <-p.ended:
			return nil, fmt.Errorf("tenure %v ended: %w\n%s%s", args, errors.Join(errors.New("before it was ready"), p.err), p.out.String(), p.errors.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = p.kill()
			return nil, fmt.Errorf("tenure %v is not ready after %s\n%s%s", args, startWait, p.out.String(), p.errors.String())
		}
	}
}

// stop sends SIGTERM, as whoever runs it does, and demands a clean end.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-time.After(startWait):
		return errors.Join(fmt.Errorf("still running %s after SIGTERM", startWait), p.kill())
	}
}

// kill ends the program as kill -9 and the kernel do.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return nil
}

// output keeps what is written to it, for readers meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String is all that was written so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
