package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// responseRequest is what the simulator reads of a request of the Responses API.
type responseRequest struct {
	Model              string          `json:"model"`
	Input              json.RawMessage `json:"input"` // a string or a list of responseItem
	Instructions       string          `json:"instructions"`
	Stream             bool            `json:"stream"`
	Store              *bool           `json:"store"`
	MaxOutputTokens    *int            `json:"max_output_tokens"`
	PreviousResponseID *string         `json:"previous_response_id"`
	Tools              []responseTool  `json:"tools"`
	ToolChoice         json.RawMessage `json:"tool_choice"`
}

// responseItem is one item of the input.
type responseItem struct {
	Type      string          `json:"type"`
	ID        string          `json:"id"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"` // a string or a list of responsePart
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Output    json.RawMessage `json:"output"` // a string or a list of responsePart
}

type responsePart struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	ImageURL string `json:"image_url"`
}

type responseTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

// responses answers POST /v1/responses.
func (x *exchange) responses() error {
	var q responseRequest
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
		return x.streamResponse(&q, a, ans)
	}
	r := x.response(&q)
	r.finish(a, ans, x.outputItem(ans, "completed", ans.text()))
	return x.whole(ans, r)
}

// check refuses what OpenAI refuses before it looks at the input.
func (q *responseRequest) check() error {
	switch input := bytes.TrimSpace(q.Input); {
	case q.Model == "":
		return openAIInvalid("model", "missing_required_parameter", "Missing required parameter: 'model'.")
	case len(input) == 0 || string(input) == "null":
		return openAIInvalid("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	case q.PreviousResponseID != nil: // nothing is kept
		return openAIInvalid("previous_response_id", "previous_response_not_found",
			"Previous response with id '"+*q.PreviousResponseID+"' not found.")
	}
	return atLeastOne("max_output_tokens", q.MaxOutputTokens)
}

// ask is the request in neutral words.
func (q *responseRequest) ask() (*ask, error) {
	a := &ask{}
	if q.MaxOutputTokens != nil {
		a.limit = *q.MaxOutputTokens
	}
	if q.Instructions != "" {
		a.instruct(q.Instructions)
	}
	var text string
	var items []responseItem
	if json.Unmarshal(q.Input, &text) == nil {
		a.say(true, text)
	} else if err := json.Unmarshal(q.Input, &items); err != nil {
		return nil, openAIInvalid("input", "invalid_type", "Invalid type for 'input': expected one of a string or array of objects.")
	}
	for i := range items {
		if err := items[i].tell(a, fmt.Sprintf("input[%d]", i)); err != nil {
			return nil, err
		}
	}
	for i, t := range q.Tools {
		if t.Type != "function" { // a tool of the provider's: accepted, never called
			continue
		}
		if t.Name == "" {
			param := fmt.Sprintf("tools[%d].name", i)
			return nil, openAIInvalid(param, "missing_required_parameter", "Missing required parameter: '"+param+"'.")
		}
		a.offer(t.Name, t.Description, t.Parameters)
	}
	return a, q.choose(a)
}

// tell records the item, which is at param in the request.
func (it *responseItem) tell(a *ask, param string) error {
	switch it.Type {
	case "", "message":
		return it.message(a, param)
	case "function_call":
		a.count(it.Name)
		a.count(it.Arguments)
		return nil
	case "function_call_output":
		text, err := readParts(it.Output, a, param+".output")
		if err != nil {
			return err
		}
		a.result(text)
		return nil
	case "item_reference":
		return &refusal{
			status: http.StatusNotFound, kind: "invalid_request_error", param: "input",
			message: "Item with id '" + it.ID + "' not found.",
		}
	}
	return nil // accepted, not read
}

func (it *responseItem) message(a *ask, param string) error {
	roles := []string{"system", "developer", "user", "assistant"}
	if !slices.Contains(roles, it.Role) {
		return openAIInvalid(param+".role", "invalid_value", fmt.Sprintf(
			"Invalid value: '%s'. Supported values are: '%s'.", it.Role, strings.Join(roles, "', '")))
	}
	text, err := readParts(it.Content, a, param+".content")
	if err != nil {
		return err
	}
	if it.Role == "system" || it.Role == "developer" {
		a.instruct(text)
		return nil
	}
	a.say(it.Role == "user", text)
	return nil
}

// readParts is the text of content; its images are recorded.
func readParts(content json.RawMessage, a *ask, param string) (string, error) {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text, nil
	}
	var parts []responsePart
	if err := json.Unmarshal(content, &parts); err != nil {
		return "", openAIInvalid(param, "invalid_type", fmt.Sprintf(
			"Invalid type for '%s': expected one of a string or array of objects.", param))
	}
	var texts []string
	for i, part := range parts {
		at := fmt.Sprintf("%s[%d]", param, i)
		switch part.Type {
		case "input_text", "output_text":
			texts = append(texts, part.Text)
		case "input_image":
			image := chatPart{}
			image.ImageURL = &struct {
				URL string `json:"url"`
			}{part.ImageURL}
			if err := image.image(a, at+".image_url"); err != nil {
				return "", err
			}
		case "input_file", "refusal": // accepted, not read
		default:
			return "", openAIInvalid(at+".type", "invalid_value", fmt.Sprintf("Invalid value: '%s'. "+
				"Supported values are: 'input_text', 'input_image', 'output_text', 'refusal', and 'input_file'.", part.Type))
		}
	}
	return strings.Join(texts, "\n"), nil
}

// choose records tool_choice.
func (q *responseRequest) choose(a *ask) error {
	choice := bytes.TrimSpace(q.ToolChoice)
	if len(choice) == 0 || string(choice) == "null" {
		return nil
	}
	var mode string
	var named responseTool
	switch {
	case json.Unmarshal(choice, &mode) == nil:
		a.choice.never, a.choice.force = mode == "none", mode == "required"
		if !slices.Contains([]string{"none", "auto", "required"}, mode) {
			return openAIInvalid("tool_choice", "invalid_value", fmt.Sprintf(
				"Invalid value: '%s'. Supported values are: 'none', 'auto', and 'required'.", mode))
		}
	case json.Unmarshal(choice, &named) != nil:
		return openAIInvalid("tool_choice", "invalid_type", "Invalid type for 'tool_choice'.")
	case named.Type == "function":
		a.choice.force, a.choice.name = true, named.Name
	}
	if a.choice.name != "" && !a.hasTool(a.choice.name) {
		return openAIInvalid("tool_choice", "", "Tool choice '"+a.choice.name+"' not found in 'tools' parameter.")
	}
	return nil
}
