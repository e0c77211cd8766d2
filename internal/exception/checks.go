package exception

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

const (
	houseEvery = time.Second     // between two runs of the live checks
	notedEvery = 5 * time.Minute // how old it gets when one was run last
)

// Check is one that is run again and again: an exception whose check fails is out of force.
type Check struct {
	Name, What string
	rules      []tenure.Rule // of whose exceptions it can be; nil: of all
	// fails says what does not hold of what compensates for an exception; "": it holds.
	fails func(ctx context.Context, in facts, x tenure.Exception) (string, error)
}

// facts are what checks read: of the database, or in a transaction.
type facts interface {
	TokensHanging(ctx context.Context, tenant tenure.TenantID, id tenure.ExceptionID) ([]tenure.Token, error)
	RequestLimit(ctx context.Context, tenant tenure.TenantID, kind, subject string) (int64, error)
}

// Checks are the live checks that there are.
func Checks() []Check {
	tokens := []tenure.Rule{tenure.RuleTokenLifetime, tenure.RuleTokenExpires}
	return []Check{
		{
			"networks_set", "Every token on it is good from networks that are named, alone", tokens,
			eachToken("is good from anywhere", func(t tenure.Token) bool { return len(t.Networks) > 0 }),
		},
		{
			"models_set", "Every token on it may ask models that are named, alone", tokens,
			eachToken("may ask every model", func(t tenure.Token) bool { return !slices.Contains(t.Models, tenure.AnyModel) }),
		},
		{"rate_limit_set", "What it is for, of a provider its workspace, has a limit of requests a minute", nil, limited},
	}
}

// eachToken checks the tokens that hang on an exception and live or may live.
func eachToken(fault string, holds func(tenure.Token) bool) func(context.Context, facts, tenure.Exception) (string, error) {
	return func(ctx context.Context, in facts, x tenure.Exception) (string, error) {
		rows, err := in.TokensHanging(ctx, x.Tenant, x.ID)
		for _, t := range rows {
			if !holds(t) {
				return fmt.Sprintf("the token %q (%s…) %s", t.Name, t.Prefix, fault), err
			}
		}
		return "", err
	}
}

func limited(ctx context.Context, in facts, x tenure.Exception) (string, error) {
	kind, subject, about := x.Kind, x.Subject, x.About()
	if kind == tenure.SubjectProvider {
		kind, subject, about = tenure.SubjectWorkspace, string(x.Workspace), "the workspace of "+about
	}
	n, err := in.RequestLimit(ctx, x.Tenant, kind, subject)
	if err == nil && n == 0 {
		return about + " has no limit of requests a minute", nil
	}
	return "", err
}

// failing says what does not hold of what compensates for an exception; "": nothing. A
// check that is not known never holds.
func failing(ctx context.Context, in facts, x tenure.Exception) (string, error) {
	if x.Check == "" {
		return "", nil
	}
	for _, c := range Checks() {
		if c.Name == x.Check {
			return c.fails(ctx, in, x)
		}
	}
	return fmt.Sprintf("there is no check %q", tenure.Shown(x.Check)), nil
}

// readCheck answers Invalid for a check that there is not, or not of that rule.
func readCheck(name string, rule tenure.Rule) error {
	if name == "" {
		return nil
	}
	var names []string
	for _, c := range Checks() {
		if c.rules != nil && !slices.Contains(c.rules, rule) {
			continue
		}
		if c.Name == name {
			return nil
		}
		names = append(names, c.Name)
	}
	return tenure.InvalidField("check", "there is no live check %q of exceptions of the rule %s; there are %v", tenure.Shown(name), rule, names)
}

// KeepHouse runs the live checks every second, until ctx ends. report is told when
// something goes wrong.
func (s *Exceptions) KeepHouse(ctx context.Context, report func(error)) {
	tick := time.NewTicker(houseEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := s.Housekeep(ctx); err != nil && ctx.Err() == nil {
			report(fmt.Errorf("live checks of exceptions: %w", err))
		}
	}
}

// Housekeep runs the live check of every exception that may be in force: one whose check
// fails is out of force from then on, and what hangs on it not good. Several replicas may
// do it at once: each end is written and told by one.
func (s *Exceptions) Housekeep(ctx context.Context) error {
	rows, err := s.DB.ExceptionsChecked(ctx, s.DB.Now())
	for _, x := range rows {
		err = errors.Join(err, s.check(ctx, x))
	}
	return err
}

func (s *Exceptions) check(ctx context.Context, x tenure.Exception) error {
	why, err := failing(ctx, s.DB, x)
	if err != nil || why == "" && s.DB.Now().Sub(x.CheckedAt) < notedEvery {
		return err
	}
	failed := false
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if why, err = failing(ctx, tx, x); err != nil {
			return err
		}
		failed, err = tx.CheckedException(ctx, x, why)
		if err != nil || !failed {
			return err
		}
		return tx.Append(ctx, audit.ExceptionFailed(x, why))
	})
	if err == nil && failed {
		s.Live.Changed(ctx, store.Change{Kind: "exception", ID: string(x.Tenant)})
	}
	return err
}
