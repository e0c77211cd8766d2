package dash

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A moment is an instant on a page; the zero one is an empty cell.
type moment struct {
	ISO   string // RFC 3339, for machines and static/app.js
	Exact string // for the title
	Words string // relative
}

// relative says when t is, seen from now: "2 min ago", "in 88 days".
// static/app.js says the same while the page stands open.
func relative(now, t time.Time) string {
	d := now.Sub(t)
	text := span(d.Abs())
	switch {
	case text == "" && d >= 0:
		return "just now"
	case text == "":
		return "in a moment"
	case d > 0:
		return text + " ago"
	}
	return "in " + text
}

// span rounds down, but days to the nearest: a new token has 90 days, not 89.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return ""
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(math.Round(d.Hours()/24)))
}

// short says how long in few letters: "12 s", "4 min".
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d > 0 && d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return span(d)
}

// orDash is what stands in an empty cell.
func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// took says how long an act took, in milliseconds.
func took(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// total says what an act ended: "1 token and 2 streams".
func total(e tenure.Ended) string {
	var parts []string
	for _, c := range [...]struct {
		n   int
		one string
	}{{len(e.Accounts), "service account"}, {e.Tokens, "token"}, {e.Sessions, "session"}, {e.Streams, "stream"}} {
		if c.n > 0 {
			parts = append(parts, plural(c.n, c.one))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	last := len(parts) - 1
	if last == 0 {
		return parts[0]
	}
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}

// browsers and systems are looked for in this order: most name their elders too.
var browsers = []struct{ sign, name string }{
	{"Edg", "Edge"},
	{"OPR/", "Opera"},
	{"SamsungBrowser", "Samsung Internet"},
	{"Firefox/", "Firefox"},
	{"FxiOS", "Firefox"},
	{"CriOS", "Chrome"},
	{"HeadlessChrome", "Chrome"},
	{"Chrome/", "Chrome"},
	{"Safari/", "Safari"},
	{"curl/", "curl"},
}

var systems = []struct{ sign, name string }{
	{"iPhone", "iPhone"},
	{"iPad", "iPad"},
	{"Android", "Android"},
	{"CrOS", "ChromeOS"},
	{"Windows", "Windows"},
	{"Mac OS X", "macOS"},
	{"Linux", "Linux"},
}

// device names a browser for people: "Firefox on Linux".
func device(userAgent string) string {
	find := func(table []struct{ sign, name string }) string {
		for _, row := range table {
			if strings.Contains(userAgent, row.sign) {
				return row.name
			}
		}
		return ""
	}
	switch b, s := find(browsers), find(systems); {
	case b != "" && s != "":
		return b + " on " + s
	case b+s != "":
		return b + s
	case userAgent == "":
		return "Unknown device"
	}
	name, _, _ := strings.Cut(userAgent, " ")
	return strings.ToValidUTF8(name[:min(len(name), 40)], "")
}

// lasting says a length of time: "90 days", "12 h", "15 min"; what ends at once is
// "at once".
func lasting(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "at once"
	case d%day == 0:
		return plural(int(d/day), "day")
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return tenure.FormatSpan(d)
}

// opens says what a scope opens.
func opens(scope string) string {
	return map[string]string{
		"chat":       "OpenAI’s chat completions: VS Code, Open WebUI and most clients",
		"messages":   "Anthropic’s messages: Claude Code and its SDKs",
		"models":     "the list of models, which clients choose from",
		"beliefs":    "the stream of beliefs, over a WebSocket",
		"responses":  "OpenAI’s responses",
		"embeddings": "embeddings, for search",

		"users.read": "read who there is", "users.deactivate": "end a person’s access", "tokens.read": "read what tokens there are",
		"tokens.revoke": "revoke anybody’s tokens", "workspaces.read": "read workspaces and their members", "members.write": "change the members of workspaces",
		"reports.read": "the leaver’s reports", "audit.read": "the audit log", "health.read": "what the process knows of itself",
		"introspect": "ask what other tokens are good for, as another gateway does",
	}[scope]
}

// via says by what somebody signed in.
func via(how string) string {
	switch how {
	case "proxy":
		return "company proxy"
	case "root":
		return "root token"
	case "oidc":
		return "OpenID Connect"
	}
	return how
}

// happened says an audit event in words; what has none of its own is its name.
func happened(action string) string {
	words := map[string]string{
		"session.opened":        "Signed in",
		"session.ended":         "Session ended",
		"token.minted":          "Token generated",
		"token.first_used":      "Token used for the first time",
		"token.rotated":         "Token rotated",
		"token.revoked":         "Token revoked",
		"token.reuse_detected":  "Old secret of a token used again",
		"token.leaked":          "Token reported as leaked",
		"user.provisioned":      "Account provisioned",
		"user.updated":          "Account changed",
		"user.deactivated":      "Account deactivated",
		"user.reactivated":      "Account reactivated",
		"user.access_ended":     "Open streams cut",
		"user.all_revoked":      "All tokens and sessions ended",
		"user.role_granted":     "Role in the tenant given",
		"policy.changed":        "Policy changed",
		"database.went_back":    "Database at an earlier state",
		"provider.created":      "Provider added",
		"provider.deleted":      "Provider removed",
		"provider.renamed":      "Provider renamed",
		"connector.created":     "SCIM connector made",
		"connector.rotated":     "SCIM connector’s token rotated",
		"connector.deleted":     "SCIM connector ended",
		"service_account.ended": "Service account ended",
		"workspace.created":     "Workspace made",
		"belief.recorded":       "Belief written down",
		"belief.changed":        "Belief changed",
		"belief.deleted":        "Belief deleted",
		"beliefs.erased":        "All beliefs erased",
		"beliefs.listed":        "Beliefs read",
		"beliefs.exported":      "Beliefs exported",
		"beliefs.disclosed":     "Beliefs read by another",
		"beliefs.watched":       "Beliefs listened to",
		"extraction.set":        "Drawing out of beliefs changed",
		"workspace.deleted":     "Workspace deleted",
		"membership.set":        "Made a member of a workspace, or role there changed",
		"membership.removed":    "Taken out of a workspace",
	}
	if w, ok := words[action]; ok {
		return w
	}
	return sentenceCase(strings.NewReplacer(".", " ", "_", " ").Replace(action))
}

func sentenceCase(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
