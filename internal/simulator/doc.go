// Package simulator is a model provider made of paper: one http.Handler that
// speaks the published wire formats of OpenAI (chat completions, responses,
// embeddings, models) and
// Anthropic (messages, count_tokens, models) exactly enough for their own
// clients, and answers by rule instead of by model. The demo, the tests with
// real clients and the benchmarks use it as their upstream.
//
// It owns the two wire formats as a provider would produce them, the rule that
// makes an answer, and the count of requests it is serving. It does not own
// anything of Tenure: it imports no other room, knows no tenant and no token,
// opens no connection and keeps nothing. It does not simulate sampling
// parameters, stop sequences, extended thinking, audio or files: those fields are
// accepted and change nothing. What a provider would have to remember it refuses: message threads with thread_unsupported_request, earlier
// responses with previous_response_not_found. A response says in "store" what was
// asked for, and is not kept.
//
// # Answers
//
// An answer is a list of words, one word a streamed chunk, and the same request
// always gets the same words, streamed or not:
//
//   - "You said: " and the last user message, cut at Server.Words words, then
//     the numbers 1, 2, 3 … until the answer is Server.Words words long;
//   - if the request carries images, first "I received 2 images, 5678 bytes.";
//   - if the last message carries tool results, first "The tool answered: " and
//     each of them whole; such a request never gets a tool call;
//   - if the request has tools and either tool_choice forces one or the last
//     message is the user's and contains "weather", a tool call instead: the
//     tool that tool_choice names, else the first whose name contains
//     "weather", else the first. Its arguments are made from its schema; a
//     string called location, city or place is what follows "in" in the
//     message, or Paris.
//
// A request for structured output (response_format with a json_schema, or a forced tool)
// gets a document that fits the schema. Where that has a list of "beliefs", the list has
// one for each line of the user message of the form
//
//	remember TYPE NAME: CONTENT
//
// in the scope that a line "scope: X" names, if there is one. JSON in the message is read
// as the lines that are in its strings.
//
// max_tokens (and max_completion_tokens) cut the words, never a tool call or a document.
//
// A token is a word: what white space separates. The input counts the words of
// every message, of system text, of the name and description of every tool, of
// earlier tool calls, and 85 for every image. The output counts the words of the
// answer; a tool call counts one and the pieces its arguments are streamed in.
//
// An embedding is a vector that depends on the text alone; every model makes them.
//
// # Directives
//
// Whoever writes the last user message, or system text, steers the answer with
// words a person can type. Case and punctuation around a word do not matter,
// the first of a kind wins, and the user message wins over system text.
//
//	count to 300   the answer is the numbers 1 to 300 (at most 100000)
//	slowly         one word every 250 ms
//	every 40ms     one word every 40 ms (a Go duration, at most 1m)
//
// The pace holds for answers that are not streamed too: they take as long as
// the stream would.
//
// These are read only when Server.Faults is set:
//
//	fail 500       that status (400 to 599) in the protocol's error shape; 429
//	               with Retry-After: 1, 529 is Anthropic's overloaded_error
//	fail midway    half of the stream, then an error event; 500 if not streamed
//	hang           no answer, not even a header, until the client leaves
//	hang midway    half of the stream, then silence until the client leaves
//	truncate       half of the answer, then the connection is closed
//	echo key       500 with the received provider key in its message
//	redirect       307 to http://169.254.169.254/
//
// And these models, which no list has, answer requests for structured output with
//
//	sim-beliefs-garbage   what is not JSON; of a tool, what is no object
//	sim-beliefs-many      1,000 beliefs
//	sim-beliefs-huge      a megabyte of them
//	sim-beliefs-late      nothing, until the client leaves
//	sim-beliefs-scope     beliefs of user:universal, whatever was asked for
//	sim-beliefs-user      beliefs of user:bob
//	sim-beliefs-type      beliefs of the type "order"
package simulator
