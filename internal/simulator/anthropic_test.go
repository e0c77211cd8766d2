package simulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure/internal/simulator"
)

const anthropicTools = `[{"name":"get_time","description":"the time","input_schema":{"type":"object"}},` +
	`{"type":"web_search_20250305","name":"web_search"},` +
	`{"name":"get_weather","description":"the weather somewhere","input_schema":` + weatherSchema + `}]`

// messageBody is a messages request; more is further fields, each led by a
// comma.
func messageBody(messages, more string) string {
	return `{"model":"sim-claude-sonnet","max_tokens":1000,"messages":` + messages + more + `}`
}

const toolUseTurns = `[{"role":"user","content":"What is the weather in Rome?"},` +
	`{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"get_weather","input":{ }},` +
	`{"type":"tool_use","id":"toolu_2","name":"get_time","input":{}}]},` +
	`{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"sunny, 31 degrees"},` +
	`{"type":"tool_result","tool_use_id":"toolu_2","content":[{"type":"text","text":"noon"}]}]}]`

// messageCases are asked whole, streamed and counted.
var messageCases = []struct {
	name    string
	request string
	text    string // of the answer, if it is a text
	call    string // input, if it is a use of get_weather
	stop    string
	in, out int
}{
	{"echo", messageBody(userSays("hello there"), ""), "You said: hello there 1 2 3 4", "", "end_turn", 2, 8},
	{"system", messageBody(userSays("hi"), `,"system":"be brief"`), "You said: hi 1 2 3 4 5", "", "end_turn", 3, 8},
	{
		"count in system blocks", messageBody(userSays("hi"), `,"system":[{"type":"text","text":"be brief"},{"type":"text","text":"count to 3"}]`),
		"1 2 3", "", "end_turn", 6, 3,
	},
	{
		"system message", messageBody(`[{"role":"user","content":"hi"},{"role":"system","content":"count to 3"}]`, ""),
		"1 2 3", "", "end_turn", 4, 3,
	},
	{"count", messageBody(`[{"role":"user","content":[{"type":"text","text":"count to 4"}]}]`, ""), "1 2 3 4", "", "end_turn", 3, 4},
	{
		"max_tokens", `{"model":"sim-claude-sonnet","max_tokens":3,"messages":` + userSays("count to 300") + `}`,
		"1 2 3", "", "max_tokens", 3, 3,
	},
	{
		"images", messageBody(`[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"`+pixel+`"}},`+
			`{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"AAAA"}},{"type":"text","text":"look"}]}]`, ""),
		"I received 2 images, 71 bytes. You said:", "", "end_turn", 171, 8,
	},
	{
		"other blocks", messageBody(`[{"role":"user","content":[{"type":"document","source":{"type":"text","data":"x"}},{"type":"text","text":"hi"}]}]`, ""),
		"You said: hi 1 2 3 4 5", "", "end_turn", 1, 8,
	},
	{
		"tools without weather", messageBody(userSays("hello"), `,"tools":`+anthropicTools),
		"You said: hello 1 2 3 4 5", "", "end_turn", 8, 8,
	},
	{
		"weather", messageBody(userSays("Weather in San Francisco, please?"), `,"tools":`+anthropicTools),
		"", weatherArguments, "tool_use", 12, 9,
	},
	{
		"no tool wanted", messageBody(userSays("weather"), `,"tool_choice":{"type":"none"},"tools":`+anthropicTools),
		"You said: weather 1 2 3 4 5", "", "end_turn", 8, 8,
	},
	{
		"any tool", messageBody(userSays("go in San Francisco"), `,"tool_choice":{"type":"any"},"tools":`+anthropicTools),
		"", weatherArguments, "tool_use", 11, 9,
	},
	{
		"named tool", messageBody(userSays("in San Francisco"), `,"tool_choice":{"type":"tool","name":"get_weather"},"tools":`+anthropicTools),
		"", weatherArguments, "tool_use", 10, 9,
	},
	{
		"tool results", messageBody(toolUseTurns, `,"tool_choice":{"type":"any"},"tools":`+anthropicTools),
		"The tool answered: sunny, 31 degrees noon You", "", "end_turn", 21, 8,
	},
}

// anthropicUsage is the usage of a message if whole, else that of a message_delta.
func anthropicUsage(in, out int, whole bool) string {
	more := ""
	if whole {
		more = `,"cache_creation":{"ephemeral_1h_input_tokens":0,"ephemeral_5m_input_tokens":0},` +
			`"inference_geo":null,"service_tier":"standard","speed":"standard"`
	}
	return fmt.Sprintf(`{"input_tokens":%d,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":%d,`+
		`"output_tokens_details":null,"server_tool_use":null%s}`, in, out, more)
}

func TestMessages(t *testing.T) {
	url := serve(t, &simulator.Server{Words: 8}) + "/v1/messages"
	for _, tt := range messageCases {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, "POST", url, asAnthropic(), tt.request)
			if got.status != 200 || got.header.Get("Content-Type") != "application/json" || got.header.Get("Request-Id") == "" {
				t.Fatalf("%d %v %s", got.status, got.header, got.body)
			}
			text, _ := json.Marshal(tt.text)
			block := `{"type":"text","text":` + string(text) + `,"citations":null}`
			if tt.call != "" {
				block = `{"type":"tool_use","id":"*","name":"get_weather","input":` + tt.call + `,"caller":{"type":"direct"}}`
			}
			want(t, got.body, `{"id":"*","type":"message","role":"assistant","model":"sim-claude-sonnet","content":[`+block+`],`+
				`"container":null,"diagnostics":null,"stop_details":null,"stop_reason":"`+tt.stop+`","stop_sequence":null,"usage":`+anthropicUsage(tt.in, tt.out, true)+`}`)
		})
	}
}

func TestMessagesStream(t *testing.T) {
	url := serve(t, &simulator.Server{Words: 8}) + "/v1/messages"
	for _, tt := range messageCases {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, "POST", url, asAnthropic(), strings.TrimSuffix(tt.request, "}")+`,"stream":true}`)
			if got.status != 200 || got.header.Get("Content-Type") != "text/event-stream; charset=utf-8" || got.header.Get("Request-Id") == "" {
				t.Fatalf("%d %v %s", got.status, got.header, got.body)
			}
			expected := []event{{"message_start", `{"type":"message_start","message":{"id":"*","type":"message","role":"assistant",` +
				`"model":"sim-claude-sonnet","content":[],"container":null,"diagnostics":null,"stop_details":null,"stop_reason":null,"stop_sequence":null,` +
				`"usage":` + anthropicUsage(tt.in, 1, true) + `}}`}}
			block, pieces := `{"type":"text","text":"","citations":null}`, []string{}
			if tt.call == "" {
				for i, word := range strings.Fields(tt.text) {
					if i > 0 {
						word = " " + word
					}
					text, _ := json.Marshal(word)
					pieces = append(pieces, `{"type":"text_delta","text":`+string(text)+`}`)
				}
			} else {
				block = `{"type":"tool_use","id":"*","name":"get_weather","input":{},"caller":{"type":"direct"}}`
				pieces = append(pieces, `{"type":"input_json_delta","partial_json":""}`)
				for i := 0; i < len(tt.call); i += 6 {
					piece, _ := json.Marshal(tt.call[i:min(i+6, len(tt.call))])
					pieces = append(pieces, `{"type":"input_json_delta","partial_json":`+string(piece)+`}`)
				}
			}
			expected = append(expected,
				event{"content_block_start", `{"type":"content_block_start","index":0,"content_block":` + block + `}`},
				event{"ping", `{"type":"ping"}`})
			for _, piece := range pieces {
				expected = append(expected, event{"content_block_delta", `{"type":"content_block_delta","index":0,"delta":` + piece + `}`})
			}
			expected = append(expected,
				event{"content_block_stop", `{"type":"content_block_stop","index":0}`},
				event{"message_delta", `{"type":"message_delta","delta":{"container":null,"stop_details":null,"stop_reason":"` + tt.stop + `","stop_sequence":null},` +
					`"usage":` + anthropicUsage(tt.in, tt.out, false) + `}`},
				event{"message_stop", `{"type":"message_stop"}`})
			list := events(t, got.body)
			if len(list) != len(expected) {
				t.Fatalf("%d events, want %d: %s", len(list), len(expected), got.body)
			}
			for i, e := range expected {
				if list[i].name != e.name {
					t.Fatalf("event %d is %s, want %s", i, list[i].name, e.name)
				}
				want(t, list[i].data, e.data)
			}
		})
	}
}

func TestCountTokens(t *testing.T) {
	url := serve(t, &simulator.Server{Words: 8}) + "/v1/messages/count_tokens"
	for _, tt := range messageCases {
		t.Run(tt.name, func(t *testing.T) {
			request := strings.Replace(tt.request, `"max_tokens":1000,`, "", 1)
			got := do(t, "POST", url, asAnthropic(), request)
			if got.status != 200 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			want(t, got.body, fmt.Sprintf(`{"input_tokens":%d}`, tt.in))
		})
	}
}

func TestMessagesRefusals(t *testing.T) {
	url := serve(t, &simulator.Server{}) + "/v1/messages"
	hi := userSays("hi")
	source := func(source string) string {
		return messageBody(`[{"role":"user","content":[{"type":"image","source":`+source+`}]}]`, "")
	}
	const invalid = "invalid_request_error"
	tests := []struct {
		name, body string
		status     int
		kind, says string
	}{
		{"not JSON", `{"model":`, 400, invalid, "not valid JSON"},
		{"no model", `{"max_tokens":1,"messages":` + hi + `}`, 400, invalid, "model: Field required"},
		{"no max_tokens", `{"model":"sim-claude-haiku","messages":` + hi + `}`, 400, invalid, "max_tokens: Field required"},
		{"zero max_tokens", `{"model":"sim-claude-haiku","max_tokens":0,"messages":` + hi + `}`, 400, invalid, "max_tokens"},
		{"no messages", `{"model":"sim-claude-haiku","max_tokens":1}`, 400, invalid, "messages: Field required"},
		{"empty messages", messageBody(`[]`, ""), 400, invalid, "at least one message"},
		{"messages of a wrong type", messageBody(`"hi"`, ""), 400, invalid, "messages"},
		{"unknown model", `{"model":"claude-9","max_tokens":1,"messages":` + hi + `}`, 404, "not_found_error", "model: claude-9"},
		{"unknown role", messageBody(`[{"role":"king","content":"hi"}]`, ""), 400, invalid, "messages.0.role"},
		{"no content", messageBody(`[{"role":"user"}]`, ""), 400, invalid, "messages.0.content: Field required"},
		{"content of a wrong type", messageBody(`[{"role":"user","content":7}]`, ""), 400, invalid, "messages.0.content"},
		{"block without type", messageBody(`[{"role":"user","content":[{}]}]`, ""), 400, invalid, "messages.0.content.0.type"},
		{"no source", messageBody(`[{"role":"user","content":[{"type":"image"}]}]`, ""), 400, invalid, "image.source: Field required"},
		{"image elsewhere", source(`{"type":"url","url":"https://example.com/a.png"}`), 400, invalid, "base64 images only"},
		{"unknown media type", source(`{"type":"base64","media_type":"text/html","data":"AAAA"}`), 400, invalid, "media_type"},
		{"broken image", source(`{"type":"base64","media_type":"image/png","data":"!"}`), 400, invalid, "Invalid base64"},
		{"nameless tool", messageBody(hi, `,"tools":[{}]`), 400, invalid, "tools.0.name"},
		{"unknown choice", messageBody(hi, `,"tool_choice":{"type":"maybe"}`), 400, invalid, "tool_choice.type"},
		{"choice without tools", messageBody(hi, `,"tool_choice":{"type":"any"}`), 400, invalid, "providing tools"},
		{"unknown tool", messageBody(hi, `,"tool_choice":{"type":"tool","name":"x"},"tools":`+anthropicTools), 400, invalid, "'x' not found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, "POST", url, asAnthropic(), tt.body)
			if got.status != tt.status || got.header.Get("Request-Id") == "" || !strings.Contains(got.body, tt.says) {
				t.Fatalf("%d %v %s", got.status, got.header, got.body)
			}
			want(t, got.body, `{"type":"error","error":{"type":"`+tt.kind+`","message":"*"},"request_id":"`+got.header.Get("Request-Id")+`"}`)
		})
	}
	t.Run("thread", func(t *testing.T) {
		for _, thread := range []string{`{"type":"create"}`, `{"type":"continue","previous_message_id":"msg_1"}`} {
			got := do(t, "POST", url, asAnthropic(), messageBody(hi, `,"thread":`+thread))
			if got.status != 400 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			want(t, got.body, `{"type":"error","error":{"type":"invalid_request_error","message":"*",`+
				`"details":{"error_code":"thread_unsupported_request","unsupported":["thread"]}},"request_id":"*"}`)
		}
	})
	t.Run("no version", func(t *testing.T) {
		got := do(t, "POST", url, http.Header{"X-Api-Key": {key}}, messageBody(hi, ""))
		if got.status != 400 || !strings.Contains(got.body, "anthropic-version: header is required") {
			t.Fatalf("%d %s", got.status, got.body)
		}
	})
}
