// Command bench measures what Tenure costs: the same load straight to an
// upstream, through a bare tuned httputil.ReverseProxy, and through Tenure with
// everything on, in one alternating run on one machine.
//
// It owns the load client, the upstream, the bare proxy and the report. It
// knows Tenure only from outside, as a program to start and routes to call, and
// imports nothing of it. It needs Linux, because CPU time and memory come from
// /proc.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses of the program.
const (
	exitOK    = 0
	exitGate  = 1 // a gate was exceeded
	exitError = 2 // wrong usage, or the run failed
)

const usage = `bench measures Tenure beside a bare reverse proxy and the naked upstream.

  bench run       requests: closed loop, open loop, then streams
  bench streams   streams only
  bench scim      SCIM: initial synchronisation, one filter, a large group
  bench rewrap    tenure vault rewrap, rows a second
  bench audit     the audit log's tree: places a second, verify of a million
  bench sockets   WebSockets of beliefs: memory of one, time until it is told
  bench replicas  revocations over several replicas on one PostgreSQL
  bench upstream  the upstream alone (a child of run and streams)
  bench proxy     the bare proxy alone (a child of run and streams)

bench COMMAND -h lists the flags of a command.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// dispatch runs the subcommand that args name and returns the exit status.
func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitError
	}
	var err error
	switch args[0] {
	case "run", "streams":
		err = commandRun(ctx, args[0], args[1:], stdout, stderr)
	case "scim":
		err = commandSCIM(ctx, args[1:], stdout, stderr)
	case "rewrap":
		err = commandRewrap(ctx, args[1:], stdout, stderr)
	case "audit":
		err = commandAudit(ctx, args[1:], stdout, stderr)
	case "sockets":
		err = commandSockets(ctx, args[1:], stdout, stderr)
	case "replicas":
		err = commandReplicas(ctx, args[1:], stdout, stderr)
	case "upstream":
		err = commandUpstream(ctx, args[1:], stdout, stderr)
	case "proxy":
		err = commandProxy(ctx, args[1:], stdout, stderr)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
	default:
		err = fmt.Errorf("no command %q; see bench help", args[0])
	}
	var exceeded gateError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &exceeded):
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitGate
	default:
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return exitError
	}
}

// newFlags returns the flag set of one subcommand, writing its help to stderr.
func newFlags(name string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	return flags
}
