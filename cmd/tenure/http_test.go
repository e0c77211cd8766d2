package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// request is an HTTP/1.1 request that is sent byte for byte as it is written
// here: what a client library would refuse or tidy up reaches the server.
type request struct {
	method, path string
	header       []string // "Name: value"
	body         string
}

// response is an answer, read whole.
type response struct {
	*http.Response
	body string
}

// requestWait is the end of a request that nobody answers.
const requestWait = 20 * time.Second

// open sends the request to the server at url; the answer's body is still to be
// read, and the connection to be closed.
func (r request) open(url string, wait time.Duration) (*http.Response, net.Conn, error) {
	address := strings.TrimPrefix(url, "http://")
	conn, err := net.DialTimeout("tcp", address, requestWait)
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(wait))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method, r.path, address)
	for _, line := range r.header {
		b.WriteString(line + "\r\n")
	}
	if r.body != "" {
		if !strings.Contains(strings.ToLower(strings.Join(r.header, "\n")), "content-type:") {
			b.WriteString("Content-Type: application/json\r\n")
		}
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n" + r.body)
	if _, err := conn.Write(b.Bytes()); err != nil {
		conn.Close()
		return nil, nil, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: r.method})
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	return res, conn, nil
}

// do sends the request and reads the answer.
func (r request) do(url string) (response, error) {
	res, conn, err := r.open(url, requestWait)
	if err != nil {
		return response{}, err
	}
	defer conn.Close()
	body, err := io.ReadAll(res.Body)
	return response{res, string(body)}, err
}

// The two ways of asking, with a prompt for the simulated provider.
const (
	chatPath, chatBody         = "/v1/chat/completions", `{"model":"sim-gpt-4o","stream":%t,"messages":[{"role":"user","content":%q}]}`
	messagesPath, messagesBody = "/v1/messages", `{"model":"sim-claude-sonnet","max_tokens":100000,"stream":%t,"messages":[{"role":"user","content":%q}]}`
)

// chat asks the simulated OpenAI.
func chat(token string, stream bool, prompt string) request {
	return request{"POST", chatPath, []string{"Authorization: Bearer " + token}, fmt.Sprintf(chatBody, stream, prompt)}
}

// messages asks the simulated Anthropic.
func messages(token string, stream bool, prompt string) request {
	return request{"POST", messagesPath, []string{"X-Api-Key: " + token, "Anthropic-Version: 2023-06-01"}, fmt.Sprintf(messagesBody, stream, prompt)}
}

// responses asks the simulated OpenAI by its Responses API.
func responses(token string, stream bool, prompt string) request {
	return request{"POST", "/v1/responses", []string{"Authorization: Bearer " + token}, fmt.Sprintf(`{"model":"sim-gpt-4o","stream":%t,"input":%q}`, stream, prompt)}
}

// longPrompt makes a stream that outlasts every test.
const longPrompt = "count to 100000 every 20ms"

// stream is an open answer, being read.
type stream struct {
	conn  net.Conn
	out   output
	first sync.Once
	began chan struct{} // the first bytes have come
	ended chan struct{}
	at    time.Time // when it ended; set once ended is closed
	err   error     // why, if not by its proper end; likewise
}

// openStream sends r, demands 200 and reads on until the stream ends.
func openStream(url string, r request) (*stream, error) {
	res, conn, err := r.open(url, 2*time.Minute)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		conn.Close()
		return nil, fmt.Errorf("stream: %s", res.Status)
	}
	s := &stream{conn: conn, began: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer conn.Close()
		_, err := io.Copy(s, res.Body)
		s.at, s.err = time.Now(), err
		close(s.ended)
	}()
	select {
	case <-s.began:
		return s, nil
	case <-s.ended:
	}
	select {
	case <-s.began: // and was short
		return s, nil
	default:
		return nil, fmt.Errorf("the stream ended before it began: %w", cmp.Or(s.err, io.EOF))
	}
}

// Write implements io.Writer.
func (s *stream) Write(b []byte) (int, error) {
	n, err := s.out.Write(b)
	s.first.Do(func() { close(s.began) })
	return n, err
}

// goesOn waits for more of the stream.
func (s *stream) goesOn() error {
	had := len(s.out.String())
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.ended:
			return fmt.Errorf("the stream has ended:\n%s", s.out.String())
		default:
		}
		if len(s.out.String()) > had {
			return nil
		}
	}
	return fmt.Errorf("the stream is open, and nothing comes")
}
