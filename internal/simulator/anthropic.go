package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// messagesRequest is what the simulator reads of a messages request.
type messagesRequest struct {
	Model      string          `json:"model"`
	MaxTokens  *int            `json:"max_tokens"`
	System     json.RawMessage `json:"system"` // a string or a list of text blocks
	Messages   []inputMessage  `json:"messages"`
	Stream     bool            `json:"stream"`
	Tools      []inputTool     `json:"tools"`
	ToolChoice *struct {
		Type string `json:"type"`
		Name string `json:"name"`
	} `json:"tool_choice"`
	Thread *struct{} `json:"thread"` // refused if set
}

type inputMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"` // a string or a list of inputBlock
}

// inputBlock is a content block of any type; the fields are those of text,
// image, tool_use and tool_result. Other types are accepted and not read.
type inputBlock struct {
	Type    string          `json:"type"`
	Text    string          `json:"text"`
	Source  *imageSource    `json:"source"`
	Name    string          `json:"name"`
	Input   json.RawMessage `json:"input"`
	Content json.RawMessage `json:"content"`
}

type imageSource struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type"`
	Data      string `json:"data"`
}

// inputTool is a client tool if its type is empty or custom; others are the
// provider's own, which the simulator accepts and never uses.
type inputTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	InputSchema json.RawMessage `json:"input_schema"`
}

// anthropicInvalid is a 400 of Anthropic's.
func anthropicInvalid(message string) *refusal {
	return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", message: message}
}

// threadUnsupported refuses a conversation that the provider would have to hold
// (beta message-threads-2026-08-12), in the way that tells clients to send it
// whole.
func threadUnsupported() *refusal {
	f := anthropicInvalid("thread: the simulator keeps no conversation")
	f.details = struct {
		ErrorCode   string   `json:"error_code"`
		Unsupported []string `json:"unsupported"`
	}{"thread_unsupported_request", []string{"thread"}}
	return f
}

// messages answers POST /v1/messages.
func (x *exchange) messages() error {
	q, a, err := x.readMessages()
	if err != nil {
		return err
	}
	switch {
	case q.MaxTokens == nil:
		return anthropicInvalid("max_tokens: Field required")
	case *q.MaxTokens < 1: // a real provider takes 0, to warm a cache that the simulator does not have
		return anthropicInvalid("max_tokens: Input should be greater than or equal to 1")
	}
	a.limit = *q.MaxTokens
	ans := x.s.answer(a)
	if err := x.failFirst(ans.fault, q.Stream); err != nil {
		return err
	}
	if q.Stream {
		return x.streamMessage(q, a, ans)
	}
	return x.whole(ans, x.message(q, a, ans))
}

// countTokens answers POST /v1/messages/count_tokens. Of the directives, only
// the faults that come instead of an answer work here.
func (x *exchange) countTokens() error {
	_, a, err := x.readMessages()
	if err != nil {
		return err
	}
	if err := x.failFirst(x.s.answer(a).fault, false); err != nil {
		return err
	}
	return x.writeJSON(http.StatusOK, struct {
		InputTokens int `json:"input_tokens"`
	}{a.tokens})
}

// readMessages reads what a message and a token count have in common.
func (x *exchange) readMessages() (*messagesRequest, *ask, error) {
	if x.r.Header.Get("anthropic-version") == "" {
		return nil, nil, anthropicInvalid("anthropic-version: header is required")
	}
	var q messagesRequest
	err := json.Unmarshal(x.body, &q)
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return nil, nil, anthropicInvalid(mismatch.Field + ": Input should not be of type " + mismatch.Value)
	}
	if err != nil {
		return nil, nil, anthropicInvalid("The request body is not valid JSON: " + err.Error())
	}
	switch {
	case q.Model == "":
		return nil, nil, anthropicInvalid("model: Field required")
	case q.Messages == nil:
		return nil, nil, anthropicInvalid("messages: Field required")
	case q.Thread != nil:
		return nil, nil, threadUnsupported()
	case len(q.Messages) == 0:
		return nil, nil, anthropicInvalid("messages: at least one message is required")
	}
	if err := x.known(q.Model); err != nil {
		return nil, nil, err
	}
	a, err := q.ask()
	return &q, a, err
}

// ask is the request in neutral words, without its limit.
func (q *messagesRequest) ask() (*ask, error) {
	a := &ask{model: q.Model}
	system, err := a.blocks(q.System, "system")
	if err != nil {
		return nil, err
	}
	a.instruct(system.text)
	for i, message := range q.Messages {
		at := fmt.Sprintf("messages.%d", i)
		if !slices.Contains([]string{"user", "assistant", "system"}, message.Role) {
			return nil, anthropicInvalid(at + ".role: Input should be 'user', 'assistant' or 'system'")
		}
		if len(message.Content) == 0 || string(message.Content) == "null" {
			return nil, anthropicInvalid(at + ".content: Field required")
		}
		content, err := a.blocks(message.Content, at+".content")
		if err != nil {
			return nil, err
		}
		if message.Role == "system" {
			a.instruct(content.text)
			continue
		}
		a.say(message.Role == "user", content.text)
		for _, result := range content.results {
			a.result(result)
		}
	}
	for i, t := range q.Tools {
		if t.Name == "" {
			return nil, anthropicInvalid(fmt.Sprintf("tools.%d.name: Field required", i))
		}
		if t.Type == "" || t.Type == "custom" {
			a.offer(t.Name, t.Description, t.InputSchema)
		}
	}
	return a, q.choose(a)
}

// content is what a list of blocks says.
type content struct {
	text    string   // of the text blocks, a line each
	results []string // of the tool_result blocks
}

// blocks reads a string or a list of blocks, which is at path in the request.
// Images and earlier tool calls are recorded; the text and results are the
// caller's to record.
func (a *ask) blocks(raw json.RawMessage, path string) (content, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return content{}, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return content{text: text}, nil
	}
	var blocks []inputBlock
	if err := json.Unmarshal(raw, &blocks); err != nil {
		return content{}, anthropicInvalid(path + ": Input should be a valid string or list of content blocks")
	}
	var texts, results []string
	for i, block := range blocks {
		at := fmt.Sprintf("%s.%d", path, i)
		switch block.Type {
		case "":
			return content{}, anthropicInvalid(at + ".type: Field required")
		case "text":
			texts = append(texts, block.Text)
		case "image":
			if err := block.Source.record(a, at+".image.source"); err != nil {
				return content{}, err
			}
		case "tool_use":
			a.count(block.Name)
			a.count(compact(block.Input))
		case "tool_result":
			inner, err := a.blocks(block.Content, at+".tool_result.content")
			if err != nil {
				return content{}, err
			}
			results = append(results, inner.text)
		}
	}
	return content{text: strings.Join(texts, "\n"), results: results}, nil
}

// compact is raw without insignificant space, raw itself if it is not JSON.
func compact(raw json.RawMessage) string {
	var buf bytes.Buffer
	if err := json.Compact(&buf, raw); err != nil {
		return string(raw)
	}
	return buf.String()
}

// record records the image, which must be base64: the simulator fetches nothing.
func (s *imageSource) record(a *ask, path string) error {
	switch {
	case s == nil:
		return anthropicInvalid(path + ": Field required")
	case s.Type != "base64":
		return anthropicInvalid(path + ".type: the simulator reads base64 images only")
	case !slices.Contains([]string{"image/jpeg", "image/png", "image/gif", "image/webp"}, s.MediaType):
		return anthropicInvalid(path + ".base64.media_type: " +
			"Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'")
	}
	if err := a.image(s.Data); err != nil {
		return anthropicInvalid(path + ".base64.data: Invalid base64 data")
	}
	return nil
}

// choose records tool_choice.
func (q *messagesRequest) choose(a *ask) error {
	if q.ToolChoice == nil {
		return nil
	}
	switch q.ToolChoice.Type {
	case "auto":
	case "none":
		a.choice.never = true
	case "any":
		a.choice.force = true
	case "tool":
		a.choice.force, a.choice.name = true, q.ToolChoice.Name
	default:
		return anthropicInvalid("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
	}
	if a.choice.force && len(q.Tools) == 0 {
		return anthropicInvalid("tool_choice: tool_choice may only be specified while providing tools")
	}
	if q.ToolChoice.Type == "tool" && !a.hasTool(a.choice.name) {
		return anthropicInvalid("tool_choice: Tool '" + a.choice.name + "' not found in provided tools")
	}
	return nil
}
