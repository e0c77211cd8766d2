package postgrestest_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// ask runs psql, or fails the test.
func ask(t *testing.T, url, sql string) string {
	t.Helper()
	out, err := exec.Command("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, url).CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestDatabasesAreFreshAndDropped(t *testing.T) {
	var urls []string
	t.Run("two", func(t *testing.T) {
		for range 2 {
			url := postgrestest.URL(t)
			ask(t, url, `CREATE TABLE mine (n int)`)
			urls = append(urls, url)
		}
	})
	if urls[0] == urls[1] {
		t.Fatalf("the same database twice: %s", urls[0])
	}
	for _, url := range urls {
		if out, err := exec.Command("psql", "-XAtqc", "", url).CombinedOutput(); err == nil || !strings.Contains(string(out), "does not exist") {
			t.Errorf("%s after its test: %v\n%s", url, err, out)
		}
	}
}

// The databases do not sort by bytes: what forgets to ask for that is found out.
func TestDatabasesSortByLanguage(t *testing.T) {
	url := postgrestest.Server(t).Database(t)
	if got := ask(t, url, `SELECT 'a' < 'B', 'a' COLLATE "C" < 'B'`); got != "t|f" {
		t.Error(got)
	}
}

func TestServer(t *testing.T) {
	in := postgrestest.Server(t, "max_connections = 7")
	url := in.Database(t)
	if got := ask(t, url, `SHOW max_connections`); got != "7" {
		t.Errorf("max_connections is %s", got)
	}
	ask(t, url, `CREATE TABLE kept (n int)`)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := in.Stop(sig); err != nil {
			t.Fatal(err)
		}
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", in.Port())); err == nil {
			_ = c.Close()
			t.Errorf("somebody listens after %v", sig)
		}
		if err := in.Start(); err != nil {
			t.Fatal(err)
		}
		ask(t, url, `SELECT n FROM kept`)
	}
}

func TestPause(t *testing.T) {
	in := postgrestest.Server(t)
	url := in.Database(t)
	cmd := exec.Command("psql", "-XAtq", url)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	answers := make(chan string)
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			answers <- lines.Text()
		}
		close(answers)
	}()
	say := func(sql string) {
		t.Helper()
		if _, err := fmt.Fprintln(stdin, sql); err != nil {
			t.Fatal(err)
		}
	}
	say(`SELECT 1;`)
	if got := <-answers; got != "1" {
		t.Fatal(got)
	}
	if err := in.Pause(); err != nil {
		t.Fatal(err)
	}
	say(`SELECT 2;`)
	select {
	case got := <-answers:
		t.Fatalf("a server that stands still answers %q", got)
	case <-time.After(300 * time.Millisecond):
	}
	if err := in.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := <-answers; got != "2" {
		t.Fatal(got)
	}
}

// A test process that is killed, paused server or not, leaves nothing behind.
func TestKilledTestsLeaveNothing(t *testing.T) {
	const child = "TENURE_TEST_CHILD"
	if os.Getenv(child) != "" {
		in := postgrestest.Server(t)
		if err := in.Pause(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("port", in.Port())
		select {}
	}
	dir := t.TempDir()
	for p := dir; p != os.TempDir() && p != "/"; p = filepath.Dir(p) { // the server's user must get there
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), child+"=1", "TMPDIR="+dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	port := 0
	for lines := bufio.NewScanner(stdout); port == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "port %d", &port)
	}
	if port == 0 {
		t.Fatalf("no server: %v", cmd.Wait())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("left behind: %v", left)
		}
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		_ = c.Close()
		t.Error("the server is still there")
	}
}

func TestStandby(t *testing.T) {
	primary := postgrestest.Server(t)
	url := primary.Database(t)
	standby := primary.Standby(t, "second", primary.Port())
	ask(t, url, `CREATE TABLE kept (n int)`)
	there := strings.Replace(url, fmt.Sprint(":", primary.Port()), fmt.Sprint(":", standby.Port()), 1)
	for end := time.Now().Add(time.Minute); ask(t, there, `SELECT to_regclass('kept') IS NOT NULL, pg_is_in_recovery()`) != "t|t"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the standby does not follow")
		}
	}
	if err := primary.Stop(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	ask(t, there, `INSERT INTO kept VALUES (1)`)
}
