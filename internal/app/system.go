package app

import (
	"cmp"
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/dash"
)

// system tells what this process knows of itself.
func (a *App) system(ctx context.Context, by tenure.Principal) (dash.System, error) {
	if err := access.Check(by, tenure.ReadHealth); err != nil {
		return dash.System{}, err
	}
	s := dash.System{Version: cmp.Or(a.Version, "unknown"), Started: a.started, Lag: a.Live.Lag(), Open: a.Live.Open(), Ready: a.Live.Fresh()}
	_, s.Sealed = a.Vault.Key.Sealed()
	s.Audit = a.Ledger.Standing()
	facts, err := a.Store.Facts(ctx)
	if err != nil {
		return s, err
	}
	s.Database = dash.Database{Engine: facts.Engine, Journal: facts.Journal, Bytes: facts.Bytes, Schema: facts.Schema}
	s.Feed, s.Hits, s.Misses, s.Waiting = a.Live.Generation(), a.Tokens.Cache.Hits(), a.Tokens.Cache.Misses(), a.Uses.Waiting()
	for _, row := range a.Config.Shown {
		s.Settings = append(s.Settings, dash.Setting{Name: row.Name, Value: row.Value})
	}
	return s, nil
}
