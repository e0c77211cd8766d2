package evidence

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// The results of a check.
const (
	passed        = "passed"
	failed        = "failed"
	notAssessable = "not assessable here"
)

// The sections of a bundle.
const (
	sectionAuth       = "authentication"
	sectionKeys       = "encryption"
	sectionPeople     = "people"
	sectionRoles      = "roles"
	sectionPrivileged = "privileged actions"
	sectionRefused    = "refused attempts"
	sectionRules      = "exceptions and reviews"
	sectionTokens     = "tokens"
	sectionPolicy     = "changes of policy"
	sectionLog        = "log"
)

// A definition is what is asked by a check, and which controls it speaks to, by their
// numbers in SOC 2 (CC…), ISO/IEC 27001:2022 (A.…) and NIST SP 800-53 (AC-…, IA-…).
type definition struct {
	ID       string
	Section  string
	Title    string
	Asked    string
	Controls []string
}

// definitions are all checks, in the order of their sections.
func definitions() []definition {
	return []definition{
		{"auth.sign_in", sectionAuth, "People sign in by an identity provider", "In which ways do people sign in?", []string{"CC6.1", "CC6.6", "A.5.17", "A.8.5", "IA-5"}},
		{"auth.second_factor", sectionAuth, "A second factor is asked for", "Is a second factor demanded of who signs in?", []string{"CC6.1", "A.8.5", "IA-5"}},
		{"auth.sessions_end", sectionAuth, "Sessions end by themselves", "Does the policy end sessions that are idle or old, and ask those who administer to sign in again?", []string{"CC6.1", "A.8.5", "A.8.2"}},
		{"auth.token_lifetimes", sectionAuth, "Tokens have a longest life", "Does the policy bound how long tokens live to a year?", []string{"CC6.1", "A.5.17", "IA-5"}},
		{"keys.at_hand", sectionKeys, "Stored secrets are sealed under a key that is at hand", "Every kind of stored secret: can the key that wrapped it be had?", []string{"CC6.1", "A.5.17", "IA-5"}},
		{"keys.rotated", sectionKeys, "Keys of model providers are not older than a year", "Every key that is not retired: was it made in the last 365 days?", []string{"CC6.1", "A.5.17", "IA-5"}},
		{"leavers.no_living_credentials", sectionPeople, "Nobody who left can still sign in or ask a model", "Everybody who was deactivated or deleted in the period and has not come back: do they have a token that lives or a session that is open when this is collected?", []string{"CC6.2", "CC6.3", "A.5.16", "A.5.18", "AC-2", "AC-2(3)"}},
		{"leavers.within_a_second", sectionPeople, "Access ended within a second of the news", "Every leaving in the period: was the last credential dead, and the last open stream of the process that carried it out told to end, within 1,000 ms of the deprovisioning? Where no event tells, it is not known.", []string{"CC6.2", "A.5.18", "AC-2", "AC-2(3)"}},
		{"leavers.recorded", sectionPeople, "Every leaving is in the audit log", "Everybody who stands as deactivated or deleted since a time in the period: does an audit event tell of it?", []string{"CC6.2", "A.5.16", "AC-2(4)"}},
		{"joiners.recorded", sectionPeople, "Every newcomer is in the audit log, with whence they came", "Everybody who was made in the period: does an audit event tell by whom or by what?", []string{"CC6.2", "A.5.16", "AC-2", "AC-2(1)", "AC-2(4)"}},
		{"tokens.expire", sectionTokens, "Tokens that live have an end", "Every personal and service token that lives: does it have an expiry?", []string{"CC6.1", "A.5.17", "IA-5", "AC-2(3)"}},
		{"tokens.have_an_owner", sectionTokens, "Tokens that live belong to somebody who is there", "Every personal and service token that lives: is its owner, or the person who answers for its service account, active?", []string{"CC6.2", "A.5.16", "A.5.18", "AC-2", "IA-5"}},
		{"tokens.in_use", sectionTokens, "Tokens that live are used", "Every personal and service token that lives and is older than 90 days: was it used in the last 90 days?", []string{"CC6.3", "A.5.18", "AC-2(3)"}},
		{"grants.attributed", sectionRoles, "Every grant names who made it", "Every role, membership, mapping of a group and approval of the period: does its event name who gave it?", []string{"CC6.2", "CC6.3", "A.5.15", "A.5.18", "A.8.2", "AC-2", "AC-2(4)"}},
		{"grants.by_another", sectionRoles, "Nobody gave a role to themselves", "Every role, membership and approval of the period: is who gave it somebody else than who has it?", []string{"CC6.3", "A.5.18", "A.8.2", "AC-2(7)"}},
		{"privileged.in_use", sectionRoles, "Roles of administration and audit are used", "Everybody active with such a role: were they seen in the last 90 days?", []string{"CC6.3", "A.8.2", "AC-2(3)", "AC-2(7)"}},
		{"root.unused", sectionPrivileged, "The root token was not used", "Every event of the period that the root token made.", []string{"CC6.1", "CC6.3", "A.8.2", "AC-2(7)"}},
		{"refused.no_attack", sectionRefused, "Nobody forged an identity, and no token leaked or came back", "Every event of the period of a forged identity header, a rotated secret that was used again, a token that was found where none must be, and a stored secret that was tampered with.", []string{"CC6.6", "A.8.3", "A.8.5", "AC-2(12)", "IA-5"}},
		{"policy.changes_attributed", sectionPolicy, "Every change of the policy names who made it", "Every change of the policy in the period: does its event name who made it?", []string{"CC6.1", "A.5.15", "AC-2(4)"}},
		{"exceptions.end", sectionRules, "Exceptions from policy have an approver and an end", "Every exception that was in force in the period: did somebody else than its requester and than whom it is for approve it, does an audit event of the period tell so, does it end within 180 days, and does nothing live by it that it does not cover any more?", []string{"CC6.1", "CC6.3", "A.5.15", "A.5.18", "AC-2"}},
		{"reviews.held", sectionRules, "Access was reviewed", "Every review of everything that the policy wanted in the period: was it opened? And every review that was open in the period and is due: was it closed in time, with a decision on every item, and has all that was revoked ended?", []string{"CC6.2", "CC6.3", "A.5.18", "A.8.2", "AC-2"}},
		{"log.verified", sectionLog, "The installation signs its log, verifies it, and has found no fault", "The whole log, as the installation knows it when this is collected: is it signed, was all of it verified in the last two days, and is no fault known?", []string{"CC6.1", "AC-2(4)"}},
		{"log.kept", sectionLog, "The audit events of the period are still there", "Whether retention removed events of the tenant that may be of the period: what they told is in no population.", []string{"CC6.1", "AC-2(4)"}},
		{"log.unchanged", sectionLog, "The audit events of the period are those that were signed", "Every audit event of the period that has its place: is it the one of its leaf in the tree? And every place among and beside them, whoever's it is: is its event still there, and the one of its leaf? \"tenure audit verify\" reads the whole log.", []string{"CC6.1", "AC-2(4)"}},
	}
}

// Controls are the references that a bundle can be asked for, each once.
func Controls() []string {
	var out []string
	for _, d := range definitions() {
		out = append(out, d.Controls...)
	}
	slices.SortFunc(out, byReference)
	return slices.Compact(out)
}

// byReference orders references by their families, and within by their numbers.
func byReference(a, b string) int {
	if family := func(s string) int { return slices.Index([]string{"CC", "A.", "AC", "IA"}, s[:2]) }; family(a) != family(b) {
		return family(a) - family(b)
	}
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func knownControls(asked []string) error {
	all := Controls()
	for _, c := range asked {
		if !slices.Contains(all, c) {
			return tenure.InvalidField("control", "control: %q is none of %s", tenure.Shown(c), strings.Join(all, ", "))
		}
	}
	return nil
}

// wanted reports whether a check speaks to what was asked for.
func (x *export) wanted(d definition) bool {
	return len(x.query.Controls) == 0 || slices.ContainsFunc(d.Controls, func(c string) bool { return slices.Contains(x.query.Controls, c) })
}

// asked reports whether a section has a check that is wanted.
func (x *export) asked(section string) bool {
	return slices.ContainsFunc(definitions(), func(d definition) bool { return d.Section == section && x.wanted(d) })
}

// Check is one question and its answer.
type Check struct {
	Controls    []string  `json:"control"`
	ID          string    `json:"check_id"`
	Section     string    `json:"section"`
	Title       string    `json:"title"`
	Query       question  `json:"query"`
	Population  int64     `json:"population"`
	Passed      int64     `json:"passed"`
	Failed      []string  `json:"failed"`          // the first of them
	FailedCount int64     `json:"failed_count"`    // all
	Result      string    `json:"result"`          // passed, failed, not assessable here
	Unknown     int64     `json:"not_known"`       // neither passed nor failed: nothing tells
	Note        string    `json:"note,omitempty"`  // why it is not assessable, or what else to know
	Files       []string  `json:"files,omitempty"` // with the population
	CollectedAt time.Time `json:"collected_at"`
	Collector   string    `json:"collector"` // version
}

// question is what a check has asked.
type question struct {
	Asked string    `json:"asked"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
}

// maxFailed is how many failed items stand in a check; the population has all.
const maxFailed = 1000

// A tally counts a check's items.
type tally struct {
	population int64
	count      int64
	unknown    int64
	items      []string
}

// untold counts an item of which nothing tells.
func (t *tally) untold() {
	t.population++
	t.unknown++
}

// item counts one; why says what is wrong with it, "" that nothing is.
func (t *tally) item(what, why string) {
	if t.population++; why == "" {
		return
	}
	if t.count++; len(t.items) < maxFailed {
		t.items = append(t.items, what+": "+why)
	}
}

// judge adds the result of a check, if it is wanted.
func (x *export) judge(id string, t tally, note string, files ...string) {
	c, ok := x.begun(id)
	if !ok {
		return
	}
	c.Population, c.Passed, c.FailedCount, c.Unknown, c.Result, c.Note, c.Files = t.population, t.population-t.count-t.unknown, t.count, t.unknown, passed, note, files
	c.Failed = append(c.Failed, t.items...)
	switch {
	case t.count > 0:
		c.Result = failed
	case t.unknown > 0:
		c.Result = notAssessable
	}
	x.found.checks = append(x.found.checks, c)
}

// pass over a check that cannot be assessed here, and say why.
func (x *export) unassessed(id, why string) {
	if c, ok := x.begun(id); ok {
		c.Result, c.Note = notAssessable, why
		x.found.checks = append(x.found.checks, c)
	}
}

// begun is a check without its answer; false: nobody asked for it.
func (x *export) begun(id string) (Check, bool) {
	all := definitions()
	i := slices.IndexFunc(all, func(d definition) bool { return d.ID == id })
	if i < 0 || !x.wanted(all[i]) {
		return Check{}, false
	}
	d := all[i]
	return Check{
		Controls: d.Controls, ID: d.ID, Section: d.Section, Title: d.Title, Query: question{d.Asked, x.query.From, x.query.To},
		Failed: []string{}, CollectedAt: x.At, Collector: x.version,
	}, true
}

// writeChecks writes all results.
func (x *export) writeChecks() error {
	return x.bundle.file(checksFile, func(w io.Writer) (int64, error) {
		out := json.NewEncoder(w)
		for _, c := range x.found.checks {
			if err := out.Encode(c); err != nil {
				return 0, err
			}
		}
		return int64(len(x.found.checks)), nil
	})
}

// Results are those that a check can have.
func Results() []string { return []string{passed, failed, notAssessable} }
