package beliefs

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// schema is as much of JSON Schema as the description uses.
type schema struct {
	Properties map[string]schema
	Items      *schema
	Examples   []json.RawMessage
	Ref        string `json:"$ref"`
}

// TestDescription holds the AsyncAPI description to the messages as they are read and
// written, both ways.
func TestDescription(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference/asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Messages map[string]struct{ Payload schema }
			Schemas  map[string]schema
		}
		Operations map[string]struct {
			Messages []schema
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	fromClient := map[string]any{
		"subscribe": scopeOnly{}, "unsubscribe": scopeOnly{}, "extract": extract{}, "record": record{}, "patch": patch{}, "delete": oneBelief{},
		"list": list{}, "history": oneBelief{}, "toggle": toggle{}, "ping": plain{},
	}
	toClient := map[string]any{typeReady: ready{}, typeAck: ack{}, typeError: refusal{}}
	for _, name := range []string{typeUpserted, typeSuperseded, typeDeleted, typeErased, typeStarted, typeFinished, typeFailed, typeResync} {
		toClient[name] = event{}
	}
	same(t, "the messages that are read", slices.Collect(maps.Keys(fromClient)), slices.Collect(maps.Keys(requests)))
	same(t, "the messages", slices.Collect(maps.Keys(doc.Components.Messages)), append(slices.Collect(maps.Keys(fromClient)), slices.Collect(maps.Keys(toClient))...))
	for operation, of := range map[string]map[string]any{"ask": fromClient, "tell": toClient} {
		var listed []string
		for _, m := range doc.Operations[operation].Messages {
			listed = append(listed, strings.TrimPrefix(m.Ref, "#/channels/beliefs/messages/"))
		}
		same(t, operation, listed, slices.Collect(maps.Keys(of)))
		for name, form := range of {
			payload := doc.Components.Messages[name].Payload
			if _, some := form.(event); some { // each has some of the fields
				all := fields(reflect.TypeFor[event]())
				for field := range payload.Properties {
					if all[field] == nil {
						t.Errorf("%s: no event has a %s", name, field)
					}
				}
				continue
			}
			compare(t, name, payload, reflect.TypeOf(form), doc.Components.Schemas)
		}
	}
	for name := range fromClient {
		examples := doc.Components.Messages[name].Payload.Examples
		if len(examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, example := range examples {
			if h, _, err := decode(example); err != nil || h.Type != name || h.ID == "" {
				t.Errorf("%s: %v", example, err)
			}
		}
	}
}

// compare holds the properties of a schema to the fields of a form.
func compare(t *testing.T, where string, s schema, form reflect.Type, shared map[string]schema) {
	t.Helper()
	if s.Ref != "" {
		s = shared[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	for form.Kind() == reflect.Pointer {
		form = form.Elem()
	}
	switch {
	case form.Kind() == reflect.Slice && s.Items != nil:
		compare(t, where, *s.Items, form.Elem(), shared)
	case len(s.Properties) > 0:
		have := fields(form)
		same(t, where, slices.Collect(maps.Keys(s.Properties)), slices.Collect(maps.Keys(have)))
		for name, inner := range s.Properties {
			if have[name] != nil {
				compare(t, where+"."+name, inner, have[name], shared)
			}
		}
	}
}

// fields are the members of a form in JSON.
func fields(form reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(form) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			out[name] = f.Type
		}
	}
	return out
}

func same(t *testing.T, what string, told, is []string) {
	t.Helper()
	slices.Sort(told)
	slices.Sort(is)
	if !slices.Equal(told, is) {
		t.Errorf("%s: described are %v, there are %v", what, told, is)
	}
}

// FuzzMessage reads whatever comes: it is an error, or a message of a known type.
func FuzzMessage(f *testing.F) {
	for name := range requests {
		f.Add([]byte(`{"v":1,"type":"` + name + `","id":"a","scope":"project:a","belief_id":"x","belief":{},"messages":[],"limit":1}`))
		f.Add([]byte(`{"v":1,"type":"` + name + `","id":"a"}`))
	}
	f.Add([]byte(`{"v":1,"type":"record","belief":{"confidence":1e999}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, handle, err := decode(data)
		if (err == nil) != (handle != nil) || err == nil && (h.V != version || requests[h.Type] == nil) || len(h.ID) > maxID {
			t.Errorf("%q: %+v %v", data, h, err)
		}
		_ = encode(refuse(h.ID, err))
	})
}
