package tenure_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenure-gateway/tenure"
)

var tokenForm = regexp.MustCompile(`^t(pat|svc|scim|root)_[0-9A-Za-z]{46}$`)

func TestNewTokenHasTheFormOfTheContract(t *testing.T) {
	seen := map[string]bool{}
	for _, kind := range []tenure.TokenKind{tenure.KindPAT, tenure.KindService, tenure.KindSCIM, tenure.KindRoot} {
		for range 2500 {
			s := tenure.NewToken(kind).Reveal()
			if !tokenForm.MatchString(s) || seen[s] {
				t.Fatalf("token %q: wrong form, or seen before", s)
			}
			seen[s] = true
			if got, ok := tenure.ParseToken(s); !ok || got != kind {
				t.Fatalf("ParseToken(%q) = %q, %t", s, got, ok)
			}
		}
	}
}

func TestChecksumIsCRC32InBase62(t *testing.T) {
	s := tenure.NewToken(tenure.KindPAT).Reveal()
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var sum uint64
	for _, c := range s[len(s)-6:] {
		sum = sum*62 + uint64(strings.IndexRune(digits, c))
	}
	if want := crc32.ChecksumIEEE([]byte(s[:len(s)-6])); sum != uint64(want) {
		t.Errorf("checksum of %q is %d, want %d", s, sum, want)
	}
}

func TestParseTokenRefusesEveryChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := []byte(tenure.NewToken(tenure.KindPAT).Reveal())
		i := rapid.IntRange(0, len(s)-1).Draw(t, "at")
		c := rapid.Byte().Filter(func(b byte) bool { return b != s[i] }).Draw(t, "byte")
		s[i] = c
		if _, ok := tenure.ParseToken(string(s)); ok {
			t.Fatalf("%q passes with byte %d changed", s, i)
		}
	})
	good := tenure.NewToken(tenure.KindPAT).Reveal()
	for _, bad := range []string{"", "tpat_", good + "x", good[:len(good)-1], " " + good, good + "\n", "Tpat_" + good[5:], "sk-" + good} {
		if _, ok := tenure.ParseToken(bad); ok {
			t.Errorf("ParseToken(%q) passes", bad)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(tenure.NewToken(tenure.KindPAT).Reveal())
	f.Add("tpat_")
	f.Fuzz(func(t *testing.T, s string) {
		if kind, ok := tenure.ParseToken(s); ok && (!tokenForm.MatchString(s) || !strings.HasPrefix(s, kind.Prefix())) {
			t.Errorf("ParseToken(%q) passes as %s", s, kind)
		}
	})
}

func TestSecretRefuses(t *testing.T) {
	s := tenure.NewSecret("hunter2hunter2")
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "in", struct{ S tenure.Secret }{s})
	for what, text := range map[string]string{
		"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s), "%s": fmt.Sprintf("%s", s), "%q": fmt.Sprintf("%q", s),
		"%x": fmt.Sprintf("%x", s), "in a struct": fmt.Sprintf("%+v", struct{ S tenure.Secret }{s}), "pointer": fmt.Sprintf("%+v", &s), "slog": log.String(),
	} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e746572") {
			t.Errorf("%s shows the secret: %s", what, text)
		}
	}
	if _, err := json.Marshal(s); err == nil {
		t.Error("a secret was marshalled")
	}
	if !s.Equal(tenure.NewSecret("hunter2hunter2")) || s.Equal(tenure.NewSecret("other")) || (tenure.Secret{}).Equal(s) {
		t.Error("Equal is wrong")
	}
}

// alive is a standing of each kind that is admitted.
func alive() []tenure.Standing {
	base := tenure.Standing{Tenant: "t", TenantActive: true}
	with := func(edit func(*tenure.Standing)) tenure.Standing {
		s := base
		edit(&s)
		return s
	}
	return []tenure.Standing{
		with(func(s *tenure.Standing) {
			s.Kind, s.User, s.UserActive, s.Workspace, s.WorkspaceRole = tenure.PAT, "u", true, "w", tenure.Member
		}),
		with(func(s *tenure.Standing) {
			s.Kind, s.ServiceAccount, s.AccountActive, s.Workspace = tenure.ServiceToken, "a", true, "w"
		}),
		with(func(s *tenure.Standing) {
			s.Kind, s.User, s.UserActive, s.Session = tenure.BrowserSession, "u", true, "s"
		}),
		with(func(s *tenure.Standing) { s.Kind, s.User, s.UserActive = tenure.AssertedIdentity, "u", true }),
		with(func(s *tenure.Standing) { s.Kind = tenure.ConnectorToken }),
		with(func(s *tenure.Standing) { s.Kind = tenure.RootToken }),
		with(func(s *tenure.Standing) { s.Kind = tenure.Operator }),
	}
}

// Every kind of credential passes the same liveness check: whatever ends one,
// ends it here, and the owner's end ends every kind that has an owner.
func TestAdmit(t *testing.T) {
	now := time.Now()
	deaths := map[string]func(*tenure.Standing){
		"ended":           func(s *tenure.Standing) { s.Ended = true },
		"tenant stopped":  func(s *tenure.Standing) { s.TenantActive = false },
		"expired now":     func(s *tenure.Standing) { s.ExpiresAt = now },
		"owner gone":      func(s *tenure.Standing) { s.UserActive, s.AccountActive = false, false },
		"no owner":        func(s *tenure.Standing) { s.User, s.ServiceAccount = "", "" },
		"no kind":         func(s *tenure.Standing) { s.Kind = 0 },
		"no membership":   func(s *tenure.Standing) { s.WorkspaceRole, s.Workspace = "", "" },
		"expired at zero": func(s *tenure.Standing) { s.ExpiresAt = time.Unix(0, 0) },
	}
	for _, s := range alive() {
		p, err := s.Admit(now, 7)
		if err != nil || !p.Valid() || p.AsOf() != 7 || p.Kind() != s.Kind {
			t.Errorf("%s: %+v, %v", s.Kind, p, err)
		}
		for name, die := range deaths {
			dead := s
			die(&dead)
			p, err := dead.Admit(now, 7)
			ownerless := s.Kind == tenure.ConnectorToken || s.Kind == tenure.RootToken || s.Kind == tenure.Operator
			bound := s.Kind == tenure.PAT || s.Kind == tenure.ServiceToken
			lives := (strings.Contains(name, "owner") && ownerless) || (name == "no membership" && !bound)
			if (err == nil) != lives || p.Valid() != lives {
				t.Errorf("%s, %s: admitted %t, want %t (%v)", s.Kind, name, err == nil, lives, err)
			}
			if err != nil && !errors.Is(err, tenure.ErrInvalidToken) && !errors.Is(err, tenure.ErrDeactivated) {
				t.Errorf("%s, %s: the error tells more than it should: %v", s.Kind, name, err)
			}
		}
	}
	if _, err := (*tenure.Standing)(nil).Admit(now, 0); err == nil {
		t.Error("no standing was admitted")
	}
	if p := (tenure.Principal{}); p.Valid() || p.Kind() != 0 || p.Tenant() != "" {
		t.Error("the empty principal is something")
	}
}

func TestScopes(t *testing.T) {
	s, err := tenure.ParseScopes("chat  models")
	if err != nil || !s.Has(tenure.ScopeChat) || s.Has(tenure.ScopeMessages) || s.String() != "chat models" {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := tenure.ParseScopes("chat admin *"); err == nil || s != tenure.ScopeChat {
		t.Errorf("unknown scopes: %v, %v", s, err)
	}
	if s, _ := tenure.ParseScopes(""); s != 0 || s.Has(tenure.ScopeChat) {
		t.Error("empty means something")
	}
}

func TestNewIDSortsByTime(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	now := time.Now()
	last := ""
	for i := range 1000 {
		id := tenure.NewID(now.Add(time.Duration(i) * time.Microsecond))
		if !form.MatchString(id) || id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		last = id
	}
}

func TestParseLifetime(t *testing.T) {
	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "12h": 12 * time.Hour, "30s": 30 * time.Second} {
		if got, err := tenure.ParseLifetime(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "soon", "1y", "99999999999d"} {
		if _, err := tenure.ParseLifetime(text); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}
