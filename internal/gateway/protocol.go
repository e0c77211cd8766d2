package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/limits"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// protocol is one wire format: how it authenticates, refuses, and lists models.
type protocol struct {
	kind      tenure.ProviderKind
	authorize func(http.Header, tenure.Secret)
	refusal   func(*tenure.Error) any             // the JSON of an error
	event     func(e *tenure.Error, n int) []byte // the error event of a stream, after n others
	numbered  bool                                // whether its events carry numbers
	list      func([]Model) map[string]any        // the JSON of a list of models
	one       func(Model) map[string]any
}

// fail answers with an error in the protocol's shape.
func (pr *protocol) fail(w http.ResponseWriter, _ *http.Request, err error) {
	e := tenure.AsError(err)
	web.Challenge(w.Header(), e)
	web.RetryAfter(w.Header(), e)
	if pr.kind == tenure.Anthropic {
		w.Header().Set("Request-Id", w.Header().Get("X-Request-Id"))
	}
	web.WriteJSON(w, "application/json", web.Status(e.Kind), pr.refusal(e))
}

// speaks tells which protocol the client of a shared route speaks.
func speaks(r *http.Request) *protocol {
	if len(r.Header["Anthropic-Version"]) > 0 {
		return &anthropic
	}
	return &openAI
}

// Fail refuses a request below /v1 that may be of either protocol.
func Fail(w http.ResponseWriter, r *http.Request, err error) { speaks(r).fail(w, r, err) }

// The protocols. They are never modified.
var (
	openAI = protocol{
		kind:      tenure.OpenAI,
		authorize: bearer,
		refusal:   openAIRefusal,
		event: func(e *tenure.Error, _ int) []byte {
			return append(append([]byte("data: "), marshal(openAIRefusal(e))...), "\n\n"...)
		},
		list: func(models []Model) map[string]any {
			data := make([]any, 0, len(models))
			for _, m := range models {
				data = append(data, openAIModel(m))
			}
			return map[string]any{"object": "list", "data": data}
		},
		one: openAIModel,
	}
	// openAIResponses is openAI but for its streams, and lists no models.
	openAIResponses = protocol{kind: tenure.OpenAI, authorize: bearer, refusal: openAIRefusal, event: responsesEvent, numbered: true}
	anthropic       = protocol{
		kind: tenure.Anthropic,
		authorize: func(h http.Header, key tenure.Secret) {
			h["X-Api-Key"] = []string{key.Reveal()}
			if h["Anthropic-Version"] == nil {
				h["Anthropic-Version"] = []string{vault.AnthropicVersion}
			}
		},
		refusal: anthropicRefusal,
		event: func(e *tenure.Error, _ int) []byte {
			return append(append([]byte("event: error\ndata: "), marshal(anthropicRefusal(e))...), "\n\n"...)
		},
		list: func(models []Model) map[string]any {
			data := make([]any, 0, len(models))
			for _, m := range models {
				data = append(data, anthropicModel(m))
			}
			page := map[string]any{"data": data, "has_more": false, "first_id": nil, "last_id": nil}
			if len(models) > 0 {
				page["first_id"], page["last_id"] = models[0].ID, models[len(models)-1].ID
			}
			return page
		},
		one: anthropicModel,
	}
)

func bearer(h http.Header, key tenure.Secret) {
	h["Authorization"] = []string{"Bearer " + key.Reveal()}
}

func marshal(v any) []byte {
	b, _ := json.Marshal(v) // strings and nils always marshal
	return b
}

// openAIRefusal is {"error":{"message","type","param","code"}}.
func openAIRefusal(e *tenure.Error) any { return map[string]any{"error": openAIError(e)} }

func openAIError(e *tenure.Error) map[string]any {
	var param any
	if e.Field != "" && e.Kind != tenure.Forbidden {
		param = e.Field
	}
	kind := openAIType(e.Kind)
	if e.Code == limits.CodeQuota {
		kind = e.Code // as OpenAI itself has it
	}
	return map[string]any{"message": tenure.Redact(e.Msg), "type": kind, "param": param, "code": e.Code}
}

func openAIType(k tenure.Kind) string {
	switch k {
	case tenure.Unauthenticated:
		return "authentication_error"
	case tenure.Forbidden:
		return "permission_error"
	case tenure.TooMany:
		return "rate_limit_error"
	case tenure.Internal, tenure.Unavailable, tenure.BadGateway, tenure.GatewayTimeout, tenure.InsufficientSpace:
		return "server_error"
	}
	return "invalid_request_error"
}

// anthropicRefusal is {"type":"error","error":{"type","message","details"}}; the
// SDKs look for the code in details, people beside the message.
func anthropicRefusal(e *tenure.Error) any {
	return map[string]any{"type": "error", "error": map[string]any{"type": anthropicType(e.Kind), "message": tenure.Redact(e.Msg), "code": e.Code, "details": map[string]any{"error_code": e.Code}}}
}

func anthropicType(k tenure.Kind) string {
	switch k {
	case tenure.Unauthenticated:
		return "authentication_error"
	case tenure.Forbidden:
		return "permission_error"
	case tenure.NotFound:
		return "not_found_error"
	case tenure.TooLarge:
		return "request_too_large"
	case tenure.TooMany:
		return "rate_limit_error"
	case tenure.GatewayTimeout:
		return "timeout_error"
	case tenure.Unavailable:
		return "overloaded_error"
	case tenure.Internal, tenure.BadGateway, tenure.InsufficientSpace:
		return "api_error"
	}
	return "invalid_request_error"
}

func openAIModel(m Model) map[string]any {
	created := int64(0) // as compatible servers have it that do not know
	if !m.Created.IsZero() {
		created = m.Created.Unix()
	}
	return map[string]any{"id": m.ID, "object": "model", "created": created, "owned_by": m.Provider}
}

func anthropicModel(m Model) map[string]any {
	created := m.Created
	if created.IsZero() {
		created = time.Unix(0, 0)
	}
	return map[string]any{"type": "model", "id": m.ID, "display_name": m.DisplayName, "created_at": created.UTC().Format(time.RFC3339)}
}
