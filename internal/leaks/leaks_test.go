package leaks

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/tenure-gateway/tenure"
)

func hits(t *testing.T, f Finder, text string) []Hit {
	t.Helper()
	var out []Hit
	if err := f.Find(iotest.HalfReader(strings.NewReader(text)), func(h Hit) { out = append(out, h) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// A secret is found wherever a window ends, once, and with its line: one of ours, one by
// its form, one by its name and one by its digest.
func TestFindAcrossWindows(t *testing.T) {
	random := tenure.NewSessionSecret().Reveal() + tenure.NewSessionSecret().Reveal()
	known := "operator.made-it/" + random[:20] + "=="
	f := Finder{Known: func(d tenure.Digest) string {
		return map[bool]string{true: "known"}[d == tenure.DigestOf(known)]
	}}
	for kind, secret := range map[string]string{
		ourKinds[tenure.KindPAT]: tenure.NewToken(tenure.KindPAT).Reveal(), ourKinds[tenure.KindRoot]: tenure.NewToken(tenure.KindRoot).Reveal(),
		"Anthropic key": "sk-ant-api03-" + random, "Mistral key": "MISTRAL_API_KEY=" + random[:32], "known": known,
	} {
		want := secret[strings.Index(secret, "=")+1:]
		if kind == "known" {
			want = known
		}
		for _, at := range []int{0, 1, window - maxSecret - 1, window - maxSecret, window - 120, window - 60, window - 1, window, window + 1, window + maxSecret - 40, window + maxSecret, 2*window - 30, 3*window - len(secret)} {
			text := bytes.Repeat([]byte{' '}, 3*window)
			lines := 1
			for i := 99; i < at; i += 1000 {
				text[i] = '\n'
				lines++
			}
			copy(text[at:], secret)
			found := hits(t, f, string(text))
			if len(found) != 1 || found[0].Secret != want || found[0].Line != lines || found[0].Kind != kind {
				t.Errorf("%s at %d (line %d): %d found: %+v", kind, at, lines, len(found), found)
			}
		}
	}
}

// Every form is found in the ways in which keys stand in files, and what only looks like
// one is not.
func TestKinds(t *testing.T) {
	random := ""
	for len(random) < 300 {
		random += tenure.NewSessionSecret().Reveal()
	}
	only := func(a alphabet, n int) string {
		out := strings.Map(func(r rune) rune {
			if !a(byte(r)) {
				return -1
			}
			return r
		}, "Qa7Wm2Ze5Rd3Tf6Yc4Ub9Ia8Od2Pe7Lf3Kb6Jc5HX4GA6FD"+random)
		for len(out) < n {
			out += out
		}
		return out[:n]
	}
	for _, s := range shapes {
		key := s.prefix + only(s.of, s.min)
		for _, form := range []string{"%s", "key: %q", "export X=%s\n", "('%s')", "https://x/?key=%s&y", "\t%s\r\n"} {
			found := hits(t, Finder{}, fmt.Sprintf(form, key))
			if len(found) != 1 || found[0].Secret != key || found[0].Kind != s.kind {
				t.Errorf("%s in %q: %+v", key, form, found)
			}
			for _, h := range found {
				if m := h.Mask(); strings.Contains(m, key) || len(m) > len(s.prefix)+7 || !strings.HasPrefix(m, s.prefix) {
					t.Errorf("%s is shown as %s", key, m)
				}
			}
		}
		for _, near := range []string{"x" + key, s.prefix + only(s.of, s.min-1), s.prefix + strings.Repeat("A", s.min), s.prefix + "EXAMPLE" + only(s.of, s.min-7)} {
			for _, h := range hits(t, Finder{}, near) {
				if h.Kind == s.kind {
					t.Errorf("%s is no %s", near, s.kind)
				}
			}
		}
	}
	thirty := only(hexa, 32)
	for text, kind := range map[string]string{
		`AZURE_OPENAI_API_KEY="` + thirty + `"`: "Azure OpenAI key", "api-key: " + thirty + "\n": "Azure OpenAI key", "mistralApiKey = '" + thirty + "'": "Mistral key",
		`{"cohere_key": "` + only(alnum, 40) + `"}`: "Cohere key", "TOGETHER_API_KEY=" + only(hexa, 64): "Together key",
		"etag: " + thirty: "", "mistral_model = " + thirty: "", "MISTRAL_API_KEY=" + strings.Repeat("x", 32): "",
	} {
		found := hits(t, Finder{}, text)
		if kind == "" && len(found) > 0 || kind != "" && (len(found) != 1 || found[0].Kind != kind) {
			t.Errorf("%s: %+v", text, found)
		}
	}
}

// Whatever is known by its digest is found as a word, and as a part of one; in UTF-16,
// too. What has the form of a cookie is asked about as one.
func TestKnownWords(t *testing.T) {
	known := []string{"the-operators-own.token/1", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
	session := tenure.NewSessionSecret().Reveal()
	f := Finder{
		Known: func(d tenure.Digest) string {
			if slices.ContainsFunc(known, func(s string) bool { return tenure.DigestOf(s) == d }) {
				return "known"
			}
			return ""
		},
		Session: func(d tenure.Digest) string { return map[bool]string{true: "cookie"}[d == tenure.DigestOf(session)] },
	}
	wide := new(bytes.Buffer)
	for _, unit := range utf16.Encode([]rune("KEY=" + known[0] + "\n" + tenure.NewToken(tenure.KindPAT).Reveal())) {
		wide.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	for text, want := range map[string]int{
		known[0]: 1, "a=" + known[0] + "\nb=" + known[1] + "\n": 2, known[1] + "=": 1, known[1][:43]: 0, "x" + known[0]: 0,
		"https://u:" + session + "@x.example.com/": 1, "tenure=" + session + "; Path=/": 1, session[:42]: 0, wide.String(): 2,
	} {
		if found := hits(t, f, text); len(found) != want {
			t.Errorf("%q: %+v", text, found)
		}
	}
}
