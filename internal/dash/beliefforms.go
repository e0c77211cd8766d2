package dash

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/web"
)

// beliefFields ask for what a belief is.
func beliefFields(b tenure.Belief) []field {
	types := field{Kind: oneField, Name: "type", Label: "What it is about"}
	for _, c := range choices(string(b.Type), typeChoices()...) {
		types.Options = append(types.Options, option{Value: c.Value, Label: c.Text, On: c.Chosen})
	}
	return []field{
		types,
		{Kind: textField, Name: "name", Label: "Name", Value: b.Name, Most: tenure.MaxBeliefName, Needed: true, Example: "database", Hint: "What it is found by again. What has the same name, in the same place, is about the same."},
		{Kind: areaField, Name: "content", Label: "What holds", Value: b.Content, Most: tenure.MaxBeliefContent, Needed: true, Example: "We use PostgreSQL 17."},
		{Kind: areaField, Name: "why", Label: "Why it matters", Value: b.Why, Most: tenure.MaxBeliefWhy},
		{Kind: areaField, Name: "aliases", Label: "Other names", Value: strings.Join(b.Aliases, "\n"), Hint: fmt.Sprintf("One a line, at most %d.", tenure.MaxBeliefAliases)},
		{Kind: oneField, Name: "status", Label: "How sure it is", Options: []option{
			{Value: string(tenure.BeliefActive), Label: "Stated", On: b.Status == tenure.BeliefActive},
			{Value: string(tenure.BeliefInferred), Label: "Inferred", On: b.Status == tenure.BeliefInferred},
			{Value: string(tenure.BeliefExploratory), Label: "Considered", On: b.Status == tenure.BeliefExploratory},
		}},
	}
}

// sentAliases are the other names that a form has sent.
func sentAliases(r *http.Request) []string {
	var out []string
	for a := range strings.Lines(lines(r, "aliases")) {
		if a = strings.TrimSpace(a); a != "" {
			out = append(out, a)
		}
	}
	return out
}

func (d *Dash) beliefForm(r *http.Request) *formPage {
	page := &formPage{
		frame: d.frame(r, "New belief"), Heading: "Write down a belief", Action: beliefsPath, Button: "Save", Back: beliefsPath,
		Lead: []string{"Something that you decided, prefer, or know. Nobody else reads it, and it is put into nothing that you ask a model."},
	}
	page.Address = beliefsPath + "/new"
	places := field{Kind: pickField, Name: "workspace", Label: "Workspace"}
	for _, s := range page.Spaces {
		places.Options = append(places.Options, option{Value: string(s.ID), Label: s.Name, On: s.ID == page.Workspace})
	}
	page.Fields = append([]field{places, {
		Kind: textField, Name: "scope", Label: "Where it holds", Value: string(tenure.UniversalScope), Most: tenure.MaxName + len("project:"), Needed: true, Code: true,
		Hint: "user:universal everywhere, else domain:NAME or project:NAME. Clients that listen in one see nothing of another.", Example: "project:billing",
	}}, beliefFields(tenure.Belief{Type: tenure.BeliefDecision, Status: tenure.BeliefActive})...)
	return page
}

func (d *Dash) newBelief(w http.ResponseWriter, r *http.Request) error {
	return d.ask(w, d.beliefForm(r))
}

func (d *Dash) recordBelief(w http.ResponseWriter, r *http.Request) error {
	kept, err := d.Beliefs.Record(r.Context(), web.Principal(r.Context()), belief.Draft{
		Workspace: tenure.WorkspaceID(sent(r, "workspace")), Scope: tenure.BeliefScope(sent(r, "scope")), Type: tenure.BeliefType(sent(r, "type")), Status: tenure.BeliefStatus(sent(r, "status")),
		BeliefText: tenure.BeliefText{Name: sent(r, "name"), Content: lines(r, "content"), Why: lines(r, "why"), Aliases: sentAliases(r)},
	})
	if err != nil {
		return d.askAgain(w, r, d.beliefForm(r), err)
	}
	return d.showBelief(w, r, kept.ID, keptWords(kept))
}

// keptWords says how a belief was kept.
func keptWords(k belief.Kept) string {
	switch k.How {
	case belief.Superseding:
		return named(k.Belief) + " is saved, in the place of what was said before."
	case belief.Merged:
		return named(k.Belief) + " is saved: it says what was there."
	}
	return named(k.Belief) + " is saved."
}

// oneBelief reads one of the asker's beliefs, to do something with it.
func (d *Dash) oneBelief(r *http.Request) (tenure.Belief, error) {
	return d.Beliefs.One(r.Context(), web.Principal(r.Context()), tenure.BeliefID(r.PathValue("id")))
}

func (d *Dash) changeBeliefForm(r *http.Request, b tenure.Belief) *formPage {
	path := beliefsPath + "/" + string(b.ID)
	page := &formPage{
		frame: d.frame(r, "Change a belief"), Heading: "Change " + named(b), Action: path, Button: "Save", Back: path,
		Lead:  []string{"What it said stays in its history: where its name, what it is about or what holds is another, the new one takes its place."},
		Facts: []fact{{Name: "Where it holds", Text: string(b.Scope), Code: true}, {Name: "Workspace", Text: d.spaceName(r, nil, b.Workspace)}},
	}
	page.Address = path + "/edit"
	page.Fields = append(beliefFields(b), field{Kind: hiddenField, Name: "version", Value: strconv.FormatInt(b.Version, 10)})
	return page
}

func (d *Dash) editBelief(w http.ResponseWriter, r *http.Request) error {
	b, err := d.oneBelief(r)
	if err != nil {
		return err
	}
	return d.ask(w, d.changeBeliefForm(r, b))
}

// sentVersion is the version of a belief that a form was shown with.
func sentVersion(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(sent(r, "version"), 10, 64)
	if err != nil || n < 1 {
		return 0, &tenure.Error{Kind: tenure.Invalid, Code: "invalid_form", Msg: "the form has no version; go back and try again"}
	}
	return n, nil
}

func (d *Dash) changeBelief(w http.ResponseWriter, r *http.Request) error {
	version, err := sentVersion(r)
	if err != nil {
		return err
	}
	name, of, content, why, aliases, status := sent(r, "name"), tenure.BeliefType(sent(r, "type")), lines(r, "content"), lines(r, "why"), sentAliases(r), tenure.BeliefStatus(sent(r, "status"))
	kept, err := d.Beliefs.Patch(r.Context(), web.Principal(r.Context()), tenure.BeliefID(r.PathValue("id")), belief.Change{
		Version: version, Name: &name, Type: &of, Content: &content, Why: &why, Aliases: &aliases, Status: &status,
	})
	if err != nil {
		now, failed := d.oneBelief(r)
		if failed != nil {
			return failed
		}
		page := d.changeBeliefForm(r, now)
		if tenure.IsKind(err, tenure.Precondition) { // what is there now has been seen, if what was typed is sent again
			page.Facts = append(page.Facts, fact{Name: "Now", Text: beliefStatus(now.Status) + ": " + now.Content})
			page.Fields[len(page.Fields)-1].Unshown = true
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showBelief(w, r, kept.ID, keptWords(kept))
}

// endBelief says of a belief that it holds no more; of two that contradict each other, so
// that the other one is kept.
func (d *Dash) endBelief(w http.ResponseWriter, r *http.Request) error {
	version, err := sentVersion(r)
	if err != nil {
		return err
	}
	over := tenure.BeliefSuperseded
	kept, err := d.Beliefs.Patch(r.Context(), web.Principal(r.Context()), tenure.BeliefID(r.PathValue("id")), belief.Change{Version: version, Status: &over})
	if err != nil {
		return err
	}
	return d.showBeliefs(w, r, named(kept.Belief)+" holds no more: “"+excerpt(kept.Content)+"” is in the history.")
}

// excerpt is the begin of a text.
func excerpt(text string) string {
	const most = 80
	if r := []rune(text); len(r) > most {
		return strings.TrimSpace(string(r[:most])) + "…"
	}
	return text
}

func (d *Dash) askDeleteBelief(w http.ResponseWriter, r *http.Request) error {
	b, err := d.oneBelief(r)
	if err != nil {
		return err
	}
	path := beliefsPath + "/" + string(b.ID)
	page := confirmPage{
		frame: d.frame(r, "Delete a belief"), Heading: "Delete " + named(b) + "?", Action: path + "/delete", Button: "Delete for good", Back: path,
		Facts: []fact{{Name: "What holds", Text: b.Content}, {Name: "Where", Text: string(b.Scope), Code: true}},
		Ends:  []string{"It goes, and its history with it: all that it took the place of.", "Nothing brings it back."},
	}
	if b.Superseded != "" {
		page.Ends[0] = "It alone goes: what took its place stays, and what it took the place of."
	}
	return d.show(w, http.StatusOK, "confirm", page)
}

func (d *Dash) deleteBelief(w http.ResponseWriter, r *http.Request) error {
	b, err := d.oneBelief(r)
	if err != nil {
		return err
	}
	if err := d.Beliefs.Delete(r.Context(), web.Principal(r.Context()), b.ID); err != nil {
		return err
	}
	if b.Superseded != "" {
		return d.showBeliefs(w, r, "“"+excerpt(b.Content)+"” is deleted from the history of "+named(b)+".")
	}
	return d.showBeliefs(w, r, named(b)+" is deleted, with its history.")
}

// eraseWord is typed by who erases all of their beliefs.
const eraseWord = "erase"

func (d *Dash) eraseBeliefsForm(r *http.Request) *formPage {
	page := &formPage{
		frame: d.frame(r, "Erase my beliefs"), Heading: "Erase all of your beliefs?", Action: beliefsPath + "/erase", Button: "Erase all", Danger: true, Back: beliefsPath,
		Lead: []string{
			"All of them go, in every workspace, with their history and with what waits to be drawn out. The key that they are sealed under is destroyed.",
			"They stay erased where a backup is restored over this database, which knows of it. A backup that is restored into an empty one brings back what it has, until that file is deleted.",
			"Export them first if you may want them.",
		},
		Fields: []field{{Kind: textField, Name: "confirm", Label: "Type “" + eraseWord + "”", Most: 20, Needed: true, Unshown: true}},
	}
	page.Address = page.Action
	return page
}

func (d *Dash) askEraseBeliefs(w http.ResponseWriter, r *http.Request) error {
	return d.ask(w, d.eraseBeliefsForm(r))
}

func (d *Dash) eraseBeliefs(w http.ResponseWriter, r *http.Request) error {
	if !strings.EqualFold(sent(r, "confirm"), eraseWord) {
		return d.askAgain(w, r, d.eraseBeliefsForm(r), tenure.InvalidField("confirm", "type the word %s: nothing was erased", eraseWord))
	}
	n, err := d.Beliefs.Erase(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return err
	}
	return d.showBeliefs(w, r, "Erased: "+plural(n, "belief")+", and the key that they were sealed under.")
}

// extractionOptions are when beliefs may be drawn out of turns.
func extractionOptions(now tenure.Extraction) []option {
	return []option{
		{Value: string(tenure.ExtractNever), Label: "Off", Hint: "Nothing is drawn out.", On: now == tenure.ExtractNever},
		{Value: string(tenure.ExtractAsked), Label: "When asked for", Hint: "Out of a turn whose request has the header Tenure-Extract: on, and of what a client sends for it.", On: now == tenure.ExtractAsked},
		{Value: string(tenure.ExtractAlways), Label: "Always", Hint: "Out of every turn whose request does not have Tenure-Extract: off.", On: now == tenure.ExtractAlways},
	}
}

func (d *Dash) extractionForm(r *http.Request) (*formPage, error) {
	ctx, by := r.Context(), web.Principal(r.Context())
	own, err := d.Beliefs.Own(ctx, by)
	if err != nil {
		return nil, err
	}
	here, err := d.Beliefs.Mine(ctx, by)
	if err != nil {
		return nil, err
	}
	page := &formPage{
		frame: d.frame(r, "Drawing out beliefs"), Heading: "When beliefs are drawn out of your turns", Action: beliefsPath + "/extraction", Button: "Save", Back: beliefsPath,
		Lead:   []string{"A model that your workspace names is asked, after an answer is complete, what you stated or decided. Your organisation, your workspace and each token can only narrow what you say here, and you what they say."},
		Fields: []field{{Kind: oneField, Name: "extraction", Label: "When?", Options: extractionOptions(own.When)}},
	}
	for _, f := range here {
		text := "the organisation says " + string(f.Policy) + ", the workspace says " + string(f.When)
		if f.Model == "" {
			text += " and names no model"
		}
		page.Facts = append(page.Facts, fact{Name: f.Name, Text: text + ". Now: " + holdsWords(f)})
	}
	page.Address = page.Action
	return page, nil
}

func (d *Dash) askExtraction(w http.ResponseWriter, r *http.Request) error {
	page, err := d.extractionForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) setExtraction(w http.ResponseWriter, r *http.Request) error {
	if err := d.Beliefs.Toggle(r.Context(), web.Principal(r.Context()), tenure.Extraction(sent(r, "extraction"))); err != nil {
		page, failed := d.extractionForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showBeliefs(w, r, "Saved: what holds now is below.")
}

// spaceExtractionForm asks when beliefs are drawn out of the turns of a workspace.
func (d *Dash) spaceExtractionForm(r *http.Request) (*formPage, error) {
	f, err := d.Beliefs.InWorkspace(r.Context(), web.Principal(r.Context()), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	path := workspacesPath + "/" + string(f.Workspace)
	page := &formPage{
		frame: d.frame(r, "Beliefs"), Heading: "Beliefs out of turns in “" + f.Name + "”", Action: path + "/extraction", Button: "Save", Back: path,
		Lead: []string{
			"Once an answer is complete, a model is asked what the person stated or decided in it. What it finds is kept for that person alone, sealed: no administrator reads it.",
			"The model’s use counts as the person’s. Each person narrows this for themselves; who has said nothing has it only when they ask for it.",
		},
		Facts: []fact{{Name: "Organisation’s policy", Text: string(f.Policy)}, {Name: "Now", Text: holdsWords(f)}},
	}
	page.Address = page.Action
	page.Fields = []field{
		{Kind: oneField, Name: "extraction", Label: "When?", Options: extractionOptions(f.When)},
		{Kind: textField, Name: "model", Label: "Model", Value: f.Model, Most: tenure.MaxBeliefName, Code: true, Example: "gpt-4o-mini", Hint: "As it is asked for in this workspace. Empty: none, and nothing is drawn out."},
	}
	return page, nil
}

func (d *Dash) askSpaceExtraction(w http.ResponseWriter, r *http.Request) error {
	page, err := d.spaceExtractionForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) setSpaceExtraction(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	err := d.Beliefs.SetWorkspace(r.Context(), web.Principal(r.Context()), id, belief.Setting{When: tenure.Extraction(sent(r, "extraction")), Model: sent(r, "model")})
	if err != nil {
		page, failed := d.spaceExtractionForm(r)
		if failed != nil {
			return failed
		}
		return d.askAgain(w, r, page, err)
	}
	return d.showWorkspace(w, r, id, "Saved: when beliefs are drawn out of turns here.")
}
