package gateway

import (
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
)

const claudeStart = `event: message_start
data: {"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":12,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":100},"output_tokens":1,"service_tier":"standard"}}}

`

var measured = map[string]struct {
	answer string
	apart  bool
	want   tenure.ModelUse
}{
	"chat":              {`{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":7}},"x":1}`, false, tenure.ModelUse{Input: 9, CacheReads: 4, Output: 12}},
	"spaced":            {"{\n \"usage\" : {\r\n\t\"prompt_tokens\" : 9 , \"completion_tokens\" : 12 } }", false, tenure.ModelUse{Input: 9, Output: 12}},
	"embedding":         {`{"data":[],"usage":{"prompt_tokens":5,"total_tokens":5}}`, false, tenure.ModelUse{Input: 5}},
	"responses":         {`{"usage":null,"x":{}} {"response":{"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":6},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":1},"total_tokens":123},"user":null,"metadata":{"usage":"{}"}}}`, false, tenure.ModelUse{Input: 36, CacheReads: 6, Output: 87}},
	"message":           {`{"content":[{"type":"tool_use","input":{"usage":{"output_tokens":99999}}}],"usage":{"input_tokens":10,"output_tokens":7}}`, true, tenure.ModelUse{Input: 10, Output: 7}},
	"message, begun":    {claudeStart, true, tenure.ModelUse{Input: 1112, CacheReads: 1000, CacheWrites: 100, Output: 1}},
	"message, to end":   {claudeStart + "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":50}}\n\n", true, tenure.ModelUse{Input: 1112, CacheReads: 1000, CacheWrites: 100, Output: 50}},
	"in a text":         {`{"content":"\"usage\":{\"prompt_tokens\":7}","a":["usage",{"prompt_tokens":7}],"token_usage":{"prompt_tokens":7}}`, false, tenure.ModelUse{}},
	"no figures":        {`{"usage":{"prompt_tokens":-3,"completion_tokens":1.5,"prompt_tokens_details":null,"x":"completion_tokens","y":[4]}}`, false, tenure.ModelUse{}},
	"too large":         {`{"usage":{"prompt_tokens":99999999999999999999999999,"completion_tokens":3}}`, false, tenure.ModelUse{Output: 3}},
	"after a deep one":  {`{"usage":` + strings.Repeat(`{"a":`, 300) + `1` + strings.Repeat(`}`, 300) + `,"usage":{"prompt_tokens":3}}`, false, tenure.ModelUse{Input: 3}},
	"after a quote":     {`{"a":""usage"":1,"usage":{"prompt_tokens":3}}`, false, tenure.ModelUse{Input: 3}},
	"forged first":      {`{"content":[{"type":"tool_use","input":{"usage":{"input_tokens":99,"cache_read_input_tokens":99999}}}],"usage":{"input_tokens":10,"output_tokens":7}}`, true, tenure.ModelUse{Input: 10, Output: 7}},
	"forged last":       {`{"usage":{"input_tokens":10,"output_tokens":7},"content":[{"type":"tool_use","input":{"usage":{"input_tokens":1,"output_tokens":1},"message":{"usage":{"output_tokens":1}}}}]}`, true, tenure.ModelUse{Input: 10, Output: 7}},
	"forged in choices": {`{"choices":[{"message":{"usage":{"prompt_tokens":99999}},"usage":{"prompt_tokens":99999}}],"usage":{"prompt_tokens":5}}`, false, tenure.ModelUse{Input: 5}},
	"forged, no other":  {`{"metadata":{"usage":{"prompt_tokens":99999}},"output":[{"response":{"usage":{"input_tokens":7}}}]}`, false, tenure.ModelUse{}},
	"beside null":       {`{"x":{"usage":{"prompt_tokens":1}},"usage":null}`, false, tenure.ModelUse{}},
	"in a list":         {`[{"usage":{"prompt_tokens":1}},{"message":{"usage":{"prompt_tokens":1}}}]`, false, tenure.ModelUse{}},
	"forged keys":       {`{"a":"usage","b":["usage",{"prompt_tokens":7}],"usage":7,"c":{"prompt_tokens":7},"us\u0061ge":{"prompt_tokens":7},"usage":{"prompt_tokens":3}}`, false, tenure.ModelUse{Input: 3}},
	"broken off":        {`{"usage":{"prompt_tokens":3,`, false, tenure.ModelUse{}},
}

// Of events, each has a document of its own, of which one that breaks off or is none
// spoils no other.
func TestMeterOfEvents(t *testing.T) {
	const forged = "data: {\"type\":\"content_block_start\",\"content_block\":{\"input\":{\"usage\":{\"input_tokens\":99999}}}}\n\n"
	answer := "data: {{{ \"usage\n: a {comment\n" + claudeStart + forged + "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":50}}\n\n" + forged + "data: [DONE]\n\n"
	want := tenure.ModelUse{Input: 1112, CacheReads: 1000, CacheWrites: 100, Output: 50}
	for size := 1; size <= len(answer); size++ {
		var use tenure.ModelUse
		r := meter{use: &use, apart: true, events: true}
		for rest := []byte(answer); len(rest) > 0; {
			n := min(size, len(rest))
			r.pass(rest[:n])
			rest = rest[n:]
		}
		if use != want {
			t.Fatalf("in parts of %d: %+v, want %+v", size, use, want)
		}
	}
}

// What is read does not depend on how the answer is cut into reads.
func TestMeter(t *testing.T) {
	for name, m := range measured {
		for size := 1; size <= len(m.answer); size++ {
			if size > 40 && size < len(m.answer) {
				size = len(m.answer)
			}
			var use tenure.ModelUse
			r := meter{use: &use, apart: m.apart}
			for rest := []byte(m.answer); len(rest) > 0; {
				n := min(size, len(rest))
				r.pass(rest[:n])
				rest = rest[n:]
			}
			if use != m.want {
				t.Fatalf("%s in parts of %d: %+v, want %+v", name, size, use, m.want)
			}
		}
	}
}

func TestMeterAllocatesNothing(t *testing.T) {
	var use tenure.ModelUse
	r := meter{use: &use, apart: true}
	answer := []byte(claudeStart)
	if n := testing.AllocsPerRun(100, func() { r.pass(answer) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	h := hider{on: true}
	if n := testing.AllocsPerRun(100, func() { h.pass(answer) }); n > 0 {
		t.Errorf("the hider: %v allocations", n)
	}
}

func FuzzMeter(f *testing.F) {
	for _, m := range measured {
		f.Add([]byte(m.answer), uint8(7))
	}
	f.Fuzz(func(t *testing.T, answer []byte, size uint8) {
		for _, events := range []bool{false, true} {
			var whole, parts tenure.ModelUse
			(&meter{use: &whole, apart: true, events: events}).pass(answer)
			r := meter{use: &parts, apart: true, events: events}
			for rest := answer; len(rest) > 0; {
				n := min(int(size)+1, len(rest))
				r.pass(rest[:n])
				rest = rest[n:]
			}
			if whole != parts {
				t.Errorf("%+v as a whole, %+v in parts", whole, parts)
			}
		}
	})
}

// The edit asks for the figures where the client did not, and says whether it does.
func TestAskingForFigures(t *testing.T) {
	for doc, want := range map[string]string{
		`{"model":"m","stream":true}`:                                                   `{"stream_options":{"include_usage":true},"model":"m","stream":true}`,
		`{"model":"m","stream":true,"stream_options":null}`:                             `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`,
		`{"model":"m","stream":true,"stream_options":{ }}`:                              `{"model":"m","stream":true,"stream_options":{"include_usage":true }}`,
		`{"model":"m","stream":true,"stream_options":{"a":1}}`:                          `{"model":"m","stream":true,"stream_options":{"include_usage":true,"a":1}}`,
		`{"model":"m","stream":true,"stream_options":{"include_usage":false}}`:          `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`,
		`{"model":"m","stream":true,"stream_options":{"include_usage":true}}`:           "",
		`{"model":"m","stream":true,"stream_options":{"include_usage":"what is this"}}`: "",
		`{"model":"m","stream":true,"stream_options":7}`:                                "",
	} {
		f, err := findModel([]byte(doc))
		if err != nil || !f.stream {
			t.Fatal(doc, err)
		}
		e, hide := withUsage([]byte(doc), f.options)
		got := doc[:e.from] + string(e.text) + doc[e.to:]
		if hide != (want != "") || hide && got != want || !hide && got != doc {
			t.Errorf("%s: %s %t", doc, got, hide)
		}
	}
}

// BenchmarkMeter is what reading the use costs: of a chunk of a stream, and of four
// kilobytes of an answer.
func BenchmarkMeter(b *testing.B) {
	chunk := `data: {"id":"chatcmpl-01","object":"chat.completion.chunk","created":1,"model":"gpt-4o","service_tier":"default","system_fingerprint":"fp","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n"
	for name, answer := range map[string]string{"chunk": chunk, "4KB": strings.Repeat(`{"role":"assistant","content":"a word or two"},`, 87), "usage": claudeStart} {
		b.Run(name, func(b *testing.B) {
			var use tenure.ModelUse
			m, h, p := meter{use: &use, events: name != "4KB"}, hider{on: true}, []byte(answer)
			buf := make([]byte, len(p))
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, p)
				m.pass(buf)
				h.pass(buf)
			}
		})
	}
}
