package tenure_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

func TestParseNetworks(t *testing.T) {
	got, err := tenure.ParseNetworks([]string{"203.0.113.7/24", " 2001:db8::1 ", "::ffff:192.0.2.1"})
	if err != nil || strings.Join(tenure.NetworkNames(got), " ") != "203.0.113.0/24 2001:db8::1/128 192.0.2.1/32" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "everywhere", "10.0.0.0/33", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		if _, err := tenure.ParseNetworks([]string{bad}); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := tenure.ParseNetworks(make([]string, tenure.MaxNetworks+1)); !tenure.IsKind(err, tenure.Invalid) {
		t.Error("more networks than there may be")
	}
}

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"nightly reports": true, "Bücher 📚": true, strings.Repeat("a", 15): true,
		"": false, "  ": false, " a": false, "a\n": false, "a*": false, "\xff": false, strings.Repeat("a", 16): false, "tsvc_x": false,
	} {
		if err := tenure.CheckName(name, 15, "x"); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
	if tenure.CheckText("reason", "two\nlines") != nil || tenure.CheckText("reason", strings.Repeat("a", tenure.MaxText+1)) == nil || tenure.CheckText("reason", "a\x00") == nil {
		t.Error("texts are judged wrongly")
	}
}

func TestRequestsLapse(t *testing.T) {
	at := time.Date(2037, 12, 31, 0, 0, 0, 0, time.UTC) // over the end of 32 bits
	pending := tenure.TokenRequest{Stored: tenure.RequestPending, RequestedAt: at}
	approved := tenure.TokenRequest{Stored: tenure.RequestApproved, RequestedAt: at, DecidedAt: at}
	for _, c := range []struct {
		r     tenure.TokenRequest
		after time.Duration
		want  string
	}{
		{pending, tenure.RequestLife - 1, tenure.RequestPending},
		{pending, tenure.RequestLife, tenure.RequestLapsed},
		{approved, tenure.ApprovalLife - 1, tenure.RequestApproved},
		{approved, tenure.ApprovalLife, tenure.RequestLapsed},
		{tenure.TokenRequest{Stored: tenure.RequestRejected, RequestedAt: at}, tenure.RequestLife, tenure.RequestRejected},
	} {
		if got := c.r.State(at.Add(c.after)); got != c.want {
			t.Errorf("%s after %s: %s, want %s", c.r.Stored, c.after, got, c.want)
		}
	}
}
