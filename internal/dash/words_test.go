package dash

import (
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

func TestRelative(t *testing.T) {
	now := time.Date(2025, 11, 21, 9, 14, 3, 0, time.UTC)
	for _, c := range []struct {
		in   time.Duration
		want string
	}{
		{0, "just now"},
		{-59 * time.Second, "just now"},
		{-time.Minute, "1 min ago"},
		{-59 * time.Minute, "59 min ago"},
		{-time.Hour, "1 h ago"},
		{-47 * time.Hour, "47 h ago"},
		{-48 * time.Hour, "2 days ago"},
		{time.Second, "in a moment"},
		{90 * time.Minute, "in 1 h"},
		{90*24*time.Hour - time.Second, "in 90 days"},
		{-62 * time.Hour, "3 days ago"},
	} {
		if got := relative(now, now.Add(c.in)); got != c.want {
			t.Errorf("%v: %q, want %q", c.in, got, c.want)
		}
	}
	if m := (frame{Now: now}).At(now.Add(-time.Hour).In(time.FixedZone("", 3600))); m.ISO != "2025-11-21T08:14:03Z" || m.Exact != "Fri, 21 Nov 2025, 08:14:03 UTC" {
		t.Errorf("%+v", m)
	}
}

func TestSayings(t *testing.T) {
	for got, want := range map[string]string{
		took(340 * time.Microsecond):                            "0.3 ms",
		took(21400 * time.Microsecond):                          "21 ms",
		total(tenure.Ended{}):                                   "nothing",
		total(tenure.Ended{Tokens: 1}):                          "1 token",
		total(tenure.Ended{Tokens: 1, Streams: 2}):              "1 token and 2 streams",
		total(tenure.Ended{Tokens: 3, Sessions: 1, Streams: 2}): "3 tokens, 1 session and 2 streams",
		sentence("örtlich, and no more"):                        "Örtlich, and no more.",
		sentence(""):                                            "",
		sentence("Done."):                                       "Done.",
		device(""):                                              "Unknown device",
		device(firefox):                                         "Firefox on Linux",
		device(iphone):                                          "Safari on iPhone",
		device("curl/8.5.0"):                                    "curl",
		device("backup-job/1.2 (nightly)"):                      "backup-job/1.2",
		device("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0"): "Edge on Windows",
		device("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36"):                  "Chrome on Android",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
