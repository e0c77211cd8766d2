package evidence

import (
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// export is a bundle in the making.
type export struct {
	*store.Moment
	bundle  *bundle
	query   Query
	tenant  tenure.Tenant
	by      tenure.Principal
	version string
	install string
	house   House
	found   found
	log     LogFacts
}

// found is what the sections have found, for the page and for one another.
type found struct {
	checks []Check
	tables []table
	drawn  []pick // for the sample
}

// A table is what the page shows of a population.
type table struct {
	Name    string
	Title   string
	Columns []string
	All     bool // these are all that there are
	Rows    int64
	Shown   [][]string
}

// sections writes them in their order. One whose checks nobody asked for is left out; the
// log is always there, because all others are told by it.
func (x *export) sections(ctx context.Context) error {
	for _, s := range []struct {
		name  string
		write func(context.Context) error
	}{
		{sectionAuth, x.authentication},
		{sectionKeys, x.encryption},
		{sectionPeople, x.people},
		{sectionRoles, x.roles},
		{sectionPrivileged, x.privileged},
		{sectionRefused, x.refusals},
		{sectionRules, x.rules},
		{sectionTokens, x.tokens},
		{sectionPolicy, x.policyChanges},
		{sectionLog, x.auditLog},
	} {
		if s.name != sectionLog && !x.asked(s.name) {
			continue
		}
		if err := s.write(ctx); err != nil {
			return err
		}
	}
	if err := x.samples(ctx); err != nil {
		return err
	}
	return x.writeChecks()
}

func (x *export) manifest() Manifest {
	m := Manifest{
		Form: form, Install: x.install, Tenant: string(x.tenant.ID), TenantName: x.tenant.Name, From: x.query.From, To: x.query.To,
		Controls: append([]string{}, x.query.Controls...), Sample: x.query.Sample, Seed: x.query.Seed, CollectedAt: x.At, CollectedBy: x.by.Label(),
		Version: x.version, Checks: map[string]int{passed: 0, failed: 0, notAssessable: 0}, Log: x.log, Files: x.bundle.files,
	}
	for _, c := range x.found.checks {
		m.Checks[c.Result]++
	}
	return m
}

// rules writes exceptions from policy and reviews of access.
func (x *export) rules(ctx context.Context) error {
	if err := x.exceptions(ctx); err != nil {
		return err
	}
	return x.reviews(ctx)
}
