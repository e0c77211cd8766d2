package simulator

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// Models that misbehave when they are asked for a document, where Server.Faults permits it.
const (
	modelGarbage = "sim-beliefs-garbage"
	modelMany    = "sim-beliefs-many"
	modelHuge    = "sim-beliefs-huge"
	modelLate    = "sim-beliefs-late"
	modelScope   = "sim-beliefs-scope"
	modelUser    = "sim-beliefs-user"
	modelType    = "sim-beliefs-type"
)

var wayward = []string{modelGarbage, modelMany, modelHuge, modelLate, modelScope, modelUser, modelType}

// garbage is an answer that is no document.
const garbage = "I would rather not say that in JSON."

// A line of a message, or of a string in the JSON that it is: where it begins, what is to
// be remembered, and in which scope.
var (
	remember = regexp.MustCompile(`(?m)(?:^|")[ \t]*remember (\S+) ([^:"\n]+): ([^"\n]+)`)
	scoped   = regexp.MustCompile(`(?m)(?:^|[{,"])[ \t]*"?scope"?: ?"?([a-z]+:[0-9A-Za-z._/-]+)`)
)

// document is a JSON document that fits a schema, for what a asks; of a wayward model
// another.
func (s *Server) document(a *ask, raw json.RawMessage) string {
	model := a.model
	if !s.Faults {
		model = ""
	}
	if model == modelGarbage {
		if a.format == nil { // the input of a tool stands in JSON
			return `"` + garbage + `"`
		}
		return garbage
	}
	var all schema
	list, ok := schema{}, json.Unmarshal(raw, &all) == nil
	if ok {
		list, ok = all.Properties["beliefs"]
	}
	if !ok || list.Items == nil {
		return arguments(raw, place(a.user))
	}
	document, err := encode(map[string]any{"beliefs": list.Items.beliefs(a.user, model)})
	if err != nil {
		return "{}"
	}
	return string(document)
}

// beliefs are what a text wants remembered, each in the shape of an item.
func (s schema) beliefs(text, model string) []map[string]any {
	text = strings.ReplaceAll(text, `\n`, "\n")
	found := remember.FindAllStringSubmatch(text, -1)
	scope := "user:universal"
	if named := scoped.FindStringSubmatch(text); named != nil && model != modelScope {
		scope = named[1]
	}
	if model == modelUser {
		scope = "user:bob"
	}
	switch model {
	case modelMany, modelHuge:
		found = make([][]string, 1000)
		for i := range found {
			found[i] = []string{"", "preference", fmt.Sprintf("thing %d", i), "is so"}
			if model == modelHuge {
				found[i][3] = strings.Repeat("is so ", 170)
			}
		}
	case modelType:
		for _, f := range found {
			f[1] = "order"
		}
	}
	out := make([]map[string]any, 0, len(found))
	for _, f := range found {
		belief := s.object("")
		for name, value := range map[string]any{
			"type": f[1], "name": f[2], "content": strings.TrimSpace(f[3]), "scope": scope, "confidence": 0.9, "why": "", "excerpt": "",
		} {
			if _, ok := s.Properties[name]; ok {
				belief[name] = value
			}
		}
		out = append(out, belief)
	}
	return out
}
