package dash

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// An overviewPage answers the question of every page: who has access now, and how
// does one end it?
type overviewPage struct {
	frame
	Notice   string
	Counts   tenure.Overview
	Lag      string // since the database last answered
	Live     streamsPart
	Warnings []warning
	Requests chart
	Times    chart
	Ages     chart
	Revoked  tenure.RevocationTimes
	Last     []revocation
}

// A warning is something that somebody should look at, and where.
type warning struct {
	Text string
	Path string // "" where this installation has no page for it
	Link string
}

// A revocation is a row of the newest ends of access.
type revocation struct {
	tenure.Revocation
	Kind string
	What string // ended with it
	Took string
}

func (d *Dash) overview(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	return d.showOverview(w, r, "Overview", "")
}

func (d *Dash) showOverview(w http.ResponseWriter, r *http.Request, title, notice string) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	o, err := d.Directory.Overview(ctx, by)
	if err != nil {
		return err
	}
	page := overviewPage{frame: d.frame(r, title), Notice: notice, Counts: o.Overview, Lag: "not known", Revoked: o.Times}
	if o.Lag < time.Hour {
		page.Lag = took(o.Lag)
	}
	if page.Live, err = d.streamsPart(ctx, by, directory.StreamFilter{Limit: streamsShown}); err != nil {
		return err
	}
	if page.Warnings, err = d.warnings(ctx, by, page.frame, o); err != nil {
		return err
	}
	page.Requests, page.Times, page.Ages = requestsChart(page.Now, o.Usage), timesChart(o.Times), agesChart(o.Overview)
	for _, v := range o.Last {
		page.Last = append(page.Last, revocation{Revocation: v, Kind: kind(v.What), What: total(v.Ended), Took: took(v.Ended.Took)})
	}
	return d.show(w, http.StatusOK, "overview", page)
}

// Median and Slowest are how long ends of access took.
func (p overviewPage) Median() string { return took(p.Revoked.Median) }

// Slowest is how long the slowest took.
func (p overviewPage) Slowest() string { return took(p.Revoked.Slowest) }

// staleFeed is how long the database may be silent without a warning.
const staleFeed = time.Second

// warnings lists what should not wait, with the page to act on it.
func (d *Dash) warnings(ctx context.Context, by tenure.Principal, f frame, o directory.Overview) ([]warning, error) {
	var out []warning
	warn := func(n int, path, link, one, many string) {
		text := many
		if n == 1 {
			text = one
		}
		if strings.Contains(text, "%d") {
			text = fmt.Sprintf(text, n)
		}
		if n > 0 {
			out = append(out, warning{text, f.page(path), link})
		}
	}
	if o.Lag > staleFeed {
		out = append(out, warning{"The database has not answered for " + took(o.Lag), f.page("/admin/system"), "Details"})
	}
	if _, why := d.Vault.Key.Sealed(); why != nil {
		out = append(out, warning{"Stored secrets cannot be opened: model requests answer 503", f.page(keysPath), "Reason"})
	}
	if !d.Single {
		warn(o.Alerts, "/admin/notices", "Read", "1 alert has not been read", "%d alerts have not been read")
		if o.SCIM > 0 {
			warn(o.Drifting, "/admin/drift", "Review", "1 person signs in under a name that SCIM does not know", "%d people sign in under a name that SCIM does not know")
		} else {
			warn(o.Drifting, "/admin/drift", "Review", "SCIM has provisioned nobody: when somebody leaves, nobody tells Tenure", "SCIM has provisioned nobody: when somebody leaves, nobody tells Tenure")
		}
		if access.Check(by, tenure.ListConnectors) == nil {
			feeds, err := d.Connectors.List(ctx, by)
			if err != nil {
				return nil, err
			}
			for _, c := range feeds {
				if c.Warning != "" {
					out = append(out, warning{fmt.Sprintf("SCIM feed “%s”: %s", c.Name, strings.TrimSuffix(c.Warning, ".")), f.page("/admin/connectors"), "Details"})
				}
			}
		}
		rows, err := d.Reviews.List(ctx, by, true, "", reviewsShown)
		if err != nil {
			return nil, err
		}
		for _, v := range rows {
			out = append(out, warning{dueOf(v, f.Now), f.page(reviewsPath), "Review"})
		}
		warn(o.Orphans, accountsPath+"?state=orphaned", "Assign", "1 service account has no owner", "%d service accounts have no owner")
		if may(by, tenure.ListAllExceptions) {
			ending, overdue, err := d.Exceptions.Due(ctx, by, soonEnding)
			if err != nil {
				return nil, err
			}
			warn(overdue, exceptionsPath, "Review", "The remedy of 1 exception is overdue", "The remedies of %d exceptions are overdue")
			warn(ending, exceptionsPath, "Review", "1 exception ends within 30 days", "%d exceptions end within 30 days")
		}
		warn(o.Unused, unusedTokens, "Review", "1 token was not used for 90 days", "%d tokens were not used for 90 days")
		warn(o.Ending, endingTokens, "Review", "1 token ends within 7 days", "%d tokens end within 7 days")
	}
	return out, nil
}

// page gives a path, which may have a query, if the asker's navigation leads
// there, else "".
func (f frame) page(path string) string {
	to, _, _ := strings.Cut(path, "?")
	for _, group := range f.Nav {
		for _, l := range group.Links {
			if l.Path == to {
				return path
			}
		}
	}
	return ""
}

// requestsChart draws what was asked and refused in directory.UsageSpan before now.
func requestsChart(now time.Time, rows []tenure.Usage) chart {
	const steps = int(directory.UsageSpan / directory.UsageStep)
	last := now.UTC().Truncate(directory.UsageStep)
	c := chart{ID: "requests", Title: "Requests to models and refusals, the last 24 hours, by half hours in UTC", Unit: "requests", Labels: make([]string, steps)}
	answered, failed, refused := make([]int64, steps), make([]int64, steps), make([]int64, steps)
	for i := range steps {
		at := last.Add(-time.Duration(steps-1-i) * directory.UsageStep)
		c.Labels[i] = at.Format("15:04")
		if at.Hour()%6 == 0 && at.Minute() == 0 {
			c.Ticks = append(c.Ticks, i)
		}
	}
	for _, u := range rows {
		i := steps - 1 - int(last.Sub(u.Start)/directory.UsageStep)
		if i >= 0 && i < steps {
			refused[i] += u.Refused
			failed[i] += u.Failed
			answered[i] += max(0, u.Requests-u.Failed)
		}
	}
	c.Series = []series{{"requests", "bar", answered}, {"failed", "bar-failed", failed}, {"refused", "bar-refused", refused}}
	return c
}

// timesChart draws how many ends of access took how long.
func timesChart(t tenure.RevocationTimes) chart {
	c := chart{ID: "times", Title: "How long revocations took, the last 30 days", Unit: "revocations"}
	var values []int64
	for i, n := range t.Within {
		c.Labels = append(c.Labels, "< "+short(tenure.RevocationSteps[i]))
		values = append(values, n)
	}
	c.Labels, values = append(c.Labels, "≥ 1 s"), append(values, t.Slower)
	for i := 0; i < len(c.Labels); i += 3 {
		c.Ticks = append(c.Ticks, i)
	}
	c.Series = []series{{"revocations", "bar", values}}
	return c
}

// agesChart draws how old the live tokens are.
func agesChart(o tenure.Overview) chart {
	c := chart{ID: "ages", Title: "How old the live tokens are", Unit: "tokens"}
	values := make([]int64, len(o.Ages))
	for i, n := range o.Ages {
		values[i] = int64(n)
		label := "older"
		if i < len(tenure.TokenAges) {
			label = fmt.Sprintf("< %d d", int(tenure.TokenAges[i].Hours()/24))
		}
		c.Labels, c.Ticks = append(c.Labels, label), append(c.Ticks, i)
	}
	c.Series = []series{{"tokens", "bar", values}}
	return c
}
