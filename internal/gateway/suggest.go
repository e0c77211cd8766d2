package gateway

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// suggestTimeout is how long a page waits for the providers' lists.
const suggestTimeout = 2 * time.Second

// Suggest names a model for each protocol that the workspace has and that is
// allowed, for examples: the newest that seems to be one to talk with. "" where there
// is none, or where the providers do not tell in time. without are the protocols for
// which the workspace has no provider to be asked.
func (g *Gateway) Suggest(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, allowed func(provider, model string) bool) (openai, anthropic string, without []tenure.ProviderKind) {
	ctx, cancel := context.WithTimeout(ctx, suggestTimeout)
	defer cancel()
	l, err := g.catalogue.of(ctx, tenant, ws)
	if err != nil {
		return "", "", nil
	}
	for _, kind := range []tenure.ProviderKind{tenure.OpenAI, tenure.Anthropic} {
		if !slices.ContainsFunc(l.offers, func(o offer) bool { return o.provider.Kind == kind }) {
			without = append(without, kind)
		}
	}
	return l.newest(tenure.OpenAI, allowed), l.newest(tenure.Anthropic, allowed), without
}

// newest is the newest allowed model of one protocol that talks, else any.
func (l *listing) newest(kind tenure.ProviderKind, allowed func(provider, model string) bool) string {
	var best Model
	for _, o := range l.offers {
		if o.provider.Kind != kind {
			continue
		}
		for _, m := range o.models {
			if !allowed(o.provider.Name, m.ID) {
				continue
			}
			better := talks(m.ID) && !talks(best.ID) || talks(m.ID) == talks(best.ID) && m.Created.After(best.Created)
			if best.ID == "" || better {
				best = m
			}
		}
	}
	return best.ID
}

// talks guesses by its name whether a model answers in text.
func talks(model string) bool {
	others := []string{"embed", "whisper", "tts", "dall-e", "image", "audio", "moderation", "realtime", "transcribe", "rerank", "sora"}
	return !slices.ContainsFunc(others, func(word string) bool { return strings.Contains(model, word) })
}
