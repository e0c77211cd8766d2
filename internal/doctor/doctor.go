// Package doctor looks at an installation as "tenure serve" would run it, and says
// what is wrong and what to do about it. It owns what is good, what is worth a
// warning and what is a fault, and how long each look may take.
//
// It makes, migrates and writes nothing, listens nowhere, and shows no secret.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/secretref"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Status is the judgement of one look.
type Status string

// The judgements.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, and is worth a change
	Fail Status = "fail" // it does not work, or is not safe
	Skip Status = "skip" // nobody looked, and why
)

// Finding is what one look found.
type Finding struct {
	Area   string `json:"area"`
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Do     string `json:"do,omitempty"` // what to do about it
}

// Doctor looks at one installation. Its fields are set before Run.
type Doctor struct {
	Settings config.Serve
	// As gives the operator as a principal of a tenant.
	As func(tenure.TenantID) tenure.Principal
	// URL is where people reach Tenure, through the proxy; nil: by TENURE_PUBLIC_URL.
	URL *url.URL
	// Header goes with what is asked there, such as the cookie of somebody who is
	// signed in.
	Header http.Header
	// AskProviders asks each provider for its models, with its key.
	AskProviders bool
	// Secrets makes what resolves keys that are kept elsewhere.
	Secrets func(config.SecretSources, *egress.Guard) (*secretref.Resolver, error)
	// Replicas is how many processes are to serve from one PostgreSQL.
	Replicas int

	cfg      *config.Checked
	db       *store.DB // nil where the database cannot be read
	resolver func() (*secretref.Resolver, error)
}

// Limits of time: three rounds, one after the other, are less than half a minute.
const (
	settingsLimit = time.Second
	databaseLimit = 10 * time.Second
	contentLimit  = 10 * time.Second
	// lateness is what a look has to say how far it came once its time is over.
	lateness = 300 * time.Millisecond
)

// look is one part of the visit.
type look struct {
	area  string
	limit time.Duration
	at    func(context.Context) findings
}

// Run looks at everything, and gives what it found in the order of the areas.
func (d *Doctor) Run(ctx context.Context) []Finding {
	out := d.round(ctx, look{"settings", settingsLimit, d.settings})
	if d.cfg == nil {
		return out
	}
	d.resolver = sync.OnceValues(func() (*secretref.Resolver, error) {
		roots, err := egress.RootsWith(d.cfg.CAFile)
		if err != nil {
			return nil, err
		}
		return d.Secrets(d.cfg.Secrets, &egress.Guard{Roots: roots})
	})
	opened := make(chan *store.DB, 1)
	out = append(out, d.round(ctx, look{"database", databaseLimit, func(ctx context.Context) findings {
		f, db := d.database(ctx)
		opened <- db
		return f
	}})...)
	select {
	case d.db = <-opened:
	default: // it hangs
	}
	proxy := look{"proxy", contentLimit, d.proxy}
	if d.db == nil {
		for _, area := range []string{"key", "secrets", "providers", "scim", "access"} {
			out.skip(area, area, "the database cannot be read")
		}
		return append(out, d.round(ctx, proxy)...)
	}
	out = append(out, d.round(ctx,
		look{"key", contentLimit, d.key}, look{"secrets", contentLimit, d.references}, look{"providers", contentLimit, d.providers},
		look{"scim", contentLimit, d.scim}, look{"access", contentLimit, d.access}, proxy)...)
	_ = d.round(ctx, look{"", settingsLimit, func(context.Context) findings { _ = d.db.Close(); return nil }})
	return out
}

// round looks at several things at once. What hangs is told, and left behind.
func (d *Doctor) round(ctx context.Context, looks ...look) findings {
	results := make([]chan findings, len(looks))
	for i, l := range looks {
		results[i] = make(chan findings, 1)
		go func() {
			ctx, cancel := context.WithTimeout(ctx, l.limit)
			defer cancel()
			results[i] <- l.at(ctx)
		}()
	}
	var out findings
	began := time.Now()
	for i, l := range looks {
		select {
		case f := <-results[i]:
			out = append(out, f...)
		case <-time.After(time.Until(began.Add(l.limit + lateness))):
			out.fail(l.area, l.area, fmt.Sprintf("no answer within %s", l.limit), "find out what hangs: the disk, the network, or whoever is asked.")
		}
	}
	return out
}

// findings are gathered in the order in which they are made.
type findings []Finding

func (f *findings) ok(area, check, found string) { f.add(Finding{area, check, OK, found, ""}) }

func (f *findings) skip(area, check, found string) { f.add(Finding{area, check, Skip, found, ""}) }

func (f *findings) warn(area, check, found, do string) { f.add(Finding{area, check, Warn, found, do}) }

func (f *findings) fail(area, check, found, do string) { f.add(Finding{area, check, Fail, found, do}) }

// either is ok, or a warning with what to do.
func (f *findings) either(good bool, area, check, found, do string) {
	if good {
		f.ok(area, check, found)
	} else {
		f.warn(area, check, found, do)
	}
}

// add takes care that no secret is told.
func (f *findings) add(one Finding) {
	one.Found, one.Do = tenure.Redact(one.Found), tenure.Redact(one.Do)
	*f = append(*f, one)
}

// cause is an error in the words of whoever met it first: what a kind says for
// clients is too little here.
func cause(err error) string {
	var e *tenure.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}
