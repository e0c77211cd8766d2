package gateway

import (
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

func TestNewestModelThatTalks(t *testing.T) {
	at := func(id string, day int) Model {
		return Model{ID: id, Created: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)}
	}
	l := &listing{offers: []offer{
		{provider: tenure.Provider{Name: "a", Kind: tenure.OpenAI}, models: []Model{at("text-embedding-9", 30), at("gpt-1", 1), at("gpt-3", 3), at("gpt-2", 2)}},
		{provider: tenure.Provider{Name: "b", Kind: tenure.OpenAI}, models: []Model{at("gpt-4", 4), at("gpt-image-5", 5)}},
		{provider: tenure.Provider{Name: "c", Kind: tenure.Anthropic}, models: []Model{{ID: "claude"}}},
	}}
	for _, c := range []struct {
		kind    tenure.ProviderKind
		allowed func(provider, model string) bool
		want    string
	}{
		{tenure.OpenAI, func(string, string) bool { return true }, "gpt-4"},
		{tenure.OpenAI, func(provider, _ string) bool { return provider == "a" }, "gpt-3"},
		{tenure.OpenAI, func(_, model string) bool { return model == "text-embedding-9" }, "text-embedding-9"},
		{tenure.OpenAI, func(string, string) bool { return false }, ""},
		{tenure.Anthropic, func(string, string) bool { return true }, "claude"},
	} {
		if got := l.newest(c.kind, c.allowed); got != c.want {
			t.Errorf("%s: %q, want %q", c.kind, got, c.want)
		}
	}
}
