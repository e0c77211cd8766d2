package clients

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/ssestream"
	"github.com/anthropics/anthropic-sdk-go/toolrunner"
)

const messageModel = "sim-claude-sonnet"

type anthropicTests struct {
	*stand
	ada    *person
	client anthropic.Client // the token as x-api-key
}

func TestAnthropic(t *testing.T) {
	s := anthropicTests{stand: start(t)}
	s.ada = s.person(t)
	s.client = s.clientOf(option.WithAPIKey(s.ada.token))
	for _, tt := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"message", s.message},
		{"message with the token as bearer", s.bearer},
		{"stream", s.stream},
		{"tools", s.tools},
		{"tools run by the client", s.toolRunner},
		{"image", s.image},
		{"tokens counted", s.countTokens},
		{"models", s.models},
		{"no such model", s.noSuchModel},
		{"wrong token", s.wrongToken},
		{"revoked in mid-stream", s.revoked},
		{"revoked before the answer", s.revokedBefore},
		{"provider fails", s.providerFails},
		{"client leaves", s.clientLeaves},
		{"what reaches the provider", s.reaches},
	} {
		s.untilUpstream(t, 0) // the provider may still be leaving the last one
		t.Run(tt.name, tt.run)
	}
}

func (s *anthropicTests) clientOf(more ...option.RequestOption) anthropic.Client {
	return anthropic.NewClient(append([]option.RequestOption{
		option.WithoutEnvironmentDefaults(), option.WithBaseURL(s.url), option.WithMaxRetries(0),
	}, more...)...)
}

func messageSaying(text string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model: messageModel, MaxTokens: 1000,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(text))},
	}
}

// fails wants the client's error with a status, a type and our code.
func (s *anthropicTests) fails(t *testing.T, err error, status int, kind anthropic.ErrorType, code string) *anthropic.Error {
	t.Helper()
	var e *anthropic.Error
	if !errors.As(err, &e) {
		t.Fatalf("the error is %v", err)
	}
	var body struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(e.RawJSON()), &body); err != nil {
		t.Fatalf("%s: %v", e.RawJSON(), err)
	}
	if e.StatusCode != status || e.Type() != kind || body.Error.Code != code {
		t.Fatalf("the error is %d %s", e.StatusCode, e.RawJSON())
	}
	return e
}

func (s *anthropicTests) refused(t *testing.T, err error) {
	t.Helper()
	e := s.fails(t, err, 401, anthropic.ErrorTypeAuthenticationError, "invalid_token")
	contains(t, "WWW-Authenticate", e.Response.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
}

func (s *anthropicTests) message(t *testing.T) {
	answer := must[*anthropic.Message](t)(s.client.Messages.New(t.Context(), messageSaying("hello there")))
	contains(t, "the answer", answer.Content[0].Text, "You said: hello there 1 2 3 ")
	equal(t, "stop_reason", answer.StopReason, anthropic.StopReasonEndTurn)
}

func (s *anthropicTests) bearer(t *testing.T) {
	client := s.clientOf(option.WithAuthToken(s.ada.token))
	answer := must[*anthropic.Message](t)(client.Messages.New(t.Context(), messageSaying("hello there")))
	contains(t, "the answer", answer.Content[0].Text, "You said: hello there 1 2 3 ")
}

// gather reads a stream to its end.
func gather(st *ssestream.Stream[anthropic.MessageStreamEventUnion]) (m anthropic.Message, events []anthropic.MessageStreamEventUnion, err error) {
	defer st.Close()
	for st.Next() {
		events = append(events, st.Current())
		if err := m.Accumulate(st.Current()); err != nil {
			return m, events, err
		}
	}
	return m, events, st.Err()
}

func (s *anthropicTests) stream(t *testing.T) {
	whole := must[*anthropic.Message](t)(s.client.Messages.New(t.Context(), messageSaying("count to 300")))
	m, events, err := gather(s.client.Messages.NewStreaming(t.Context(), messageSaying("count to 300")))
	if err != nil {
		t.Fatal(err)
	}
	words := 0
	for _, e := range events {
		if e.Type == "content_block_delta" {
			words++
		}
	}
	equal(t, "the number of deltas", words, 300)
	equal(t, "the last event", events[len(events)-1].Type, "message_stop")
	equal(t, "the text", m.Content[0].Text, counting(300))
	equal(t, "the text", m.Content[0].Text, whole.Content[0].Text)
	equal(t, "the output tokens", m.Usage.OutputTokens, whole.Usage.OutputTokens)
	equal(t, "stop_reason", m.StopReason, whole.StopReason)
}

func (s *anthropicTests) tools(t *testing.T) {
	ask := messageSaying("What is the weather in Lisbon?")
	ask.Tools = []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{
		Properties: map[string]any{"city": map[string]any{"type": "string"}}, Required: []string{"city"},
	}, "get_weather")}
	trip := func(complete func(*testing.T, anthropic.MessageNewParams) anthropic.Message) func(*testing.T) {
		return func(t *testing.T) {
			m := complete(t, ask)
			if m.StopReason != anthropic.StopReasonToolUse || len(m.Content) != 1 {
				t.Fatalf("no tool call: %s", m.RawJSON())
			}
			call := m.Content[0].AsToolUse()
			equal(t, "the tool", call.Name, "get_weather")
			var input struct{ City string }
			if err := json.Unmarshal(call.Input, &input); err != nil {
				t.Fatal(err)
			}
			equal(t, "the city", input.City, "Lisbon")
			next := ask
			next.Messages = append(slices.Clone(ask.Messages), m.ToParam(),
				anthropic.NewUserMessage(anthropic.NewToolResultBlock(call.ID, "21 degrees and sunny", false)))
			contains(t, "the answer", complete(t, next).Content[0].Text, "The tool answered: 21 degrees and sunny ")
		}
	}
	t.Run("at once", trip(func(t *testing.T, body anthropic.MessageNewParams) anthropic.Message {
		return *must[*anthropic.Message](t)(s.client.Messages.New(t.Context(), body))
	}))
	t.Run("streamed", trip(func(t *testing.T, body anthropic.MessageNewParams) anthropic.Message {
		m, _, err := gather(s.client.Messages.NewStreaming(t.Context(), body))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}))
}

// toolRunner also shows the beta routes, which this client asks for by query.
func (s *anthropicTests) toolRunner(t *testing.T) {
	type weather struct {
		City string `json:"city" jsonschema:"required"`
	}
	var asked []string
	tool, err := toolrunner.NewBetaToolFromJSONSchema("get_weather", "The weather at a place",
		func(_ context.Context, in weather) (anthropic.BetaToolResultBlockParamContentUnion, error) {
			asked = append(asked, in.City)
			return anthropic.BetaToolResultBlockParamContentUnion{OfText: &anthropic.BetaTextBlockParam{Text: "rain"}}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.client.Beta.Messages.NewToolRunner([]anthropic.BetaTool{tool}, anthropic.BetaToolRunnerParams{
		BetaMessageNewParams: anthropic.BetaMessageNewParams{
			Model: messageModel, MaxTokens: 1000, Betas: []anthropic.AnthropicBeta{"a-beta-2026-01-01"},
			Messages: []anthropic.BetaMessageParam{anthropic.NewBetaUserMessage(anthropic.NewBetaTextBlock("What is the weather in Lisbon?"))},
		},
	}).RunToCompletion(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "the answer", answer.Content[0].Text, "The tool answered: rain ")
	equal(t, "the city", strings.Join(asked, " "), "Lisbon")
	got, values := s.lastReceived(t, "Anthropic-Beta")
	equal(t, "Anthropic-Beta", values[0], "a-beta-2026-01-01")
	equal(t, "the query", got.Query, "beta=true")
}

func (s *anthropicTests) image(t *testing.T) {
	ask := messageSaying("")
	ask.Messages = []anthropic.MessageParam{anthropic.NewUserMessage(
		anthropic.NewImageBlockBase64("image/png", base64.StdEncoding.EncodeToString(image())),
		anthropic.NewTextBlock("What is it?"),
	)}
	answer := must[*anthropic.Message](t)(s.client.Messages.New(t.Context(), ask))
	contains(t, "the answer", answer.Content[0].Text, "I received 1 image, 200000 bytes.")
}

func (s *anthropicTests) countTokens(t *testing.T) {
	count := must[*anthropic.MessageTokensCount](t)(s.client.Messages.CountTokens(t.Context(), anthropic.MessageCountTokensParams{
		Model: messageModel, Messages: messageSaying("one two three").Messages,
	}))
	equal(t, "the count", count.InputTokens, 3)
}

func (s *anthropicTests) models(t *testing.T) {
	var ids []string
	list := s.client.Models.ListAutoPaging(t.Context(), anthropic.ModelListParams{})
	for list.Next() {
		ids = append(ids, list.Current().ID)
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	slices.Sort(ids)
	equal(t, "the list", strings.Join(ids, " "), "sim-claude-haiku sim-claude-sonnet")
	one := must[*anthropic.ModelInfo](t)(s.client.Models.Get(t.Context(), messageModel, anthropic.ModelGetParams{}))
	equal(t, "the model", one.ID, messageModel)
	equal(t, "its name", one.DisplayName, "Sim Claude Sonnet")
}

func (s *anthropicTests) noSuchModel(t *testing.T) {
	_, err := s.client.Models.Get(t.Context(), "no-such-model", anthropic.ModelGetParams{})
	s.fails(t, err, 404, anthropic.ErrorTypeNotFoundError, "model_not_found")
	ask := messageSaying("hello")
	ask.Model = "no-such-model"
	_, err = s.client.Messages.New(t.Context(), ask)
	s.fails(t, err, 404, anthropic.ErrorTypeNotFoundError, "model_not_found")
}

func (s *anthropicTests) wrongToken(t *testing.T) {
	for name, token := range s.wrongTokens(s.ada) {
		for header, credential := range map[string]option.RequestOption{
			"x-api-key": option.WithAPIKey(token), "authorization": option.WithAuthToken(token),
		} {
			t.Run(name+" in "+header, func(t *testing.T) {
				client := s.clientOf(credential)
				_, err := client.Messages.New(t.Context(), messageSaying("hello"))
				s.refused(t, err)
				_, _, err = gather(client.Messages.NewStreaming(t.Context(), messageSaying("hello")))
				s.refused(t, err)
				_, err = client.Models.List(t.Context(), anthropic.ModelListParams{})
				s.refused(t, err)
			})
		}
	}
}

func (s *anthropicTests) revoked(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			p := s.person(t)
			client := s.clientOf(option.WithAPIKey(p.token))
			err := s.endedBy(t, p, way, client.Messages.NewStreaming(t.Context(), messageSaying(long)))
			// The status line was out by then: the error has the status of a
			// success, and the type and the message tell.
			s.fails(t, err, 200, anthropic.ErrorTypeAuthenticationError, "access_revoked")
			contains(t, "the message", err.Error(), "access was revoked while the request was running")

			_, err = client.Messages.New(t.Context(), messageSaying("hello"))
			s.refused(t, err)
		})
	}
}

func (s *anthropicTests) revokedBefore(t *testing.T) {
	p := s.person(t)
	client, ended := s.clientOf(option.WithAPIKey(p.token)), make(chan error, 1)
	go func() {
		_, err := client.Messages.New(t.Context(), messageSaying(long))
		ended <- err
	}()
	s.untilUpstream(t, 1)
	if err := ways["revoke"](p); err != nil {
		t.Fatal(err)
	}
	s.fails(t, <-ended, 401, anthropic.ErrorTypeAuthenticationError, "access_revoked")
	s.untilUpstream(t, 0)
}

func (s *anthropicTests) providerFails(t *testing.T) {
	_, err := s.client.Messages.New(t.Context(), messageSaying("fail 429"))
	e := s.fails(t, err, 429, anthropic.ErrorTypeRateLimitError, "")
	equal(t, "Retry-After", e.Response.Header.Get("Retry-After"), "1")

	_, err = s.client.Messages.New(t.Context(), messageSaying("echo key"))
	e = s.fails(t, err, 500, anthropic.ErrorTypeAPIError, "")
	contains(t, "the error", e.Error(), "The request made with the key [redacted]")
	if strings.Contains(e.Error()+string(e.DumpResponse(true)), s.providerKey) {
		t.Error("the error holds the provider's key")
	}

	_, err = s.client.Messages.New(t.Context(), messageSaying("fail 401"))
	s.fails(t, err, 502, anthropic.ErrorTypeAPIError, "provider_refused_key")

	_, _, err = gather(s.client.Messages.NewStreaming(t.Context(), messageSaying("count to 20 truncate")))
	s.fails(t, err, 200, anthropic.ErrorTypeAPIError, "provider_interrupted")
}

func (s *anthropicTests) clientLeaves(t *testing.T) {
	for name, call := range map[string]func(context.Context) error{
		"in mid-stream": func(ctx context.Context) error {
			_, _, err := gather(s.client.Messages.NewStreaming(ctx, messageSaying(long)))
			return err
		},
		"before the answer": func(ctx context.Context) error {
			_, err := s.client.Messages.New(ctx, messageSaying(long))
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

func (s *anthropicTests) reaches(t *testing.T) {
	for header, credential := range map[string]option.RequestOption{
		"x-api-key": option.WithAPIKey(s.ada.token), "authorization": option.WithAuthToken(s.ada.token),
	} {
		t.Run("the token in "+header, func(t *testing.T) {
			options := []option.RequestOption{credential, option.WithQuery("q", "query-of-the-caller")}
			for name, value := range callersHeaders(s.ada) {
				options = append(options, option.WithHeader(name, value))
			}
			client := s.clientOf(options...)
			must[*anthropic.Message](t)(client.Messages.New(t.Context(), messageSaying("what do you see?")))

			got, values := s.lastReceived(t, "X-Api-Key", "User-Agent", "Anthropic-Version",
				"Accept", "Accept-Encoding", "Content-Type", "Content-Length")
			equal(t, "X-Api-Key", values[0], s.providerKey)
			contains(t, "User-Agent", values[1], "Anthropic/Go")
			equal(t, "Accept-Encoding", values[4], "identity")
			s.nothingOfTheCallers(t, got)
		})
	}
	s.noTokenReceived(t)
}
