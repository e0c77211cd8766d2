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

// chatRequest is what the simulator reads of a chat completion request.
type chatRequest struct {
	Model         string        `json:"model"`
	Messages      []chatMessage `json:"messages"`
	Stream        bool          `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	N                   *int            `json:"n"`
	Tools               []chatTool      `json:"tools"`
	ToolChoice          json.RawMessage `json:"tool_choice"`
	ResponseFormat      *struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
}

type chatMessage struct {
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"` // null, a string or a list of chatPart
	ToolCalls []chatCall      `json:"tool_calls"`
}

type chatPart struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	ImageURL *struct {
		URL string `json:"url"`
	} `json:"image_url"`
}

type chatTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// chatCall is a tool call in a message, a request's or an answer's.
type chatCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// openAIInvalid is a 400 of OpenAI's; param and code may be empty.
func openAIInvalid(param, code, message string) *refusal {
	return &refusal{
		status: http.StatusBadRequest, kind: "invalid_request_error", param: param, code: code, message: message,
	}
}

// chat answers POST /v1/chat/completions.
func (x *exchange) chat() error {
	var q chatRequest
	if err := decodeOpenAI(x.body, &q); err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	if err := x.known(q.Model); err != nil {
		return err
	}
	a, err := q.ask()
	if err != nil {
		return err
	}
	ans := x.s.answer(a)
	if err := x.failFirst(ans.fault, q.Stream); err != nil {
		return err
	}
	if q.Stream {
		return x.streamChat(&q, a, ans)
	}
	return x.whole(ans, x.completion(&q, a, ans))
}

// decodeOpenAI reads the body into q.
func decodeOpenAI(body []byte, q any) error {
	err := json.Unmarshal(body, q)
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return openAIInvalid(mismatch.Field, "invalid_type",
			fmt.Sprintf("Invalid type for '%s': got %s instead.", mismatch.Field, mismatch.Value))
	}
	if err != nil {
		return openAIInvalid("", "", "We could not parse the JSON body of your request.")
	}
	return nil
}

// check refuses what OpenAI refuses before it looks at the conversation.
func (q *chatRequest) check() error {
	switch {
	case q.Model == "":
		return openAIInvalid("", "", "you must provide a model parameter")
	case q.Messages == nil:
		return openAIInvalid("messages", "missing_required_parameter", "Missing required parameter: 'messages'.")
	case len(q.Messages) == 0:
		return openAIInvalid("messages", "empty_array", "Invalid 'messages': empty array. "+
			"Expected an array with minimum length 1, but got an empty array instead.")
	case q.MaxTokens != nil && q.MaxCompletionTokens != nil:
		return openAIInvalid("max_tokens", "invalid_parameter_combination",
			"Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
	case q.StreamOptions != nil && !q.Stream:
		return openAIInvalid("stream_options", "",
			"The 'stream_options' parameter is only allowed when 'stream' is enabled.")
	case q.ResponseFormat != nil && q.ResponseFormat.Type == "json_schema" && (q.ResponseFormat.JSONSchema.Name == "" || len(q.ResponseFormat.JSONSchema.Schema) == 0):
		return openAIInvalid("response_format.json_schema", "missing_required_parameter", "Missing required parameter: 'response_format.json_schema'.")
	case q.N != nil && *q.N != 1:
		return openAIInvalid("n", "unsupported_value", "The simulator answers with one choice: 'n' must be 1.")
	}
	if err := atLeastOne("max_tokens", q.MaxTokens); err != nil {
		return err
	}
	return atLeastOne("max_completion_tokens", q.MaxCompletionTokens)
}

func atLeastOne(param string, n *int) error {
	if n == nil || *n >= 1 {
		return nil
	}
	return openAIInvalid(param, "integer_below_min_value", fmt.Sprintf(
		"Invalid '%s': integer below minimum value. Expected a value >= 1, but got %d instead.", param, *n))
}

// ask is the request in neutral words.
func (q *chatRequest) ask() (*ask, error) {
	a := &ask{model: q.Model}
	if f := q.ResponseFormat; f != nil && f.Type == "json_schema" {
		a.format = f.JSONSchema.Schema
	}
	for _, limit := range []*int{q.MaxTokens, q.MaxCompletionTokens} {
		if limit != nil {
			a.limit = *limit
		}
	}
	for i, message := range q.Messages {
		if err := message.tell(a, fmt.Sprintf("messages[%d]", i)); err != nil {
			return nil, err
		}
	}
	for i, t := range q.Tools {
		if t.Type != "function" { // a custom tool: accepted, never called
			continue
		}
		if t.Function.Name == "" {
			param := fmt.Sprintf("tools[%d].function.name", i)
			return nil, openAIInvalid(param, "missing_required_parameter", "Missing required parameter: '"+param+"'.")
		}
		a.offer(t.Function.Name, t.Function.Description, t.Function.Parameters)
	}
	return a, q.choose(a)
}

// tell records the message, which is at param in the request.
func (m *chatMessage) tell(a *ask, param string) error {
	roles := []string{"system", "developer", "user", "assistant", "tool", "function"}
	if !slices.Contains(roles, m.Role) {
		return openAIInvalid(param+".role", "invalid_value", fmt.Sprintf(
			"Invalid value: '%s'. Supported values are: '%s'.", m.Role, strings.Join(roles, "', '")))
	}
	text, err := m.read(a, param+".content")
	if err != nil {
		return err
	}
	switch m.Role {
	case "system", "developer":
		a.instruct(text)
	case "tool", "function":
		a.result(text)
	default:
		a.say(m.Role == "user", text)
	}
	for _, call := range m.ToolCalls {
		a.count(call.Function.Name)
		a.count(call.Function.Arguments)
	}
	return nil
}

// read is the text of the message's content; its images are recorded.
func (m *chatMessage) read(a *ask, param string) (string, error) {
	if len(m.Content) == 0 || string(m.Content) == "null" {
		return "", nil
	}
	var text string
	if json.Unmarshal(m.Content, &text) == nil {
		return text, nil
	}
	var parts []chatPart
	if err := json.Unmarshal(m.Content, &parts); err != nil {
		return "", openAIInvalid(param, "invalid_type", fmt.Sprintf(
			"Invalid type for '%s': expected one of a string or array of objects.", param))
	}
	var texts []string
	for i, part := range parts {
		at := fmt.Sprintf("%s[%d]", param, i)
		switch part.Type {
		case "text":
			texts = append(texts, part.Text)
		case "image_url":
			if err := part.image(a, at+".image_url"); err != nil {
				return "", err
			}
		case "input_audio", "refusal", "audio", "file": // accepted, not read
		default:
			return "", openAIInvalid(at+".type", "invalid_value", fmt.Sprintf("Invalid value: '%s'. "+
				"Supported values are: 'text', 'image_url', 'input_audio', 'refusal', 'audio', and 'file'.", part.Type))
		}
	}
	return strings.Join(texts, "\n"), nil
}

// image records the part's image, which must be a data: URL in base64: the
// simulator fetches nothing.
func (p *chatPart) image(a *ask, param string) error {
	if p.ImageURL == nil {
		return openAIInvalid(param, "missing_required_parameter", "Missing required parameter: '"+param+"'.")
	}
	head, data, _ := strings.Cut(p.ImageURL.URL, ",")
	if !strings.HasPrefix(head, "data:image/") || !strings.HasSuffix(head, ";base64") {
		return openAIInvalid(param+".url", "invalid_image_url",
			"The simulator reads images from data: URLs in base64 only.")
	}
	if err := a.image(data); err != nil {
		return openAIInvalid(param+".url", "invalid_base64", "Invalid base64 image_url.")
	}
	return nil
}

// choose records tool_choice.
func (q *chatRequest) choose(a *ask) error {
	choice := bytes.TrimSpace(q.ToolChoice)
	if len(choice) == 0 || string(choice) == "null" {
		return nil
	}
	var mode string
	if json.Unmarshal(choice, &mode) == nil {
		a.choice.never, a.choice.force = mode == "none", mode == "required"
		if !slices.Contains([]string{"none", "auto", "required"}, mode) {
			return openAIInvalid("tool_choice", "invalid_value", fmt.Sprintf(
				"Invalid value: '%s'. Supported values are: 'none', 'auto', and 'required'.", mode))
		}
	} else {
		var named chatTool
		if err := json.Unmarshal(choice, &named); err != nil {
			return openAIInvalid("tool_choice", "invalid_type", "Invalid type for 'tool_choice'.")
		}
		if named.Type == "function" {
			a.choice.force, a.choice.name = true, named.Function.Name
		}
	}
	if a.choice.force && len(q.Tools) == 0 {
		return openAIInvalid("tool_choice", "",
			"Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.")
	}
	if a.choice.name != "" && !a.hasTool(a.choice.name) {
		return openAIInvalid("tool_choice", "",
			"Invalid value for 'tool_choice': tool '"+a.choice.name+"' not found in 'tools'.")
	}
	return nil
}
