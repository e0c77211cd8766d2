package simulator

import "encoding/json"

// message is Anthropic's message object.
type message struct {
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	Role         string         `json:"role"`
	Model        string         `json:"model"`
	Content      []any          `json:"content"` // textBlock or toolUseBlock
	Container    *struct{}      `json:"container"`
	Diagnostics  *struct{}      `json:"diagnostics"`
	StopDetails  *struct{}      `json:"stop_details"`
	StopReason   *string        `json:"stop_reason"`
	StopSequence *string        `json:"stop_sequence"`
	Usage        anthropicUsage `json:"usage"`
}

type textBlock struct {
	Type      string    `json:"type"`
	Text      string    `json:"text"`
	Citations *struct{} `json:"citations"`
}

type toolUseBlock struct {
	Type  string          `json:"type"`
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
	// Caller says that the model called the tool, not one of the provider's own.
	Caller bare `json:"caller"`
}

// anthropicUsage is the usage of a message.
type anthropicUsage struct {
	InputTokens              int `json:"input_tokens"`
	CacheCreationInputTokens int `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int `json:"cache_read_input_tokens"`
	OutputTokens             int `json:"output_tokens"`
	CacheCreation            struct {
		Ephemeral1h int `json:"ephemeral_1h_input_tokens"`
		Ephemeral5m int `json:"ephemeral_5m_input_tokens"`
	} `json:"cache_creation"`
	InferenceGeo        *struct{} `json:"inference_geo"`
	OutputTokensDetails *struct{} `json:"output_tokens_details"`
	ServerToolUse       *struct{} `json:"server_tool_use"`
	ServiceTier         string    `json:"service_tier"`
	Speed               string    `json:"speed"`
}

// deltaUsage is the usage of a message_delta: cumulative, not an increment.
type deltaUsage struct {
	InputTokens              int       `json:"input_tokens"`
	CacheCreationInputTokens int       `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int       `json:"cache_read_input_tokens"`
	OutputTokens             int       `json:"output_tokens"`
	OutputTokensDetails      *struct{} `json:"output_tokens_details"`
	ServerToolUse            *struct{} `json:"server_tool_use"`
}

// The events of a stream, in the order they are sent; content_block_delta comes
// once for every piece.
type (
	messageStart struct {
		Type    string  `json:"type"`
		Message message `json:"message"`
	}
	blockStart struct {
		Type         string `json:"type"`
		Index        int    `json:"index"`
		ContentBlock any    `json:"content_block"`
	}
	blockDelta struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
		Delta any    `json:"delta"` // textPiece or inputPiece
	}
	textPiece struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	inputPiece struct {
		Type        string `json:"type"`
		PartialJSON string `json:"partial_json"`
	}
	blockStop struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
	}
	messageDelta struct {
		Type  string     `json:"type"`
		Delta stopDelta  `json:"delta"`
		Usage deltaUsage `json:"usage"`
	}
	stopDelta struct {
		Container    *struct{} `json:"container"`
		StopDetails  *struct{} `json:"stop_details"`
		StopReason   string    `json:"stop_reason"`
		StopSequence *string   `json:"stop_sequence"`
	}
)

// bare is an object that is nothing but its type.
type bare struct {
	Type string `json:"type"`
}

// stopReason is why the answer ends, in Anthropic's words.
func (ans *answer) stopReason() string {
	switch {
	case ans.call != nil:
		return "tool_use"
	case ans.cut:
		return "max_tokens"
	default:
		return "end_turn"
	}
}

// envelope is the message without its content.
func (x *exchange) envelope(q *messagesRequest, a *ask, output int) message {
	return message{
		ID: x.id("msg_"), Type: "message", Role: "assistant", Model: q.Model, Content: []any{},
		Usage: anthropicUsage{InputTokens: a.tokens, OutputTokens: output, ServiceTier: "standard", Speed: "standard"},
	}
}

// toolUse is the block of a tool call.
func (x *exchange) toolUse(ans *answer, input string) toolUseBlock {
	return toolUseBlock{
		Type: "tool_use", ID: x.id("toolu_"), Name: ans.call.name, Input: json.RawMessage(input),
		Caller: bare{Type: "direct"},
	}
}

// message is the answer when it is not streamed.
func (x *exchange) message(q *messagesRequest, a *ask, ans *answer) message {
	m := x.envelope(q, a, ans.output)
	reason := ans.stopReason()
	m.StopReason = &reason
	if ans.call == nil {
		m.Content = append(m.Content, textBlock{Type: "text", Text: ans.text()})
	} else {
		m.Content = append(m.Content, x.toolUse(ans, ans.text()))
	}
	return m
}

// streamMessage sends the answer as events.
func (x *exchange) streamMessage(q *messagesRequest, a *ask, ans *answer) error {
	out := x.stream()
	start := messageStart{Type: "message_start", Message: x.envelope(q, a, 1)}
	if err := out.send(start.Type, start); err != nil {
		return err
	}
	if err := x.streamBlock(out, ans); err != nil {
		return err
	}
	end := messageDelta{
		Type:  "message_delta",
		Delta: stopDelta{StopReason: ans.stopReason()},
		Usage: deltaUsage{InputTokens: a.tokens, OutputTokens: ans.output},
	}
	if err := out.send(end.Type, end); err != nil {
		return err
	}
	return out.send("message_stop", bare{Type: "message_stop"})
}

// streamBlock sends the one content block of an answer.
func (x *exchange) streamBlock(out *stream, ans *answer) error {
	delta := func(piece any) error {
		return out.send("content_block_delta", blockDelta{Type: "content_block_delta", Delta: piece})
	}
	start := blockStart{Type: "content_block_start", ContentBlock: textBlock{Type: "text"}}
	if ans.call != nil {
		start.ContentBlock = x.toolUse(ans, "{}")
	}
	if err := out.send(start.Type, start); err != nil {
		return err
	}
	if err := out.send("ping", bare{Type: "ping"}); err != nil {
		return err
	}
	if ans.call != nil { // the first piece of an input is always empty
		if err := delta(inputPiece{Type: "input_json_delta"}); err != nil {
			return err
		}
	}
	err := out.pieces(ans, func(piece string) error {
		if ans.call != nil {
			return delta(inputPiece{Type: "input_json_delta", PartialJSON: piece})
		}
		return delta(textPiece{Type: "text_delta", Text: piece})
	})
	if err != nil {
		return err
	}
	return out.send("content_block_stop", blockStop{Type: "content_block_stop"})
}
