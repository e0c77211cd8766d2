package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// smallDisk is a tmpfs of so many bytes.
func smallDisk(t *testing.T, megabytes int) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tenure-disk-") // not t.TempDir: other users must get there
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0777", megabytes)); err != nil {
		t.Fatalf("this test needs root (CAP_SYS_ADMIN), to mount a small tmpfs: %v", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Who has files there is gone by now, or about to go.
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			err := syscall.Unmount(dir, 0)
			if err == nil {
				_ = os.Remove(dir)
				return
			}
			if time.Now().After(end) {
				t.Errorf("unmount %s: %v", dir, err)
				return
			}
		}
	})
	return dir
}

// fill takes all space that is left, and gives it back on demand.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for len(block) > 0 {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

func TestDiskFullSQLite(t *testing.T) {
	disk := smallDisk(t, 12)
	w := newWorld(t, "")
	home := filepath.Join(disk, "home")
	r := w.replica("TENURE_HOME=" + home)
	withoutSpace(t, w, r, disk)
	if err := r.stop(startWait); err != nil {
		t.Errorf("clean stop: %v", err)
	}
	if got := sqlite(t, filepath.Join(home, "tenure.db"), "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check: %s", got)
	}
}

func TestDiskFullPostgres(t *testing.T) {
	disk := smallDisk(t, 160)
	t.Setenv("TMPDIR", disk)
	server := postgrestest.Server(t, "min_wal_size = 32MB", "max_wal_size = 32MB")
	t.Setenv("TMPDIR", "")
	w := newWorld(t, server.Database(t))
	withoutSpace(t, w, w.replica(), disk)
}

// withoutSpace goes through a disk that is full, and is not any more.
func withoutSpace(t *testing.T, w *world, r *replica, disk string) {
	alice := w.mint(r, "alice@example.com")
	if a := chat(r, alice.secret); a.status != 200 {
		t.Fatal(a)
	}
	time.Sleep(2 * time.Second) // what is written behind is written
	s := openChat(t, r, alice.secret)
	free := fill(t, disk)
	var minted []pat
	var refusal answer
	for range 3000 { // what the files have left is used up first
		p, a := tryMint(r, "alice@example.com")
		if p.secret == "" {
			refusal = a
			break
		}
		minted = append(minted, p)
	}
	if refusal.status != 507 && refusal.status != 503 || refusal.took() > askWait/2 {
		t.Errorf("minting without space: %v after %d tokens", refusal, len(minted))
	}
	t.Logf("after %d more tokens: %v", len(minted), refusal)
	for range 5 {
		if a := chat(r, alice.secret); a.status != 200 {
			t.Errorf("who has a token without space: %v", a)
		}
		if a := ask(r.url, "GET", "/api/v1/tokens", "", "X-User-Id: alice@example.com"); a.status != 200 && a.status != 507 {
			t.Errorf("reading without space: %v", a)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !s.flows() {
		t.Error("a stream did not go on")
	}
	if a := ask(r.url, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("/healthz: %v", a)
	}
	free()
	eventually(t, 10*time.Second, "tokens are minted again", func() bool {
		p, _ := tryMint(r, "alice@example.com")
		if p.secret != "" {
			minted = append(minted, p)
		}
		return p.secret != ""
	})
	for _, p := range minted[max(0, len(minted)-50):] {
		if a := ask(r.url, "GET", "/v1/models", "", bearer(p.secret)); a.status != 200 {
			t.Errorf("a token that was answered: %v", a)
		}
	}
	began := time.Now()
	if a := revoke(r, "alice@example.com", alice); a.status != 204 && a.status != 200 {
		t.Error(a)
	}
	s.cutWithin(t, began, 0, time.Second, "access_revoked")
}

// The disk answers fsync with an error (EIO), by the hand of strace: from now on, or once
// for each thread, after which it says that all is well. What could not be made durable is
// not answered as done, also not by trying again; the process says so and ends, streams by
// an event of their own, and does not fold the log into the database file.
func TestFsyncFailsSQLite(t *testing.T) {
	for name, when := range map[string]string{"always": "", "once": ":when=1"} {
		t.Run(name, func(t *testing.T) { fsyncFails(t, when) })
	}
}

// noFsync makes each fsync of a replica fail, or those that strace's "when" chooses.
func noFsync(t *testing.T, r *replica, when string) *exec.Cmd {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("this test needs Debian's package strace (scripts/tools installs it)")
	}
	tracer := exec.Command(strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"+when, "-p", fmt.Sprint(r.cmd.Process.Pid))
	tracer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := tracer.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "strace holds the process", func() bool {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
		return !strings.Contains(string(status), "TracerPid:\t0\n")
	})
	time.Sleep(300 * time.Millisecond) // all of its threads
	return tracer
}

// A disk that fails while the server drains is told by its exit status all the same.
func TestFsyncFailsWhileDrainingSQLite(t *testing.T) {
	w := newWorld(t, "")
	home := filepath.Join(w.dir, "home")
	r := w.replica("TENURE_HOME="+home, "TENURE_SHUTDOWN_GRACE=6s")
	alice := w.mint(r, "alice@example.com")
	openChat(t, r, alice.secret)
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "it drains", func() bool { return r.log.has(`"msg":"draining"`) })
	tracer := noFsync(t, r, "") // what the stream used is written at its end
	if err := r.end(startWait); err == nil || r.status() != 5 {
		t.Errorf("it ended as if all were well: %v, exit status %d", err, r.status())
	}
	_ = tracer.Process.Signal(syscall.SIGTERM)
	_ = tracer.Wait()
	if !r.log.has(`"level":"ERROR","msg":"fsync failed"`) {
		t.Errorf("the log says nothing:\n%s", r.log.tail(2000))
	}
}

func fsyncFails(t *testing.T, when string) {
	w := newWorld(t, "")
	home := filepath.Join(w.dir, "home")
	r := w.replica("TENURE_HOME=" + home)
	alice := w.mint(r, "alice@example.com")
	s := openChat(t, r, alice.secret)
	time.Sleep(time.Second)
	tracer := noFsync(t, r, when)
	began := time.Now()
	for i := range 10 {
		a := revoke(r, "alice@example.com", alice)
		if i%2 == 0 {
			_, a = tryMint(r, "bob@example.com")
		}
		if a.status != 503 && a.status != 0 {
			t.Errorf("a write that is not durable: %v", a)
		}
	}
	if err := r.end(startWait); err == nil || r.status() != 5 {
		t.Errorf("it goes on: %v", err)
	}
	_ = tracer.Process.Signal(syscall.SIGTERM)
	_ = tracer.Wait()
	s.cutWithin(t, began, 0, 5*time.Second, "shutting_down")
	if !r.log.has(`"level":"ERROR","msg":"fsync failed"`) {
		t.Errorf("the log says nothing:\n%s", r.log.tail(2000))
	}
	if log, err := os.Stat(filepath.Join(home, "tenure.db-wal")); err != nil || log.Size() == 0 {
		t.Errorf("the log was folded into the database file: %v", err)
	}
	again := w.replica("TENURE_HOME=" + home)
	if log, err := os.Stat(filepath.Join(home, "tenure.db-wal")); err != nil || log.Size() > 64<<10 {
		t.Errorf("the log of before was built on: %v %v", log, err)
	}
	if got := sqlite(t, filepath.Join(home, "tenure.db"), "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check: %s", got)
	}
	if p := w.mint(again, "bob@example.com"); p.secret == "" {
		t.Error("nothing can be written afterwards")
	}
	if a := chat(again, alice.secret); a.status != 200 && a.status != 401 { // whether its end was kept, nobody was told
		t.Errorf("a token of before: %v", a)
	}
}
