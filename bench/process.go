package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A tick of /proc/PID/stat is 10 ms on every Linux that Go runs on (USER_HZ).
const procTick = 10 * time.Millisecond

// pinning says which core each side runs on; without cores, nothing is pinned.
type pinning struct {
	gateway, load int    // core numbers
	on            bool   // false: unpinned
	why           string // why not, when unpinned
}

// findPinning chooses two of the cores that this process may use: the first for
// upstream and load, the second for the gateway.
func findPinning() pinning {
	if _, err := exec.LookPath("taskset"); err != nil {
		return pinning{why: "taskset (util-linux) is not installed"}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return pinning{why: err.Error()}
	}
	list, _ := procField(string(status), "Cpus_allowed_list")
	cores := parseCores(list)
	if len(cores) < 2 {
		return pinning{why: "only one core is available"}
	}
	return pinning{load: cores[0], gateway: cores[1], on: true}
}

// pinSelf moves this process, with all its threads, to the load side's core.
func (p pinning) pinSelf(ctx context.Context) error {
	if !p.on {
		return nil
	}
	out, err := exec.CommandContext(ctx, "taskset", "-a", "-c", "-p", strconv.Itoa(p.load), strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		return fmt.Errorf("taskset: %w: %s", err, out)
	}
	return nil
}

// String describes the pinning for the report.
func (p pinning) String() string {
	if !p.on {
		return "unpinned (" + p.why + ")"
	}
	return fmt.Sprintf("gateway on core %d, upstream and load on core %d", p.gateway, p.load)
}

// child is a program that this run started and has to stop.
type child struct {
	cmd    *exec.Cmd
	pid    int
	exited chan struct{} // closed when the program has ended
}

// side says whose core a child runs on.
type side int

const (
	sideGateway side = iota
	sideLoad
)

// startChild starts argv on the core of its side, with an environment that
// holds only env and what every program needs. It ends when ctx ends.
func startChild(ctx context.Context, pin pinning, on side, argv, env []string, stdout, stderr io.Writer) (*child, error) {
	env = append(env, "PATH="+os.Getenv("PATH"), "TMPDIR="+os.TempDir(), "GORACE="+os.Getenv("GORACE"))
	if pin.on {
		core := pin.gateway
		if on == sideLoad {
			core = pin.load
		}
		argv = append([]string{"taskset", "-c", strconv.Itoa(core)}, argv...)
		env = append(env, "GOMAXPROCS=1")
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, stderr
	cmd.SysProcAttr = childAttr()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, pid: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		defer close(c.exited)
		_ = cmd.Wait() // how it ended tells nothing: it was stopped
	}()
	return c, nil
}

// startOwn starts this program again as one of its serving subcommands, and
// returns it with the address it listens on.
func startOwn(ctx context.Context, pin pinning, on side, args ...string) (*child, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = in.Close() }() // only read from
	c, err := startChild(ctx, pin, on, append([]string{self}, args...), nil, out, os.Stderr)
	_ = out.Close() // the child's now; nothing was written here
	if err != nil {
		return nil, "", err
	}
	if err := in.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.stop()
		return nil, "", err
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	addr, found := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if err != nil || !found {
		c.stop()
		return nil, "", fmt.Errorf("bench %s did not start: %w", args[0], errors.Join(err, ctx.Err()))
	}
	return c, addr, nil
}

// stop ends the child by its pid: asked first, killed after five seconds.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails when it has ended, which select sees
	select {
	case <-c.exited:
		return
	case <-time.After(5 * time.Second):
	}
	_ = c.cmd.Process.Kill() // likewise
	<-c.exited
}

// cpuTime returns the user and system time that the process has used, in steps
// of 10 ms, ended threads included.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	return parseStat(string(stat))
}

// parseStat returns utime + stime of the text of /proc/PID/stat, proc(5). The
// second field, the name in brackets, may itself hold blanks and brackets.
func parseStat(stat string) (time.Duration, error) {
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, fmt.Errorf("not a /proc/PID/stat: %.80q", stat)
	}
	var ticks uint64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * procTick, nil
}

// residentBytes returns the resident memory of the process.
func residentBytes(pid int) (float64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	value, _ := procField(string(status), "VmRSS")
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(value, " kB"), 64)
	if err != nil {
		return 0, fmt.Errorf("VmRSS of %d: %w", pid, err)
	}
	return kilobytes * 1024, nil
}

// procField returns the value of "name: value" in a text such as /proc/PID/status.
func procField(text, name string) (string, bool) {
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// parseCores reads a list of cores such as "0-2,5"; what is no number is left out.
func parseCores(list string) []int {
	var cores []int
	for part := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			last = first
		}
		low, errLow := strconv.Atoi(first)
		high, errHigh := strconv.Atoi(last)
		if errLow != nil || errHigh != nil {
			continue
		}
		for core := low; core <= high; core++ {
			cores = append(cores, core)
		}
	}
	return cores
}

// maxOpenFiles reads the hard limit of open files, which Go programs raise
// theirs to, from the text of /proc/self/limits; 0 means no limit.
func maxOpenFiles(limits string) int {
	for line := range strings.Lines(limits) {
		rest, found := strings.CutPrefix(line, "Max open files")
		if !found {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			return 0
		}
		n, err := strconv.Atoi(fields[1])
		if err != nil {
			return 0
		}
		return n
	}
	return 0
}
