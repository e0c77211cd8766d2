package limits

import (
	"cmp"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
)

// Left is what the limits that bear on a request leave to whoever asks: of each kind
// of bound the one of which least is left.
type Left struct {
	Requests, Tokens Bound
}

// Bound is one bound, and what is left of it. Of none, Limit is 0.
type Bound struct {
	Limit, Left int64
	Reset       time.Duration // until all of it is there again
}

func (b *Bound) tighten(limit, left int64, reset time.Duration) {
	if b.Limit == 0 || left < b.Left {
		*b = Bound{limit, left, reset}
	}
}

// subjects are whom the limits on a request are on.
func subjects(p tenure.Principal) (space tenure.WorkspaceID, owner string) {
	return cmp.Or(p.Workspace(), tenure.DefaultWorkspace), cmp.Or(string(p.User()), string(p.Account()))
}

// Judge counts a request under the limits that bear on it, and tells what they leave.
// It asks memory alone. TooMany: one of them is reached, which is what is told then, and
// the request counts under none.
func (l *Limits) Judge(p tenure.Principal, from tenure.Origin, now time.Time) (Left, error) {
	t := l.table.Load()
	if t == nil || len(t.tenants) == 0 {
		return Left{}, nil
	}
	var held [most]*gauge
	space, owner := subjects(p)
	n := t.bearing(p.Tenant(), space, owner, p.Line(), &held)
	if n == 0 {
		return Left{}, nil
	}
	return l.judge(caller{p, from}, now, held[:n])
}

// caller is who asks, and from where.
type caller struct {
	tenure.Principal
	from tenure.Origin
}

func (l *Limits) judge(p caller, now time.Time, held []*gauge) (Left, error) {
	var left Left
	today := now.Unix() / secondsPerDay
	for _, g := range held {
		if limit := g.of.Bounds.TokensPerDay; limit > 0 {
			rest, reset := limit-g.tokens.in(today), time.Unix((today+1)*secondsPerDay, 0).Sub(now)
			if rest <= 0 {
				return Left{Tokens: Bound{limit, 0, reset}}, l.refuse(p, g, boundTokens, today, reset)
			}
			left.Tokens.tighten(limit, rest, reset)
		}
		if limit := g.of.Bounds.SpendPerMonth; limit > 0 {
			if month := monthOf(today); g.spend.in(month) >= limit {
				y, m, _ := now.UTC().Date()
				return Left{}, l.refuse(p, g, boundSpend, month, time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC).Sub(now))
			}
		}
	}
	at := spanOf(now)
	for i, g := range held {
		limit := g.of.Bounds.RequestsPerMinute
		if limit == 0 {
			continue
		}
		rest, ok := g.asked.take(at, limit)
		if !ok {
			for _, g := range held[:i] {
				if g.of.Bounds.RequestsPerMinute > 0 {
					g.asked.own.add(at, -1)
				}
			}
			again := g.asked.free(now, limit)
			return Left{Requests: Bound{limit, 0, again}}, l.refuse(p, g, boundRequests, now.Unix()/secondsPerHour, again)
		}
		left.Requests.tighten(limit, rest, gone(now, at))
	}
	return left, nil
}

const (
	secondsPerHour = 60 * 60
	secondsPerDay  = 24 * secondsPerHour
)

// Codes of refusals, as OpenAI's clients know them: what is over in a minute, and what
// is not.
const (
	CodeRate  = "rate_limit_exceeded"
	CodeQuota = "insufficient_quota"
)

// refuse tells of a limit that is reached, and notes the first time in a window: an
// hour for requests, and else the limit's own.
func (l *Limits) refuse(p caller, g *gauge, bound int, window int64, again time.Duration) error {
	l.Metrics.refused(boundNames[bound], g.of.Kind)
	if g.told[bound].Swap(window) != window {
		e := audit.LimitReached(p.Principal, g.of, boundNames[bound])
		e.RequestID, e.Address = p.from.RequestID, p.from.Address // it is written later, behind some other request
		l.note(e)
	}
	e := &tenure.Error{Kind: tenure.TooMany, Code: CodeRate, RetryAfter: max(time.Second, again)}
	whose := map[string]string{
		tenure.LimitTenant: "this organisation", tenure.LimitWorkspace: "this workspace", tenure.LimitUser: "the owner of this token",
		tenure.LimitAccount: "this service account", tenure.LimitToken: "this token",
	}[g.of.Kind]
	switch bound {
	case boundTokens:
		e.Code = CodeQuota
		e.Msg = fmt.Sprintf("%s may use %s tokens of models a day (UTC), and has", whose, tenure.FormatCount(g.of.Bounds.TokensPerDay))
	case boundSpend:
		e.Code = CodeQuota
		e.Msg = fmt.Sprintf("%s may spend %s on models a month (UTC), and has", whose, tenure.FormatMoney(g.of.Bounds.SpendPerMonth))
	default:
		e.Msg = fmt.Sprintf("%s may ask models %s times a minute, and has", whose, tenure.FormatCount(g.of.Bounds.RequestsPerMinute))
	}
	if g.of.Workspace != "" {
		e.Msg += " in this workspace"
	}
	e.Msg += fmt.Sprintf("; try again in %s, or ask an administrator for a higher limit", tenure.FormatSpan(e.RetryAfter.Truncate(time.Second)))
	return e
}
