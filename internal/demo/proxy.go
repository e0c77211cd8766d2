package demo

import (
	"context"
	"html/template"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// identityHeader is Tenure's default in teams mode.
const identityHeader = "X-User-Id"

// chosen is the cookie that remembers who was picked.
const chosen = "demo_identity"

var page = template.Must(template.New("pick").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in – Tenure demo</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 30rem; margin: 4rem auto; padding: 0 1rem }
button { display: block; width: 100%; margin: .75rem 0; padding: .75rem 1rem; text-align: left; font: inherit; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 8px; background: none; color: inherit; cursor: pointer }
button:hover, button:focus-visible { border-color: currentColor }
small { opacity: .7; display: block }
</style>
<h1>Who are you?</h1>
<p>This page stands for your company's sign-in. It runs on this machine only, for the demo.</p>
<form method="post" action="/demo/pick">
{{range .}}<button name="name" value="{{.Name}}">{{.Name}}<small>{{.What}}</small></button>
{{end}}</form>
<p><small>To be somebody else later, come back to <a href="/demo/pick">/demo/pick</a>.</small></p>
</html>`))

// signInProxy starts the development proxy: it asserts the identity that was
// picked on its page, and drops what clients send under that name.
func signInProxy(ctx context.Context, wg *sync.WaitGroup, address, upstream string) error {
	target := &url.URL{Scheme: "http", Host: upstream}
	forward := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(target)
		pr.Out.Host = pr.In.Host
		for name := range pr.Out.Header {
			if strings.EqualFold(strings.NewReplacer("_", "-", ".", "-").Replace(name), identityHeader) {
				delete(pr.Out.Header, name)
			}
		}
		if c, err := pr.In.Cookie(chosen); err == nil && known(c.Value) && pr.In.Header.Get("Authorization") == "" {
			pr.Out.Header.Set(identityHeader, c.Value)
		}
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /demo/pick", func(w http.ResponseWriter, _ *http.Request) { pick(w, http.StatusOK) })
	mux.HandleFunc("POST /demo/pick", func(w http.ResponseWriter, r *http.Request) {
		name := r.FormValue("name")
		if !known(name) {
			pick(w, http.StatusBadRequest)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: chosen, Value: name, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int((24 * time.Hour).Seconds())}) //nolint:gosec // plain HTTP on this machine
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie(chosen); (err != nil || !known(c.Value)) && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			pick(w, http.StatusOK)
			return
		}
		forward.ServeHTTP(w, r)
	})
	_, err := listen(ctx, wg, address, http.NewCrossOriginProtection().Handler(mux))
	return err
}

func known(name string) bool {
	for _, p := range people {
		if p.Name == name {
			return true
		}
	}
	return false
}

func pick(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = page.Execute(w, people)
}
