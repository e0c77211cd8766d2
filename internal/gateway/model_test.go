package gateway

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
)

func TestFindModel(t *testing.T) {
	image := `"` + strings.Repeat("QUJD", 50_000) + `"`
	for doc, want := range map[string]string{
		`{"model":"gpt-4o"}`: "gpt-4o",
		`{ "messages" : [{"content":"{\"model\":\"evil\"}"}] , "model" : "a/b"	}`:   "a/b",
		`{"x":{"model":"inner"},"y":[{"model":"inner"}],"model":"outer","z":1.5e3}`: "outer",
		`{"messages":[{"image_url":` + image + `}],"model":"big","stream":true}`:    "big",
		`{"mod\u0065l":"x"}`:                        "x",
		`{"model":"gpt-\u0034o"}`:                   "gpt-4o",
		`{"t":true,"f":false,"n":null,"model":"m"}`: "m",
		`{"a\\":"\"","model":"m"}`:                  "m",
	} {
		f, err := findModel([]byte(doc))
		if err != nil || f.model != want {
			t.Errorf("findModel(%.80s) = %q, %v; want %q", doc, f.model, err, want)
			continue
		}
		b := &body{}
		raw := []byte(doc)
		b.buf = &raw
		b.refs.Store(1)
		e := inOrder(splice{}, splice{from: f.from, to: f.to, text: quote("new")})
		r := b.reader(e)
		var out bytes.Buffer
		if _, err := out.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		var got struct{ Model string }
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Model != "new" || int64(out.Len()) != b.size(e) {
			t.Errorf("the spliced %.80s: %+v, %v", doc, got, err)
		}
	}
}

func TestFindModelRefuses(t *testing.T) {
	for doc, code := range map[string]string{
		``: "invalid_json", `[]`: "invalid_json", `"model"`: "invalid_json", `{`: "invalid_json", `{"model":"a"`: "invalid_json",
		`{"model":"a"}x`: "invalid_json", `{"model":"a",}`: "invalid_json", `{"model" "a"}`: "invalid_json", `{"a":[1,}`: "invalid_json",
		`{"a":"unterminated}`: "invalid_json", `{"a":"\"}`: "invalid_json", `{model:"a"}`: "invalid_json", `{"a":}`: "invalid_json",
		`{}`: "missing_model", `{"model":""}`: "missing_model", `{"model":"` + strings.Repeat("x", 300) + `"}`: "missing_model",
		`{"model":"openai/x\u0000"}`: "missing_model", `{"model":"gpt\n4"}`: "missing_model", // no database has such names
		`{"model":7}`: "invalid_model", `{"model":null}`: "missing_model", `{"model":["a"]}`: "invalid_model",
		`{"model":"a","model":"b"}`: "ambiguous_model", `{"model":"a","Model":"b"}`: "ambiguous_model", `{"MODEL":"a"}`: "ambiguous_model",
		`{"model":"a","mod\u0065l":"b"}`: "ambiguous_model", `{"model":"a","\model":"b"}`: "invalid_json",
		`{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `,"model":"a"}`: "invalid_json",
	} {
		if _, err := findModel([]byte(doc)); tenure.AsError(err).Code != code {
			t.Errorf("findModel(%.60s) = %v, want %s", doc, err, code)
		}
	}
	if f, err := findModel([]byte(`{"thread":{"continue":"x"},"model":"a"}`)); err != nil || !f.thread {
		t.Errorf("thread: %+v, %v", f, err)
	}
	if f, err := findModel([]byte("\n\t {\"model\":\"a\"} \r\n")); err != nil || f.model != "a" {
		t.Errorf("white space around: %+v, %v", f, err)
	}
	if f, err := findModel([]byte(`{"thread":null,"model":"a"}`)); err != nil || f.thread {
		t.Errorf("no thread: %+v, %v", f, err)
	}
}

// Whatever the scanner finds, encoding/json finds too; what is valid JSON with
// one model is never refused.
func FuzzFindModel(f *testing.F) {
	for _, s := range []string{`{"model":"a"}`, `{"a":[{"b":"\\\""}],"model":"m"}`, `{"model":"a","Model":"b"}`, `{`, `{"a":"\u12`, `{"model":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		found, err := findModel(doc)
		if err != nil {
			return
		}
		var whole map[string]json.RawMessage
		if json.Unmarshal(doc, &whole) != nil {
			return // spelling of literals is the provider's to judge
		}
		var model string
		if err := json.Unmarshal(whole["model"], &model); err != nil || model != found.model {
			t.Errorf("found %q, encoding/json reads %q (%v) in %q", found.model, model, err, doc)
		}
		if string(doc[found.from:found.to]) != string(whole["model"]) {
			t.Errorf("the span %q is not the value %q", doc[found.from:found.to], whole["model"])
		}
	})
}

func BenchmarkFindModel100KB(b *testing.B) {
	doc := []byte(`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"` + strings.Repeat("QUJD", 25_000) + `"}}]}],"model":"gpt-4o"}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := findModel(doc); err != nil {
			b.Fatal(err)
		}
	}
}
