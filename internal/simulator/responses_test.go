package simulator_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure/internal/simulator"
)

// responseBody is a request of the Responses API; more is further fields, each
// led by a comma.
func responseBody(input, more string) string {
	return `{"model":"sim-gpt-4o","input":` + input + more + `}`
}

const responseTools = `[{"type":"web_search"},{"type":"function","name":"get_weather","description":"the weather somewhere","strict":true,"parameters":` + weatherSchema + `}]`

// responseCases are asked whole and streamed.
var responseCases = []struct {
	name    string
	request string
	text    string // of the answer, if it is a text
	call    string // arguments, if it is a call of get_weather
	store   string
	status  string
	in, out int
}{
	{"echo", responseBody(`"hello there"`, ""), "You said: hello there 1 2 3 4", "", "true", "completed", 2, 8},
	{"not stored", responseBody(`"hi"`, `,"store":false`), "You said: hi 1 2 3 4 5", "", "false", "completed", 1, 8},
	{"messages", responseBody(`[{"role":"user","content":"no"},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"well"}]},`+
		`{"type":"message","role":"user","content":[{"type":"input_text","text":"count to 3"}]}]`, ""), "1 2 3", "", "true", "completed", 5, 3},
	{"limit", responseBody(`"count to 300"`, `,"max_output_tokens":3`), "1 2 3", "", "true", "incomplete", 3, 3},
	{
		"image", responseBody(`[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,`+pixel+`"}]}]`, ""),
		"I received 1 image, 68 bytes. You said:", "", "true", "completed", 85, 8,
	},
	{"call", responseBody(`"Weather in San Francisco, please?"`, `,"tools":`+responseTools), "", weatherArguments, "true", "completed", 9, 9},
	{"named", responseBody(`"in San Francisco"`, `,"tool_choice":{"type":"function","name":"get_weather"},"tools":`+responseTools), "", weatherArguments, "true", "completed", 7, 9},
	{"no call", responseBody(`"weather"`, `,"tool_choice":"none","tools":`+responseTools), "You said: weather 1 2 3 4 5", "", "true", "completed", 5, 8},
	{"result", responseBody(`[{"role":"user","content":"weather?"},{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"},`+
		`{"type":"function_call","call_id":"c","name":"get_weather","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"sunny"}]`,
		`,"tools":`+responseTools), "The tool answered: sunny You said: weather? 1", "", "true", "completed", 8, 8},
}

func outputItem(text, call, status string) string {
	if call != "" {
		quoted, _ := json.Marshal(call)
		return `{"id":"*","type":"function_call","status":"` + status + `","call_id":"*","name":"get_weather","arguments":` + string(quoted) + `}`
	}
	return `{"id":"*","type":"message","status":"` + status + `","role":"assistant","content":[` + outputPart(text) + `]}`
}

func outputPart(text string) string {
	return fmt.Sprintf(`{"type":"output_text","text":%q,"annotations":[],"logprobs":[]}`, text)
}

func responseObject(status, store, output, usage string) string {
	details, limit := "null", "null"
	if status == "incomplete" {
		details, limit = `{"reason":"max_output_tokens"}`, "3"
	}
	return `{"id":"*","object":"response","created_at":"*","status":"` + status + `","background":false,"error":null,"incomplete_details":` + details +
		`,"instructions":null,"max_output_tokens":` + limit + `,"model":"sim-gpt-4o","output":[` + output + `],"parallel_tool_calls":true,"previous_response_id":null,` +
		`"store":` + store + `,"temperature":1,"tool_choice":"auto","tools":[],"top_p":1,"truncation":"disabled","usage":` + usage + `,"metadata":{}}`
}

func responseUsage(in, out int) string {
	return fmt.Sprintf(`{"input_tokens":%d,"input_tokens_details":{"cached_tokens":0},"output_tokens":%d,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":%d}`, in, out, in+out)
}

func TestResponses(t *testing.T) {
	url := serve(t, &simulator.Server{Words: 8}) + "/v1/responses"
	for _, tt := range responseCases {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, "POST", url, asOpenAI(), tt.request)
			if got.status != 200 || got.header.Get("Content-Type") != "application/json" {
				t.Fatalf("%d %v %s", got.status, got.header, got.body)
			}
			want(t, got.body, responseObject(tt.status, tt.store, outputItem(tt.text, tt.call, tt.status), responseUsage(tt.in, tt.out)))
		})
	}
}

func TestResponsesStream(t *testing.T) {
	url := serve(t, &simulator.Server{Words: 8}) + "/v1/responses"
	for _, tt := range responseCases {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, "POST", url, asOpenAI(), strings.TrimSuffix(tt.request, "}")+`,"stream":true}`)
			if got.status != 200 || got.header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
				t.Fatalf("%d %v %s", got.status, got.header, got.body)
			}
			list := events(t, got.body)
			var text strings.Builder
			var names []string
			for i, e := range list {
				var data struct {
					Type, Delta    string
					SequenceNumber *int `json:"sequence_number"`
				}
				if err := json.Unmarshal([]byte(e.data), &data); err != nil || data.Type != e.name || data.SequenceNumber == nil || *data.SequenceNumber != i {
					t.Fatalf("event %d: %+v, %v", i, e, err)
				}
				if text.WriteString(data.Delta); len(names) == 0 || names[len(names)-1] != e.name {
					names = append(names, e.name)
				}
			}
			order := "response.created response.in_progress response.output_item.added response.content_part.added response.output_text.delta " +
				"response.output_text.done response.content_part.done response.output_item.done response." + tt.status
			if tt.call != "" {
				order = "response.created response.in_progress response.output_item.added response.function_call_arguments.delta " +
					"response.function_call_arguments.done response.output_item.done response." + tt.status
			}
			if text.String() != tt.text+tt.call || strings.Join(names, " ") != order {
				t.Fatalf("%q by %v", text.String(), names)
			}
			item := outputItem(tt.text, tt.call, tt.status)
			want(t, list[len(list)-2].data, `{"type":"response.output_item.done","sequence_number":"*","output_index":0,"item":`+item+`}`)
			want(t, list[len(list)-1].data, `{"type":"response.`+tt.status+`","sequence_number":"*","response":`+
				responseObject(tt.status, tt.store, item, responseUsage(tt.in, tt.out))+`}`)
			if tt.call == "" {
				want(t, list[4].data, `{"type":"response.output_text.delta","sequence_number":4,"item_id":"*","output_index":0,"content_index":0,"delta":"*","logprobs":[]}`)
				want(t, list[len(list)-3].data, `{"type":"response.content_part.done","sequence_number":"*","item_id":"*","output_index":0,"content_index":0,"part":`+outputPart(tt.text)+`}`)
			}
		})
	}
}

func TestResponsesFailMidway(t *testing.T) {
	url := serve(t, &simulator.Server{Words: 8, Faults: true}) + "/v1/responses"
	list := events(t, do(t, "POST", url, asOpenAI(), responseBody(`"fail midway"`, `,"stream":true`)).body)
	last := list[len(list)-1]
	if last.name != "error" {
		t.Fatalf("the last event is %+v", last)
	}
	want(t, last.data, fmt.Sprintf(`{"type":"error","sequence_number":%d,"code":null,"message":"*","param":null}`, len(list)-1))
}

func TestResponsesRefusals(t *testing.T) {
	url := serve(t, &simulator.Server{}) + "/v1/responses"
	if got := do(t, "POST", url, asOpenAI(), responseBody(`"hi"`, `,"instructions":"Count to 2"`)); !strings.Contains(got.body, `"text":"1 2"`) || !strings.Contains(got.body, `"instructions":"Count to 2"`) {
		t.Errorf("instructions: %d %s", got.status, got.body)
	}
	for body, code := range map[string]string{
		`{"input":"x"}`:                                                   "missing_required_parameter",
		`{"model":"sim-gpt-4o"}`:                                          "missing_required_parameter",
		responseBody(`7`, ""):                                             "invalid_type",
		responseBody(`[{"role":"x","content":""}]`, ""):                   "invalid_value",
		responseBody(`[{"role":"user","content":7}]`, ""):                 "invalid_type",
		responseBody(`[{"role":"user","content":[{"type":"text"}]}]`, ""): "invalid_value",
		responseBody(`"x"`, `,"previous_response_id":"resp_1"`):           "previous_response_not_found",
		responseBody(`"x"`, `,"max_output_tokens":0`):                     "integer_below_min_value",
		responseBody(`"x"`, `,"tool_choice":"must"`):                      "invalid_value",
		responseBody(`"x"`, `,"tools":[{"type":"function"}]`):             "missing_required_parameter",
	} {
		if got := do(t, "POST", url, asOpenAI(), body); got.status != 400 || !strings.Contains(got.body, `"code":"`+code+`"`) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if got := do(t, "POST", url, asOpenAI(), `{"model":"none","input":"x"}`); got.status != 404 || !strings.Contains(got.body, "model_not_found") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := do(t, "POST", url, asOpenAI(), responseBody(`[{"type":"item_reference","id":"msg_1"}]`, "")); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestEmbeddings(t *testing.T) {
	url := serve(t, &simulator.Server{}) + "/v1/embeddings"
	ask := func(more string) (vectors [][]float64, tokens int) {
		t.Helper()
		got := do(t, "POST", url, asOpenAI(), `{"model":"sim-gpt-4o","dimensions":4,`+more+`}`)
		var list struct {
			Object string
			Data   []struct {
				Object    string
				Index     int
				Embedding json.RawMessage
			}
			Usage struct {
				Prompt int `json:"prompt_tokens"`
				Total  int `json:"total_tokens"`
			}
		}
		if err := json.Unmarshal([]byte(got.body), &list); err != nil || got.status != 200 || list.Object != "list" || list.Usage.Prompt != list.Usage.Total {
			t.Fatalf("%d %s (%v)", got.status, got.body, err)
		}
		for i, d := range list.Data {
			var v []float64
			var raw []byte
			if json.Unmarshal(d.Embedding, &v) != nil {
				if err := json.Unmarshal(d.Embedding, &raw); err != nil {
					t.Fatal(err)
				}
				for ; len(raw) > 0; raw = raw[4:] {
					v = append(v, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
				}
			}
			square := 0.0
			for _, x := range v {
				square += x * x
			}
			if d.Object != "embedding" || d.Index != i || len(v) != 4 || math.Abs(square-1) > 1e-5 {
				t.Errorf("%d: %+v", i, d)
			}
			vectors = append(vectors, v)
		}
		return vectors, list.Usage.Total
	}
	one, n := ask(`"input":"hello there"`)
	if len(one) != 1 || n != 2 {
		t.Errorf("%v, %d tokens", one, n)
	}
	several, n := ask(`"input":["hi","hello there"],"encoding_format":"base64"`)
	if len(several) != 2 || n != 3 || fmt.Sprintf("%.5f", several[1]) != fmt.Sprintf("%.5f", one[0]) || several[0][0] == several[1][0] {
		t.Errorf("%v, %d tokens", several, n)
	}
	if v, _ := ask(`"input":[1,2,3]`); len(v) != 1 {
		t.Errorf("tokens of one text: %v", v)
	}
	if v, _ := ask(`"input":[[1,2],[3]]`); len(v) != 2 {
		t.Errorf("tokens of two texts: %v", v)
	}
	for _, body := range []string{
		`{"input":"x"}`, `{"model":"sim-gpt-4o"}`, `{"model":"sim-gpt-4o","input":[]}`, `{"model":"sim-gpt-4o","input":""}`,
		`{"model":"sim-gpt-4o","input":"x","encoding_format":"hex"}`, `{"model":"sim-gpt-4o","input":"x","dimensions":0}`,
	} {
		if got := do(t, "POST", url, asOpenAI(), body); got.status != 400 {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	got := do(t, "POST", url, asOpenAI(), `{"model":"sim-gpt-4o","input":"x"}`)
	if strings.Count(got.body, ",") < 1535 {
		t.Errorf("the vector is too short: %d bytes", len(got.body))
	}
}
