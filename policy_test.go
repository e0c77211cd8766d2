package tenure_test

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-gateway/tenure"
)

// For each key: values that it takes, and as what it shows them; values that it refuses.
var policyValues = map[string]struct {
	takes   map[string]string
	refuses []string
}{
	"pat_max_lifetime":           {map[string]string{"30d": "30d", "720h": "30d", "90m": "1h30m", "1m": "1m", "12h\n": "12h", "365d": "365d"}, lifetimes("59s", "366d")},
	"pat_default_lifetime":       {map[string]string{"7d": "7d", "60s": "1m"}, lifetimes("0", "366d")},
	"service_token_max_lifetime": {map[string]string{"180d": "180d"}, lifetimes("0", "8761h")},
	"service_token_lifetime":     {map[string]string{"1h1m1s": "1h1m1s"}, lifetimes("0", "366d")},
	"rotate_every":               {map[string]string{"0": "0", "0d": "0", "90d": "90d"}, lifetimes("366d")},
	"rotation_overlap":           {map[string]string{"0": "0", "7d": "7d", "10m": "10m"}, lifetimes("8d", "169h")},
	"orphan_grace":               {map[string]string{"0s": "0", "14d": "14d", "336h": "14d"}, lifetimes("91d")},
	"pat_default_scopes":         {map[string]string{"chat": "chat", "models  chat": "chat models", "responses": "responses"}, []string{"", "chat,models", "Chat", "users.read", "*", "everything"}},
	"extra_scopes":               {map[string]string{"": "", "embeddings": "embeddings", "embeddings responses": "responses embeddings"}, []string{"chat", "all", "responses,embeddings"}},
	"mfa":                        {map[string]string{"off": "off", "admin": "admin", "all\n": "all"}, []string{"", "on", "All", "admin all"}},
	"mfa_values":                 {map[string]string{"mfa": "mfa", "mfa  urn:okta:loa:2fa:any": "mfa urn:okta:loa:2fa:any", "2": "2"}, []string{"", " ", "m\"fa", "m\\fa", "größer", "pwd", "mfa pin", "kba", strings.Repeat("a", 256), strings.Repeat("a ", 21)}},
	"pat_minters":                {map[string]string{"": "", "member": "member", "viewer member viewer": "viewer member"}, []string{"admin", "super_admin", "member,viewer", "*"}},
	"service_token_minters":      {map[string]string{"": "", "workspace_admin member": "workspace_admin member"}, []string{"auditor", "Member"}},
	"admin_scope_approval":       {map[string]string{"required": "required", "none": "none"}, []string{"", "off", "true", "None"}},
	"reuse":                      {map[string]string{"alert": "alert", "end_family": "end_family"}, []string{"", "end", "0"}},
	"new_member":                 {map[string]string{"member": "member", "viewer": "viewer", "none": "none"}, []string{"", "workspace_admin", "super_admin"}},
	"session_idle":               {map[string]string{"30m": "30m", "60m": "1h", "1m": "1m", "24h": "1d"}, lifetimes("0", "59s", "25h")},
	"session_lifetime":           {map[string]string{"5m": "5m", "30d": "30d"}, lifetimes("0", "4m", "31d")},
	"session_limit":              {map[string]string{"1": "1", "100": "100", "007": "7"}, []string{"", "0", "101", "-1", "1.5", "many", "1d", "99999999999999999999"}},
	"stream_usage":               {map[string]string{"every": "every", "openai": "openai"}, []string{"", "all", "true"}},
	"currency": {
		map[string]string{"USD": "USD", "eur": "EUR"},
		[]string{"", "EURO", "€", "E R", "US1"},
	},
	"review_every":       {map[string]string{"0": "0", "90d": "90d", "1h": "1h"}, lifetimes("731d")},
	"review_due":         {map[string]string{"1h": "1h", "14d": "14d"}, lifetimes("0", "59m", "91d")},
	"review_unanswered":  {map[string]string{"escalate": "escalate", "revoke": "revoke"}, []string{"", "keep", "Escalate"}},
	"audit_retention":    {map[string]string{"0": "0", "90d": "90d", "2160h": "90d", "3650d": "3650d"}, lifetimes("89d", "1h", "2159h", "36501d")},
	"best_effort_max":    {map[string]string{"0": "0", "30s": "30s", "5m": "5m"}, lifetimes("301s", "1d")},
	"admin_idle":         {map[string]string{"1m": "1m", "15m": "15m"}, lifetimes("0", "59s", "25h")},
	"reauth":             {map[string]string{"1m": "1m", "60m": "1h"}, lifetimes("0", "61m")},
	"extraction":         {map[string]string{"off": "off", "asked": "asked", "always": "always"}, []string{"", "on", "Always", "asked always"}},
	"belief_excerpts":    {map[string]string{"kept": "kept", "dropped": "dropped"}, []string{"", "Kept", "keep", "true"}},
	"provider_networks":  {map[string]string{"": "", "private": "private", "loopback  private": "private loopback"}, []string{"public", "private,loopback", "all", "10.0.0.0/8", "off"}},
	"root_token":         {map[string]string{"on": "on", "off": "off"}, []string{"", "OFF", "false", "0"}},
	"trust_page":         {map[string]string{"off": "off", "people": "people", "public\n": "public"}, []string{"", "on", "Public", "everybody"}},
	"trust_owner":        {map[string]string{"": "", "Security, security@example.com\n": "Security, security@example.com"}, []string{"a\nb", strings.Repeat("a", 101), "tab\there"}},
	"trust_review_every": {map[string]string{"90d": "90d", "24h": "1d", "365d": "365d"}, lifetimes("0", "23h", "366d")},
	"webhook_url": {
		map[string]string{"": "", "https://hooks.example.com/t?x=1": "https://hooks.example.com/t?x=1", "http://127.0.0.1:8080/": "http://127.0.0.1:8080/", "https://[2001:db8::7]:443/": "https://[2001:db8::7]:443/", "http://[::1]/": "http://[::1]/"},
		[]string{"hooks.example.com", "ftp://hooks.example.com", "https://", "https://user:password@hooks.example.com/", "file:///etc/passwd", "https://a b/", "javascript:alert(1)", "http://10.0.0.1:8080/", "http://hooks.example.com/", "https://hooks.example.com:65536/", "https://hooks.example.com:0/", "https://[2001:db8::7]:99999/", "https://:443/", "https://hooks.example.com/#part", "https://hooks.example.com/#"},
	},
}

func lifetimes(more ...string) []string {
	return append([]string{"", "soon", "-1h", "-1d", "12", "1y", "1.5d", "d", "99999999999999999999d", "1e9h", "2540400h"}, more...)
}

func TestPolicyKeys(t *testing.T) {
	usual := tenure.DefaultPolicy()
	if err := usual.Coherent(); err != nil {
		t.Error(err)
	}
	for _, key := range tenure.PolicyKeys() {
		c, ok := policyValues[key]
		if !ok || tenure.PolicyMeaning(key) == "" {
			t.Errorf("%s: no row in this table, or no meaning", key)
		}
		again := tenure.Policy{}
		if err := again.Set(key, usual.Get(key)); err != nil || again.Get(key) != usual.Get(key) {
			t.Errorf("%s: the default %q is read as %q (%v)", key, usual.Get(key), again.Get(key), err)
		}
		for text, want := range c.takes {
			p := tenure.DefaultPolicy()
			if err := p.Set(key, text); err != nil || p.Get(key) != want {
				t.Errorf("%s=%q: %q, want %q (%v)", key, text, p.Get(key), want, err)
			}
			if err := p.Set(key, p.Get(key)); err != nil || p.Get(key) != want {
				t.Errorf("%s: what it shows, %q, it does not take (%v)", key, want, err)
			}
		}
		for _, text := range c.refuses {
			p := tenure.DefaultPolicy()
			err := p.Set(key, text)
			if !tenure.IsKind(err, tenure.Invalid) || tenure.AsError(err).Field != key {
				t.Errorf("%s=%q: %v", key, text, err)
			}
			if !reflect.DeepEqual(p, usual) {
				t.Errorf("%s=%q was refused and changed something", key, text)
			}
		}
	}
	p := tenure.DefaultPolicy()
	if err := p.Set("pat_max_life", "1d"); !tenure.IsKind(err, tenure.Invalid) || !strings.Contains(err.Error(), "pat_max_life") || p.Get("pat_max_life") != "" {
		t.Errorf("a key that is none: %v", err)
	}
}

func TestPolicyCoherent(t *testing.T) {
	for field, edit := range map[string]func(*tenure.Policy){
		"pat_default_lifetime":   func(p *tenure.Policy) { p.PATMaxLife = time.Hour },
		"service_token_lifetime": func(p *tenure.Policy) { p.ServiceLife = p.ServiceMaxLife + 1 },
		"pat_default_scopes":     func(p *tenure.Policy) { p.PATScopes |= tenure.ScopeResponses },
	} {
		p := tenure.DefaultPolicy()
		edit(&p)
		if err := p.Coherent(); tenure.AsError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	p := tenure.DefaultPolicy()
	p.PATScopes, p.ExtraScopes = p.PATScopes|tenure.ScopeResponses, tenure.ScopeResponses
	if err := p.Coherent(); err != nil {
		t.Error(err)
	}
}

func TestFormatSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 24 * time.Hour: "1d", 36 * time.Hour: "36h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 10 * time.Hour: "10h",
		time.Hour + time.Second: "1h0m1s", 20 * time.Second: "20s", 365 * 24 * time.Hour: "365d", 100 * time.Millisecond: "100ms",
	} {
		if got := tenure.FormatSpan(d); got != want {
			t.Errorf("%s is written %q, want %q", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(tenure.MaxTokenLife)).Draw(t, "span"))
		if got, err := tenure.ParseLifetime(tenure.FormatSpan(d)); err != nil || got != d {
			t.Fatalf("%d is written %q and read as %d (%v)", d, tenure.FormatSpan(d), got, err)
		}
	})
}

// The page for people has every key, its default and its meaning, in words of the code.
func TestPolicyPage(t *testing.T) {
	page, err := os.ReadFile("docs/reference/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| key | default | meaning |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var want strings.Builder
	usual := tenure.PolicyOf(tenure.DefaultTenant)
	for _, key := range tenure.PolicyKeys() {
		value := "nothing"
		if v := usual.Get(key); v != "" {
			value = "`" + v + "`"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", key, value, tenure.PolicyMeaning(key))
	}
	if table+"\n" != want.String() {
		t.Errorf("docs/reference/policy.md is out of date; its table should be\n%s", want.String())
	}
}
