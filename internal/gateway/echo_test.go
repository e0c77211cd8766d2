package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A provider that tells the key which it was asked with, wherever and in whatever pieces,
// tells it nobody.
func TestProvidersThatEchoTheKey(t *testing.T) {
	half := len(providerKey) / 2
	for name, answer := range map[string]http.HandlerFunc{
		"a stream": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for _, piece := range []string{"data: {\"error\":{\"message\":\"bad key " + providerKey[:half], providerKey[half:], "\"}}\n\n", "data: [DONE]\n\n"} {
				_, _ = w.Write([]byte(piece))
				_ = http.NewResponseController(w).Flush()
			}
		},
		"an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Debug", "Bearer "+providerKey)
			_, _ = w.Write([]byte(`{"object":"chat.completion","choices":[{"message":{"content":"` + providerKey[:half]))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write([]byte(providerKey[half:] + `"}}]}`))
		},
		"an answer of a known length": func(w http.ResponseWriter, _ *http.Request) {
			text := `{"choices":[],"key":"` + providerKey + `"}`
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			_, _ = w.Write([]byte(text))
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Key", providerKey)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":{"message":"` + providerKey + `"}}`))
		},
		"a trailer": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"choices":[],"key":"` + providerKey + `"}`))
			_ = http.NewResponseController(w).Flush()
			w.Header().Set(http.TrailerPrefix+"X-Debug", "Bearer "+providerKey)
		},
		"a trailer of an error": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Debug")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":{"message":"` + providerKey + `"}}`))
			_ = http.NewResponseController(w).Flush()
			w.Header().Set("X-Debug", "Bearer "+providerKey)
		},
		"an error that is cut": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(strings.Repeat("x", 64<<10-len(providerKey)+2) + providerKey))
		},
	} {
		t.Run(name, func(t *testing.T) {
			up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/models") {
					_, _ = w.Write([]byte(`{"data":[{"id":"sim-gpt-4o"},{"id":"` + providerKey + `"}]}`))
					return
				}
				answer(w, r)
			}))
			t.Cleanup(up.Close)
			w := newWorld(t, up.URL)
			res := w.post("/v1/chat/completions", chat("hi", name == "a stream"))
			got := text(t, res)
			if all := got + fmt.Sprint(res.Header, res.Trailer); strings.Contains(all, providerKey[:len(providerKey)-1]) || got == "" {
				t.Errorf("%s %v\n%.500s", res.Status, res.Header, got)
			}
			if name != "an error that is cut" && !strings.Contains(got, "[redacted]*") {
				t.Errorf("nothing is concealed: %s", got)
			}
			if strings.Contains(w.log.String(), providerKey) {
				t.Error("the log has it")
			}
		})
	}
}
