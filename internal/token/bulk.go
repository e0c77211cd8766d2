package token

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Bounds of what is revoked at once.
const (
	previewShown = 1000
	maxAtOnce    = 10_000
)

// Selection chooses live personal and service tokens of the tenant; what is
// empty chooses nothing out, but something must be said. Root tokens and those of
// SCIM connectors are not in its reach.
type Selection struct {
	User          string                  // id or userName
	Workspace     string                  // id or name
	Account       tenure.ServiceAccountID // a service account
	Kind          tenure.TokenKind
	CreatedBefore time.Time
	UnusedSince   time.Time // neither made nor used since
	Name          string    // a pattern whose * stands for any text, in any case
}

// A Preview tells what a selection would end.
type Preview struct {
	Tokens  []tenure.Token // the newest, at most 1000
	Total   int
	Skipped int    // those of super admins, which the asker may not end
	Confirm string // to be given to end exactly these
}

// Preview tells what RevokeMany would end.
func (t *Tokens) Preview(ctx context.Context, by tenure.Principal, sel Selection) (Preview, error) {
	if err := access.Check(by, tenure.RevokeTokens); err != nil {
		return Preview{}, err
	}
	if err := t.Uses.Flush(ctx); err != nil { // what was just used is not unused
		return Preview{}, err
	}
	rows, skipped, err := sel.choose(ctx, t.DB, by, t.DB.Now())
	if err != nil {
		return Preview{}, err
	}
	return Preview{Tokens: rows[:min(len(rows), previewShown)], Total: len(rows), Skipped: skipped, Confirm: confirmation(rows)}, nil
}

// RevokeMany ends every token that sel chooses, if these are those of the preview
// that gave confirm. Conflict: they are not; look at a new preview. They are chosen
// before the transaction, which others would wait for, and each is read in it again.
func (t *Tokens) RevokeMany(ctx context.Context, by tenure.Principal, sel Selection, confirm, reason string) (tenure.Ended, error) {
	start := time.Now()
	if err := access.Check(by, tenure.RevokeTokens); err != nil {
		return tenure.Ended{}, err
	}
	if reason == "" {
		return tenure.Ended{}, tenure.InvalidField("reason", "say why these tokens are revoked, for the audit log")
	}
	if err := tenure.CheckText("reason", reason); err != nil {
		return tenure.Ended{}, err
	}
	chosen, skipped, err := sel.choose(ctx, t.DB, by, t.DB.Now())
	switch {
	case err != nil:
		return tenure.Ended{}, err
	case confirmation(chosen) != confirm:
		return tenure.Ended{}, errSelectionChanged
	case len(chosen) > maxAtOnce:
		return tenure.Ended{}, tenure.InvalidField("name", "%d tokens are selected, and at most %d are revoked at once; select fewer, for example by workspace", len(chosen), maxAtOnce)
	}
	if err := t.Uses.Flush(ctx); err != nil { // what was just used is not unused
		return tenure.Ended{}, err
	}
	var rows []tenure.Token
	err = t.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if rows, err = sel.still(ctx, tx, by, chosen); err != nil {
			return err
		}
		for _, row := range rows {
			if _, err := tx.RevokeToken(ctx, row.Tenant, row.ID, by.Label(), reason); err != nil {
				return err
			}
			if err := tx.Append(ctx, audit.TokenRevoked(by, row, reason)); err != nil {
				return err
			}
		}
		return tx.Append(ctx, audit.TokensRevoked(by, len(rows), sel.facts(), reason))
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("revoke tokens: %w", err)
	}
	ended := tenure.Ended{Tokens: len(rows), Skipped: skipped, Streams: t.cutMany(rows)}
	ended.Took = time.Since(start)
	t.Live.Ended(by.Tenant(), tenure.Revocation{What: tenure.RevokedTokens, Object: reason, Actor: by.Label(), Ended: ended})
	return ended, nil
}

// errSelectionChanged: what is confirmed is not what is selected.
var errSelectionChanged = &tenure.Error{
	Kind: tenure.Conflict, Code: "selection_changed", Field: "confirm",
	Msg: "confirm is not that of what is selected now; look at a new preview, and give the confirm that it shows",
}

// still reads tokens again that were chosen, and answers errSelectionChanged unless
// each would be chosen again.
func (s Selection) still(ctx context.Context, tx *store.Tx, by tenure.Principal, chosen []tenure.Token) ([]tenure.Token, error) {
	rows := make([]tenure.Token, 0, len(chosen))
	for _, was := range chosen {
		row, err := tx.Token(ctx, was.Tenant, was.ID)
		if tenure.IsKind(err, tenure.NotFound) {
			return nil, errSelectionChanged
		}
		if err != nil {
			return nil, err
		}
		moved := row.Kind != was.Kind || row.Workspace != was.Workspace || row.User != was.User || row.ServiceAccount != was.ServiceAccount
		if moved || row.Over(tx.Now()) || !s.fits(row) {
			return nil, errSelectionChanged
		}
		rows = append(rows, row)
	}
	may, err := allowed(ctx, tx, by, rows)
	if err == nil && len(may) != len(chosen) {
		err = errSelectionChanged
	}
	return may, err
}

// confirmation is a digest of which tokens are chosen.
func confirmation(rows []tenure.Token) string {
	h := sha256.New()
	for _, r := range rows {
		h.Write([]byte(r.ID + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// choose gives the live tokens of the selection that the asker may end, newest
// first, and the number of those that they may not.
func (s Selection) choose(ctx context.Context, r *store.DB, by tenure.Principal, now time.Time) ([]tenure.Token, int, error) {
	rows, err := s.live(ctx, r, by.Tenant(), now)
	if err != nil {
		return nil, 0, err
	}
	may, err := allowed(ctx, r, by, rows)
	return may, len(rows) - len(may), err
}

// allowed gives those of the tokens that the asker may end, in place.
func allowed(ctx context.Context, r people, by tenure.Principal, rows []tenure.Token) ([]tenure.Token, error) {
	may := rows[:0]
	known := map[tenure.UserID]error{}
	for _, row := range rows {
		refused, asked := known[row.User]
		if !asked {
			refused = above(ctx, r, by, row)
			known[row.User] = refused
		}
		switch {
		case refused == nil:
			may = append(may, row)
		case !tenure.IsKind(refused, tenure.Forbidden):
			return nil, refused
		}
	}
	return may, nil
}

// live gives the live tokens of the selection, newest first.
func (s Selection) live(ctx context.Context, r *store.DB, tenant tenure.TenantID, now time.Time) ([]tenure.Token, error) {
	if s == (Selection{}) {
		return nil, tenure.InvalidField("user", "say which tokens: user, workspace, service_account, kind, created_before, unused_since or name; nothing never means all")
	}
	if s.Kind != "" && s.Kind != tenure.KindPAT && s.Kind != tenure.KindService {
		return nil, tenure.InvalidField("kind", "expected pat or svc; a SCIM connector and the root token are ended as such")
	}
	if s.CreatedBefore.After(now) || s.UnusedSince.After(now) {
		return nil, tenure.InvalidField("created_before", "created_before and unused_since lie in the past")
	}
	f := store.TokenFilter{Tenant: tenant, Kind: s.Kind, Account: s.Account, Unrevoked: true, Limit: -1}
	if err := s.owners(ctx, r, &f); err != nil {
		return nil, err
	}
	rows, err := r.Tokens(ctx, f)
	if err == nil && len(rows) == 0 {
		err = s.known(ctx, r, f)
	}
	chosen := rows[:0]
	for _, row := range rows { // times that a hand wrote compare as times, not as text
		if !row.Over(now) && s.fits(row) {
			chosen = append(chosen, row)
		}
	}
	return chosen, err
}

// owners fills in whose tokens are chosen. A user's id need not be known here: what
// is left of somebody who was deleted can be revoked too.
func (s Selection) owners(ctx context.Context, r *store.DB, f *store.TokenFilter) error {
	if s.User != "" {
		f.User = tenure.UserID(s.User)
		switch u, err := r.UserByName(ctx, f.Tenant, s.User); {
		case err == nil:
			f.User = u.ID
		case !tenure.IsKind(err, tenure.NotFound):
			return err
		}
	}
	if s.Workspace == "" {
		return nil
	}
	ws, err := r.Workspace(ctx, f.Tenant, s.Workspace)
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.InvalidField("workspace", "there is no workspace %q", tenure.Shown(s.Workspace))
	}
	f.Workspace = ws.ID
	return err
}

// known answers Invalid for an owner of whom there is no trace: no person or account,
// and no token, ended or not, of any that was.
func (s Selection) known(ctx context.Context, r *store.DB, f store.TokenFilter) error {
	if s.User != "" {
		_, err := r.User(ctx, f.Tenant, f.User)
		if tenure.IsKind(err, tenure.NotFound) {
			var left []tenure.Token
			if left, err = r.Tokens(ctx, store.TokenFilter{Tenant: f.Tenant, User: f.User, Limit: 1}); err == nil && len(left) == 0 {
				return tenure.InvalidField("user", "there is nobody with the id or userName %q", tenure.Shown(s.User))
			}
		}
		if err != nil {
			return err
		}
	}
	if s.Account == "" {
		return nil
	}
	_, err := r.Account(ctx, f.Tenant, s.Account, time.Time{})
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.InvalidField("service_account", "there is no service account with the id %q", tenure.Shown(string(s.Account)))
	}
	return err
}

func (s Selection) fits(row tenure.Token) bool {
	used := row.CreatedAt
	if row.LastUsedAt.After(used) {
		used = row.LastUsedAt
	}
	return (row.Kind == tenure.KindPAT || row.Kind == tenure.KindService) &&
		(s.CreatedBefore.IsZero() || row.CreatedAt.Before(s.CreatedBefore)) &&
		(s.UnusedSince.IsZero() || used.Before(s.UnusedSince)) &&
		(s.Name == "" || tenure.MatchName(s.Name, row.Name))
}

// facts are the selection for the audit log.
func (s Selection) facts() map[string]string {
	out := map[string]string{}
	for key, value := range map[string]string{
		"user": s.User, "workspace": s.Workspace, "service_account": string(s.Account), "kind": string(s.Kind), "name": tenure.Redact(s.Name),
	} {
		if value != "" {
			out[key] = value
		}
	}
	for key, at := range map[string]time.Time{"created_before": s.CreatedBefore, "unused_since": s.UnusedSince} {
		if !at.IsZero() {
			out[key] = at.UTC().Format(time.RFC3339)
		}
	}
	return out
}
