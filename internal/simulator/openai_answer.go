package simulator

import (
	"encoding/json"
	"time"
)

// fingerprint is the system_fingerprint of every answer.
const fingerprint = "fp_simulator"

// completion is OpenAI's chat.completion.
type completion struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"`
	Created           int64              `json:"created"`
	Model             string             `json:"model"`
	Choices           []completionChoice `json:"choices"`
	Usage             chatUsage          `json:"usage"`
	ServiceTier       string             `json:"service_tier"`
	SystemFingerprint string             `json:"system_fingerprint"`
}

type completionChoice struct {
	Index        int               `json:"index"`
	Message      completionMessage `json:"message"`
	Logprobs     *struct{}         `json:"logprobs"`
	FinishReason string            `json:"finish_reason"`
}

type completionMessage struct {
	Role        string     `json:"role"`
	Content     *string    `json:"content"`
	ToolCalls   []chatCall `json:"tool_calls,omitempty"`
	Refusal     *string    `json:"refusal"`
	Annotations []struct{} `json:"annotations"`
}

// chatUsage is OpenAI's usage object.
type chatUsage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	PromptDetails    struct {
		CachedTokens int `json:"cached_tokens"`
		AudioTokens  int `json:"audio_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		ReasoningTokens          int `json:"reasoning_tokens"`
		AudioTokens              int `json:"audio_tokens"`
		AcceptedPredictionTokens int `json:"accepted_prediction_tokens"`
		RejectedPredictionTokens int `json:"rejected_prediction_tokens"`
	} `json:"completion_tokens_details"`
}

// chatChunk is OpenAI's chat.completion.chunk.
type chatChunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"`
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	ServiceTier       string        `json:"service_tier"`
	SystemFingerprint string        `json:"system_fingerprint"`
	Choices           []chunkChoice `json:"choices"`
	// Usage is absent unless the request includes usage, then null on every
	// chunk but the last.
	Usage any `json:"usage,omitempty"`
}

type chunkChoice struct {
	Index        int       `json:"index"`
	Delta        any       `json:"delta"`
	Logprobs     *struct{} `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// The deltas of a chunk, in the order they are sent: one opening, then texts or
// arguments, then an empty object with the finish reason.
type (
	openingDelta struct {
		Role      string        `json:"role"`
		Content   *string       `json:"content"`
		ToolCalls []openingCall `json:"tool_calls,omitempty"`
		Refusal   *string       `json:"refusal"`
	}
	openingCall struct {
		Index int `json:"index"`
		chatCall
	}
	textDelta struct {
		Content string `json:"content"`
	}
	argumentsDelta struct {
		ToolCalls [1]argumentsPiece `json:"tool_calls"`
	}
	argumentsPiece struct {
		Index    int `json:"index"`
		Function struct {
			Arguments string `json:"arguments"`
		} `json:"function"`
	}
)

func usageOf(a *ask, ans *answer) chatUsage {
	return chatUsage{PromptTokens: a.tokens, CompletionTokens: ans.output, TotalTokens: a.tokens + ans.output}
}

// finishReason is why the answer ends, in OpenAI's words.
func (ans *answer) finishReason() string {
	switch {
	case ans.call != nil:
		return "tool_calls"
	case ans.cut:
		return "length"
	default:
		return "stop"
	}
}

// completion is the answer when it is not streamed.
func (x *exchange) completion(q *chatRequest, a *ask, ans *answer) completion {
	message := completionMessage{Role: "assistant", Annotations: []struct{}{}}
	text := ans.text()
	if ans.call == nil {
		message.Content = &text
	} else {
		message.ToolCalls = []chatCall{{
			ID: x.id("call_"), Type: "function", Function: chatFunction{Name: ans.call.name, Arguments: text},
		}}
	}
	return completion{
		ID:                x.id("chatcmpl-"),
		Object:            "chat.completion",
		Created:           time.Now().Unix(),
		Model:             q.Model,
		Choices:           []completionChoice{{Message: message, FinishReason: ans.finishReason()}},
		Usage:             usageOf(a, ans),
		ServiceTier:       "default",
		SystemFingerprint: fingerprint,
	}
}

// streamChat sends the answer as chunks.
func (x *exchange) streamChat(q *chatRequest, a *ask, ans *answer) error {
	chunk := chatChunk{
		ID: x.id("chatcmpl-"), Object: "chat.completion.chunk", Created: time.Now().Unix(), Model: q.Model,
		ServiceTier: "default", SystemFingerprint: fingerprint,
	}
	withUsage := q.StreamOptions != nil && q.StreamOptions.IncludeUsage
	if withUsage {
		chunk.Usage = json.RawMessage("null")
	}
	out := x.stream()
	send := func(delta any, finish *string) error {
		chunk.Choices = []chunkChoice{{Delta: delta, FinishReason: finish}}
		return out.send("", chunk)
	}
	opening := openingDelta{Role: "assistant", Content: new(string)}
	if ans.call != nil {
		call := chatCall{ID: x.id("call_"), Type: "function", Function: chatFunction{Name: ans.call.name}}
		opening.Content, opening.ToolCalls = nil, []openingCall{{chatCall: call}}
	}
	if err := send(opening, nil); err != nil {
		return err
	}
	err := out.pieces(ans, func(piece string) error {
		if ans.call == nil {
			return send(textDelta{Content: piece}, nil)
		}
		var delta argumentsDelta
		delta.ToolCalls[0].Function.Arguments = piece
		return send(delta, nil)
	})
	if err != nil {
		return err
	}
	finish := ans.finishReason()
	if err := send(struct{}{}, &finish); err != nil {
		return err
	}
	if withUsage {
		chunk.Choices, chunk.Usage = []chunkChoice{}, usageOf(a, ans)
		if err := out.send("", chunk); err != nil {
			return err
		}
	}
	return out.done()
}
