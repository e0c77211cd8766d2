package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusal is an answer that is an error of the protocol.
type refusal struct {
	status  int
	kind    string // error.type
	message string
	param   string      // OpenAI only; empty is null
	code    string      // OpenAI only; empty is null
	details any         // Anthropic only; nil is absent
	header  http.Header // sent besides the usual ones
}

// Error implements error, so that a handler can return its refusal.
func (f *refusal) Error() string { return fmt.Sprintf("%d %s: %s", f.status, f.kind, f.message) }

// ended is returned when an answer was stopped on purpose.
type ended struct{}

// Error implements error.
func (ended) Error() string { return "ended on purpose" }

// openAIError is the body of an OpenAI error.
type openAIError struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	} `json:"error"`
}

// anthropicError is the body of an Anthropic error.
type anthropicError struct {
	Type  string `json:"type"`
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Details any    `json:"details,omitempty"`
	} `json:"error"`
	RequestID string `json:"request_id"`
}

// errorBody is the refusal in the shape of the exchange's protocol.
func (x *exchange) errorBody(f *refusal) any {
	if x.dialect == anthropic {
		body := anthropicError{Type: "error", RequestID: x.id("req_")}
		body.Error.Type, body.Error.Message, body.Error.Details = f.kind, f.message, f.details
		return body
	}
	var body openAIError
	body.Error.Message, body.Error.Type = f.message, f.kind
	body.Error.Param, body.Error.Code = orNull(f.param), orNull(f.code)
	return body
}

// orNull is s for JSON, null if s is empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// refuse writes the refusal as the whole answer.
func (x *exchange) refuse(f *refusal) error {
	for name, values := range f.header {
		x.w.Header()[name] = values
	}
	return x.writeJSON(f.status, x.errorBody(f))
}

// writeJSON writes v as the whole answer.
func (x *exchange) writeJSON(status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	x.head("application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if _, err := x.w.Write(body); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}

// encode is v as JSON the way providers write it: HTML is not escaped.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return bytes.TrimRight(buf.Bytes(), "\n"), nil
}

// head sets the headers that every answer of the protocol carries.
func (x *exchange) head(contentType string) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	if x.dialect == anthropic {
		h.Set("request-id", x.id("req_"))
		h.Set("anthropic-organization-id", "sim-organization")
		return
	}
	h.Set("x-request-id", x.id("req_"))
	h.Set("openai-organization", "sim-organization")
	h.Set("openai-version", "2020-10-01")
	h.Set("openai-processing-ms", strconv.FormatInt(time.Since(x.began).Milliseconds(), 10))
}

// unauthorized refuses key, which is empty if the request carried none.
func (x *exchange) unauthorized(key string) error {
	if x.dialect == anthropic {
		message := "invalid x-api-key"
		if key == "" {
			message = "x-api-key header is required"
		}
		return &refusal{status: http.StatusUnauthorized, kind: "authentication_error", message: message}
	}
	message := "Incorrect API key provided: " + mask(key) + "."
	if key == "" {
		message = "You didn't provide an API key. You need to provide your API key in an Authorization header " +
			"using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
	}
	return &refusal{
		status: http.StatusUnauthorized, kind: "invalid_request_error", message: message, code: "invalid_api_key",
	}
}

// mask shows the ends of a long key, as OpenAI does, and nothing of a short one.
func mask(key string) string {
	if len(key) < 16 {
		return strings.Repeat("*", len(key))
	}
	return key[:4] + strings.Repeat("*", len(key)-8) + key[len(key)-4:]
}

// tooLarge refuses a body over maxBody.
func (x *exchange) tooLarge() error {
	f := &refusal{status: http.StatusRequestEntityTooLarge, message: "Request exceeds the maximum size"}
	f.kind = "invalid_request_error"
	if x.dialect == anthropic {
		f.kind = "request_too_large"
	}
	return f
}
