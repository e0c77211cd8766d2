package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Serve serves on the configured address until ctx ends, then drains: open
// streams finish within the grace, what is noted is written. ready is told the
// address once requests are answered. banner gets what is shown to the operator
// once, such as a generated root token.
func (a *App) Serve(ctx context.Context, banner io.Writer, ready func(net.Addr)) error {
	ctx = tenure.Everywhere(ctx)
	if err := a.Store.Lease(); err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.Config.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("TENURE_LISTEN: %s is in use by another program", a.Config.Listen)
	}
	if err != nil {
		return config.Wrong("TENURE_LISTEN", err.Error(), "127.0.0.1:5757")
	}
	if a.Config.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(a.Config.TLSCert, a.Config.TLSKey)
		if err != nil {
			return errors.Join(config.Wrong("TENURE_TLS_CERT", err.Error(), "/etc/tenure/tls.crt"), ln.Close())
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}})
	}
	a.guard.Serves(ln.Addr())
	router, err := a.router()
	if err == nil {
		err = a.Vault.Unsent(ctx, func(p tenure.Provider, why error) {
			a.Log.Warn("a header of a provider is not sent", "tenant", p.Tenant, "workspace", p.Workspace, "provider", p.Name, "error", why)
		})
	}
	if err == nil {
		err = a.beginSinks()
	}
	if err == nil {
		err = a.ensureRoot(ctx, banner) // only now that nothing else can fail: it is shown once
	}
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	return a.serve(ctx, ln, router, ready)
}

// serve runs the server and what works behind it.
func (a *App) serve(ctx context.Context, ln net.Listener, h http.Handler, ready func(net.Addr)) error {
	// What ended while nothing ran stays ended, whatever is asked first.
	if _, err := a.Directory.Housekeep(ctx); err != nil {
		return errors.Join(fmt.Errorf("service accounts: %w", err), ln.Close())
	}
	// Limits and prices hold from the first request on.
	if err := errors.Join(a.Prices.Load(ctx), a.ModelUse.Flush(ctx)); err != nil {
		return errors.Join(fmt.Errorf("limits: %w", err), ln.Close())
	}
	if err := a.Ledger.Begin(ctx); err != nil { // the log is written all the same, and signed later
		a.Log.Warn("the audit log is not signed yet", "error", err)
	}
	reserved := make([]byte, headroom)
	defer runtime.KeepAlive(reserved)
	// The work behind outlives the server: the last requests still use it.
	behind, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	report := func(err error) { a.Log.Error("write behind", "error", err) }
	wg.Go(func() { a.Uses.Run(behind, report) })
	wg.Go(func() { a.Usage.Run(behind, report) })
	wg.Go(func() { a.ModelUse.Run(behind, report) })
	wg.Go(func() { a.Limits.Run(behind, report) })
	wg.Go(func() { a.Prices.Run(behind, report) })
	wg.Go(func() { a.events.Run(behind, report) })
	wg.Go(func() { a.Ledger.Run(behind, report) })
	wg.Go(func() { a.Sinks.Run(behind, report) })
	wg.Go(func() { a.Ledger.Watch(behind, report) })
	wg.Go(func() { a.Ledger.KeepHouse(behind, report) })
	wg.Go(func() { a.outage.Run(behind, report) })
	wg.Go(func() { a.Connectors.Use.Run(behind, report) })
	wg.Go(func() { a.Notices.Run(behind, report) })
	wg.Go(func() { a.Secrets.Run(behind) })
	wg.Go(func() { a.Vault.Key.Keep(behind, a.sealing) })
	wg.Go(func() { a.seedLater(behind) })
	wg.Go(func() { a.Directory.KeepHouse(behind, report) })
	wg.Go(func() { a.Vault.KeepHouse(behind, report) })
	wg.Go(func() { a.Exceptions.KeepHouse(behind, report) })
	wg.Go(func() { a.Beliefs.Run(behind, report) })
	if a.Config.Teams { // one person has nobody to review them
		wg.Go(func() { a.Reviews.KeepHouse(behind, report) })
	}
	wg.Go(func() { a.Tokens.WatchReuse(behind, report) })
	following := make(chan struct{})
	failed := make(chan error, 2)
	wg.Go(func() {
		if err := a.Live.Follow(behind, sync.OnceFunc(func() { close(following) })); err != nil {
			failed <- fmt.Errorf("change feed: %w", err)
		}
	})
	srv := &http.Server{
		// The model routes keep their own time for bodies, and lift this limit.
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: a.Config.BodyTimeout + 10*time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, DisableGeneralOptionsHandler: true,
		ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn),
	}
	srv.RegisterOnShutdown(func() { a.Live.Dismiss(tenure.ErrShutdown) }) // pages that listen, and sockets, would never end
	select {
	case <-following:
		go func() { failed <- srv.Serve(ln) }()
		for _, name := range a.Config.Unheeded {
			a.Log.Warn("a setting that this version does not heed", "name", name)
		}
		a.Log.Info("serving", "address", ln.Addr().String(), "teams", a.Config.Teams, "home", a.Config.Home, "max_inflight", a.inflight(), "max_inflight_per_owner", a.perOwner())
		if fit := fitFiles(); int64(a.inflight()) > fit {
			a.Log.Warn("TENURE_MAX_INFLIGHT is more than the limit of open files holds: raise that limit, or nobody will be able to connect", "max_inflight", a.inflight(), "fit", fit)
		}
		ready(ln.Addr())
	case err := <-failed:
		failed <- errors.Join(err, ln.Close())
	}
	var err error
	select {
	case <-ctx.Done():
		err = a.drain(context.WithoutCancel(ctx), srv)
	case <-a.Store.Unsafe():
		err = a.abandon(context.WithoutCancel(ctx), srv)
	case err = <-failed:
	}
	stop()
	wg.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := a.Ledger.Place(last); err != nil { // what the others have just written has its place, too
		report(err)
	}
	if err := a.Sinks.End(last); err != nil {
		report(err)
	}
	return a.kept(err)
}

// headroom is memory that is never touched, and so takes none: it is there to count. Go
// collects garbage when as much was made as there is in use, and what a quiet server has
// in use is a few megabytes, which a thousand requests make: an eighth of their CPU went
// into collecting. The price is up to as much garbage that lies about.
const headroom = 32 << 20

// kept is err, or that the disk failed also of a server that was ending anyway: what it
// wrote last may be lost.
func (a *App) kept(err error) error {
	select {
	case <-a.Store.Unsafe():
		if !errors.Is(err, errUnsafe) {
			a.Log.Error("fsync failed", "error", errUnsafe.Msg)
			return errors.Join(errUnsafe, err)
		}
	default:
	}
	return err
}

// drain stops accepting and lets open requests finish within the grace; what is
// still open then is cut with a retryable error. For sockets, which the server knows no
// more, it waits itself.
func (a *App) drain(ctx context.Context, srv *http.Server) error {
	a.Log.Info("draining", "open", a.Live.Open(), "grace", a.Config.ShutdownGrace.String())
	grace, cancel := context.WithTimeout(ctx, a.Config.ShutdownGrace)
	defer cancel()
	err := srv.Shutdown(grace)
	a.Live.CutAll(tenure.ErrShutdown)
	last, done := context.WithTimeout(ctx, 3*time.Second)
	defer done()
	if err != nil && srv.Shutdown(last) != nil {
		err = srv.Close()
	} else {
		err = nil
	}
	for a.Live.Open() > 0 && last.Err() == nil { // those that were cut still tell their end
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// errUnsafe is why a server ends whose disk cannot be relied on.
var errUnsafe = &tenure.Error{
	Kind: tenure.Unavailable, Code: store.CodeUnsafe,
	Msg: "the disk failed to make a write durable (fsync); what it holds is not known, so nothing more is written: look at the disk, then start again",
}

// abandon ends serving at once, with what is open: nothing can be written any more, and
// what is answered from memory would soon be no longer true.
func (a *App) abandon(ctx context.Context, srv *http.Server) error {
	a.Log.Error("fsync failed", "error", errUnsafe.Msg, "open", a.Live.Open())
	a.Live.CutAll(tenure.ErrShutdown)
	last, done := context.WithTimeout(ctx, 3*time.Second)
	defer done()
	return errors.Join(errUnsafe, srv.Shutdown(last), srv.Close())
}
