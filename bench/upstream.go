package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Paths and names that the children and the load client agree on.
const (
	pathChat    = "/v1/chat/completions"
	pathModels  = "/v1/models"
	pathReady   = "/readyz"
	pathMetrics = "/bench/metrics" // of upstream and bare proxy
	modelName   = "bench-model"
	stampMark   = '@' // stands before a chunk's send time
	bodyLimit   = 1 << 20
)

// upstream is a model provider that answers at once: the worst case for a
// gateway, since a real model takes seconds.
type upstream struct {
	answer []byte        // the JSON answer of a chat request without "stream"
	chunks int           // SSE chunks of a stream
	every  time.Duration // between two chunks
	bodies sync.Pool     // of *bytes.Buffer
}

// newUpstream returns an upstream whose answers are size bytes long.
func newUpstream(size, chunks int, every time.Duration) *upstream {
	return &upstream{
		answer: answerOf(size),
		chunks: chunks,
		every:  every,
		bodies: sync.Pool{New: func() any { return new(bytes.Buffer) }},
	}
}

// commandUpstream serves an upstream on loopback until ctx ends.
func commandUpstream(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := newFlags("upstream", stderr)
	port := flags.Int("port", 0, "port on 127.0.0.1; 0 takes a free one")
	size := flags.Int("answer", 600, "bytes of an answer that is not streamed")
	chunks := flags.Int("chunks", 40, "chunks of a stream")
	every := flags.Duration("every", 250*time.Millisecond, "time between two chunks of a stream")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *every <= 0 || *chunks < 1 {
		return fmt.Errorf("-every and -chunks must be above 0")
	}
	return serveLoopback(ctx, *port, newUpstream(*size, *chunks, *every).routes(), stdout)
}

// serveLoopback serves h on 127.0.0.1 until ctx ends, and tells its address on
// stdout as the line "listening HOST:PORT".
func serveLoopback(ctx context.Context, port int, h http.Handler, stdout io.Writer) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	fmt.Fprintf(stdout, "listening %s\n", listener.Addr())
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

func (u *upstream) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathModels, u.models)
	mux.HandleFunc("POST "+pathChat, u.chat)
	mux.HandleFunc("GET "+pathReady, func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET "+pathMetrics, serveMemory)
	return mux
}

func (u *upstream) models(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"object":"list","data":[{"id":"`+modelName+
		`","object":"model","created":1700000000,"owned_by":"bench"}]}`)
}

// chat answers at once, or with a stream when the body asks for one.
func (u *upstream) chat(w http.ResponseWriter, r *http.Request) {
	body := u.bodies.Get().(*bytes.Buffer)
	defer u.bodies.Put(body)
	body.Reset()
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, bodyLimit)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if wants(body.Bytes(), "stream") {
		u.stream(w, r, wants(body.Bytes(), "include_usage"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(u.answer)))
	w.Write(u.answer)
}

// wants tells whether the JSON text has the member "name" with the value true,
// compact or with one space, which is all that clients and gateways write.
func wants(json []byte, name string) bool {
	_, rest, found := bytes.Cut(json, []byte(`"`+name+`":`))
	return found && bytes.HasPrefix(bytes.TrimLeft(rest, " "), []byte("true"))
}

// stream sends the chunks, the first at once, each with its send time in Unix
// nanoseconds in its content.
func (u *upstream) stream(w http.ResponseWriter, r *http.Request, usage bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	out := http.NewResponseController(w)
	tick := time.NewTicker(u.every)
	defer tick.Stop()
	event := make([]byte, 0, 256)
	for i := range u.chunks {
		if i > 0 {
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
		event = appendChunk(event[:0], time.Now().UnixNano())
		if _, err := w.Write(event); err != nil {
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
	}
	io.WriteString(w, lastChunks(usage))
}

// appendChunk appends the SSE event of a chunk stamped with now.
func appendChunk(event []byte, now int64) []byte {
	event = append(event, `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"`+
		modelName+`","choices":[{"index":0,"delta":{"content":"`...)
	event = append(event, stampMark)
	event = strconv.AppendInt(event, now, 10)
	return append(event, " \"},\"finish_reason\":null}]}\n\n"...)
}

// lastChunks is the end of a stream, with token counts when asked for.
func lastChunks(usage bool) string {
	const start = `data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,"model":"` + modelName + `","choices":`
	end := start + `[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	if usage {
		end += start + `[],"usage":{"prompt_tokens":40,"completion_tokens":40,"total_tokens":80}}` + "\n\n"
	}
	return end + "data: [DONE]\n\n"
}

// answerOf returns a chat completion of size bytes, or of the least possible.
func answerOf(size int) []byte {
	const before = `{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"` + modelName +
		`","choices":[{"index":0,"message":{"role":"assistant","content":"`
	const after = `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":40,"completion_tokens":80,"total_tokens":120}}`
	padding := max(size-len(before)-len(after), 0)
	text := strings.Repeat("All work and no play. ", padding/22+1)
	return []byte(before + text[:padding] + after)
}

// serveMemory answers with the two counters of the Go runtime that the run
// reads, under the names that Prometheus clients give them.
func serveMemory(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(w, "%s %d\n%s %d\n", metricBytes, m.TotalAlloc, metricMallocs, m.Mallocs)
}
