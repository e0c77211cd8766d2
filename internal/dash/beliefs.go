package dash

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/web"
)

const beliefsPath = "/beliefs"

func (d *Dash) beliefRoutes() []web.Route {
	one := beliefsPath + "/{id}"
	return []web.Route{
		d.look("GET "+beliefsPath, tenure.ReadBeliefs, d.beliefs),
		d.look("GET "+beliefsPath+"/new", tenure.ChangeBeliefs, d.newBelief),
		d.do("POST "+beliefsPath, tenure.ChangeBeliefs, d.recordBelief),
		d.route("GET "+beliefsPath+"/export", tenure.ReadBeliefs, d.exportBeliefs),
		d.look("GET "+beliefsPath+"/extraction", tenure.ChangeBeliefs, d.askExtraction),
		d.do("POST "+beliefsPath+"/extraction", tenure.ChangeBeliefs, d.setExtraction),
		d.look("GET "+beliefsPath+"/erase", tenure.EraseBeliefs, d.askEraseBeliefs),
		d.do("POST "+beliefsPath+"/erase", tenure.EraseBeliefs, d.eraseBeliefs),
		d.look("GET "+one, tenure.ReadBeliefs, d.belief),
		d.look("GET "+one+"/edit", tenure.ChangeBeliefs, d.editBelief),
		d.do("POST "+one, tenure.ChangeBeliefs, d.changeBelief),
		d.do("POST "+one+"/end", tenure.ChangeBeliefs, d.endBelief),
		d.look("GET "+one+"/delete", tenure.ChangeBeliefs, d.askDeleteBelief),
		d.do("POST "+one+"/delete", tenure.ChangeBeliefs, d.deleteBelief),
	}
}

// A beliefsPage lists one's own beliefs, and says when some are drawn out of turns.
type beliefsPage struct {
	frame
	looking
	Notice   string
	Person   bool // who asks can have beliefs
	Rows     []tenure.Belief
	Pairs    []beliefPair
	Next     tenure.BeliefID
	Readers  []tenure.Exception // by which others read them now
	Past     bool               // none holds any more, and some did
	Types    []choice
	Statuses []choice
	Places   []choice
	Own      string // what one says of extraction oneself, in words
	Here     []extractionRow
}

// A beliefPair are two beliefs that say otherwise of the same name.
type beliefPair struct {
	frame
	Sides [2]tenure.Belief
}

// An extractionRow is what holds in one workspace.
type extractionRow struct {
	Name, Holds, Model string
}

func (d *Dash) beliefs(w http.ResponseWriter, r *http.Request) error {
	return d.showBeliefs(w, r, "")
}

// showBeliefs answers with the list, and says on it what has just been done.
func (d *Dash) showBeliefs(w http.ResponseWriter, r *http.Request, notice string) error {
	query := r.URL.Query()
	if r.Method == http.MethodPost {
		query = nil
	}
	page := beliefsPage{frame: d.frame(r, "My beliefs"), looking: look(beliefsPath, query), Notice: notice, Person: web.Principal(r.Context()).User() != ""}
	if !page.Person {
		return d.show(w, http.StatusOK, "beliefs", page)
	}
	page.Types = choices(page.Get("type"), append([]string{"", "Any"}, typeChoices()...)...)
	page.Statuses = choices(page.Get("status"), "", "That hold", "active", "Stated", "inferred", "Inferred", "exploratory", "Considered", "superseded", "Hold no more", "disputed", "Contradicted")
	page.Places = choices(page.Get("workspace"), "", "Any")
	for _, s := range page.Spaces {
		page.Places = append(page.Places, choice{string(s.ID), s.Name, page.Get("workspace") == string(s.ID)})
	}
	if err := d.extractionHere(r, &page); err != nil {
		return err
	}
	if err := d.beliefReaders(r, &page); err != nil {
		return err
	}
	if err := d.findBeliefs(r, &page); err != nil {
		wrong, ok := asRefused(err)
		if !ok {
			return err
		}
		page.refused = wrong
		if failed := d.show(w, http.StatusBadRequest, "beliefs", page); failed != nil {
			return failed
		}
		return err // answered; for the record
	}
	return d.show(w, http.StatusOK, "beliefs", page)
}

// findBeliefs fills in those that were looked for, and what contradicts them.
func (d *Dash) findBeliefs(r *http.Request, page *beliefsPage) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	l := belief.Look{
		Workspace: tenure.WorkspaceID(page.Get("workspace")), Type: tenure.BeliefType(page.Get("type")), Status: tenure.BeliefStatus(page.Get("status")),
		Text: page.Get("q"), After: tenure.BeliefID(page.Get("cursor")), Limit: perPage,
	}
	if l.Status == "disputed" {
		l.Status, l.Disputed = "", true
	}
	if page.Field != "" {
		return nil
	}
	if scope := page.Get("scope"); scope != "" {
		var err error
		if l.Scope, err = tenure.ParseBeliefScope(scope); err != nil {
			return err
		}
	}
	found, err := d.Beliefs.List(ctx, by, l)
	if err != nil {
		return err
	}
	page.Rows, page.Next = found.Beliefs, found.Next
	if len(page.Rows) == 0 && !page.Filtered() {
		past, err := d.Beliefs.List(ctx, by, belief.Look{Status: tenure.BeliefSuperseded, Limit: 1})
		if err != nil {
			return err
		}
		page.Past = len(past.Beliefs) > 0
	}
	paired := map[tenure.BeliefID]bool{}
	for _, b := range page.Rows {
		if paired[b.ID] {
			continue
		}
		pair, err := d.pair(r, page.frame, b, page.Rows)
		if err != nil {
			return err
		}
		if pair != nil {
			paired[b.Contradicts] = true
			page.Pairs = append(page.Pairs, *pair)
		}
	}
	return nil
}

// pair is a belief with what contradicts it, or nil where nothing that holds does. What is
// among those that were read is not read again.
func (d *Dash) pair(r *http.Request, f frame, b tenure.Belief, among []tenure.Belief) (*beliefPair, error) {
	if b.Contradicts == "" || b.Status == tenure.BeliefSuperseded {
		return nil, nil //nolint:nilnil // none is no error
	}
	if i := slices.IndexFunc(among, func(o tenure.Belief) bool { return o.ID == b.Contradicts }); i >= 0 && among[i].Status != tenure.BeliefSuperseded {
		return &beliefPair{f, [2]tenure.Belief{among[i], b}}, nil
	}
	other, err := d.Beliefs.One(r.Context(), web.Principal(r.Context()), b.Contradicts)
	if tenure.IsKind(err, tenure.NotFound) || err == nil && other.Status == tenure.BeliefSuperseded {
		return nil, nil //nolint:nilnil // deleted, or ended, just now
	}
	return &beliefPair{f, [2]tenure.Belief{other, b}}, err
}

// extractionHere fills in when beliefs are drawn out of one's turns.
func (d *Dash) extractionHere(r *http.Request, page *beliefsPage) error {
	own, err := d.Beliefs.Own(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return err
	}
	page.Own = map[tenure.Extraction]string{
		tenure.ExtractNever:  "You have it off: nothing is drawn out of what you ask models.",
		tenure.ExtractAsked:  "You want it for those turns alone of which you ask it.",
		tenure.ExtractAlways: "You want it for every turn that does not say otherwise.",
	}[own.When]
	here, err := d.Beliefs.Mine(r.Context(), web.Principal(r.Context()))
	for _, f := range here {
		page.Here = append(page.Here, extractionRow{f.Name, holdsWords(f), f.Model})
	}
	return err
}

// beliefReaders fills in the exceptions by which others read one's beliefs.
func (d *Dash) beliefReaders(r *http.Request, page *beliefsPage) (err error) {
	by := web.Principal(r.Context())
	page.Readers, err = d.Exceptions.InForce(r.Context(), by, tenure.Deviation{Tenant: by.Tenant(), User: by.User()}, tenure.RuleBeliefsRead)
	return err
}

// holdsWords says when beliefs are drawn out, and who makes it so.
func holdsWords(f belief.InForce) string {
	by := map[string]string{
		belief.HeldByPolicy: "the organisation’s policy says so", belief.HeldByWorkspace: "the workspace says so",
		belief.HeldByModel: "the workspace names no model for it", belief.HeldByPerson: "you say so",
	}[f.By]
	switch f.Holds {
	case tenure.ExtractAlways:
		return "always"
	case tenure.ExtractAsked:
		return "when asked for: " + by
	case tenure.ExtractNever:
	}
	return "off: " + by
}

// typeChoices are the types, and what they are called.
func typeChoices() []string {
	return []string{"preference", "Preference", "decision", "Decision", "entity", "Thing or person", "relation", "Relation", "open_question", "Open question"}
}

// beliefType is what a type is called.
func beliefType(t tenure.BeliefType) string {
	all := typeChoices()
	for i := 0; i < len(all); i += 2 {
		if all[i] == string(t) {
			return all[i+1]
		}
	}
	return string(t)
}

// beliefStatus says how sure it is that a belief holds.
func beliefStatus(s tenure.BeliefStatus) string {
	return map[tenure.BeliefStatus]string{
		tenure.BeliefActive: "stated", tenure.BeliefInferred: "inferred", tenure.BeliefExploratory: "considered", tenure.BeliefSuperseded: "holds no more",
	}[s]
}

// A beliefPage shows one belief, and those that took each other's place.
type beliefPage struct {
	frame
	Notice string
	Is     tenure.Belief
	Line   []tenure.Belief
	Pair   *beliefPair // with what contradicts it, or nil
}

// Path is the address of the page.
func (p beliefPage) Path() string { return beliefsPath + "/" + string(p.Is.ID) }

// Holds tells that it can be changed.
func (p beliefPage) Holds() bool { return p.Is.Status != tenure.BeliefSuperseded }

// Source says where a belief comes from.
func (beliefPage) Source(b tenure.Belief) string {
	switch {
	case b.From.Model != "":
		return "drawn out by " + b.From.Model
	case b.From.Token != "":
		return "recorded by a client"
	}
	return "you wrote it"
}

func (d *Dash) belief(w http.ResponseWriter, r *http.Request) error {
	return d.showBelief(w, r, tenure.BeliefID(r.PathValue("id")), "")
}

func (d *Dash) showBelief(w http.ResponseWriter, r *http.Request, id tenure.BeliefID, notice string) error {
	ctx, by := r.Context(), web.Principal(r.Context())
	line, err := d.Beliefs.History(ctx, by, id)
	if err != nil {
		return err
	}
	page := beliefPage{frame: d.frame(r, "Belief"), Notice: notice, Line: line}
	for _, b := range line {
		if b.ID == id {
			page.Is = b
		}
	}
	page.Address = page.Path()
	if page.Pair, err = d.pair(r, page.frame, page.Is, nil); err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "belief", page)
}

// exportBeliefs streams all of one's beliefs to be saved.
func (d *Dash) exportBeliefs(w http.ResponseWriter, r *http.Request) error {
	out := &web.Download{W: w, Type: "application/json", Name: d.Beliefs.ExportName()}
	return d.Beliefs.ExportTo(r.Context(), web.Principal(r.Context()), out)
}

// named is a belief in the words of a notice.
func named(b tenure.Belief) string { return "“" + strings.TrimSpace(b.Name) + "”" }
