package simulator

import (
	"encoding/json"
	"strings"
	"unicode"
)

// pieceRunes is how much of a tool call's arguments one chunk carries.
const pieceRunes = 6

// schema is the part of JSON Schema that arguments are made from.
type schema struct {
	Type       any               `json:"type"` // a name or a list of names
	Enum       []any             `json:"enum"`
	Minimum    *float64          `json:"minimum"`
	Items      *schema           `json:"items"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
}

// arguments is a JSON object that fits the schema of a tool: its required
// properties, or all of them if none is required. A schema that cannot be read
// gets the empty object.
func arguments(raw json.RawMessage, place string) string {
	var s schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return "{}"
	}
	body, err := encode(s.object(place))
	if err != nil {
		return "{}"
	}
	return string(body)
}

func (s schema) object(place string) map[string]any {
	object := make(map[string]any, len(s.Properties))
	for _, name := range s.Required {
		object[name] = s.Properties[name].sample(name, place)
	}
	if len(object) > 0 {
		return object
	}
	for name, property := range s.Properties {
		object[name] = property.sample(name, place)
	}
	return object
}

// sample is a value for the property called name.
func (s schema) sample(name, place string) any {
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	kind := s.Type
	if kinds, ok := kind.([]any); ok && len(kinds) > 0 {
		kind = kinds[0]
	}
	switch kind {
	case "object":
		return s.object(place)
	case "array":
		return []any{}
	case "boolean":
		return true
	case "null":
		return nil
	case "number", "integer":
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	}
	switch strings.ToLower(name) {
	case "location", "city", "place":
		return place
	}
	return "sample"
}

// place is the place that a question names: the capitalised words after "in",
// or else the one word after it, or else Paris.
func place(text string) string {
	words := strings.Fields(text)
	for i, word := range words {
		if !strings.EqualFold(word, "in") || i+1 == len(words) {
			continue
		}
		name := words[i+1 : i+2]
		for j := i + 2; j < len(words) && capital(words[j-1]) && !closes(words[j-1]) && capital(words[j]); j++ {
			name = words[i+1 : j+1]
		}
		if found := strings.Trim(strings.Join(name, " "), ".,;:!?\"'`()[]"); found != "" {
			return found
		}
	}
	return "Paris"
}

func capital(word string) bool { return unicode.IsUpper([]rune(word)[0]) }

// closes says whether a word ends a clause.
func closes(word string) bool { return strings.ContainsAny(word[len(word)-1:], ".,;:!?") }

// split cuts text into the pieces it is streamed in.
func split(text string) []string {
	var pieces []string
	runes := []rune(text)
	for len(runes) > 0 {
		n := min(pieceRunes, len(runes))
		pieces = append(pieces, string(runes[:n]))
		runes = runes[n:]
	}
	return pieces
}
