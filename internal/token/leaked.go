package token

import (
	"context"
	"net/url"
	"strings"
	"unicode"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Leak is a report of something that looks like a token where none must be.
type Leak struct {
	Token string
	Where string // a URL or a file, as the reporter names it; it may be empty
	By    string // who reports it, for the audit log
}

// Leaked is what became of a report.
type Leaked struct {
	Known   bool // it is, or was, a token of ours
	Revoked bool // by this report
	// Alert: it is good still, because the operator's settings carry it.
	Alert bool
}

// maxWhere is how much is kept of where a leak was found, in bytes.
const maxWhere = 300

// ReportLeak ends a token that has leaked, of whichever kind, and cuts what it
// carries: with a live one the rest of its line. It asks nobody's leave: who can show a token could use it. What the
// operator's settings carry cannot be ended here: that is told to the audit log
// and, as an error, to the log.
func (t *Tokens) ReportLeak(ctx context.Context, l Leak) (Leaked, error) {
	where := placeOf(l.Where)
	digest := tenure.DigestOf(l.Token)
	if set, ok := t.Configured[digest]; ok {
		t.Live.Log.Error("a token that the settings carry has leaked: change it and restart", "setting", set.Name, "found", where, "reported_by", l.By)
		err := t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.Append(ctx, audit.SettingLeaked(l.By, set, where))
		})
		return Leaked{Known: err == nil, Alert: err == nil}, err
	}
	if _, ok := tenure.ParseToken(l.Token); !ok {
		return Leaked{}, nil
	}
	s, err := t.DB.TokenStanding(ctx, digest)
	if tenure.IsKind(err, tenure.NotFound) {
		return Leaked{}, nil
	}
	if err != nil {
		return Leaked{}, err
	}
	reason := "leaked"
	if where != "" {
		reason = "leaked: found at " + where
	}
	anyway := func(context.Context, *store.Tx, tenure.Token) error { return nil }
	ended, err := t.end(ctx, s.Tenant, s.Token, l.By, reason, anyway, func(row tenure.Token) tenure.AuditEvent {
		return audit.TokenLeaked(l.By, row, reason)
	})
	if err == nil && ended.Tokens > 0 && (s.Kind == tenure.RootToken || s.Kind == tenure.ConnectorToken) {
		t.Live.Log.Error("a token with the rights of an administrator has leaked, and was revoked", "kind", s.Kind.String(), "name", s.Name, "found", where, "reported_by", l.By)
	}
	return Leaked{Known: err == nil, Revoked: ended.Tokens > 0}, err
}

// placeOf makes of where something was found what may be kept of it: no token, no
// password, one line that prints, and not too long.
func placeOf(where string) string {
	if u, err := url.Parse(where); err == nil && u.User != nil {
		u.User = nil
		where = u.String()
	}
	where = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, tenure.Redact(where))
	if len(where) > maxWhere {
		where = strings.ToValidUTF8(where[:maxWhere], "") + "…"
	}
	return where
}
