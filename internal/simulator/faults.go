package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// metadataURL is where the redirect fault points: the address that a gateway
// must never be talked into asking.
const metadataURL = "http://169.254.169.254/"

// failFirst carries out the faults that come instead of an answer. It returns
// nil if the answer follows.
func (x *exchange) failFirst(f fault, streamed bool) error {
	switch f.kind {
	case failStatus:
		return x.failure(f.status)
	case failMidway:
		if !streamed {
			return x.failure(http.StatusInternalServerError)
		}
	case hang:
		return x.hang()
	case hangMidway:
		if !streamed {
			return x.hang()
		}
	case echoKey:
		failed := x.failure(http.StatusInternalServerError)
		failed.message = "The request made with the key " + x.key() + " failed."
		return failed
	case redirect:
		x.head("text/plain; charset=utf-8")
		x.w.Header().Set("Location", metadataURL)
		x.w.WriteHeader(http.StatusTemporaryRedirect)
		return ended{}
	case noFault, truncate:
	}
	return nil
}

// failMidstream carries out the faults that come when half of a stream is out.
// It returns nil if the stream goes on.
func (x *exchange) failMidstream(f fault, out *stream) error {
	switch f.kind {
	case failMidway:
		return out.fail(x.failure(http.StatusInternalServerError))
	case hangMidway:
		return x.hang()
	case truncate:
		return x.cut()
	case noFault, failStatus, hang, echoKey, redirect:
	}
	return nil
}

// hang waits until the client leaves.
func (x *exchange) hang() error {
	<-x.r.Context().Done()
	return fmt.Errorf("hang: %w", x.r.Context().Err())
}

// cut closes the connection under an answer that is not complete, once what is
// written of it is out.
func (x *exchange) cut() error {
	control := http.NewResponseController(x.w)
	if err := control.Flush(); err != nil {
		return fmt.Errorf("cut connection: %w", err)
	}
	conn, _, err := control.Hijack()
	if err != nil { // HTTP/2 has no connection to take: let the stream time out instead
		if err := control.SetWriteDeadline(time.Unix(1, 0)); err != nil {
			return fmt.Errorf("cut connection: %w", err)
		}
		return ended{}
	}
	if err := conn.Close(); err != nil {
		return fmt.Errorf("cut connection: %w", err)
	}
	return ended{}
}

// truncated sends the first half of body under a Content-Length that promises
// all of it, and cuts the connection.
func (x *exchange) truncated(body []byte) error {
	x.head("application/json")
	x.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := x.w.Write(body[:len(body)/2]); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return x.cut()
}

// failure is the refusal that the protocol's provider gives with status.
func (x *exchange) failure(status int) *refusal {
	if x.dialect == anthropic {
		return anthropicFailure(status)
	}
	return openAIFailure(status)
}

// openAIFailure follows OpenAI's list of API errors.
func openAIFailure(status int) *refusal {
	f := &refusal{status: status, kind: "invalid_request_error", message: http.StatusText(status)}
	switch {
	case status == http.StatusUnauthorized:
		f.message, f.code = "Incorrect API key provided.", "invalid_api_key"
	case status == http.StatusTooManyRequests:
		f.kind, f.code = "requests", "rate_limit_exceeded"
		f.message = "Rate limit reached on requests per min (RPM): Limit 60, Used 60, Requested 1. Please try again in 1s."
		f.header = http.Header{
			"Retry-After":                    {"1"},
			"X-Ratelimit-Limit-Requests":     {"60"},
			"X-Ratelimit-Remaining-Requests": {"0"},
			"X-Ratelimit-Reset-Requests":     {"1s"},
		}
	case status == http.StatusServiceUnavailable:
		f.kind, f.message = "server_error", "The engine is currently overloaded, please try again later."
	case status >= http.StatusInternalServerError:
		f.kind = "server_error"
		f.message = "The server had an error while processing your request. Sorry about that!"
	}
	return f
}

// statusOverloaded is Anthropic's own status for overloaded_error.
const statusOverloaded = 529

// anthropicFailure follows Anthropic's list of HTTP errors.
func anthropicFailure(status int) *refusal {
	f := &refusal{status: status, kind: "invalid_request_error", message: http.StatusText(status)}
	switch {
	case status == http.StatusUnauthorized:
		f.kind, f.message = "authentication_error", "invalid x-api-key"
	case status == http.StatusPaymentRequired:
		f.kind = "billing_error"
	case status == http.StatusForbidden:
		f.kind = "permission_error"
	case status == http.StatusNotFound:
		f.kind = "not_found_error"
	case status == http.StatusRequestEntityTooLarge:
		f.kind = "request_too_large"
	case status == http.StatusTooManyRequests:
		f.kind = "rate_limit_error"
		f.message = "This request would exceed your organization's rate limit of 60 requests per minute."
		f.header = http.Header{
			"Retry-After":                            {"1"},
			"Anthropic-Ratelimit-Requests-Limit":     {"60"},
			"Anthropic-Ratelimit-Requests-Remaining": {"0"},
			"Anthropic-Ratelimit-Requests-Reset":     {time.Now().Add(time.Second).UTC().Format(time.RFC3339)},
		}
	case status == http.StatusGatewayTimeout:
		f.kind, f.message = "timeout_error", "Request timed out"
	case status == statusOverloaded:
		f.kind, f.message = "overloaded_error", "Overloaded"
	case status >= http.StatusInternalServerError:
		f.kind, f.message = "api_error", "Internal server error"
	}
	return f
}
