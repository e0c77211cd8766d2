package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/config"
)

type migrateCmd struct {
	config.Local
	Check bool `help:"Change nothing; exit status 1 when something is pending."`
	JSON  bool `name:"json" help:"Print JSON."`
}

// Help implements kong.HelpProvider.
func (migrateCmd) Help() string {
	return `Example, as the role that owns the schema, before replicas of a new version start:

  TENURE_DATABASE_URL=postgres://tenure_owner@db.internal/tenure tenure migrate

It brings the database's schema to the version that this program needs, and says which it was. It may run at any time, beside servers and beside itself: where nothing is pending it does nothing. "tenure serve" does the same at its start if its role may.`
}

// Run implements the verb.
func (c *migrateCmd) Run(e *env) error {
	cfg, err := c.Local.Check()
	if err != nil {
		return err
	}
	if c.Check {
		s, err := app.Schema(e.ctx, cfg)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("The schema is of version %d: nothing is pending.", s.Version)
		if s.Pending() {
			text = fmt.Sprintf(`The schema is of version %d, this program needs %d: run "tenure migrate".`, s.Version, s.Needed)
		}
		if err := c.tell(e, s.Version, s.Version, s.Pending(), text); err != nil || !s.Pending() {
			return err
		}
		return errNo{}
	}
	from, to, err := app.Migrate(e.ctx, cfg)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("The schema was of version %d and is of version %d.", from.Version, to.Version)
	if from == to {
		text = fmt.Sprintf("The schema is of version %d: nothing was pending.", to.Version)
	}
	return c.tell(e, from.Version, to.Version, to.Pending(), text)
}

func (c *migrateCmd) tell(e *env, from, to int64, pending bool, text string) error {
	told := struct {
		From    int64 `json:"from"`
		To      int64 `json:"to"`
		Pending bool  `json:"pending"`
	}{from, to, pending}
	return local{JSON: c.JSON}.print(e, told, func(w io.Writer) { fmt.Fprintln(w, text) })
}

type healthCmd struct {
	URL     string        `name:"url" placeholder:"URL" help:"Of the server to ask (default: the one that serves by this environment, on this machine)."`
	Listen  string        `hidden:"" env:"TENURE_LISTEN" default:"127.0.0.1:5757"`
	TLSCert string        `hidden:"" name:"tls-cert" env:"TENURE_TLS_CERT"`
	Timeout time.Duration `default:"3s" placeholder:"DURATION" help:"How long it may take to answer (default: ${default})."`
}

// Help implements kong.HelpProvider.
func (healthCmd) Help() string {
	return `Example:

  tenure health

It asks GET /readyz. Exit status 0: the server is ready. 1: it is not, or does not answer. It is for where there is no other program to ask with, such as a container's health check.`
}

// Run implements the verb.
func (c *healthCmd) Run(e *env) error {
	at := strings.TrimSuffix(c.URL, "/")
	if at == "" {
		host, port, err := net.SplitHostPort(c.Listen)
		if err != nil {
			return config.Wrong("TENURE_LISTEN", err.Error(), "127.0.0.1:5757")
		}
		if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
			host = map[bool]string{true: "::1", false: "127.0.0.1"}[strings.Contains(host, ":")]
		}
		at = map[bool]string{true: "https://", false: "http://"}[c.TLSCert != ""] + net.JoinHostPort(host, port)
	}
	ctx, cancel := context.WithTimeout(e.ctx, c.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/readyz", http.NoBody)
	if err != nil {
		return tenure.InvalidField("url", "--url: %s", err)
	}
	client := &http.Client{Transport: &http.Transport{
		// The certificate names the server as others know it, not as the loopback.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: c.URL == ""}, //nolint:gosec // nothing is sent, and the answer is yes or no
	}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)); res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/readyz answers %s: %s", at, res.Status, strings.TrimSpace(string(text)))
	}
	fmt.Fprintln(e.stdout, "ready")
	return nil
}
