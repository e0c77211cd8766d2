package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startWait is how long a process may take to start, and to end.
const startWait = 30 * time.Second

var serves = regexp.MustCompile(`(?m)^Tenure serves on (http\S+)$`)

// replica is a running "tenure serve".
type replica struct {
	cmd   *exec.Cmd
	out   output
	log   output
	url   string
	ended chan struct{}
	err   error // set once ended is closed
}

// begin starts the program with this environment, behind the words of wrap (such as
// ip netns exec). It ends with the test.
func begin(t *testing.T, env, wrap []string, args ...string) *replica {
	t.Helper()
	argv := append(append([]string{}, wrap...), os.Getenv("TENURE_BIN"))
	argv = append(argv, args...)
	r := &replica{cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = env, &r.out, &r.log
	// The tests end with their processes, and these with them.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() {
		_ = r.signal(syscall.SIGCONT)
		r.kill()
		if t.Failed() {
			t.Logf("[log of %s]\n%s", r.url, r.log.tail(8000))
		}
	})
	return r
}

// ready waits until the replica serves.
func (r *replica) ready() error {
	for deadline := time.Now().Add(startWait); ; time.Sleep(5 * time.Millisecond) {
		if m := serves.FindStringSubmatch(r.out.String()); m != nil {
			r.url = m[1]
			return nil
		}
		select {
		case <-r.ended:
			return fmt.Errorf("tenure ended before it was ready: %w\n%s%s", r.err, r.out.String(), r.log.String())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("tenure is not ready after %v\n%s%s", startWait, r.out.String(), r.log.String())
		}
	}
}

// signal reaches the program itself: a wrapper that execs has become it.
func (r *replica) signal(sig syscall.Signal) error { return r.cmd.Process.Signal(sig) }

// kill ends the program as kill -9 does.
func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	<-r.ended
}

// stop sends SIGTERM and waits for a clean end.
func (r *replica) stop(atMost time.Duration) error {
	if err := r.signal(syscall.SIGTERM); err != nil {
		return err
	}
	return r.end(atMost)
}

// end waits for the end.
func (r *replica) end(atMost time.Duration) error {
	select {
	case <-r.ended:
		return r.err
	case <-time.After(atMost):
		return errors.New("still running")
	}
}

// runs reports whether the process is there.
func (r *replica) runs() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// status is the exit status of a process that has ended.
func (r *replica) status() int { return r.cmd.ProcessState.ExitCode() }

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

func (o *output) tail(n int) string {
	s := o.String()
	if len(s) > n {
		s = "…" + s[len(s)-n:]
	}
	return s
}

// has reports whether a text was written.
func (o *output) has(text string) bool { return strings.Contains(o.String(), text) }
