package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/web"
)

// local are the flags of every verb that works on the data directory. Such a
// verb may run while Tenure serves from it: what it ends is cut there within a
// second.
type local struct {
	config.Local
	Tenant string `default:"default" placeholder:"NAME" help:"Name or id of the tenant to act in (default: ${default})."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// settingsOf are settings that a verb has beside those of the data.
type settingsOf interface{ Into(c *config.Checked) error }

// open opens the data. fresh allows a data directory that is not there yet; more are
// settings that the verb has beside those of the data.
func (l local) open(e *env, fresh bool, more ...settingsOf) (*app.App, tenure.Principal, error) {
	cfg, err := l.Check()
	for _, s := range more {
		if err == nil {
			err = s.Into(cfg)
		}
	}
	if err != nil {
		return nil, tenure.Principal{}, err
	}
	if cfg.FindsData = !fresh; cfg.FindsData {
		if err := thereIsData(e, cfg); err != nil {
			return nil, tenure.Principal{}, err
		}
	}
	logs := web.NewLogWriter(e.stderr)
	a, err := app.Open(e.ctx, cfg, logs)
	if err != nil {
		return nil, tenure.Principal{}, err
	}
	by := operator()
	if l.Tenant != string(tenure.DefaultTenant) {
		t, err := a.Directory.Tenant(e.ctx, by, l.Tenant)
		if err != nil {
			return nil, tenure.Principal{}, errors.Join(err, a.Close())
		}
		by = app.Operator(account(), t.ID)
	}
	return a, by, nil
}

// thereIsData answers NotFound for a database in which nothing was ever written.
func thereIsData(e *env, cfg *config.Checked) error {
	where := cfg.Database
	if where == "" {
		schema, err := app.Schema(e.ctx, cfg)
		if err != nil || schema.Version > 0 {
			return err
		}
		where = "TENURE_DATABASE_URL"
	} else if _, err := os.Stat(where); !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return &tenure.Error{
		Kind: tenure.NotFound, Code: "no_data",
		Msg: fmt.Sprintf("there is no Tenure data at %s; run \"tenure serve\" first, or name the right TENURE_HOME", where),
	}
}

// operator is whoever runs the verb, in the tenant default.
func operator() tenure.Principal { return app.Operator(account(), tenure.DefaultTenant) }

// account is the name of whoever runs the verb, on this machine.
func account() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// with opens the data, runs the verb and closes.
func (l local) with(e *env, fresh bool, verb func(*app.App, tenure.Principal) error, more ...settingsOf) error {
	a, by, err := l.open(e, fresh, more...)
	if err != nil {
		return err
	}
	return errors.Join(verb(a, by), a.Close())
}

// print shows v as JSON, or by text.
func (l local) print(e *env, v any, text func(io.Writer)) error {
	if l.JSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

func short(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

func checkLimit(n int) error {
	if n < 1 || n > 1_000_000 {
		return tenure.InvalidField("limit", "--limit: expected a number from 1 to 1000000")
	}
	return nil
}
