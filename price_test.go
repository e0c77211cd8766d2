package tenure_test

import (
	"testing"

	"github.com/tenure-gateway/tenure"
)

func TestMoney(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1_000_000, "2.5": 2_500_000, "0.000001": 1, "10.50": 10_500_000, "10000000000": tenure.MaxMoney,
	} {
		got, err := tenure.ParseMoney(text)
		if err != nil || got != want {
			t.Errorf("%s: %d %v", text, got, err)
		}
		if again, err := tenure.ParseMoney(tenure.FormatMoney(got)); err != nil || again != got {
			t.Errorf("%s: written as %s", text, tenure.FormatMoney(got))
		}
	}
	for _, text := range []string{"", ".", "1.", ".5", "-1", "+1", "1.0000001", "1e3", "10000000001", "1,5", " 1", "1.-5", "99999999999999999999"} {
		if got, err := tenure.ParseMoney(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
	for millionths, want := range map[int64]string{0: "0.00", 1: "0.000001", 2_500_000: "2.50", 1_234_560: "1.23456"} {
		if got := tenure.FormatMoney(millionths); got != want {
			t.Errorf("%d: %s", millionths, got)
		}
	}
}

// Each kind of token has its price, and nothing overflows.
func TestRates(t *testing.T) {
	r := tenure.Rates{Input: 3_000_000, CacheRead: 300_000, CacheWrite: 3_750_000, Output: 15_000_000}
	if got := r.Of(tenure.ModelUse{Input: 1_000_000, CacheReads: 500_000, CacheWrites: 100_000, Output: 200_000}); got != 1_200_000+150_000+375_000+3_000_000 {
		t.Error(got)
	}
	dear := tenure.Rates{Input: 10_000_000_000}
	if got := dear.Of(tenure.ModelUse{Input: 1_000_000_000}); got != 10_000_000_000_000 {
		t.Error(got)
	}
}

func TestFormatCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567"} {
		if got := tenure.FormatCount(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
