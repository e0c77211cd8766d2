// Command simulate serves the simulated provider to tests that stand outside
// the module, such as those with real clients in test/clients.
//
// It owns two listeners: the provider, and beside it an inspector, which tells
// what has reached the provider. The provider's own answers are not decided
// here, and the inspector is never reachable through the provider's address. It
// keeps what it was sent in memory, the key included: it is no place for a real
// key.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tenure-gateway/tenure/internal/simulator"
)

// kept is how many requests the inspector remembers.
const kept = 200

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1) //nolint:forbidigo // a program of its own, though it lives beside what it serves
	}
}

// run serves until ctx ends, or until stdin does: whoever holds the other end
// of it cannot leave the program behind, whatever becomes of them. Once both
// addresses answer, it tells them in one line of JSON.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	sim, seen := &simulator.Server{}, &inspector{}
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "`address` of the provider")
	inspect := flags.String("inspect", "127.0.0.1:0", "`address` of the inspector: GET /state, GET /requests")
	flags.StringVar(&sim.Key, "key", "", "the provider `key` that every request must carry; required")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "simulate -key KEY [flags]: a model provider for tests. It ends when its standard input does.")
		flags.PrintDefaults()
	}
	flags.BoolVar(&sim.Faults, "faults", false, "permit the directives that make it fail")
	flags.DurationVar(&sim.ChunkEvery, "chunk", 0, "pause between two words of an answer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if sim.Key == "" {
		return errors.New("-key is missing")
	}
	sim.Log, seen.sim = seen.note, sim

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	at, err := serve(ctx, &wg, *listen, sim.Handler())
	if err != nil {
		return err
	}
	beside, err := serve(ctx, &wg, *inspect, seen.handler())
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(map[string]string{"provider": at, "inspector": beside}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// serve serves h on address until ctx ends, and returns its URL.
func serve(ctx context.Context, wg *sync.WaitGroup, address string, h http.Handler) (string, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	wg.Go(func() { _ = srv.Serve(ln) })
	wg.Go(func() {
		<-ctx.Done()
		_ = srv.Close()
	})
	return "http://" + ln.Addr().String(), nil
}

// inspector remembers what reached the provider.
type inspector struct {
	sim *simulator.Server

	mu       sync.Mutex
	requests []request // the last ones, oldest first
}

// request is one request as it arrived, nothing left out.
type request struct {
	Method string      `json:"method"`
	Host   string      `json:"host"`
	Path   string      `json:"path"`
	Query  string      `json:"query"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

// note is the simulator's log.
func (i *inspector) note(r simulator.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.requests) == kept {
		i.requests = append(i.requests[:0], i.requests[1:]...)
	}
	i.requests = append(i.requests, request{r.Method, r.Host, r.Path, r.Query, r.Header, string(r.Body)})
}

func (i *inspector) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
		tell(w, map[string]int{"in_flight": i.sim.InFlight(), "cancelled": i.sim.Cancelled()})
	})
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		requests := append([]request{}, i.requests...)
		i.mu.Unlock()
		tell(w, requests)
	})
	return mux
}

func tell(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
