package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const fakeToken = "tpat_fake"

// TestMain lets the test program stand in for the programs that a run starts:
// its own subcommands, and `tenure serve`.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "serve":
			os.Exit(serveFakeTenure())
		case "upstream", "proxy":
			main()
		}
	}
	os.Exit(m.Run())
}

// serveFakeTenure keeps the part of Tenure's contract that a run relies on.
func serveFakeTenure() int {
	target, err := url.Parse(os.Getenv("OPENAI_BASE_URL"))
	if err != nil || target.Path != "/v1" || os.Getenv("TENURE_MODE") != "teams" || os.Getenv("OPENAI_API_KEY") == "" {
		return exitError
	}
	target.Path = ""
	proxy := newProxy(target)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /metrics", serveMemory)
	mux.HandleFunc("POST /api/v1/tokens", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-user-id") != "bench@example.com" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"token":"`+fakeToken+`"}`)
	})
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+fakeToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(r.Body) // a proxy that streams it on may lose streams
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	})
	server := http.Server{Addr: os.Getenv("TENURE_LISTEN"), Handler: mux, ReadHeaderTimeout: time.Minute}
	if err := server.ListenAndServe(); err != nil {
		return exitError
	}
	return exitOK
}

// TestRun carries out a whole run in small: three rows, all loads, the report.
func TestRun(t *testing.T) {
	if runtime.GOOS != "linux" || testing.Short() {
		t.Skip("needs /proc and some seconds")
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0") // of the children, which are this program
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &plan{
		tenure: self, rows: []string{rowDirect, rowProxy, rowTenure}, rounds: 2, conns: []int{4},
		warm: 20 * time.Millisecond, window: 80 * time.Millisecond, rate: 200,
		streams: 10, every: 10 * time.Millisecond, ramp: 500, requests: true, short: true, progress: io.Discard,
	}
	if err := p.validate(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cells, err := p.measure(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * 3 * 3; len(cells) != want {
		t.Fatalf("%d cells, want %d", len(cells), want)
	}
	if order := []string{cells[0].Row, cells[9].Row, cells[11].Row}; !slices.Equal(order, []string{rowDirect, rowTenure, rowDirect}) {
		t.Errorf("order of rows %v, want the second round backwards", order)
	}
	for _, c := range cells {
		if c.Figures[figRate] <= 0 || c.Figures[figP50] <= 0 || c.Figures[figRSS] <= 0 || (c.Row != rowProxy && c.Figures[figLost]+c.Figures[figErrors] > 0) {
			t.Errorf("%s, %s: %v", c.Row, c.Load, c.Figures)
		}
		if strings.HasPrefix(c.Load, "closed") && c.Figures[figAllocs] < 1 {
			t.Errorf("%s, %s: no allocations: %v", c.Row, c.Load, c.Figures)
		}
	}
	r := p.report(cells)
	var out bytes.Buffer
	r.markdown(&out)
	if got := strings.Count(out.String(), "| Tenure, everything on |"); got != 3 {
		t.Errorf("Tenure stands in %d tables, want 3:\n%s", got, &out)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestTenureThatDoesNotStart(t *testing.T) {
	p := &plan{tenure: "/bin/false", every: time.Second}
	before, _ := filepath.Glob(filepath.Join(os.TempDir(), "tenure-bench-*"))
	if _, err := p.setUp(t.Context(), rowTenure, 1); err == nil || !strings.Contains(err.Error(), "ended before it was ready") {
		t.Errorf("error %v, want one that says it ended", err)
	}
	after, _ := filepath.Glob(filepath.Join(os.TempDir(), "tenure-bench-*"))
	if len(after) > len(before) {
		t.Errorf("a temporary folder stays behind: %v", after)
	}
}

func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	h, other := new(histogram), new(histogram)
	var values []float64
	for i := range 100_000 {
		v := math.Exp(random.Float64() * math.Log(1e10)) // 1 ns to 10 s
		values = append(values, v)
		if i%2 == 0 {
			h.record(time.Duration(v))
		} else {
			other.record(time.Duration(v))
		}
	}
	h.merge(other)
	slices.Sort(values)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := values[min(int(q*float64(len(values))), len(values)-1)]
		if got := float64(h.quantile(q)); math.Abs(got-want) > 0.009*want+1 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	for v := range uint64(100_000) {
		if middle := middleOf(bucketOf(v)); math.Abs(float64(middle)-float64(v)) > 0.008*float64(v)+0.5 {
			t.Fatalf("%d is read back as %d", v, middle)
		}
	}
	h.record(-time.Second)
	h.record(math.MaxInt64)
	if new(histogram).quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	if n := testing.AllocsPerRun(100, func() { h.record(12345) }); n != 0 {
		t.Errorf("record allocates %v times", n)
	}
}

// pieces returns a wire that reads text in pieces of n bytes, then its end.
func pieces(t *testing.T, text string, n int) *wire {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	go func() {
		defer server.Close()
		for part := range slices.Chunk([]byte(text), n) {
			if _, err := server.Write(part); err != nil {
				return
			}
		}
	}()
	return &wire{conn: client, buf: make([]byte, 256)}
}

func TestWire(t *testing.T) {
	const plain = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 5\r\n\r\nhello"
	const chunked = "HTTP/1.1 429 Too Many\r\nTransfer-Encoding: chunked\r\nConnection: Close\r\n\r\n" +
		"5;a=b\r\nhello\r\nA\r\n, world...\r\n0\r\nTrailer: x\r\n\r\n"
	const long = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
	for _, n := range []int{1, 7, 4096} {
		w := pieces(t, plain+chunked+plain+long+strings.Repeat("x", 1000)+plain, n)
		for i, want := range []struct {
			head
			body string
		}{
			{head{200, 5, false}, "hello"},
			{head{429, lengthChunked, true}, "hello, world..."},
			{head{200, 5, false}, "hello"},
			{head{200, 1000, false}, strings.Repeat("x", 1000)},
			{head{200, 5, false}, "hello"},
		} {
			h, err := w.readHead()
			if err != nil || h != want.head {
				t.Fatalf("pieces of %d, answer %d: %+v, %v, want %+v", n, i, h, err, want.head)
			}
			var body []byte
			if err := w.readBody(h, func(piece []byte) { body = append(body, piece...) }); err != nil || string(body) != want.body {
				t.Fatalf("pieces of %d, answer %d: %q, %v, want %q", n, i, body, err, want.body)
			}
		}
		if _, err := w.readHead(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("at the end: %v", err)
		}
	}
}

func TestWireRefuses(t *testing.T) {
	for _, text := range []string{
		"SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nno length",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nlonger\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300) + "\r\n\r\n",
	} {
		w := pieces(t, text, 4096)
		h, err := w.readHead()
		if err == nil {
			err = w.readBody(h, nil)
		}
		if err == nil {
			t.Errorf("%.60q is accepted", text)
		}
	}
}

func TestStampFinder(t *testing.T) {
	var stream []byte
	want := []int64{1_700_000_000_000_000_001, 1_700_000_000_000_000_002, 1_700_000_000_000_000_003}
	for _, stamp := range want {
		stream = appendChunk(stream, stamp)
		stream = append(stream, "bench@example.com @12 "...)
	}
	for n := 1; n <= len(stream); n++ {
		var find stampFinder
		var got []int64
		for piece := range slices.Chunk(stream, n) {
			for len(piece) > 0 {
				var stamp int64
				if stamp, piece = find.next(piece); stamp != 0 {
					got = append(got, stamp)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("pieces of %d: %v", n, got)
		}
	}
}

func TestProc(t *testing.T) {
	const stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 103 0 0 0 150 25 7 8 20 0 1 0 60693 3133440 416\n"
	if d, err := parseStat(stat); err != nil || d != 1750*time.Millisecond {
		t.Errorf("parseStat: %v, %v", d, err)
	}
	for _, bad := range []string{"", "42 (a) S 1", "42 (a) S 1 42 42 0 -1 4194304 103 0 0 0 x 25"} {
		if d, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) is %v", bad, d)
		}
	}
	if v, ok := procField("Name:\tx\nVmRSS:\t  123 kB\n", "VmRSS"); !ok || v != "123 kB" {
		t.Errorf("procField: %q", v)
	}
	if got := parseCores("0-2,5, 7"); !slices.Equal(got, []int{0, 1, 2, 5, 7}) {
		t.Errorf("parseCores: %v", got)
	}
	const limits = "Max processes  1 2 processes\nMax open files            1024                 20000                files\n"
	if got := maxOpenFiles(limits); got != 20000 {
		t.Errorf("maxOpenFiles: %d", got)
	}
	if got := maxOpenFiles("Max open files  1024  unlimited  files\n"); got != 0 {
		t.Errorf("maxOpenFiles: %d", got)
	}
}

func TestPromValue(t *testing.T) {
	const text = "# HELP go_x_total is 7\ngo_x_total_more 1\ngo_x_total 1.25e+06 1700000000\ngo_y{a=\"b c\"} 3\n"
	if v, ok := promValue(text, "go_x_total"); !ok || v != 1.25e6 {
		t.Errorf("go_x_total: %v, %v", v, ok)
	}
	if v, ok := promValue(text, "go_y"); !ok || v != 3 {
		t.Errorf("go_y: %v, %v", v, ok)
	}
	if _, ok := promValue(text, "go_z"); ok {
		t.Error("go_z is found")
	}
}

func TestUpstreamBodies(t *testing.T) {
	if got := len(answerOf(600)); got != 600 {
		t.Errorf("the answer has %d bytes", got)
	}
	if got := len(chatBody(false)); got < 280 || got > 340 {
		t.Errorf("the request has %d bytes", got)
	}
	for _, text := range [][]byte{answerOf(600), []byte(chatBody(false)), []byte(chatBody(true))} {
		if !json.Valid(text) {
			t.Errorf("not JSON: %s", text)
		}
	}
	for event := range strings.SplitSeq(string(appendChunk(nil, 1_700_000_000_000_000_001))+lastChunks(true), "\n\n") {
		data, _ := strings.CutPrefix(event, "data: ")
		if data != "" && data != "[DONE]" && !json.Valid([]byte(data)) {
			t.Errorf("not JSON: %s", data)
		}
	}
	if !wants([]byte(chatBody(true)), "stream") || wants([]byte(chatBody(false)), "stream") || wants([]byte(`{"stream": false}`), "stream") {
		t.Error("stream is read wrongly")
	}
}

func TestGates(t *testing.T) {
	var cells []cell
	for round, cpu := range []float64{60, 70, 90} {
		cells = append(cells,
			cell{rowProxy, "closed 32", round, map[string]float64{figCPU: 50}},
			cell{rowTenure, "closed 32", round, map[string]float64{figCPU: cpu}})
	}
	p := &plan{rows: []string{rowProxy, rowTenure}, conns: []int{32}, requests: true, rounds: 3}
	r := p.report(cells)
	s := r.find("closed 32", rowTenure)
	if got := s.ToProxy[figCPU]; got != (spread{1.4, 1.2, 1.8}) {
		t.Errorf("quotient %v", got)
	}
	var exceeded gateError
	if err := (gates{cpu: 1.3}).check(r); !errors.As(err, &exceeded) {
		t.Errorf("1.4 passes a gate of 1.3: %v", err)
	}
	if err := (gates{cpu: 1.5}).check(r); err != nil {
		t.Error(err)
	}
	if err := (gates{mem: 1.3}).check(r); err == nil || errors.As(err, &exceeded) {
		t.Errorf("a gate on what was not measured: %v", err)
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]int{
		"":                                 exitError,
		"help":                             exitOK,
		"run -h":                           exitOK,
		"nothing":                          exitError,
		"run -rounds 2 -rows direct,proxy": exitError,
		"run -rows other":                  exitError,
		"run -conns 0 -rows direct":        exitError,
		"run -tenure /nowhere/tenure":      exitError,
		"streams -streams 0 -rows direct":  exitError,
		"proxy -to nowhere":                exitError,
		"upstream -every 0":                exitError,
	} {
		if got := dispatch(t.Context(), strings.Fields(args), io.Discard, io.Discard); got != want {
			t.Errorf("bench %s: exit status %d, want %d", args, got, want)
		}
	}
}
