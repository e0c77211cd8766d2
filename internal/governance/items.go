package governance

import (
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// token judges a token: one of the person, of an account that they own, or one
// whose secret they have seen when they made it.
func (r *reporting) token(t tenure.Token) Item {
	i := Item{
		Kind: KindToken, ID: string(t.ID), Name: t.Name, Workspace: t.Workspace, State: t.State(r.now), About: string(t.Kind), Of: t.AccountName,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, EndedAt: t.RevokedAt, EndedBy: t.RevokedBy, Reason: t.RevokedReason,
	}
	own := t.User == r.person.ID
	account := r.accounts[t.ServiceAccount]
	switch {
	case !t.RevokedAt.IsZero():
	case !t.Live(r.now):
		i.EndedAt, i.Reason = t.ExpiresAt, "it expired"
		if !t.Over(r.now) {
			if i.EndedAt, i.Reason = t.ExceptionEnds, "its exception ended"; i.EndedAt.After(r.now) {
				i.EndedAt, i.Reason = time.Time{}, "its exception has not begun"
			}
		}
	case account != nil && !accountLives(*account, r.now):
		i.State, i.EndedAt, i.Reason = stateLate, accountEnd(*account), "its service account ended"
	case own:
		i.Remaining = "the token is good"
	case account == nil:
		i.Rotate = "the person made this token, and has seen its secret"
	}
	return i
}

// holding judges anything but a token.
func (r *reporting) holding(h store.Holding) Item {
	i := Item{
		Kind: h.Kind, ID: h.ID, Name: h.Name, Workspace: h.Workspace, About: h.About, Of: h.Via,
		CreatedAt: h.CreatedAt, ExpiresAt: h.ExpiresAt, EndedAt: h.EndedAt, EndedBy: h.EndedBy, Reason: h.Reason,
	}
	if h.Workspace != "" && h.Name == "" {
		i.Name = r.names[h.Workspace]
	}
	switch {
	case h.Kind == KindSession:
		r.session(&i, h)
	case h.Kind == KindRequest:
		i.State, i.About = h.About, ""
	case h.Past:
		r.over(&i)
	case h.Kind == KindAccount:
		r.account(&i, h)
	case !h.EndedAt.IsZero(): // a connector
		i.State = stateOver
	case h.Kind == KindProvider:
		i.State, i.Rotate = InUse, "the person entered this key, and has seen it"
	case h.Kind == KindConnector:
		i.State, i.Rotate = InUse, "the person made this connector, and has seen its token"
	case r.person.Active:
		i.State = stateLive
	default:
		i.State = Suspended
	}
	return i
}

// exception judges one that is for the person, or whose remedy is theirs. What hangs on it
// is judged by itself.
func (r *reporting) exception(x tenure.Exception) Item {
	i := Item{
		Kind: KindException, ID: string(x.ID), Name: x.Title, Workspace: x.Workspace, State: x.State(r.now), About: string(x.Rule),
		CreatedAt: x.RequestedAt, ExpiresAt: x.End(),
	}
	switch i.State {
	case tenure.ExceptionRevoked:
		i.EndedAt, i.EndedBy, i.Reason = x.RevokedAt, x.RevokedBy, x.RevokedWhy
	case tenure.ExceptionRemediated:
		i.EndedAt, i.EndedBy = x.RemediatedAt, x.RemediatedBy
	case tenure.ExceptionRejected, tenure.ExceptionWithdrawn:
		i.EndedAt, i.EndedBy, i.Reason = x.DecidedAt, x.DecidedBy, x.Why
	case tenure.ExceptionFailed:
		i.EndedAt, i.Reason = x.FailedAt, x.FailedWhy
	case tenure.ExceptionExpired:
		i.EndedAt = x.End()
	}
	switch {
	case x.For != r.person.ID:
		i.Of = x.About()
	case i.State == tenure.ExceptionActive && !r.person.Active:
		i.State = Suspended
	}
	return i
}

// over tells how something ended whose row is gone.
func (r *reporting) over(i *Item) {
	i.State = stateOver
	if i.Kind == KindAccount {
		i.State, i.Reason = PassedOn, "it has another owner"
	}
	if e, ok := r.past[i.ID]; ok && !e.At.Before(i.EndedAt.Add(-time.Second)) {
		i.EndedBy = e.Actor
		if e.Reason != "" {
			i.Reason = e.Reason
		}
		return
	}
	for _, e := range r.events { // memberships and groups end with the person
		if e.Action == "user.deleted" && e.At.Sub(i.EndedAt).Abs() < time.Second {
			i.EndedBy, i.Reason = e.Actor, "the person was deleted"
		}
	}
}

func (r *reporting) session(i *Item, h store.Holding) {
	idle, ends := h.SeenAt.Add(r.idle), h.ExpiresAt
	if late := h.CreatedAt.Add(r.policy.SessionLife); late.Before(ends) {
		ends = late
	}
	switch {
	case !h.EndedAt.IsZero():
		i.State = stateOver
	case !r.now.Before(ends):
		i.State, i.EndedAt, i.Reason = stateLate, ends, "it reached its longest life"
	case r.idle > 0 && !r.now.Before(idle):
		i.State, i.EndedAt, i.Reason = stateLate, idle, "it was idle for too long"
	default:
		i.State, i.Remaining = stateOpen, "the session is open"
	}
}

// account judges a service account that the person owns, or owned when they left.
func (r *reporting) account(i *Item, h store.Holding) {
	a := &tenure.ServiceAccount{
		ID: tenure.ServiceAccountID(h.ID), Name: h.Name, ExpiresAt: h.ExpiresAt, OrphanedAt: h.Orphaned, EndedAt: h.EndedAt,
	}
	if !a.OrphanedAt.IsZero() {
		a.GraceEndsAt = a.OrphanedAt.Add(r.policy.OrphanGrace)
	}
	r.accounts[a.ID] = a
	i.State, i.ExpiresAt = a.State(r.now), accountEnd(*a)
	n := 0
	for _, t := range r.tokens {
		if t.ServiceAccount == a.ID && t.Live(r.now) {
			n++
		}
	}
	i.About = fmt.Sprintf("%d live tokens", n)
	switch i.State {
	case stateLate:
		i.EndedAt, i.Reason = accountEnd(*a), "its end date came"
		if a.EndedAt.IsZero() && !a.GraceEndsAt.IsZero() && a.GraceEndsAt.Equal(i.EndedAt) {
			i.Reason = "nobody adopted it in time"
		}
	case "orphaned":
		i.Remaining = fmt.Sprintf("its owner has left and it goes on until %s, with %s: give it a new owner, or end it",
			accountEnd(*a).UTC().Format(time.RFC3339), i.About)
	case stateLive:
		i.Remaining = "the person owns it"
	}
}

func accountLives(a tenure.ServiceAccount, now time.Time) bool {
	s := a.State(now)
	return s == stateLive || s == "orphaned"
}

// accountEnd is when an account ends by itself, or has ended; zero: never.
func accountEnd(a tenure.ServiceAccount) time.Time {
	end := a.EndedAt
	for _, t := range [...]time.Time{a.ExpiresAt, a.GraceEndsAt} {
		if !t.IsZero() && (end.IsZero() || t.Before(end)) {
			end = t
		}
	}
	return end
}
