package beliefs

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// What is no handshake is 426, and says to what to upgrade where there is such a header.
func TestHandshake(t *testing.T) {
	e := &Sockets{Refuse: func(w http.ResponseWriter, _ *http.Request, err error) {
		w.WriteHeader(web.Status(tenure.AsError(err).Kind))
	}}
	nonce := base64.StdEncoding.EncodeToString([]byte("the sample nonce")) // RFC 6455 §1.2
	for name, c := range map[string]struct {
		change func(*http.Request)
		good   bool
		says   string
	}{
		"as RFC 6455 has it": {func(*http.Request) {}, true, ""},
		"beside keep-alive":  {func(r *http.Request) { r.Header.Set("Connection", "keep-alive, upgrade") }, true, ""},
		"no upgrade":         {func(r *http.Request) { r.Header.Del("Upgrade") }, false, "websocket"},
		"no connection":      {func(r *http.Request) { r.Header.Del("Connection") }, false, "websocket"},
		"another version":    {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, false, "websocket"},
		"no key":             {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, false, "websocket"},
		"a short key":        {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "c2hvcnQ=") }, false, "websocket"},
		"two keys":           {func(r *http.Request) { r.Header.Add("Sec-WebSocket-Key", nonce) }, false, "websocket"},
		"HTTP/1.0":           {func(r *http.Request) { r.ProtoMinor = 0 }, false, "websocket"},
		"HTTP/2":             {func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 }, false, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/ws/beliefs", http.NoBody)
		for header, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "WebSocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": nonce} {
			r.Header.Set(header, value)
		}
		c.change(r)
		err := handshake(r)
		if c.good {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		w := httptest.NewRecorder()
		e.fail(w, r, err)
		if w.Code != http.StatusUpgradeRequired || w.Header().Get("Upgrade") != c.says {
			t.Errorf("%s: %v, %d %v", name, err, w.Code, w.Header())
		}
	}
}
