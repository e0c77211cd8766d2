package simulator

import "time"

// response is OpenAI's response object.
type response struct {
	ID                 string         `json:"id"`
	Object             string         `json:"object"`
	CreatedAt          int64          `json:"created_at"`
	Status             string         `json:"status"`
	Background         bool           `json:"background"`
	Error              *struct{}      `json:"error"`
	IncompleteDetails  *incomplete    `json:"incomplete_details"`
	Instructions       *string        `json:"instructions"`
	MaxOutputTokens    *int           `json:"max_output_tokens"`
	Model              string         `json:"model"`
	Output             []outputItem   `json:"output"`
	ParallelToolCalls  bool           `json:"parallel_tool_calls"`
	PreviousResponseID *string        `json:"previous_response_id"`
	Store              bool           `json:"store"`
	Temperature        float64        `json:"temperature"`
	ToolChoice         string         `json:"tool_choice"`
	Tools              []struct{}     `json:"tools"`
	TopP               float64        `json:"top_p"`
	Truncation         string         `json:"truncation"`
	Usage              *responseUsage `json:"usage"`
	Metadata           struct{}       `json:"metadata"`
}

type incomplete struct {
	Reason string `json:"reason"`
}

// outputItem is a message or a function call.
type outputItem struct {
	ID        string        `json:"id"`
	Type      string        `json:"type"`
	Status    string        `json:"status"`
	Role      string        `json:"role,omitempty"`
	Content   *[]outputText `json:"content,omitempty"`
	CallID    string        `json:"call_id,omitempty"`
	Name      string        `json:"name,omitempty"`
	Arguments *string       `json:"arguments,omitempty"`
}

type outputText struct {
	Type        string     `json:"type"`
	Text        string     `json:"text"`
	Annotations []struct{} `json:"annotations"`
	Logprobs    []struct{} `json:"logprobs"`
}

// responseUsage is the usage of the Responses API.
type responseUsage struct {
	InputTokens  int `json:"input_tokens"`
	InputDetails struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	OutputTokens  int `json:"output_tokens"`
	OutputDetails struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	TotalTokens int `json:"total_tokens"`
}

// responseEvent is any event of a stream; Type and SequenceNumber are always
// there, the rest where the event has it.
type responseEvent struct {
	Type           string      `json:"type"`
	SequenceNumber int         `json:"sequence_number"`
	Response       *response   `json:"response,omitempty"`
	ItemID         string      `json:"item_id,omitempty"`
	OutputIndex    *int        `json:"output_index,omitempty"`
	ContentIndex   *int        `json:"content_index,omitempty"`
	Item           *outputItem `json:"item,omitempty"`
	Part           *outputText `json:"part,omitempty"`
	Delta          *string     `json:"delta,omitempty"`
	Logprobs       *[]struct{} `json:"logprobs,omitempty"`
	Text           *string     `json:"text,omitempty"`
	Arguments      *string     `json:"arguments,omitempty"`
	Name           string      `json:"name,omitempty"`
}

// responseError is the event of a failure in mid-stream.
type responseError struct {
	Type           string  `json:"type"`
	SequenceNumber int     `json:"sequence_number"`
	Code           *string `json:"code"`
	Message        string  `json:"message"`
	Param          *string `json:"param"`
}

// response is an answer that has begun.
func (x *exchange) response(q *responseRequest) *response {
	r := &response{
		ID: x.id("resp_"), Object: "response", CreatedAt: time.Now().Unix(), Status: "in_progress", Model: q.Model,
		MaxOutputTokens: q.MaxOutputTokens, Output: []outputItem{}, ParallelToolCalls: true, Store: q.Store == nil || *q.Store,
		Temperature: 1, ToolChoice: "auto", Tools: []struct{}{}, TopP: 1, Truncation: "disabled",
	}
	if q.Instructions != "" {
		r.Instructions = &q.Instructions
	}
	return r
}

// finish completes it.
func (r *response) finish(a *ask, ans *answer, item outputItem) {
	r.Status = "completed"
	if ans.cut {
		r.Status, r.IncompleteDetails = "incomplete", &incomplete{"max_output_tokens"}
		item.Status = "incomplete"
	}
	r.Output = []outputItem{item}
	r.Usage = &responseUsage{InputTokens: a.tokens, OutputTokens: ans.output, TotalTokens: a.tokens + ans.output}
}

func textPart(text string) outputText {
	return outputText{Type: "output_text", Text: text, Annotations: []struct{}{}, Logprobs: []struct{}{}}
}

// outputItem is the one item of an answer, of which text is there.
func (x *exchange) outputItem(ans *answer, status, text string) outputItem {
	if ans.call != nil {
		return outputItem{
			ID: x.id("fc_"), Type: "function_call", Status: status,
			CallID: x.id("call_"), Name: ans.call.name, Arguments: &text,
		}
	}
	content := []outputText{}
	if status != "in_progress" {
		content = append(content, textPart(text))
	}
	return outputItem{ID: x.id("msg_"), Type: "message", Status: status, Role: "assistant", Content: &content}
}

// streamResponse sends the answer as events.
func (x *exchange) streamResponse(q *responseRequest, a *ask, ans *answer) error {
	out := x.stream()
	next := 0
	out.failed = func(f *refusal) (string, any) {
		return "error", responseError{Type: "error", SequenceNumber: next, Code: orNull(f.code), Message: f.message, Param: orNull(f.param)}
	}
	send := func(e responseEvent) error {
		e.SequenceNumber = next
		next++
		return out.send(e.Type, e)
	}
	all := func(events ...responseEvent) error {
		for _, e := range events {
			if err := send(e); err != nil {
				return err
			}
		}
		return nil
	}
	r := x.response(q)
	item := x.outputItem(ans, "in_progress", "")
	zero := new(int)
	err := all(responseEvent{Type: "response.created", Response: r}, responseEvent{Type: "response.in_progress", Response: r},
		responseEvent{Type: "response.output_item.added", OutputIndex: zero, Item: &item})
	if err == nil && ans.call == nil {
		part := textPart("")
		err = send(responseEvent{Type: "response.content_part.added", ItemID: item.ID, OutputIndex: zero, ContentIndex: zero, Part: &part})
	}
	if err != nil {
		return err
	}
	err = out.pieces(ans, func(piece string) error {
		if ans.call != nil {
			return send(responseEvent{Type: "response.function_call_arguments.delta", ItemID: item.ID, OutputIndex: zero, Delta: &piece})
		}
		return send(responseEvent{
			Type: "response.output_text.delta", ItemID: item.ID, OutputIndex: zero, ContentIndex: zero, Delta: &piece, Logprobs: &[]struct{}{},
		})
	})
	if err != nil {
		return err
	}
	text := ans.text()
	r.finish(a, ans, x.outputItem(ans, "completed", text))
	item = r.Output[0]
	part := textPart(text)
	ends := []responseEvent{
		{Type: "response.output_text.done", ItemID: item.ID, OutputIndex: zero, ContentIndex: zero, Text: &text, Logprobs: &[]struct{}{}},
		{Type: "response.content_part.done", ItemID: item.ID, OutputIndex: zero, ContentIndex: zero, Part: &part},
	}
	if ans.call != nil {
		ends = []responseEvent{{Type: "response.function_call_arguments.done", ItemID: item.ID, OutputIndex: zero, Name: ans.call.name, Arguments: &text}}
	}
	return all(append(ends,
		responseEvent{Type: "response.output_item.done", OutputIndex: zero, Item: &item},
		responseEvent{Type: "response." + r.Status, Response: r})...)
}
