package tenure

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// PriceID names a price.
type PriceID string

// A ModelPrice is what the tokens of some models cost from a day on.
type ModelPrice struct {
	ID        PriceID
	Tenant    TenantID // empty: of every tenant that has no own that fits
	Pattern   string   // of the models, as in Models
	From      time.Time
	Rates     Rates
	CreatedBy string
	CreatedAt time.Time
}

// Rates are millionths of the installation's currency for a million tokens.
type Rates struct {
	Input      int64 // what was neither read from the provider's cache nor put there
	CacheRead  int64
	CacheWrite int64
	Output     int64
}

const million = 1_000_000

// Of is what a use costs, in millionths of the currency, rounded down for each kind of
// token.
func (r Rates) Of(u ModelUse) int64 {
	return cost(u.Input-u.CacheReads-u.CacheWrites, r.Input) + cost(u.CacheReads, r.CacheRead) + cost(u.CacheWrites, r.CacheWrite) + cost(u.Output, r.Output)
}

// cost multiplies in two parts, so that nothing overflows.
func cost(tokens, rate int64) int64 {
	return tokens/million*rate + tokens%million*rate/million
}

// Fits reports whether the price is that of a model on a day, as far as its pattern
// and its first day say.
func (p ModelPrice) Fits(provider, model string, day time.Time) bool {
	return !p.From.After(day) && (Models{p.Pattern}).Allow(provider, model)
}

// Before reports whether p goes before q where both fit: a tenant's own before one of
// all, the longer pattern before the shorter, the later day before the earlier.
func (p ModelPrice) Before(q ModelPrice) bool {
	long := func(x ModelPrice) int { return len(strings.ReplaceAll(x.Pattern, AnyModel, "")) }
	switch {
	case p.Tenant != q.Tenant:
		return p.Tenant != ""
	case long(p) != long(q):
		return long(p) > long(q)
	}
	return p.From.After(q.From)
}

// MaxMoney is the most that a price or a bound may be, in millionths.
const MaxMoney = 10_000_000_000 * million

// ParseMoney reads an amount such as 12.5, with six digits after the point at most, in
// millionths.
func ParseMoney(text string) (int64, error) {
	whole, part, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	var rest uint64
	if part != "" && err == nil && len(part) <= 6 {
		rest, err = strconv.ParseUint(part+strings.Repeat("0", 6-len(part)), 10, 63)
	}
	if err != nil || len(part) > 6 || n > MaxMoney/million || strings.HasSuffix(text, ".") {
		return 0, fmt.Errorf("expected an amount such as 12.5, with at most six digits after the point")
	}
	return int64(n)*million + int64(rest), nil
}

// DefaultCurrency is the installation's currency where nothing else is set.
const DefaultCurrency = "USD"

// ParseCurrency reads the code of a currency as ISO 4217 has it: three letters.
func ParseCurrency(text string) (string, error) {
	code := strings.ToUpper(text)
	if len(code) != 3 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "", fmt.Errorf("expected a code of ISO 4217, such as USD or EUR")
	}
	return code, nil
}

// FormatAmount writes millionths of a currency with its code behind them.
func FormatAmount(millionths int64, currency string) string {
	return FormatMoney(millionths) + " " + currency
}

// FormatMoney writes millionths as an amount, with two digits after the point at least.
func FormatMoney(millionths int64) string {
	text := fmt.Sprintf("%d.%06d", millionths/million, millionths%million)
	for strings.HasSuffix(text, "0") && len(text)-strings.IndexByte(text, '.') > 3 {
		text = text[:len(text)-1]
	}
	return text
}

// FormatCount writes a number that is not negative with a comma between thousands.
func FormatCount(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
