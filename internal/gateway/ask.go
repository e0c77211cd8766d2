package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Question is what the product asks a model by itself, in somebody's name.
type Question struct {
	ID           string // of the request that it is
	Address      string // of the client on whose behalf it is; a token that is bound to networks needs it
	Model        string // as in a request's "model"
	Instructions string
	Input        string          // what the one message of the user says
	Name         string          // of the schema: letters, digits, _ and -
	Schema       json.RawMessage // JSON Schema, of closed objects
	MaxTokens    int             // of the answer
}

// Answer is what came of a Question.
type Answer struct {
	Document []byte // JSON, if the model kept to the schema: nobody has looked
	Model    string // that was asked, as provider/model
	Use      tenure.ModelUse
}

// maxAnswer is the longest answer to a Question, in bytes.
const maxAnswer = 256 << 10

// Ask asks a model for a JSON document of a schema, as a request of p's that goes the way
// of all others: by the route of the provider's kind, so that p needs its scope. Its turn
// is nobody's to draw beliefs out of. Errors are those of a request, and BadGateway where
// the answer is none: answer_too_large, answer_truncated, answer_filtered, answer_refused,
// answer_unreadable. Beside those of an answer, Model and Use are told.
func (g *Gateway) Ask(ctx context.Context, p tenure.Principal, q Question) (Answer, error) {
	d := g.dialect(ctx, p, q.Model)
	body, err := json.Marshal(d.ask(q))
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", q.Model, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("ask %s: %w", q.Model, err)
	}
	r.Header["Content-Type"] = []string{"application/json"}
	w := &held{header: http.Header{}}
	ev := g.Inside(w, r, p, tenure.Origin{RequestID: q.ID, Address: q.Address})
	a := Answer{Use: ev.Use}
	if ev.Asked != "" {
		a.Model = ev.Provider + "/" + ev.Asked
	}
	switch {
	case ev.Err != nil:
		return a, ev.Err
	case w.over:
		return a, errNoAnswer("answer_too_large", fmt.Sprintf("it is longer than %d KiB", maxAnswer>>10))
	case ev.Status != http.StatusOK:
		return a, errFailed(ev.Status, w.header)
	}
	a.Document, err = d.read(w.body, q.Name)
	return a, err
}

// dialect is how a Question is put in one protocol.
type dialect struct {
	path string
	ask  func(Question) any
	read func(answer []byte, name string) ([]byte, error)
}

// dialect is that of the provider that has the model: of OpenAI's kind, if one of those
// is known to have it. Where none has, the request itself says so.
func (g *Gateway) dialect(ctx context.Context, p tenure.Principal, model string) dialect {
	t, err := g.catalogue.find(ctx, p, tenure.OpenAI, model)
	if err != nil || t.guessed {
		if other, no := g.catalogue.find(ctx, p, tenure.Anthropic, model); no == nil && (err != nil || !other.guessed) {
			return dialect{"/v1/messages", askMessages, readMessage}
		}
	}
	return dialect{"/v1/chat/completions", func(q Question) any { return askChat(q, err == nil && t.openAI()) }, readChat}
}

// askChat puts a Question to OpenAI. Its newer models refuse max_tokens; other servers may
// know nothing else, and some refuse what they do not know. OpenAI is also told to keep
// nothing of it, as it may for new accounts.
func askChat(q Question, itself bool) any {
	ask := map[string]any{
		"model":    q.Model,
		"messages": []map[string]string{{"role": "system", "content": q.Instructions}, {"role": "user", "content": q.Input}},
		"response_format": map[string]any{
			"type": "json_schema", "json_schema": map[string]any{"name": q.Name, "strict": true, "schema": q.Schema},
		},
	}
	if itself {
		ask["max_completion_tokens"], ask["store"] = q.MaxTokens, false
	} else {
		ask["max_tokens"] = q.MaxTokens
	}
	return ask
}

func readChat(answer []byte, _ string) ([]byte, error) {
	var a struct {
		Choices []struct {
			FinishReason string `json:"finish_reason"`
			Message      struct {
				Content string `json:"content"`
				Refusal string `json:"refusal"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(answer, &a); err != nil || len(a.Choices) == 0 {
		return nil, errNoAnswer("answer_unreadable", "it is no chat completion")
	}
	switch c := a.Choices[0]; {
	case c.Message.Refusal != "":
		return nil, errRefused
	case c.FinishReason != "stop":
		return nil, errEnded(c.FinishReason)
	default:
		return []byte(c.Message.Content), nil
	}
}

// askMessages puts a Question to Anthropic: the document is the input of a tool that the
// model has to use.
func askMessages(q Question) any {
	return map[string]any{
		"model": q.Model, "max_tokens": q.MaxTokens, "system": q.Instructions,
		"messages":    []map[string]string{{"role": "user", "content": q.Input}},
		"tools":       []map[string]any{{"name": q.Name, "input_schema": q.Schema}},
		"tool_choice": map[string]any{"type": "tool", "name": q.Name, "disable_parallel_tool_use": true},
	}
}

func readMessage(answer []byte, name string) ([]byte, error) {
	var a struct {
		StopReason string `json:"stop_reason"`
		Content    []struct {
			Type  string          `json:"type"`
			Name  string          `json:"name"`
			Input json.RawMessage `json:"input"`
		} `json:"content"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, errNoAnswer("answer_unreadable", "it is no message")
	}
	if a.StopReason != "tool_use" {
		return nil, errEnded(a.StopReason)
	}
	for _, block := range a.Content {
		if block.Type == "tool_use" && block.Name == name {
			return block.Input, nil
		}
	}
	return nil, errNoAnswer("answer_unreadable", "it does not use the tool that it has to")
}

func errNoAnswer(code, why string) error {
	return &tenure.Error{Kind: tenure.BadGateway, Code: code, Msg: "the model's answer is of no use: " + why}
}

var errRefused = errNoAnswer("answer_refused", "it is a refusal")

// errEnded says why an answer is not whole, by what the provider says of its end.
func errEnded(reason string) error {
	switch reason {
	case "length", "max_tokens", "model_context_window_exceeded":
		return errNoAnswer("answer_truncated", "it ends before its end, by a limit on tokens")
	case "content_filter":
		return errNoAnswer("answer_filtered", "the provider's filter ended it")
	case "refusal":
		return errRefused
	}
	return errNoAnswer("answer_unreadable", fmt.Sprintf("it ends with %q", tenure.Shown(reason)))
}

// errFailed says that a provider refused, or failed. What it says of why may quote what it
// was asked, and stays there.
func errFailed(status int, h http.Header) error {
	e := &tenure.Error{Kind: tenure.BadGateway, Code: "provider_failed", Msg: fmt.Sprintf("the provider answered with the status %d", status)}
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		e.Kind = tenure.Invalid // it would answer the same again
	case http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(h.Get("Retry-After"))
		e.Kind, e.RetryAfter = tenure.TooMany, time.Duration(min(max(seconds, 0), 3600))*time.Second
	}
	return e
}

// held is an answer that stays in memory, up to maxAnswer.
type held struct {
	header http.Header
	body   []byte
	over   bool // there was more
}

// Header implements http.ResponseWriter.
func (w *held) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter; the record of the request has the status.
func (w *held) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (w *held) Write(b []byte) (int, error) {
	if w.over = w.over || len(w.body)+len(b) > maxAnswer; w.over {
		return 0, http.ErrContentLength
	}
	w.body = append(w.body, b...)
	return len(b), nil
}
