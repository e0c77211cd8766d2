package tenure

import (
	"strings"
	"unicode"
)

// Models is a list of patterns of model names. A "*" stands for any text; a
// pattern with a "/" is matched with the provider's name before the model's
// ("openai/gpt-4o*"). The empty list allows nothing and never means all.
type Models []string

// AnyModel allows every model.
const AnyModel = "*"

// Bounds of a list of models.
const (
	maxModels       = 100
	maxModelPattern = 200
)

// ParseModels reads a list of patterns. Invalid: an empty list, or what is no pattern.
func ParseModels(patterns []string) (Models, error) {
	if len(patterns) == 0 {
		return nil, InvalidField("models", "an empty list allows nothing; leave models out, or write \"*\", for every model")
	}
	if len(patterns) > maxModels {
		return nil, InvalidField("models", "at most %d patterns", maxModels)
	}
	out := make(Models, 0, len(patterns))
	for _, p := range patterns {
		bad := p == "" || len(p) > maxModelPattern || MentionsToken(p)
		for _, r := range p {
			bad = bad || unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`?[]\`, r)
		}
		if bad {
			return nil, InvalidField("models", "%q is no pattern of a model's name; write for example \"gpt-4o*\" or \"anthropic/*\", without spaces and with no wildcard but *", Shown(p))
		}
		out = append(out, p)
	}
	return out, nil
}

// StoredModels reads a list as it is stored: with spaces between.
func StoredModels(text string) Models { return strings.Fields(text) }

// String is the list as it is stored.
func (m Models) String() string { return strings.Join(m, " ") }

// Allow reports whether a pattern fits a provider's model.
func (m Models) Allow(provider, model string) bool {
	for _, p := range m {
		name := model
		if strings.Contains(p, "/") {
			name = provider + "/" + model
		}
		if p == AnyModel || glob(p, name) {
			return true
		}
	}
	return false
}

// glob matches text with a pattern whose "*" stands for any text.
func glob(pattern, text string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], more
	}
}

// MatchName reports whether a name fits a pattern whose "*" stands for any text,
// without regard to case.
func MatchName(pattern, name string) bool {
	return glob(strings.ToLower(pattern), strings.ToLower(name))
}
