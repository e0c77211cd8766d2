package clients

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
)

// opened is a client of somebody who may use what the policy opens.
func (s *openAITests) opened(t *testing.T) (openai.Client, *person) {
	t.Helper()
	s.policy(t, "extra_scopes=responses embeddings")
	p := s.person(t, "responses", "embeddings")
	return s.clientOf(p.token), p
}

func responseTo(text string) responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: chatModel, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(text)}}
}

func (s *openAITests) responses(t *testing.T) {
	client, _ := s.opened(t)
	whole := must[*responses.Response](t)(client.Responses.New(t.Context(), responseTo("count to 300")))
	equal(t, "the answer", whole.OutputText(), counting(300))
	equal(t, "status", whole.Status, responses.ResponseStatusCompleted)
	var sent map[string]any
	all := s.received(t)
	if err := json.Unmarshal([]byte(all[len(all)-1].Body), &sent); err != nil {
		t.Fatal(err)
	}
	equal(t, "store, at the provider,", sent["store"], any(false))

	stream := client.Responses.NewStreaming(t.Context(), responseTo("count to 300"))
	defer stream.Close()
	var text strings.Builder
	last := ""
	for n := int64(0); stream.Next(); n++ {
		e := stream.Current()
		equal(t, "sequence number", e.SequenceNumber, n)
		if last = e.Type; last == "response.output_text.delta" {
			text.WriteString(e.Delta)
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	equal(t, "the stream", text.String(), whole.OutputText())
	equal(t, "the last event", last, "response.completed")

	again := responseTo("and now?")
	again.PreviousResponseID = param.NewOpt(whole.ID)
	_, err := client.Responses.New(t.Context(), again)
	s.fails(t, err, 400, "unsupported_parameter")
	stored := responseTo("keep this")
	stored.Store = openai.Bool(true)
	_, err = client.Responses.New(t.Context(), stored)
	s.fails(t, err, 400, "unsupported_parameter")
}

func (s *openAITests) responsesCut(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			client, p := s.opened(t)
			err := s.endedBy(t, p, way, client.Responses.NewStreaming(t.Context(), responseTo(long)))
			var e *ssestream.StreamError
			if !errors.As(err, &e) {
				t.Fatalf("the error is %v", err)
			}
			contains(t, "the message", e.Error(), "access was revoked while the request was running")
			var event responses.ResponseErrorEvent // as documented
			if err := json.Unmarshal(e.Event.Data, &event); err != nil {
				t.Fatal(err)
			}
			equal(t, "the event", e.Event.Type, "error")
			equal(t, "type", string(event.Type), "error")
			equal(t, "code", event.Code, "access_revoked")
			if event.SequenceNumber < 5 {
				t.Errorf("the event is number %d", event.SequenceNumber)
			}
			_, err = client.Responses.New(t.Context(), responseTo("hello"))
			s.refused(t, err)
		})
	}
}

func (s *openAITests) embeddings(t *testing.T) {
	client, _ := s.opened(t)
	list := must[*openai.CreateEmbeddingResponse](t)(client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: chatModel, Dimensions: openai.Int(64),
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"hello", "hello there"}},
	}))
	equal(t, "vectors", len(list.Data), 2)
	equal(t, "tokens", list.Usage.TotalTokens, 3)
	for _, d := range list.Data {
		square := 0.0
		for _, x := range d.Embedding {
			square += x * x
		}
		if len(d.Embedding) != 64 || math.Abs(square-1) > 1e-5 {
			t.Errorf("vector %d has %d numbers and the square %v", d.Index, len(d.Embedding), square)
		}
	}
}

func (s *openAITests) withoutScope(t *testing.T) {
	_, err := s.client.Responses.New(t.Context(), responseTo("hello"))
	s.fails(t, err, 403, "insufficient_scope")
	stream := s.client.Responses.NewStreaming(t.Context(), responseTo("hello"))
	defer stream.Close()
	if stream.Next() {
		t.Error("a stream without the scope")
	}
	s.fails(t, stream.Err(), 403, "insufficient_scope")
	_, err = s.client.Embeddings.New(t.Context(), openai.EmbeddingNewParams{
		Model: chatModel, Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("hello")},
	})
	s.fails(t, err, 403, "insufficient_scope")
}
