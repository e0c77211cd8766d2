package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// commandProxy serves the bare proxy on loopback until ctx ends.
func commandProxy(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("proxy", stderr)
	port := flags.Int("port", 0, "port on 127.0.0.1; 0 takes a free one")
	to := flags.String("to", "", "upstream, e.g. http://127.0.0.1:8000")
	if err := flags.Parse(args); err != nil {
		return err
	}
	target, err := url.Parse(*to)
	if err != nil || target.Host == "" {
		return fmt.Errorf("-to %q is not an address such as http://127.0.0.1:8000", *to)
	}
	return serveLoopback(ctx, *port, newProxy(target), stdout)
}

// newProxy returns the yardstick: the standard library's reverse proxy as
// anyone would tune it, and nothing more. No token, no log, no metrics. Beside
// it, on a path of its own, only the memory counters that the run reads.
func newProxy(target *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 1024,
			DisableCompression:  true,
		},
		ErrorLog: log.New(io.Discard, "", 0), // the load client counts errors
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathMetrics {
			serveMemory(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	})
}
