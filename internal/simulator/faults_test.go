package simulator_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure/internal/simulator"
)

// side is one protocol, as these tests ask it.
type side struct {
	name, path string
	header     http.Header
	request    func(text string, stream bool) string
}

func sides() []side {
	withStream := func(body string, stream bool) string {
		if stream {
			return strings.TrimSuffix(body, "}") + `,"stream":true}`
		}
		return body
	}
	return []side{
		{"openai", "/v1/chat/completions", asOpenAI(), func(text string, stream bool) string {
			return withStream(chatBody(userSays(text), ""), stream)
		}},
		{"anthropic", "/v1/messages", asAnthropic(), func(text string, stream bool) string {
			return withStream(messageBody(userSays(text), ""), stream)
		}},
	}
}

func TestFailStatus(t *testing.T) {
	url := serve(t, &simulator.Server{Faults: true})
	tests := []struct {
		text      string
		status    int
		openAI    string // type and code
		anthropic string // type
	}{
		{"Fail 500!", 500, `"type":"server_error","param":null,"code":null`, "api_error"},
		{"please fail 503", 503, `"type":"server_error","param":null,"code":null`, "api_error"},
		{"fail 429", 429, `"type":"requests","param":null,"code":"rate_limit_exceeded"`, "rate_limit_error"},
		{"fail 529", 529, `"type":"server_error","param":null,"code":null`, "overloaded_error"},
		{"fail 504", 504, `"type":"server_error","param":null,"code":null`, "timeout_error"},
		{"fail 401", 401, `"type":"invalid_request_error","param":null,"code":"invalid_api_key"`, "authentication_error"},
		{"fail 402", 402, `"type":"invalid_request_error","param":null,"code":null`, "billing_error"},
		{"fail 403", 403, `"type":"invalid_request_error","param":null,"code":null`, "permission_error"},
		{"fail 404", 404, `"type":"invalid_request_error","param":null,"code":null`, "not_found_error"},
		{"fail 413", 413, `"type":"invalid_request_error","param":null,"code":null`, "request_too_large"},
		{"fail 400 fail 500", 400, `"type":"invalid_request_error","param":null,"code":null`, "invalid_request_error"},
	}
	for _, tt := range tests {
		for _, side := range sides() {
			for _, stream := range []bool{false, true} {
				t.Run(side.name+" "+tt.text, func(t *testing.T) {
					got := do(t, "POST", url+side.path, side.header, side.request(tt.text, stream))
					if got.status != tt.status || got.header.Get("Content-Type") != "application/json" {
						t.Fatalf("%d %v %s", got.status, got.header, got.body)
					}
					if (got.header.Get("Retry-After") == "1") != (tt.status == 429) {
						t.Fatalf("Retry-After is %q", got.header.Get("Retry-After"))
					}
					shape := `{"error":{"message":"*",` + tt.openAI + `}}`
					if side.name == "anthropic" {
						shape = `{"type":"error","error":{"type":"` + tt.anthropic + `","message":"*"},"request_id":"*"}`
					}
					want(t, got.body, shape)
				})
			}
		}
	}
	t.Run("count_tokens", func(t *testing.T) {
		got := do(t, "POST", url+"/v1/messages/count_tokens", asAnthropic(), messageBody(userSays("fail 529"), ""))
		if got.status != 529 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	})
	t.Run("no status", func(t *testing.T) {
		got := do(t, "POST", url+"/v1/messages", asAnthropic(), messageBody(userSays("fail 200 fail 600 fail me"), ""))
		if got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	})
}

func TestEchoKey(t *testing.T) {
	url := serve(t, &simulator.Server{Faults: true})
	for _, side := range sides() {
		got := do(t, "POST", url+side.path, side.header, side.request("echo key", false))
		if got.status != 500 || !strings.Contains(got.body, key) {
			t.Errorf("%s: %d %s", side.name, got.status, got.body)
		}
	}
}

func TestRedirect(t *testing.T) {
	url := serve(t, &simulator.Server{Faults: true})
	for _, side := range sides() {
		got := do(t, "POST", url+side.path, side.header, side.request("redirect", true))
		if got.status != 307 || got.header.Get("Location") != "http://169.254.169.254/" {
			t.Errorf("%s: %d %v", side.name, got.status, got.header)
		}
	}
}

// TestTruncate shows a connection that is closed under half an answer.
func TestTruncate(t *testing.T) {
	for _, side := range sides() {
		for _, stream := range []bool{false, true} {
			s := &simulator.Server{Faults: true}
			url := serve(t, s)
			res, err := call(t.Context(), t, "POST", url+side.path, side.header, side.request("count to 10 truncate", stream))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err == nil || res.StatusCode != 200 {
				t.Fatalf("%s, stream %v: %d, whole answer %s", side.name, stream, res.StatusCode, body)
			}
			if stream && (!strings.Contains(string(body), `" 5"`) || strings.Contains(string(body), `" 6"`)) {
				t.Fatalf("%s: not half of the stream: %s", side.name, body)
			}
			if !stream && len(body) == 0 {
				t.Fatalf("%s: nothing arrived", side.name)
			}
			wait(t, "none in flight", func() bool { return s.InFlight() == 0 })
			if n := s.Cancelled(); n != 0 {
				t.Fatalf("%s: %d cancelled, though the client stayed", side.name, n)
			}
		}
	}
}

// TestTruncateHTTP2 shows a stream that is reset where there is no connection of
// its own to close.
func TestTruncateHTTP2(t *testing.T) {
	s := &simulator.Server{Key: key, Faults: true}
	server := httptest.NewUnstartedServer(s.Handler())
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, side := range sides() {
		req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+side.path,
			strings.NewReader(side.request("count to 10 truncate", true)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = side.header
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil || res.ProtoMajor != 2 || !strings.Contains(string(body), `" 5"`) {
			t.Fatalf("%s: %s, %v after %s", side.name, res.Proto, err, body)
		}
	}
}

// TestFailMidway shows a stream that ends with an error event.
func TestFailMidway(t *testing.T) {
	url := serve(t, &simulator.Server{Faults: true})
	shapes := map[string]event{
		"openai":    {"", `{"error":{"message":"*","type":"server_error","param":null,"code":null}}`},
		"anthropic": {"error", `{"type":"error","error":{"type":"api_error","message":"*"},"request_id":"*"}`},
	}
	for _, side := range sides() {
		got := do(t, "POST", url+side.path, side.header, side.request("count to 10 fail midway", true))
		list := events(t, got.body)
		last := list[len(list)-1]
		if got.status != 200 || last.name != shapes[side.name].name || !strings.Contains(got.body, `" 5"`) {
			t.Fatalf("%s: %d %s", side.name, got.status, got.body)
		}
		want(t, last.data, shapes[side.name].data)
		if got := do(t, "POST", url+side.path, side.header, side.request("fail midway", false)); got.status != 500 {
			t.Fatalf("%s: %d without stream", side.name, got.status)
		}
	}
}

// TestHang shows that a hung answer holds until the client leaves.
func TestHang(t *testing.T) {
	for _, side := range sides() {
		for _, stream := range []bool{false, true} {
			s := &simulator.Server{Faults: true}
			url := serve(t, s)
			ctx, leave := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				res, err := call(ctx, t, "POST", url+side.path, side.header, side.request("hang", stream))
				if err == nil {
					res.Body.Close()
				}
				done <- err
			}()
			wait(t, "one in flight", func() bool { return s.InFlight() == 1 })
			select {
			case err := <-done:
				t.Fatalf("%s answered: %v", side.name, err)
			default:
			}
			leave()
			if err := <-done; err == nil {
				t.Fatalf("%s sent a header", side.name)
			}
			wait(t, "one cancelled", func() bool { return s.InFlight() == 0 && s.Cancelled() == 1 })
		}
	}
}

func TestHangMidway(t *testing.T) {
	for _, side := range sides() {
		s := &simulator.Server{Faults: true}
		url := serve(t, s)
		ctx, leave := context.WithCancel(t.Context())
		res, err := call(ctx, t, "POST", url+side.path, side.header, side.request("count to 4 hang midway", true))
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		buf := make([]byte, 512)
		for !strings.Contains(got.String(), `" 2"`) {
			n, err := res.Body.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(buf[:n])
		}
		if s.InFlight() != 1 || s.Cancelled() != 0 {
			t.Fatalf("%s: %d in flight, %d cancelled", side.name, s.InFlight(), s.Cancelled())
		}
		leave()
		res.Body.Close()
		wait(t, "one cancelled", func() bool { return s.InFlight() == 0 && s.Cancelled() == 1 })
	}
}
