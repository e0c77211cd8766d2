package postgrestest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Standby starts a server that follows this one through a port of 127.0.0.1, its own or
// that of something between the two, under a name that this one's
// synchronous_standby_names may have. It ends with the test.
func (in *Instance) Standby(t testing.TB, name string, port int, conf ...string) *Instance {
	t.Helper()
	s, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	if err := s.follow(in, name, port, conf); err != nil {
		t.Fatal(err)
	}
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	return s
}

// follow copies the files of the primary, and says whom to follow.
func (in *Instance) follow(primary *Instance, name string, port int, conf []string) error {
	out, err := in.command(in.programs.path("pg_basebackup"), "--pgdata="+in.data(), "--checkpoint=fast", "--no-sync",
		"--host=127.0.0.1", fmt.Sprint("--port=", primary.port), "--username=postgres").CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	// The last line of a name counts.
	lines := append([]string{
		"unix_socket_directories = '" + in.dir + "'", "synchronous_standby_names = ''",
		fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=postgres application_name=%s'", port, name),
	}, conf...)
	if err := in.configure(lines); err != nil {
		return err
	}
	signal := filepath.Join(in.data(), "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	if in.cred != nil {
		return os.Chown(signal, int(in.cred.Uid), int(in.cred.Gid))
	}
	return nil
}

// Promote makes a primary of a standby, and returns when it is one.
func (in *Instance) Promote() error {
	out, err := in.command(in.programs.path("pg_ctl"), "promote", "--pgdata="+in.data(), "--wait", fmt.Sprintf("--timeout=%.0f", patience.Seconds())).CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_ctl promote: %w\n%s", err, out)
	}
	return nil
}

// Program is a command of one of PostgreSQL's programs, such as pg_dump.
func (in *Instance) Program(name string, args ...string) *exec.Cmd {
	return exec.Command(in.programs.path(name), args...) //nolint:gosec // a program of PostgreSQL
}
