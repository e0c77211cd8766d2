package notice

import (
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
)

// sinkTime is how long one attempt may take, the answer included.
const sinkTime = 10 * time.Second

// NewClient makes a client of webhooks: it follows no redirect, uses no proxy, and
// connects, beside the public internet, to what is allowed alone.
func NewClient(guard *egress.Guard, allowed tenure.Egress) *http.Client {
	return guard.Client(&http.Transport{
		ForceAttemptHTTP2: true, TLSHandshakeTimeout: sinkTime, ResponseHeaderTimeout: sinkTime,
		MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
	}, sinkTime, false, allowed)
}
