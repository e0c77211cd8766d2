package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// typed runs a program on a terminal of its own, types the contents of a file when it is
// asked for something and nothing that is typed is shown any more, and prints what then
// stands on the terminal. The file "^C" is the key that interrupts.
func (w *world) typed(ts *testscript.TestScript, args []string) error {
	keys := "\x03"
	if args[1] != "^C" {
		keys = ts.ReadFile(args[1])
	}
	ours, its, err := terminal()
	if err != nil {
		return err
	}
	defer func() { _ = ours.Close() }()
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Dir, cmd.Env = ts.Getenv("WORK"), environment(ts)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = its, its, its
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := errors.Join(cmd.Start(), its.Close()); err != nil {
		return err
	}
	var shown output
	read := make(chan struct{})
	go func() {
		defer close(read)
		for part := make([]byte, 1024); ; {
			n, err := ours.Read(part)
			if _, _ = shown.Write(part[:n]); err != nil {
				return // EIO: the program has ended
			}
		}
	}()
	late := time.AfterFunc(startWait, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	for late := time.Now().Add(startWait); !asks(ours, shown.String()) && time.Now().Before(late); {
		time.Sleep(5 * time.Millisecond)
	}
	if _, err = ours.WriteString(keys); err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	err = cmd.Wait()
	<-read
	fmt.Fprint(ts.Stdout(), shown.String())
	if got := cmd.ProcessState.ExitCode(); strconv.Itoa(got) != args[0] {
		return fmt.Errorf("%v: exit status %d, want %s\n%s", args[2:], got, args[0], shown.String())
	}
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

// asks reports whether a program on a terminal waits for something that is not shown.
func asks(ours *os.File, shown string) bool {
	state, err := unix.IoctlGetTermios(int(ours.Fd()), unix.TCGETS)
	return err == nil && state.Lflag&unix.ECHO == 0 && bytes.HasSuffix([]byte(shown), []byte(": "))
}

// terminal makes a terminal, and gives both its ends.
func terminal() (ours, its *os.File, err error) {
	ours, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		its, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close())
	}
	return ours, its, nil
}
