package postgrestest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long a server may take to start or to stop.
const patience = time.Minute

// An Instance is one server on 127.0.0.1, with its files in a directory of its own.
// Its methods are for one goroutine at a time.
type Instance struct {
	programs programs
	cred     *syscall.Credential // whom it runs as; nil: ourselves
	dir      string
	port     int

	server  *exec.Cmd // nil while it is stopped
	gone    chan struct{}
	mourner *exec.Cmd // ends the server and its files
	leash   io.Closer // closed: the mourner begins
}

// tame is what every server has in its postgresql.conf: it is small and quick to
// write, and nothing of it outlives the tests.
var tame = []string{
	"listen_addresses = '127.0.0.1'",
	"fsync = off", "full_page_writes = off",
	"shared_buffers = 32MB", "max_connections = 200",
}

// mourn waits for the end of its standard input, which comes when the test process
// closes it or is no more, killed or not; then it ends the server that is there and
// takes its files away. A server that stands still goes on only to end.
const mourn = `cat >/dev/null
if server=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null); then
	kill -QUIT "$server" && kill -CONT "$server"
	while kill -0 "$server"; do sleep 0.05; done
fi
rm -rf "$1"`

// start makes a server and waits until it takes connections.
func start(conf ...string) (*Instance, error) {
	in, err := prepare()
	if err != nil {
		return nil, err
	}
	if err = in.initialise(conf); err == nil {
		err = in.begin()
	}
	if err != nil {
		in.end()
		return nil, err
	}
	return in, nil
}

// prepare makes the directory of a server, and who takes it away.
func prepare() (*Instance, error) {
	p, err := find()
	if err != nil {
		return nil, err
	}
	in := &Instance{programs: p}
	if in.cred, err = unprivileged(); err != nil {
		return nil, err
	}
	if in.dir, err = os.MkdirTemp("", "tenure-postgres-"); err != nil {
		return nil, err
	}
	if in.cred != nil {
		if err := os.Chown(in.dir, int(in.cred.Uid), int(in.cred.Gid)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(in.dir))
		}
	}
	in.mourner = in.command("/bin/sh", "-c", mourn, "sh", in.dir)
	if in.leash, err = in.mourner.StdinPipe(); err == nil {
		err = in.mourner.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(in.dir))
	}
	return in, nil
}

// initialise makes the files of the server. Its databases sort by the English rules
// of ICU, so that SQL which relies on the order of bytes must say so.
func (in *Instance) initialise(conf []string) error {
	out, err := in.command(in.programs.path("initdb"), "--pgdata="+in.data(), "--username=postgres", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return in.configure(slices.Concat(tame, []string{"unix_socket_directories = '" + in.dir + "'"}, conf))
}

// configure adds lines to postgresql.conf.
func (in *Instance) configure(lines []string) error {
	f, err := os.OpenFile(filepath.Join(in.data(), "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	return errors.Join(err, f.Close())
}

// begin starts the server for the first time. Its port is free when it is chosen,
// but somebody may be quicker.
func (in *Instance) begin() error {
	var err error
	for range 5 {
		if in.port, err = freePort(); err != nil {
			return err
		}
		if err = in.Start(); err == nil {
			return nil
		}
	}
	return err
}

// Port is the server's, on 127.0.0.1. It stays the same when the server is stopped
// and started.
func (in *Instance) Port() int { return in.port }

// URL is the superuser's URL of a database on the server.
func (in *Instance) URL(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.User("postgres"), Path: "/" + database,
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(in.port)), RawQuery: "sslmode=disable",
	}).String()
}

// Start starts the server, which is stopped, and waits until it takes connections.
func (in *Instance) Start() error {
	log, err := os.OpenFile(filepath.Join(in.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := in.command(in.programs.path("postgres"), "-D", in.data(), "-p", strconv.Itoa(in.port))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = cmd.Wait()
	}()
	in.server, in.gone = cmd, gone
	for end := time.Now().Add(patience); time.Now().Before(end); {
		select {
		case <-gone:
			in.server = nil
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("postgres ended at its start:\n%s", said)
		case <-time.After(10 * time.Millisecond):
		}
		// The server writes its state into the eighth line.
		state, _ := os.ReadFile(filepath.Join(in.data(), "postmaster.pid"))
		if lines := strings.Split(string(state), "\n"); len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready" {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("postgres is not ready after %v", patience), in.Stop(syscall.SIGQUIT))
}

// Stop sends the server a signal that ends it, and waits for the end: SIGINT ends
// its connections and leaves all in order, SIGQUIT ends it at once, as a crash
// would.
func (in *Instance) Stop(sig syscall.Signal) error {
	if err := in.server.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-in.gone:
		in.server = nil
		return nil
	case <-time.After(patience):
		return fmt.Errorf("postgres goes on %v after %v", patience, sig)
	}
}

// Pause lets the server and all its connections stand still: they are there and
// say nothing.
func (in *Instance) Pause() error { return in.signal(syscall.SIGSTOP) }

// Resume lets the server go on after a Pause.
func (in *Instance) Resume() error { return in.signal(syscall.SIGCONT) }

// signal reaches the server first, so that it makes no more processes, and then
// those that it has made.
func (in *Instance) signal(sig syscall.Signal) error {
	pid := in.server.Process.Pid
	if err := in.server.Process.Signal(sig); err != nil {
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	for _, field := range strings.Fields(string(children)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return err
		}
		if err := syscall.Kill(child, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// end ends the server and takes its files away.
func (in *Instance) end() {
	_ = in.leash.Close()
	_ = in.mourner.Wait()
}

func (in *Instance) data() string { return filepath.Join(in.dir, "data") }

// command is a program that runs as whom the server runs, in a session of its own:
// what a terminal interrupts is the test, which takes the server with it.
func (in *Instance) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...) //nolint:gosec // programs of PostgreSQL, and a shell with words of ours
	cmd.Dir = in.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: in.cred}
	return cmd
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
