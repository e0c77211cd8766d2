// Package demo is "tenure demo": Tenure in teams mode on a fresh data directory,
// with a simulated provider and a development sign-in proxy, and the commands to
// paste. It owns what only a demo needs.
//
// It adds nothing to the product: everything shown is the product's own way,
// through its own front door.
package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/simulator"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Options say how to show the demo.
type Options struct {
	Dir           string // made anew
	Listen, Proxy string // addresses on this machine
	OpenAIKey     string // use the real OpenAI
	OpenAIBaseURL string
	Out           io.Writer
}

// marker is the file by which the demo knows a directory of its own again.
const marker = ".tenure-demo"

// people are those whom the sign-in page offers.
var people = [...]struct{ Name, What string }{
	{"alice@example.com", "developer; owns the token that is printed at the start"},
	{"bob@example.com", "developer"},
	{"grace@example.com", "administrator"},
}

// admin is the one of people who administers.
const admin = "grace@example.com"

// Run shows the demo until ctx ends.
func Run(ctx context.Context, o Options) error {
	for flag, address := range map[string]string{"--listen": o.Listen, "--proxy": o.Proxy} {
		host, _, err := net.SplitHostPort(address)
		if ip, perr := netip.ParseAddr(host); err != nil || host != "localhost" && (perr != nil || !ip.IsLoopback()) {
			return tenure.InvalidField("address", "%s: the demo listens on this machine only, for example on 127.0.0.1:5757", flag)
		}
	}
	dir, err := freshDir(o.Dir)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()

	s := config.Serve{
		Local: config.Local{Home: config.Home{Home: dir}}, Mode: "teams", Listen: o.Listen, PublicURL: "http://" + o.Listen,
		Admins: admin, ShutdownGrace: "2s", SCIMToken: randomText(), OpenAIKey: o.OpenAIKey, OpenAIBaseURL: o.OpenAIBaseURL,
	}
	model := "gpt-4o-mini"
	if o.OpenAIKey == "" {
		if err := simulate(ctx, &wg, &s); err != nil {
			return err
		}
		model = "sim-gpt-4o"
	}
	cfg, err := s.Check()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "tenure.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	logs := web.NewLogWriter(f)
	defer func() { _ = errors.Join(logs.Close(), f.Close()) }()
	a, err := app.Open(ctx, cfg, logs)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }() //nolint:contextcheck // what waits is written when ctx has ended
	if err := signInProxy(ctx, &wg, o.Proxy, o.Listen); err != nil {
		return err
	}
	told := make(chan error, 1)
	err = a.Serve(ctx, o.Out, func(net.Addr) {
		err := tell(ctx, a, o, s.SCIMToken, model)
		if err != nil {
			stop()
		}
		told <- err
	})
	select {
	case tellErr := <-told:
		return errors.Join(tellErr, err)
	default:
		return err
	}
}

// freshDir empties the demo's directory, if it is the demo's.
func freshDir(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(dir, marker)); err != nil && len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty and not a demo's: name another directory with --home", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, marker), nil, 0o600)
}

func randomText() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails (Go 1.24 and later)
	return hex.EncodeToString(b[:])
}

// simulate starts the simulated provider and points both seeds at it.
func simulate(ctx context.Context, wg *sync.WaitGroup, s *config.Serve) error {
	key := randomText()
	sim := &simulator.Server{Key: key, ChunkEvery: 100 * time.Millisecond}
	at, err := listen(ctx, wg, "127.0.0.1:0", sim.Handler())
	if err != nil {
		return err
	}
	s.OpenAIKey, s.OpenAIBaseURL = key, "http://"+at+"/v1"
	s.AnthropicKey, s.AnthropicBaseURL = key, "http://"+at
	return nil
}

// listen serves h until ctx ends.
func listen(ctx context.Context, wg *sync.WaitGroup, address string, h http.Handler) (string, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	wg.Go(func() { _ = srv.Serve(ln) })
	wg.Go(func() {
		<-ctx.Done()
		_ = srv.Close()
	})
	return ln.Addr().String(), nil
}

// tell makes the people and the token, and prints what to do.
func tell(ctx context.Context, a *app.App, o Options, scimToken, model string) error {
	var alice tenure.Principal
	for i, person := range people {
		p, err := a.Directory.Join(ctx, tenure.DefaultTenant, person.Name, tenure.SignIn{})
		if err != nil {
			return err
		}
		if i == 0 {
			alice = p
		}
	}
	_, secret, err := a.Tokens.Mint(ctx, alice, token.Spec{Name: "Demo", Life: 24 * time.Hour})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Out, words, o.Proxy, secret.Reveal(), o.Listen, model, scimToken, alice.User(), provider(o))
	return err
}

func provider(o Options) string {
	if o.OpenAIKey != "" {
		return "the real OpenAI, with your OPENAI_API_KEY"
	}
	return "a simulated one, inside this process"
}

// words are what the demo prints. Each command is one line to paste.
const words = `
Tenure demo: provider is %[7]s.

  Dashboard   http://%[1]s
              (the development sign-in proxy: pick who you are)
  A token     %[2]s
              (alice@example.com's; she also finds it under Access tokens)

1. A chat:

curl -s http://%[3]s/v1/chat/completions -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -d '{"model":"%[4]s","messages":[{"role":"user","content":"Hello, who are you?"}]}'

2. A long stream (leave it running):

curl -sN http://%[3]s/v1/chat/completions -H 'Authorization: Bearer %[2]s' -H 'Content-Type: application/json' -d '{"model":"%[4]s","stream":true,"messages":[{"role":"user","content":"count to 3000"}]}'

3. In another terminal: the identity provider says that Alice is gone. Watch the stream.

curl -s -X PATCH http://%[3]s/scim/v2/Users/%[6]s -H 'Authorization: Bearer %[5]s' -H 'Content-Type: application/scim+json' -d '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}'

Then try 1 again (401), and the dashboard as alice@example.com. To let her back in, send 3 with true: her token stays dead.

The same in the dashboard: as bob@example.com generate a token, and paste what the page shows under curl; its last command is a stream.
At http://%[1]s/demo/pick become grace@example.com: the stream is under Overview, with a button that cuts it. A person's access is ended under People.
Ctrl-C stops the demo.
`
