package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// stream is an answer sent as server-sent events, each flushed as it is sent.
type stream struct {
	x       *exchange
	control *http.ResponseController
	buf     bytes.Buffer
	enc     *json.Encoder // writes to buf
	// failed makes the error event and its name where it is not the error's own body.
	failed func(*refusal) (name string, event any)
}

// stream opens the exchange's answer as a stream.
func (x *exchange) stream() *stream {
	x.head("text/event-stream; charset=utf-8")
	x.w.Header().Set("Cache-Control", "no-cache")
	x.w.WriteHeader(http.StatusOK)
	out := &stream{x: x, control: http.NewResponseController(x.w)}
	out.enc = json.NewEncoder(&out.buf)
	out.enc.SetEscapeHTML(false)
	return out
}

// send sends v as the data of one event; an empty name sends no event line.
func (out *stream) send(name string, v any) error {
	out.buf.Reset()
	if name != "" {
		out.buf.WriteString("event: " + name + "\n")
	}
	out.buf.WriteString("data: ")
	if err := out.enc.Encode(v); err != nil { // ends with a newline
		return fmt.Errorf("encode event: %w", err)
	}
	out.buf.WriteString("\n")
	return out.flush()
}

// done sends OpenAI's end of stream.
func (out *stream) done() error {
	out.buf.Reset()
	out.buf.WriteString("data: [DONE]\n\n")
	return out.flush()
}

func (out *stream) flush() error {
	if err := out.x.r.Context().Err(); err != nil {
		return fmt.Errorf("send event: %w", err)
	}
	if _, err := out.x.w.Write(out.buf.Bytes()); err != nil {
		return fmt.Errorf("send event: %w", err)
	}
	if err := out.control.Flush(); err != nil {
		return fmt.Errorf("flush event: %w", err)
	}
	return nil
}

// fail ends the stream with an error event, as both providers do when they fail
// after the status line is out.
func (out *stream) fail(f *refusal) error {
	name := ""
	if out.x.dialect == anthropic {
		name = "error"
	}
	var event any
	if out.failed != nil {
		name, event = out.failed(f)
	} else {
		event = out.x.errorBody(f)
	}
	if err := out.send(name, event); err != nil {
		return err
	}
	return ended{}
}

// pieces sends the pieces of an answer at its pace, each by send.
func (out *stream) pieces(ans *answer, send func(piece string) error) error {
	for i, piece := range ans.pieces {
		if i > 0 {
			if err := pause(out.x.r.Context(), ans.pace); err != nil {
				return err
			}
		}
		if i == len(ans.pieces)/2 {
			if err := out.x.failMidstream(ans.fault, out); err != nil {
				return err
			}
		}
		if err := send(piece); err != nil {
			return err
		}
	}
	return nil
}

// whole sends v as an answer that is not streamed, after the time that the
// stream would have taken.
func (x *exchange) whole(ans *answer, v any) error {
	if err := pause(x.r.Context(), ans.pace*time.Duration(len(ans.pieces)-1)); err != nil {
		return err
	}
	if ans.fault.kind != truncate {
		return x.writeJSON(http.StatusOK, v)
	}
	body, err := encode(v)
	if err != nil {
		return err
	}
	return x.truncated(body)
}

// pause waits for d or until ctx ends, which is an error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pause: %w", ctx.Err())
	}
}
