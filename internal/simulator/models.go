package simulator

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// When the simulated models claim to have been made.
const (
	modelCreated   = 1735689600 // Unix seconds
	modelCreatedAt = "2025-01-01T00:00:00Z"
)

// Bounds of a page of Anthropic's model list.
const (
	pageSize    = 20
	maxPageSize = 1000
)

// openAIModel is OpenAI's model object.
type openAIModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// anthropicModel is Anthropic's model object.
type anthropicModel struct {
	Type           string    `json:"type"`
	ID             string    `json:"id"`
	DisplayName    string    `json:"display_name"`
	CreatedAt      string    `json:"created_at"`
	Capabilities   *struct{} `json:"capabilities"`
	Lifecycle      string    `json:"lifecycle"`
	DeprecatedAt   *string   `json:"deprecated_at"`
	RetiresAt      *string   `json:"retires_at"`
	Line           *string   `json:"line"`
	MaxInputTokens *int      `json:"max_input_tokens"`
	MaxTokens      *int      `json:"max_tokens"`
}

// modelIDs are the models of a dialect.
func (s *Server) modelIDs(d dialect) []string {
	switch {
	case d == anthropic && s.AnthropicModels != nil:
		return s.AnthropicModels
	case d == anthropic:
		return []string{"sim-claude-sonnet", "sim-claude-haiku"}
	case s.OpenAIModels != nil:
		return s.OpenAIModels
	default:
		return []string{"sim-gpt-4o", "sim-gpt-4o-mini"}
	}
}

// known returns a refusal unless the exchange's dialect has the model.
func (x *exchange) known(id string) error {
	if slices.Contains(x.s.modelIDs(x.dialect), id) || x.s.Faults && slices.Contains(wayward, id) {
		return nil
	}
	if x.dialect == anthropic {
		return &refusal{status: http.StatusNotFound, kind: "not_found_error", message: "model: " + id}
	}
	return &refusal{
		status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found",
		message: "The model `" + id + "` does not exist or you do not have access to it.",
	}
}

// modelObject is the model in the shape of the exchange's dialect.
func (x *exchange) modelObject(id string) any {
	if x.dialect == openAI {
		return openAIModel{ID: id, Object: "model", Created: modelCreated, OwnedBy: "simulator"}
	}
	words := strings.Split(id, "-")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return anthropicModel{
		Type: "model", ID: id, DisplayName: strings.Join(words, " "), CreatedAt: modelCreatedAt, Lifecycle: "active",
	}
}

// model answers GET /v1/models/{id}.
func (x *exchange) model() error {
	id := x.r.PathValue("id")
	if err := x.known(id); err != nil {
		return err
	}
	return x.writeJSON(http.StatusOK, x.modelObject(id))
}

// models answers GET /v1/models.
func (x *exchange) models() error {
	ids := x.s.modelIDs(x.dialect)
	data := []any{}
	if x.dialect == openAI {
		for _, id := range ids {
			data = append(data, x.modelObject(id))
		}
		return x.writeJSON(http.StatusOK, struct {
			Object string `json:"object"`
			Data   []any  `json:"data"`
		}{"list", data})
	}
	ids, more, err := page(ids, x.r.URL.Query())
	if err != nil {
		return anthropicInvalid(err.Error())
	}
	for _, id := range ids {
		data = append(data, x.modelObject(id))
	}
	list := struct {
		Data    []any   `json:"data"`
		HasMore bool    `json:"has_more"`
		FirstID *string `json:"first_id"`
		LastID  *string `json:"last_id"`
	}{Data: data, HasMore: more}
	if len(ids) > 0 {
		list.FirstID, list.LastID = &ids[0], &ids[len(ids)-1]
	}
	return x.writeJSON(http.StatusOK, list)
}

// page is the part of ids that an Anthropic list query asks for, and whether
// there is more in the direction it reads.
func page(ids []string, query url.Values) ([]string, bool, error) {
	limit := pageSize
	if query.Has("limit") {
		n, err := strconv.Atoi(query.Get("limit"))
		if err != nil || n < 1 || n > maxPageSize {
			return nil, false, errors.New("limit: Input should be between 1 and 1000")
		}
		limit = n
	}
	after, before := query.Get("after_id"), query.Get("before_id")
	switch {
	case after != "" && before != "":
		return nil, false, errors.New("after_id and before_id cannot be used together")
	case after != "":
		i := slices.Index(ids, after)
		if i < 0 {
			return nil, false, errors.New("after_id: no such model")
		}
		ids = ids[i+1:]
	case before != "":
		i := slices.Index(ids, before)
		if i < 0 {
			return nil, false, errors.New("before_id: no such model")
		}
		ids = ids[:i]
		return ids[max(0, i-limit):], i > limit, nil
	}
	return ids[:min(limit, len(ids))], len(ids) > limit, nil
}
