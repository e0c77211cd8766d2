package tenure

import (
	"strings"
	"time"
)

type (
	// BeliefID names a belief.
	BeliefID string
	// BeliefScope is where a belief holds: "user:universal", or "domain:" or "project:"
	// with a name. A belief of one is never shown, pushed or sent to a model under another.
	BeliefScope string
	// BeliefType is what kind of thing a belief is about.
	BeliefType string
	// BeliefStatus is how sure it is that a belief holds.
	BeliefStatus string
)

// UniversalScope holds wherever its user is.
const UniversalScope BeliefScope = "user:universal"

// The types of beliefs.
const (
	BeliefPreference BeliefType = "preference"
	BeliefDecision   BeliefType = "decision"
	BeliefEntity     BeliefType = "entity"
	BeliefRelation   BeliefType = "relation"
	BeliefQuestion   BeliefType = "open_question"
)

// The states of beliefs.
const (
	BeliefActive      BeliefStatus = "active"      // said by the user
	BeliefInferred    BeliefStatus = "inferred"    // follows from what was said
	BeliefExploratory BeliefStatus = "exploratory" // considered, and not decided
	BeliefSuperseded  BeliefStatus = "superseded"  // another took its place
)

// BeliefTypes and BeliefStatuses list what a belief may be, and how it may be given; none
// is given as superseded. Nobody modifies them.
var (
	BeliefTypes    = []BeliefType{BeliefPreference, BeliefDecision, BeliefEntity, BeliefRelation, BeliefQuestion}
	BeliefStatuses = []BeliefStatus{BeliefActive, BeliefInferred, BeliefExploratory}
)

// The most that a belief may have, in bytes, and how many aliases.
const (
	MaxBeliefName    = 200
	MaxBeliefContent = 2000
	MaxBeliefWhy     = 1000
	MaxBeliefExcerpt = 500
	MaxBeliefAliases = 8
)

// BeliefText is what of a belief is sealed at rest.
type BeliefText struct {
	Name    string   `json:"name"` // as it was given; it is compared without regard to case and width
	Aliases []string `json:"aliases,omitempty"`
	Content string   `json:"content"`
	Why     string   `json:"why,omitempty"`     // it matters
	Excerpt string   `json:"excerpt,omitempty"` // of the turn, where the policy keeps it
}

// Belief is a durable fact that a user stated or decided, kept for that user alone.
type Belief struct {
	ID        BeliefID
	Tenant    TenantID
	User      UserID
	Workspace WorkspaceID
	Scope     BeliefScope
	Type      BeliefType
	Status    BeliefStatus
	BeliefText
	Confidence  float64 // from 0 to 1
	Line        BeliefID
	Supersedes  BeliefID // the one before it in its line, or empty
	Superseded  BeliefID // by the one after it, or empty
	Contradicts BeliefID // the one that says otherwise of the same name, or empty
	From        BeliefSource
	Version     int64 // grows with every change
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// BeliefSource is where a belief comes from.
type BeliefSource struct {
	Request string  // X-Request-Id of the turn; of the call, where it was recorded by hand
	Token   TokenID // the credential, or empty for a session
	Model   string  // that drew it out; empty where it was recorded by hand
}

// ParseBeliefScope reads a scope. Invalid: it is none.
func ParseBeliefScope(text string) (BeliefScope, error) {
	if BeliefScope(text) == UniversalScope {
		return UniversalScope, nil
	}
	kind, name, _ := strings.Cut(text, ":")
	if (kind == "domain" || kind == "project") && scopeName(name) {
		return BeliefScope(text), nil
	}
	return "", InvalidField("scope", "%q is no scope: it is user:universal, or domain: or project: with a name of 1 to %d letters, digits and ._/-, such as project:billing", Shown(text), MaxName)
}

func scopeName(name string) bool {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._/-", r)) {
			return false
		}
	}
	return name != "" && len(name) <= MaxName
}

// Extraction is when beliefs are drawn out of turns.
type Extraction string

// When beliefs are drawn out of turns. What one of tenant, workspace, user and token says
// narrows what the others do: the least of them holds.
const (
	ExtractNever   Extraction = "off"
	ExtractAsked   Extraction = "asked"  // where the request asks for it, or the client sends it
	ExtractAlways  Extraction = "always" // out of every turn that does not ask otherwise
	MaxExtractTurn            = 256 << 10
)

// ParseExtraction reads when. Invalid: it is none of the words.
func ParseExtraction(text string) (Extraction, error) {
	switch e := Extraction(text); e {
	case ExtractNever, ExtractAsked, ExtractAlways:
		return e, nil
	}
	return ExtractNever, InvalidField("extraction", "%q is none of off, asked and always", Shown(text))
}

// Narrow is the less of both. A word that is none is off.
func (e Extraction) Narrow(by Extraction) Extraction {
	switch {
	case e == ExtractAlways && by == ExtractAlways:
		return ExtractAlways
	case (e == ExtractAlways || e == ExtractAsked) && (by == ExtractAlways || by == ExtractAsked):
		return ExtractAsked
	}
	return ExtractNever
}

// Extracting is when beliefs are drawn out of the turns of a credential, and by which
// model. Without a model none are.
type Extracting struct {
	When  Extraction
	Model string // as it is asked for in the credential's workspace
	Quote bool   // an excerpt of the turn is kept with a belief
}
