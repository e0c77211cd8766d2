package app

import (
	"context"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/evidence"
)

// house tells an auditor what this installation is set to. A verb at the command line
// does not know the settings of whoever serves.
func (a *App) house(ctx context.Context, by tenure.Principal) (evidence.House, error) {
	cfg := a.Config
	h := evidence.House{Known: len(cfg.Shown) > 0, Teams: cfg.Teams, Postgres: !cfg.Postgres.IsZero(), TLS: cfg.TLSCert != ""}
	for _, row := range cfg.Shown {
		h.Settings = append(h.Settings, evidence.Setting{Name: row.Name, Value: row.Value})
	}
	used, err := a.Connections.Used(ctx)
	if err != nil {
		return h, err
	}
	if h.Known && !cfg.Teams {
		h.SignIn = append(h.SignIn, "one person, by the root token")
	}
	for _, w := range waysOf(cfg) {
		if h.Known && (!w.Presumed || !used) {
			h.SignIn = append(h.SignIn, w.evidence)
		}
	}
	status, err := a.Vault.Status(ctx, by)
	if err != nil {
		return h, err
	}
	for _, k := range status.Keys {
		h.Keys = append(h.Keys, evidence.Key{Label: k.Label, Algorithm: k.Algorithm, Wraps: k.Wraps, Absent: k.Absent})
	}
	for _, w := range status.Wrapped {
		h.Wrapped = append(h.Wrapped, evidence.Wrapped{What: w.Table, By: w.KEK, Count: w.Count, Opens: w.Opens})
	}
	return h, nil
}

// logStanding is what the ledger knows of the log, as evidence tells it.
func (a *App) logStanding(ctx context.Context, by tenure.Principal) (evidence.LogStanding, error) {
	v, err := a.Ledger.Verification(ctx, by)
	if err != nil {
		return evidence.LogStanding{}, err
	}
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	out := evidence.LogStanding{SignedAt: at(v.SignedAt), VerifiedAt: at(v.At), WholeAt: at(v.WholeAt), Places: v.Places, FaultAt: at(v.FaultAt)}
	if v.Fault != nil {
		out.Fault, out.FaultPlace = v.Fault.What, &v.Fault.Place
	}
	return out, nil
}
