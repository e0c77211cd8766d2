package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/limits"
)

// bounded counts a request under the limits that bear on it, and tells by the headers
// of the protocol what they leave. It comes before the body is read.
func (g *Gateway) bounded(w http.ResponseWriter, pr *protocol, p tenure.Principal, from tenure.Origin, now time.Time) error {
	if g.Bounds == nil {
		return nil
	}
	left, err := g.Bounds.Judge(p, from, now)
	h := w.Header()
	tell(h, pr, "requests", left.Requests, now)
	tell(h, pr, "tokens", left.Tokens, now)
	if err != nil && tenure.AsError(err).Code == limits.CodeQuota {
		h["X-Should-Retry"] = []string{"false"} // which the providers' own clients heed: it is not over in a moment
	}
	return err
}

// headerNames are those of one kind of bound in one protocol: what it is, what is left
// of it, and until when.
type headerNames struct{ limit, left, reset string }

func namesOf(pr *protocol, what string) headerNames {
	switch {
	case pr.kind == tenure.Anthropic && what == "requests":
		return headerNames{"Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset"}
	case pr.kind == tenure.Anthropic:
		return headerNames{"Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"}
	case what == "requests":
		return headerNames{"X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"}
	}
	return headerNames{"X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"}
}

// tell writes the headers of one bound, if there is one: OpenAI's clients read a length
// of time, Anthropic's an instant.
func tell(h http.Header, pr *protocol, what string, b limits.Bound, now time.Time) {
	if b.Limit == 0 {
		return
	}
	names := namesOf(pr, what)
	h[names.limit] = []string{strconv.FormatInt(b.Limit, 10)}
	h[names.left] = []string{strconv.FormatInt(b.Left, 10)}
	reset := b.Reset.Truncate(time.Second) + time.Second
	if pr.kind == tenure.Anthropic {
		h[names.reset] = []string{now.Add(reset).UTC().Format(time.RFC3339)}
		return
	}
	h[names.reset] = []string{reset.String()}
}

// withoutLimits takes out what a provider says of its own limits: they are those of
// the key that all share. Retry-After stays, of a provider that refuses.
func withoutLimits(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Anthropic-Ratelimit-") {
			delete(h, name)
		}
	}
}
