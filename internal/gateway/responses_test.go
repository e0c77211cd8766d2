package gateway

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
)

// asSent is the body that the provider of a request of the Responses API gets,
// under another name of the model.
func asSent(t testing.TB, doc string) (string, error) {
	t.Helper()
	f, err := findModel([]byte(doc))
	if err != nil {
		return "", err
	}
	store, err := forgetful([]byte(doc))
	if err != nil {
		return "", err
	}
	raw := []byte(doc)
	b := &body{buf: &raw}
	b.refs.Store(1)
	e := inOrder(store, splice{from: f.from, to: f.to, text: quote("other")})
	small, _ := io.ReadAll(b.reader(e))
	b.pool = newBodies()
	pooled, _ := io.ReadAll(b.reader(e))
	if !bytes.Equal(small, pooled) || int64(len(small)) != b.size(e) {
		t.Errorf("a small body is sent as %s, a large one as %s, announced are %d bytes", small, pooled, b.size(e))
	}
	return string(small), nil
}

func TestResponsesAreNotStored(t *testing.T) {
	for doc, want := range map[string]string{
		`{"model":"m","input":"x"}`:                 `{"store":false,"model":"other","input":"x"}`,
		" {\n\"input\":\"x\",\"model\":\"m\"}":      " {\"store\":false,\n\"input\":\"x\",\"model\":\"other\"}",
		`{"model":"m","store":false}`:               `{"model":"other","store":false}`,
		`{"store": null , "model":"m"}`:             `{"store": false , "model":"other"}`,
		`{"model":"m","store":null}`:                `{"model":"other","store":false}`,
		`{"metadata":{"store":true},"model":"m"}`:   `{"store":false,"metadata":{"store":true},"model":"other"}`,
		`{"model":"m","background":false}`:          `{"store":false,"model":"other","background":false}`,
		`{"model":"m","previous_response_id":null}`: `{"store":false,"model":"other","previous_response_id":null}`,
	} {
		if got, err := asSent(t, doc); got != want || err != nil {
			t.Errorf("%s is sent as %s, %v", doc, got, err)
		}
	}
}

// What is the caller's own passes, whatever it is called.
func TestResponsesThatStandForThemselves(t *testing.T) {
	for name, member := range map[string]string{
		"text":          `"input":"file_id item_reference"`,
		"messages":      `"input":[{"role":"user","content":"x"},{"type":"message","role":"user","content":[{"type":"input_image","file_id":null,"image_url":"data:x"}]}]`,
		"an answer":     `"input":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"x","annotations":[]}]}]`,
		"a call":        `"input":[{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{\"file_id\":\"x\"}"},{"type":"function_call_output","call_id":"c","output":"x"}]`,
		"reasoning":     `"input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"},{"type":"reasoning","id":"rs_2","summary":[],"content":[{"type":"reasoning_text","text":"x"}]}]`,
		"an image":      `"input":[{"type":"image_generation_call","id":"ig_1","status":"completed","result":"QUJD"}]`,
		"a function":    `"tools":[{"type":"function","name":"f","parameters":{"properties":{"file_id":{"type":"string"},"container":"x","previous_response_id":{}}}}]`,
		"a schema":      `"text":{"format":{"type":"json_schema","name":"x","schema":{"properties":{"vector_store_ids":{"type":"array"}}}}}`,
		"a fresh box":   `"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":[]}}]`,
		"metadata":      `"metadata":{"file_id":"mine"}`,
		"a web search":  `"tools":[{"type":"web_search","filters":{"allowed_domains":["example.com"]}}],"tool_choice":"auto"`,
		"an MCP server": `"tools":[{"type":"mcp","server_label":"x","server_url":"https://example.com","headers":{"file_id":"x"}}]`,
		"nothing":       `"prompt":null,"conversation":null,"tools":null,"input":null`,
	} {
		if _, err := asSent(t, `{"model":"m",`+member+`}`); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestResponsesThatNameWhatIsKept(t *testing.T) {
	for member, field := range map[string]string{
		`"store":true`:                    "store",
		`"store":"false"`:                 "store",
		`"store":0`:                       "store",
		`"store":false,"store":false`:     "store",
		`"store":null,"store":true`:       "store",
		`"Store":false`:                   "store",
		`"st\u006fre":true`:               "store",
		`"background":true`:               "background",
		`"background":"x"`:                "background",
		`"BACKGROUND":true`:               "background",
		`"bac\u212aground":true`:          "background",
		`"\u017ftore":true`:               "store",
		`"conversation":"conv_1"`:         "conversation",
		`"conversation":{"id":"c"}`:       "conversation",
		`"prompt":{"id":"pmpt_1"}`:        "prompt",
		`"previous_response_id":"resp_1"`: "previous_response_id",
		`"previous_response_id":null,"previous_response_id":"resp_1"`:                                     "previous_response_id",
		`"previous_\u0072esponse_id":"resp_1"`:                                                            "previous_response_id",
		`"prompt_cache_options":{"comparison_response_id":"resp_1"}`:                                      "prompt_cache_options.comparison_response_id",
		`"input":[{"type":"item_reference","id":"msg_1"}]`:                                                "input",
		`"input":[{"role":"user","content":"x"},{"id":"msg_1"}]`:                                          "input",
		`"input":[{"id":"msg_1","type":null}]`:                                                            "input",
		`"input":[{"id":"msg_1","type":null,"role":null}]`:                                                "input",
		`"input":[{"type":"message","id":"msg_1","type":"item_reference"}]`:                               "input",
		`"input":[{"TYPE":"item_reference","id":"msg_1"}]`:                                                "input",
		`"input":[{"type":"reasoning","id":"rs_1","summary":[]}]`:                                         "input",
		`"input":[{"type":"reasoning","id":"rs_1","encrypted_content":""}]`:                               "input",
		`"input":[{"type":"image_generation_call","id":"ig_1"}]`:                                          "input",
		`"input":[{"type":"image_generation_call","id":"ig_1","result":null}]`:                            "input",
		`"input":"x","input":[{"type":"item_reference","id":"msg_1"}]`:                                    "input",
		`"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]`:                  "input.file_id",
		`"input":[{"role":"user","content":[{"type":"input_image","file\u005fid":"file-1"}]}]`:            "input.file_id",
		`"input":[{"role":"user","content":[{"type":"input_image","File_ID":"file-1"}]}]`:                 "input.File_ID",
		`"input":[{"type":"computer_call_output","call_id":"c","output":{"file_id":"file-1"}}]`:           "input.file_id",
		`"input":[{"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1","code":"1"}]`:       "input.container_id",
		`"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]`:                                    "tools.vector_store_ids",
		`"tools":[{"type":"code_interpreter","container":"cntr_1"}]`:                                      "tools.container",
		`"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-1"]}}]`:         "tools.file_ids",
		`"tools":[{"type":"shell","environment":{"type":"container_reference","container_id":"cntr_1"}}]`: "tools.container_id",
		`"tools":[{"type":"shell","environment":{"skills":[{"type":"skill_reference","skill_id":"s"}]}}]`: "tools.skill_id",
		`"tools":[{"type":"image_generation","input_image_mask":{"file_id":"file-1"}}]`:                   "tools.file_id",
		`"tools":[{"type":"mcp","server_label":"x","tunnel_id":"t"}]`:                                     "tools.tunnel_id",
	} {
		_, err := asSent(t, `{"model":"m",`+member+`}`)
		e := tenure.AsError(err)
		if err == nil || e.Kind != tenure.Invalid || e.Code != "unsupported_parameter" || !strings.EqualFold(e.Field, field) || !strings.HasPrefix(e.Msg, e.Field) {
			t.Errorf("%s: %v (%q)", member, err, e.Field)
		}
	}
}

// A request that is deep, or long, costs one pass.
func TestDeepResponses(t *testing.T) {
	deep := strings.Repeat(`{"a":[`, 4900) + `"` + strings.Repeat("x", 1<<20) + `",{"file_id":"f"}` + strings.Repeat(`]}`, 4900)
	if _, err := asSent(t, `{"model":"m","input":`+deep+`}`); tenure.AsError(err).Field != "input.file_id" {
		t.Errorf("%v", err)
	}
}

// Whatever passes says "store": false to encoding/json, and is otherwise what
// came.
func FuzzForgetful(f *testing.F) {
	for _, s := range []string{
		`{"model":"a"}`, `{"model":"a","store":null}`, `{"model":"m","input":[{"id":"x","role":"user","content":[{"type":"x","y":{}}]}]}`,
		`{"model":"m","tools":[{"a":[]},[[]],{"container":{"b":1}}]}`, `{"model":"m","\u0073tore":false}`, `{"model":"m","input":[,{"":1}]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		sent, err := asSent(t, doc)
		if err != nil {
			return
		}
		var came, goes map[string]json.RawMessage
		if json.Unmarshal([]byte(doc), &came) != nil {
			return // spelling of literals is the provider's to judge
		}
		var lax struct {
			Store      *bool
			Background bool
			Previous   *string `json:"previous_response_id"`
		}
		if err := json.Unmarshal([]byte(sent), &goes); err != nil {
			t.Fatalf("%q is sent as %q: %v", doc, sent, err)
		}
		_ = json.Unmarshal([]byte(sent), &lax) // which goes on after a member of another type
		if string(goes["store"]) != "false" || lax.Store == nil || *lax.Store || lax.Background || lax.Previous != nil {
			t.Errorf("%q is sent as %q", doc, sent)
		}
		delete(came, "store")
		delete(came, "model")
		for k, v := range came {
			if !bytes.Equal(goes[k], v) {
				t.Errorf("%q of %q is sent as %q", k, doc, goes[k])
			}
		}
	})
}
