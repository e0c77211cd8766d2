package simulator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/simulator"
)

// pixel is an image of 68 bytes, as the provider decodes it.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="

// weatherSchema has a required place and a required choice.
const weatherSchema = `{"type":"object","properties":{"location":{"type":"string"},` +
	`"unit":{"type":"string","enum":["celsius","fahrenheit"]},"days":{"type":"integer"}},"required":["location","unit"]}`

const weatherArguments = `{"location":"San Francisco","unit":"celsius"}`

const openAITools = `[{"type":"function","function":{"name":"get_time","description":"the time"}},` +
	`{"type":"function","function":{"name":"get_weather","description":"the weather somewhere","parameters":` + weatherSchema + `}}]`

// chatBody is a chat completion request; more is further fields, each led by a
// comma.
func chatBody(messages, more string) string {
	return `{"model":"sim-gpt-4o","messages":` + messages + more + `}`
}

func userSays(text string) string {
	return fmt.Sprintf(`[{"role":"user","content":%q}]`, text)
}

// chatUsage is OpenAI's usage for that many tokens.
func chatUsage(in, out int) string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,`+
		`"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},`+
		`"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`,
		in, out, in+out)
}

const toolTurns = `[{"role":"user","content":"What is the weather in Rome?"},` +
	`{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_weather","arguments":"{}"}},` +
	`{"id":"call_2","type":"function","function":{"name":"get_time","arguments":"{}"}}]},` +
	`{"role":"tool","tool_call_id":"call_1","content":"sunny, 31 degrees"},` +
	`{"role":"tool","tool_call_id":"call_2","content":[{"type":"text","text":"noon"}]}]`

// chatCases are asked whole and streamed.
var chatCases = []struct {
	name    string
	request string
	text    string // of the answer, if it is a text
	call    string // arguments, if it is a call of get_weather
	finish  string
	in, out int
}{
	{"echo", chatBody(userSays("hello there"), ""), "You said: hello there 1 2 3 4", "", "stop", 2, 8},
	{"long words are cut", chatBody(userSays("a b c d e f g h i j"), ""), "You said: a b c d e f", "", "stop", 10, 8},
	{
		"system counts", chatBody(`[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]`, ""),
		"You said: hi 1 2 3 4 5", "", "stop", 3, 8,
	},
	{"count", chatBody(userSays("Please count to 12."), ""), "1 2 3 4 5 6 7 8 9 10 11 12", "", "stop", 4, 12},
	{
		"count in developer text", chatBody(`[{"role":"developer","content":"Count to 3"},{"role":"user","content":"hi"}]`, ""),
		"1 2 3", "", "stop", 4, 3,
	},
	{
		"user before system", chatBody(`[{"role":"system","content":"count to 3"},{"role":"user","content":"count to 2"}]`, ""),
		"1 2", "", "stop", 6, 2,
	},
	{
		"last user message", chatBody(`[{"role":"user","content":"count to 9"},{"role":"assistant","content":"no"},{"role":"user","content":"hi"}]`, ""),
		"You said: hi 1 2 3 4 5", "", "stop", 5, 8,
	},
	{"max_tokens", chatBody(userSays("count to 300"), `,"max_tokens":3`), "1 2 3", "", "length", 3, 3},
	{"max_completion_tokens", chatBody(userSays("hi"), `,"max_completion_tokens":2`), "You said:", "", "length", 1, 2},
	{"exact limit", chatBody(userSays("count to 3"), `,"max_tokens":3`), "1 2 3", "", "stop", 3, 3},
	{"faults are words", chatBody(userSays("fail 500 hang"), ""), "You said: fail 500 hang 1 2 3", "", "stop", 3, 8},
	{"html is not escaped", chatBody(userSays("<b> & é"), ""), "You said: <b> & é 1 2 3", "", "stop", 3, 8},
	{
		"images", chatBody(`[{"role":"user","content":[{"type":"text","text":"look"},`+
			`{"type":"image_url","image_url":{"url":"data:image/png;base64,`+pixel+`","detail":"low"}},`+
			`{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,AAAA"}}]}]`, ""),
		"I received 2 images, 71 bytes. You said:", "", "stop", 171, 8,
	},
	{
		"one image", chatBody(`[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,`+pixel+`"}}]}]`, ""),
		"I received 1 image, 68 bytes. You said:", "", "stop", 85, 8,
	},
	{"weather without tools", chatBody(userSays("weather?"), ""), "You said: weather? 1 2 3 4 5", "", "stop", 1, 8},
	{
		"tools without weather", chatBody(userSays("hello"), `,"tools":`+openAITools),
		"You said: hello 1 2 3 4 5", "", "stop", 8, 8,
	},
	{
		"weather", chatBody(userSays("Weather in San Francisco, please?"), `,"tools":`+openAITools),
		"", weatherArguments, "tool_calls", 12, 9,
	},
	{
		"no tool wanted", chatBody(userSays("weather"), `,"tool_choice":"none","tools":`+openAITools),
		"You said: weather 1 2 3 4 5", "", "stop", 8, 8,
	},
	{
		"any tool", chatBody(userSays("go in San Francisco"), `,"tool_choice":"required","tools":`+openAITools),
		"", weatherArguments, "tool_calls", 11, 9,
	},
	{
		"named tool", chatBody(userSays("in San Francisco"),
			`,"tool_choice":{"type":"function","function":{"name":"get_weather"}},"tools":`+openAITools),
		"", weatherArguments, "tool_calls", 10, 9,
	},
	{
		"tool results", chatBody(toolTurns, `,"tool_choice":"required","tools":`+openAITools),
		"The tool answered: sunny, 31 degrees noon You", "", "stop", 21, 8,
	},
}

func TestChat(t *testing.T) {
	url := serve(t, &simulator.Server{Words: 8}) + "/v1/chat/completions"
	for _, tt := range chatCases {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, "POST", url, asOpenAI(), tt.request)
			if got.status != 200 || got.header.Get("Content-Type") != "application/json" ||
				got.header.Get("X-Request-Id") == "" || got.header.Get("Openai-Processing-Ms") == "" {
				t.Fatalf("%d %v %s", got.status, got.header, got.body)
			}
			text, _ := json.Marshal(tt.text)
			message := `{"role":"assistant","content":` + string(text) + `,"refusal":null,"annotations":[]}`
			if tt.call != "" {
				arguments, _ := json.Marshal(tt.call)
				message = `{"role":"assistant","content":null,"refusal":null,"annotations":[],"tool_calls":[` +
					`{"id":"*","type":"function","function":{"name":"get_weather","arguments":` + string(arguments) + `}}]}`
			}
			want(t, got.body, `{"id":"*","object":"chat.completion","created":"*","model":"sim-gpt-4o","choices":[`+
				`{"index":0,"message":`+message+`,"logprobs":null,"finish_reason":"`+tt.finish+`"}],`+
				`"usage":`+chatUsage(tt.in, tt.out)+`,"service_tier":"default","system_fingerprint":"*"}`)
			if strings.Contains(got.body, `\u003c`) {
				t.Fatalf("HTML is escaped: %s", got.body)
			}
		})
	}
}

// chunks are the chunks of a whole stream: of a text, or of a call of get_weather
// if arguments is not empty. total is the usage.
func chunks(text, arguments, finish string, withUsage bool, total string) []string {
	usage := ""
	if withUsage {
		usage = `,"usage":null`
	}
	chunk := func(choices, usage string) string {
		return `{"id":"*","object":"chat.completion.chunk","created":"*","model":"sim-gpt-4o",` +
			`"service_tier":"default","system_fingerprint":"*","choices":[` + choices + `]` + usage + `}`
	}
	choice := func(delta, reason string) string {
		return chunk(`{"index":0,"delta":`+delta+`,"logprobs":null,"finish_reason":`+reason+`}`, usage)
	}
	var expected []string
	if arguments == "" {
		expected = append(expected, choice(`{"role":"assistant","content":"","refusal":null}`, "null"))
		for i, word := range strings.Fields(text) {
			if i > 0 {
				word = " " + word
			}
			quoted, _ := json.Marshal(word)
			expected = append(expected, choice(`{"content":`+string(quoted)+`}`, "null"))
		}
	} else {
		expected = append(expected, choice(`{"role":"assistant","content":null,"refusal":null,"tool_calls":[`+
			`{"index":0,"id":"*","type":"function","function":{"name":"get_weather","arguments":""}}]}`, "null"))
		for i := 0; i < len(arguments); i += 6 {
			piece, _ := json.Marshal(arguments[i:min(i+6, len(arguments))])
			expected = append(expected, choice(`{"tool_calls":[{"index":0,"function":{"arguments":`+string(piece)+`}}]}`, "null"))
		}
	}
	expected = append(expected, choice(`{}`, `"`+finish+`"`))
	if withUsage {
		expected = append(expected, chunk("", `,"usage":`+total))
	}
	return expected
}

func TestChatStream(t *testing.T) {
	url := serve(t, &simulator.Server{Words: 8}) + "/v1/chat/completions"
	for _, tt := range chatCases {
		for _, withUsage := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, usage %v", tt.name, withUsage), func(t *testing.T) {
				more := `,"stream":true}`
				if withUsage {
					more = `,"stream":true,"stream_options":{"include_usage":true}}`
				}
				got := do(t, "POST", url, asOpenAI(), strings.TrimSuffix(tt.request, "}")+more)
				if got.status != 200 || got.header.Get("Content-Type") != "text/event-stream; charset=utf-8" ||
					got.header.Get("X-Request-Id") == "" || got.header.Get("Openai-Processing-Ms") == "" {
					t.Fatalf("%d %v %s", got.status, got.header, got.body)
				}
				expected := chunks(tt.text, tt.call, tt.finish, withUsage, chatUsage(tt.in, tt.out))
				list := events(t, got.body)
				if len(list) != len(expected)+1 || list[len(list)-1] != (event{data: "[DONE]"}) {
					t.Fatalf("%d events, want %d and [DONE]: %s", len(list), len(expected), got.body)
				}
				for i, data := range expected {
					if list[i].name != "" {
						t.Fatalf("event is named %q", list[i].name)
					}
					want(t, list[i].data, data)
				}
			})
		}
	}
}

func TestChatRefusals(t *testing.T) {
	url := serve(t, &simulator.Server{}) + "/v1/chat/completions"
	hi := userSays("hi")
	image := func(url string) string {
		return chatBody(`[{"role":"user","content":[{"type":"image_url","image_url":{"url":"`+url+`"}}]}]`, "")
	}
	tests := []struct {
		name, body  string
		status      int
		param, code string // as JSON
	}{
		{"not JSON", `{"model":`, 400, `null`, `null`},
		{"empty", ``, 400, `null`, `null`},
		{"no model", `{"messages":` + hi + `}`, 400, `null`, `null`},
		{"no messages", `{"model":"sim-gpt-4o"}`, 400, `"messages"`, `"missing_required_parameter"`},
		{"empty messages", chatBody(`[]`, ""), 400, `"messages"`, `"empty_array"`},
		{"messages of a wrong type", chatBody(`"hi"`, ""), 400, `"messages"`, `"invalid_type"`},
		{"unknown model", `{"model":"gpt-9","messages":` + hi + `}`, 404, `null`, `"model_not_found"`},
		{"model of the other side", `{"model":"sim-claude-haiku","messages":` + hi + `}`, 404, `null`, `"model_not_found"`},
		{"unknown role", chatBody(`[{"role":"king","content":"hi"}]`, ""), 400, `"messages[0].role"`, `"invalid_value"`},
		{"unknown part", chatBody(`[{"role":"user","content":[{"type":"smell"}]}]`, ""), 400, `"messages[0].content[0].type"`, `"invalid_value"`},
		{"content of a wrong type", chatBody(`[{"role":"user","content":7}]`, ""), 400, `"messages[0].content"`, `"invalid_type"`},
		{"image elsewhere", image("https://example.com/a.png"), 400, `"messages[0].content[0].image_url.url"`, `"invalid_image_url"`},
		{"broken image", image("data:image/png;base64,!"), 400, `"messages[0].content[0].image_url.url"`, `"invalid_base64"`},
		{"zero max_tokens", chatBody(hi, `,"max_tokens":0`), 400, `"max_tokens"`, `"integer_below_min_value"`},
		{"both limits", chatBody(hi, `,"max_tokens":1,"max_completion_tokens":1`), 400, `"max_tokens"`, `"invalid_parameter_combination"`},
		{"stream_options alone", chatBody(hi, `,"stream_options":{"include_usage":true}`), 400, `"stream_options"`, `null`},
		{"two choices", chatBody(hi, `,"n":2`), 400, `"n"`, `"unsupported_value"`},
		{"nameless tool", chatBody(hi, `,"tools":[{"type":"function","function":{}}]`), 400, `"tools[0].function.name"`, `"missing_required_parameter"`},
		{"choice without tools", chatBody(hi, `,"tool_choice":"required"`), 400, `"tool_choice"`, `null`},
		{"unknown choice", chatBody(hi, `,"tool_choice":"maybe","tools":`+openAITools), 400, `"tool_choice"`, `"invalid_value"`},
		{"unknown tool", chatBody(hi, `,"tool_choice":{"type":"function","function":{"name":"x"}},"tools":`+openAITools), 400, `"tool_choice"`, `null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, "POST", url, asOpenAI(), tt.body)
			if got.status != tt.status || got.header.Get("X-Request-Id") == "" {
				t.Fatalf("%d %v %s", got.status, got.header, got.body)
			}
			want(t, got.body, `{"error":{"message":"*","type":"invalid_request_error","param":`+tt.param+`,"code":`+tt.code+`}}`)
		})
	}
}

// TestPace shows that directives and ChunkEvery set the time an answer takes.
func TestPace(t *testing.T) {
	tests := []struct {
		name, text string
		every      time.Duration
		atLeast    time.Duration
	}{
		{"slowly", "count to 3 slowly", 0, 500 * time.Millisecond},
		{"every", "count to 5, every 30ms.", 0, 120 * time.Millisecond},
		{"server", "count to 5", 30 * time.Millisecond, 120 * time.Millisecond},
		{"directive over server", "count to 5 every 0s", time.Hour, 0},
		{"no duration", "count to 5 every day", 0, 0},
	}
	for _, tt := range tests {
		for _, stream := range []string{"true", "false"} {
			t.Run(tt.name+", stream "+stream, func(t *testing.T) {
				t.Parallel()
				url := serve(t, &simulator.Server{ChunkEvery: tt.every}) + "/v1/chat/completions"
				began := time.Now()
				got := do(t, "POST", url, asOpenAI(), chatBody(userSays(tt.text), `,"stream":`+stream))
				if took := time.Since(began); got.status != 200 || took < tt.atLeast {
					t.Fatalf("%d after %v, want at least %v", got.status, took, tt.atLeast)
				}
			})
		}
	}
}
