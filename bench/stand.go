package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The rows of the report, in the order of the first round.
const (
	rowDirect = "direct"
	rowProxy  = "proxy"
	rowTenure = "tenure"
)

// Names of the memory counters in the Prometheus text of a Go program.
const (
	metricBytes   = "go_memstats_alloc_bytes_total"
	metricMallocs = "go_memstats_mallocs_total"
)

const (
	startLimit = 20 * time.Second // for a gateway to become ready
	askLimit   = 5 * time.Second  // for one request beside the load
	systemText = "You are a careful assistant. Answer in one short paragraph, name no sources, and say so when you do not know."
	userText   = "Why does a gateway that only passes requests on still cost time?"
)

// stand is one row set up to be measured: a fresh upstream and, but for the
// direct row, a fresh gateway in front of it.
type stand struct {
	row      string
	measured *child // the process whose CPU time and memory count
	addr     string // where the load goes
	metrics  string // path of the memory counters
	token    string // what the load client sends as bearer token
	undo     []func()
}

// setUp starts what the row needs and checks it with one request. The direct
// row's upstream takes the gateway's place, and its core.
func (p *plan) setUp(ctx context.Context, row string, chunks int) (*stand, error) {
	s := &stand{row: row, metrics: pathMetrics, token: "bench"}
	err := p.start(ctx, s, chunks)
	if err == nil {
		err = s.check(ctx)
	}
	if err != nil {
		s.tearDown()
		return nil, fmt.Errorf("%s: %w", row, err)
	}
	return s, nil
}

// start starts the row's processes.
func (p *plan) start(ctx context.Context, s *stand, chunks int) error {
	core := sideLoad
	if s.row == rowDirect {
		core = sideGateway
	}
	up, upAddr, err := startOwn(ctx, p.pin, core, "upstream", "-chunks", strconv.Itoa(chunks), "-every", p.every.String())
	if err != nil {
		return err
	}
	s.undo = append(s.undo, up.stop)
	switch s.row {
	case rowDirect:
		s.measured, s.addr = up, upAddr
		return nil
	case rowProxy:
		s.measured, s.addr, err = startOwn(ctx, p.pin, sideGateway, "proxy", "-to", "http://"+upAddr)
		if err == nil {
			s.undo = append(s.undo, s.measured.stop)
		}
		return err
	default:
		return p.startTenure(ctx, s, upAddr)
	}
}

// tearDown stops all processes of the stand, the last one first.
func (s *stand) tearDown() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
	s.undo = nil
}

// startTenure starts `tenure serve` in teams mode with a home of its own, and
// gets a personal access token from it. Its log goes to a file, as in life.
func (p *plan) startTenure(ctx context.Context, s *stand, upAddr string) error {
	dir, err := os.MkdirTemp("", "tenure-bench-")
	if err != nil {
		return err
	}
	s.undo = append(s.undo, func() { _ = os.RemoveAll(dir) })
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child writes to a handle of its own
	if s.addr, err = freeAddress(); err != nil {
		return err
	}
	env := []string{
		"HOME=" + dir,
		"TENURE_HOME=" + filepath.Join(dir, "home"),
		"TENURE_MODE=teams",
		"TENURE_LISTEN=" + s.addr,
		"TENURE_TRUSTED_PROXIES=127.0.0.1/32",
		"TENURE_SHUTDOWN_GRACE=2s",
		"OPENAI_API_KEY=sk-bench",
		"OPENAI_BASE_URL=http://" + upAddr + "/v1",
	}
	s.measured, err = startChild(ctx, p.pin, sideGateway, []string{p.tenure, "serve"}, env, log, log)
	if err != nil {
		return err
	}
	s.undo = append(s.undo, s.measured.stop)
	s.metrics = "/metrics"
	if err := s.waitReady(ctx); err != nil {
		return fmt.Errorf("%w; its log ends:\n%s", err, tail(log.Name(), 2000))
	}
	s.token, err = mint(ctx, s.addr)
	return err
}

// freeAddress returns an address on loopback that nobody listens on now.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// tail returns the last n bytes of a file, for an error message.
func tail(name string, n int) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(text[max(len(text)-n, 0):])
}

// waitReady asks /readyz until it answers 200 or the program has ended.
func (s *stand) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		status, _, err := ask(ctx, http.MethodGet, "http://"+s.addr+pathReady, "", nil)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-s.measured.exited:
			return errors.New("the program ended before it was ready")
		case <-ctx.Done():
			return fmt.Errorf("not ready: status %d, %w", status, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// mint gets a personal access token, as the person that a trusted proxy on
// loopback asserts.
func mint(ctx context.Context, addr string) (string, error) {
	status, body, err := ask(ctx, http.MethodPost, "http://"+addr+"/api/v1/tokens", `{"name":"bench"}`,
		http.Header{"X-User-Id": {"bench@example.com"}})
	if err != nil {
		return "", err
	}
	if status != http.StatusCreated {
		return "", fmt.Errorf("POST /api/v1/tokens: status %d: %.300s", status, body)
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		return "", fmt.Errorf("POST /api/v1/tokens: no token in the answer (%w)", err)
	}
	return answer.Token, nil
}

// check sends one chat request, so that no row is measured that does not work.
func (s *stand) check(ctx context.Context) error {
	status, body, err := ask(ctx, http.MethodPost, "http://"+s.addr+pathChat, chatBody(false),
		http.Header{"Authorization": {"Bearer " + s.token}})
	if err != nil {
		return err
	}
	if status != http.StatusOK || !strings.Contains(string(body), "chatcmpl-bench") {
		return fmt.Errorf("POST %s: status %d: %.300s", pathChat, status, body)
	}
	return nil
}

// ask sends one request on a connection of its own and reads the whole answer.
func ask(ctx context.Context, method, url, body string, header http.Header) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if header != nil {
		request.Header = header
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	return answer.StatusCode, text, err
}

// chatBody returns the JSON of a chat request, about 300 bytes.
func chatBody(stream bool) string {
	end := `}`
	if stream {
		end = `,"stream":true}`
	}
	return `{"model":"` + modelName + `","messages":[{"role":"system","content":"` + systemText +
		`"},{"role":"user","content":"` + userText + `"}],"temperature":0.2,"max_tokens":64` + end
}

// chatRequest returns the bytes of a chat request to the stand.
func (s *stand) chatRequest(stream bool) []byte {
	body := chatBody(stream)
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", pathChat, s.addr, s.token, len(body), body)
}

// allocated is what the measured process has allocated since it started.
type allocated struct{ bytes, objects float64 }

// readAllocated reads the memory counters; ok is false when there are none.
func (s *stand) readAllocated(ctx context.Context) (a allocated, ok bool) {
	status, text, err := ask(ctx, http.MethodGet, "http://"+s.addr+s.metrics, "", nil)
	if err != nil || status != http.StatusOK {
		return a, false
	}
	bytes, foundBytes := promValue(string(text), metricBytes)
	objects, foundObjects := promValue(string(text), metricMallocs)
	return allocated{bytes, objects}, foundBytes && foundObjects
}

// promValue returns the value of the first sample called name in a Prometheus text.
func promValue(text, name string) (float64, bool) {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest == "" || (rest[0] != ' ' && rest[0] != '{') {
			continue
		}
		if _, after, labelled := strings.Cut(rest, "}"); labelled {
			rest = after
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		value, err := strconv.ParseFloat(fields[0], 64)
		return value, err == nil
	}
	return 0, false
}
