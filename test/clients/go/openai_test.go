package clients

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

const chatModel = "sim-gpt-4o"

type openAITests struct {
	*stand
	ada    *person
	client openai.Client
}

func TestOpenAI(t *testing.T) {
	s := openAITests{stand: start(t)}
	s.ada = s.person(t)
	s.client = s.clientOf(s.ada.token)
	for _, tt := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"chat", s.chat},
		{"stream", s.stream},
		{"tools", s.tools},
		{"image", s.image},
		{"models", s.models},
		{"no such model", s.noSuchModel},
		{"wrong token", s.wrongToken},
		{"revoked in mid-stream", s.revoked},
		{"revoked before the answer", s.revokedBefore},
		{"provider fails", s.providerFails},
		{"client leaves", s.clientLeaves},
		{"what reaches the provider", s.reaches},
		{"responses", s.responses},
		{"responses cut in mid-stream", s.responsesCut},
		{"embeddings", s.embeddings},
		{"without the scope", s.withoutScope},
	} {
		s.untilUpstream(t, 0) // the provider may still be leaving the last one
		t.Run(tt.name, tt.run)
	}
}

func (s *openAITests) clientOf(token string, more ...option.RequestOption) openai.Client {
	return openai.NewClient(append([]option.RequestOption{
		option.WithAPIKey(token), option.WithBaseURL(s.url + "/v1"), option.WithMaxRetries(0),
	}, more...)...)
}

func chatSaying(text string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: chatModel, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(text)}}
}

// fails wants the client's error with a status and a code.
func (s *openAITests) fails(t *testing.T, err error, status int, code string) *openai.Error {
	t.Helper()
	var e *openai.Error
	if !errors.As(err, &e) {
		t.Fatalf("the error is %v", err)
	}
	if e.StatusCode != status || e.Code != code {
		t.Fatalf("the error is %d %s", e.StatusCode, e.RawJSON())
	}
	return e
}

func (s *openAITests) refused(t *testing.T, err error) {
	t.Helper()
	e := s.fails(t, err, 401, "invalid_token")
	equal(t, "type", e.Type, "authentication_error")
	contains(t, "WWW-Authenticate", e.Response.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
}

func (s *openAITests) chat(t *testing.T) {
	answer := must[*openai.ChatCompletion](t)(s.client.Chat.Completions.New(t.Context(), chatSaying("hello there")))
	contains(t, "the answer", answer.Choices[0].Message.Content, "You said: hello there 1 2 3 ")
	equal(t, "finish_reason", answer.Choices[0].FinishReason, "stop")
}

// collect reads a stream to its end.
func collect(st *ssestream.Stream[openai.ChatCompletionChunk]) (acc openai.ChatCompletionAccumulator, chunks []openai.ChatCompletionChunk, err error) {
	defer st.Close()
	for st.Next() {
		chunks = append(chunks, st.Current())
		if !acc.AddChunk(st.Current()) {
			return acc, chunks, errors.New("a chunk does not fit the ones before")
		}
	}
	return acc, chunks, st.Err()
}

func (s *openAITests) stream(t *testing.T) {
	ask := chatSaying("count to 300")
	whole := must[*openai.ChatCompletion](t)(s.client.Chat.Completions.New(t.Context(), ask))
	ask.StreamOptions.IncludeUsage = openai.Bool(true)
	acc, chunks, err := collect(s.client.Chat.Completions.NewStreaming(t.Context(), ask))
	if err != nil {
		t.Fatal(err)
	}
	words := 0
	for _, c := range chunks {
		if len(c.Choices) > 0 && c.Choices[0].Delta.Content != "" {
			words++
		}
	}
	equal(t, "the number of chunks with text", words, 300)
	equal(t, "the text", acc.Choices[0].Message.Content, counting(300))
	equal(t, "the text", acc.Choices[0].Message.Content, whole.Choices[0].Message.Content)
	last := chunks[len(chunks)-1]
	equal(t, "the number of choices of the usage chunk", len(last.Choices), 0)
	equal(t, "the usage", last.Usage.RawJSON(), whole.Usage.RawJSON())
}

func (s *openAITests) tools(t *testing.T) {
	ask := chatSaying("What is the weather in Lisbon?")
	ask.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
		Name: "get_weather",
		Parameters: openai.FunctionParameters{
			"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"},
		},
	})}
	trip := func(complete func(*testing.T, openai.ChatCompletionNewParams) openai.ChatCompletionChoice) func(*testing.T) {
		return func(t *testing.T) {
			choice := complete(t, ask)
			if choice.FinishReason != "tool_calls" || len(choice.Message.ToolCalls) != 1 {
				t.Fatalf("no tool call: %+v", choice)
			}
			call := choice.Message.ToolCalls[0]
			equal(t, "the tool", call.Function.Name, "get_weather")
			var arguments struct{ City string }
			if err := json.Unmarshal([]byte(call.Function.Arguments), &arguments); err != nil {
				t.Fatal(err)
			}
			equal(t, "the city", arguments.City, "Lisbon")
			next := ask
			next.Messages = append(slices.Clone(ask.Messages), choice.Message.ToParam(), openai.ToolMessage("21 degrees and sunny", call.ID))
			contains(t, "the answer", complete(t, next).Message.Content, "The tool answered: 21 degrees and sunny ")
		}
	}
	t.Run("at once", trip(func(t *testing.T, body openai.ChatCompletionNewParams) openai.ChatCompletionChoice {
		return must[*openai.ChatCompletion](t)(s.client.Chat.Completions.New(t.Context(), body)).Choices[0]
	}))
	t.Run("streamed", trip(func(t *testing.T, body openai.ChatCompletionNewParams) openai.ChatCompletionChoice {
		acc, _, err := collect(s.client.Chat.Completions.NewStreaming(t.Context(), body))
		if err != nil {
			t.Fatal(err)
		}
		return acc.Choices[0]
	}))
}

func (s *openAITests) image(t *testing.T) {
	ask := chatSaying("")
	ask.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{
		openai.TextContentPart("What is it?"),
		openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{
			URL: "data:image/png;base64," + base64.StdEncoding.EncodeToString(image()),
		}),
	})}
	answer := must[*openai.ChatCompletion](t)(s.client.Chat.Completions.New(t.Context(), ask))
	contains(t, "the answer", answer.Choices[0].Message.Content, "I received 1 image, 200000 bytes.")
}

func (s *openAITests) models(t *testing.T) {
	var ids []string
	list := s.client.Models.ListAutoPaging(t.Context())
	for list.Next() {
		ids = append(ids, list.Current().ID)
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	slices.Sort(ids)
	equal(t, "the list", strings.Join(ids, " "), "sim-gpt-4o sim-gpt-4o-mini")
	equal(t, "the model", must[*openai.Model](t)(s.client.Models.Get(t.Context(), chatModel)).ID, chatModel)
}

func (s *openAITests) noSuchModel(t *testing.T) {
	_, err := s.client.Models.Get(t.Context(), "no-such-model")
	s.fails(t, err, 404, "model_not_found")
	ask := chatSaying("hello")
	ask.Model = "no-such-model"
	_, err = s.client.Chat.Completions.New(t.Context(), ask)
	s.fails(t, err, 404, "model_not_found")
}

func (s *openAITests) wrongToken(t *testing.T) {
	for name, token := range s.wrongTokens(s.ada) {
		t.Run(name, func(t *testing.T) {
			client := s.clientOf(token)
			_, err := client.Chat.Completions.New(t.Context(), chatSaying("hello"))
			s.refused(t, err)
			_, _, err = collect(client.Chat.Completions.NewStreaming(t.Context(), chatSaying("hello")))
			s.refused(t, err)
			_, err = client.Models.List(t.Context())
			s.refused(t, err)
		})
	}
}

func (s *openAITests) revoked(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			p := s.person(t)
			client := s.clientOf(p.token)
			err := s.endedBy(t, p, way, client.Chat.Completions.NewStreaming(t.Context(), chatSaying(long)))
			// The status line is out by then: the client has an error of its own
			// for that, which holds the event.
			var e *ssestream.StreamError
			if !errors.As(err, &e) {
				t.Fatalf("the error is %v", err)
			}
			contains(t, "the message", e.Error(), "access was revoked while the request was running")
			var event struct {
				Error struct{ Code, Type string }
			}
			if err := json.Unmarshal(e.Event.Data, &event); err != nil {
				t.Fatal(err)
			}
			equal(t, "code", event.Error.Code, "access_revoked")
			equal(t, "type", event.Error.Type, "authentication_error")

			_, err = client.Chat.Completions.New(t.Context(), chatSaying("hello"))
			s.refused(t, err)
		})
	}
}

func (s *openAITests) revokedBefore(t *testing.T) {
	p := s.person(t)
	client, ended := s.clientOf(p.token), make(chan error, 1)
	go func() {
		_, err := client.Chat.Completions.New(t.Context(), chatSaying(long))
		ended <- err
	}()
	s.untilUpstream(t, 1)
	if err := ways["revoke"](p); err != nil {
		t.Fatal(err)
	}
	s.fails(t, <-ended, 401, "access_revoked")
	s.untilUpstream(t, 0)
}

func (s *openAITests) providerFails(t *testing.T) {
	_, err := s.client.Chat.Completions.New(t.Context(), chatSaying("fail 429"))
	e := s.fails(t, err, 429, "rate_limit_exceeded")
	equal(t, "Retry-After", e.Response.Header.Get("Retry-After"), "1")

	_, err = s.client.Chat.Completions.New(t.Context(), chatSaying("echo key"))
	e = s.fails(t, err, 500, "")
	contains(t, "the message", e.Message, "The request made with the key [redacted]")
	if strings.Contains(e.RawJSON()+string(e.DumpResponse(true)), s.providerKey) {
		t.Error("the error holds the provider's key")
	}

	_, err = s.client.Chat.Completions.New(t.Context(), chatSaying("fail 401"))
	s.fails(t, err, 502, "provider_refused_key")

	_, _, err = collect(s.client.Chat.Completions.NewStreaming(t.Context(), chatSaying("count to 20 truncate")))
	if err == nil {
		t.Fatal("a stream that the provider broke off looks complete")
	}
	contains(t, "the error", err.Error(), "provider_interrupted")
}

func (s *openAITests) clientLeaves(t *testing.T) {
	for name, call := range map[string]func(context.Context) error{
		"in mid-stream": func(ctx context.Context) error {
			_, _, err := collect(s.client.Chat.Completions.NewStreaming(ctx, chatSaying(long)))
			return err
		},
		"before the answer": func(ctx context.Context) error {
			_, err := s.client.Chat.Completions.New(ctx, chatSaying(long))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.leaves(t, call); !errors.Is(err, context.Canceled) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func (s *openAITests) reaches(t *testing.T) {
	options := []option.RequestOption{
		option.WithOrganization("org-of-the-caller"), option.WithProject("proj-of-the-caller"), option.WithQuery("q", "query-of-the-caller"),
	}
	for name, value := range callersHeaders(s.ada) {
		options = append(options, option.WithHeader(name, value))
	}
	client := s.clientOf(s.ada.token, options...)
	must[*openai.ChatCompletion](t)(client.Chat.Completions.New(t.Context(), chatSaying("what do you see?")))

	got, values := s.lastReceived(t, "Authorization", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Content-Length")
	equal(t, "Authorization", values[0], "Bearer "+s.providerKey)
	contains(t, "User-Agent", values[1], "OpenAI/Go")
	equal(t, "Accept-Encoding", values[3], "identity")
	s.nothingOfTheCallers(t, got)
	s.noTokenReceived(t)
}
