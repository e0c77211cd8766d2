package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Answers remember what requests with an Idempotency-Key were answered. The note
// that a request was carried out is made by its own transaction.
type Answers struct {
	// Find gives what was answered, or NotFound.
	Find func(context.Context, *tenure.Once) (tenure.Answer, error)
	// Keep stores what was answered.
	Keep func(context.Context, *tenure.Once, tenure.Answer) error
}

// The headers of requests that may be repeated.
const (
	keyHeader      = "Idempotency-Key"
	replayedHeader = "Idempotency-Replayed"
	secretHeader   = "Idempotency-Secret" // #nosec G101 -- a header's name
)

const (
	maxKey  = 255
	maxBody = 1 << 20
	// answerTime is how long a request may take from its transaction to its
	// answer, before it counts as broken off.
	answerTime = 30 * time.Second
)

// creates reports whether an operation makes something: then it takes a key.
func creates(op huma.Operation) bool {
	return op.Method == http.MethodPost && (op.DefaultStatus == http.StatusCreated || op.DefaultStatus == http.StatusAccepted)
}

// secretMembers is the key of an operation's Metadata under which it names the
// members of its answer that are shown once.
const secretMembers = "secret members"

// reveals is the Metadata of an operation that creates: which members of its answer
// are secrets. Without it no answer of the operation is kept.
func reveals(members ...string) map[string]any {
	return map[string]any{secretMembers: members}
}

// secretsOf gives what an operation has named; false: it has said nothing.
func secretsOf(op huma.Operation) ([]string, bool) {
	members, said := op.Metadata[secretMembers].([]string)
	return members, said
}

// describeOnce puts the key, and what it answers, into the document.
func describeOnce(op *huma.Operation) {
	length := func(n int) *int { return &n }
	op.Parameters = append(op.Parameters, &huma.Param{
		Name: keyHeader, In: "header", Example: "2f0c1f6e-7f0e-4d6f-9a53-0c6c5d2f3a11",
		Description: "Makes the request safe to repeat for 24 hours: 1 to 255 printable ASCII characters, new for each thing that is made. " +
			"A repetition gets the first answer again, with the header " + replayedHeader + ": true. A secret is shown once: " +
			"then the answer is 200, without the secret, and with the header " + secretHeader + ": omitted.",
		Schema: &huma.Schema{Type: huma.TypeString, MinLength: length(1), MaxLength: length(maxKey), Pattern: `^[\x20-\x7e]+$`},
	})
}

// once serves a request that may be repeated: what was carried out before is
// answered again, to whoever may still do it. So a repetition is judged as if it were
// new, and its transaction is undone.
func (a *API) once(w http.ResponseWriter, r *http.Request, op huma.Operation, serve http.HandlerFunc) error {
	if len(r.Header[keyHeader]) == 0 {
		serve(w, r)
		return web.EventOf(r.Context()).Err
	}
	o, err := onceOf(w, r)
	if err != nil {
		return err
	}
	if before, err := a.Answers.Find(r.Context(), o); err == nil && before.Request != o.Request {
		return errOtherRequest()
	}
	answer := &recorded{ResponseWriter: w, header: http.Header{}, status: http.StatusOK}
	serve(answer, r.WithContext(tenure.WithOnce(r.Context(), o)))
	ev := web.EventOf(r.Context())
	if !o.Noted() && answer.status >= http.StatusBadRequest && !unauthorized(answer.status, ev.Err) {
		// Refused for what it is, or because it was carried out before.
		if done, err := a.repeat(w, r, o); done || err != nil {
			ev.Err = nil
			return err
		}
	}
	if o.Noted() && answer.status < http.StatusBadRequest {
		// What was made stays made, whether its answer can be kept or not.
		if body, status, ok := withoutSecret(answer, op); ok {
			_ = a.Answers.Keep(context.WithoutCancel(r.Context()), o, tenure.Answer{Status: status, Body: body})
		}
	}
	answer.send()
	return ev.Err
}

// unauthorized reports whether whoever asks may not do it, or not there: then they are
// not told what was answered when they might.
func unauthorized(status int, err error) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return err != nil && tenure.AsError(err).Code == "invalid_workspace" // none, or none of theirs
}

// onceOf reads the key and what is asked under it; the body can be read again.
func onceOf(w http.ResponseWriter, r *http.Request) (*tenure.Once, error) {
	key := r.Header[keyHeader]
	if len(key) != 1 || len(key[0]) == 0 || len(key[0]) > maxKey || bytes.ContainsFunc([]byte(key[0]), func(c rune) bool { return c < ' ' || c > '~' }) {
		return nil, wrongKey("the header %s must be there once, with 1 to %d printable ASCII characters", keyHeader, maxKey)
	}
	if tenure.MentionsToken(key[0]) {
		return nil, wrongKey("the header %s must be a random value, not a token", keyHeader)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, &tenure.Error{Kind: tenure.TooLarge, Code: "request_too_large", Msg: fmt.Sprintf("the body could not be read, or is larger than %d bytes", maxBody), Err: err}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	asked := sha256.New()
	_, _ = fmt.Fprintf(asked, "%s %s\n", r.Method, r.URL.RequestURI())
	_, _ = asked.Write(body)
	named := sha256.Sum256([]byte(key[0]))
	p := web.Principal(r.Context())
	return &tenure.Once{Tenant: p.Tenant(), Actor: actor(p), Key: hex.EncodeToString(named[:]), Request: hex.EncodeToString(asked.Sum(nil))}, nil
}

// actor is who asks, by whichever credential.
func actor(p tenure.Principal) string {
	switch {
	case p.User() != "":
		return "user:" + string(p.User())
	case p.Account() != "":
		return "service_account:" + string(p.Account())
	}
	return p.Kind().String() + ":" + string(p.Session())
}

// repeat answers what was carried out before; false: nothing was.
func (a *API) repeat(w http.ResponseWriter, r *http.Request, o *tenure.Once) (bool, error) {
	before, err := a.Answers.Find(r.Context(), o)
	switch {
	case tenure.IsKind(err, tenure.NotFound):
		return false, nil
	case err != nil:
		return false, err
	case before.Request != o.Request:
		return false, errOtherRequest()
	case before.Status == 0 && web.EventOf(r.Context()).Start.Sub(before.At) < answerTime:
		return false, &tenure.Error{
			Kind: tenure.Conflict, Code: "request_in_progress", RetryAfter: time.Second,
			Msg: "the first request with this " + keyHeader + " is still being answered; repeat this one in a moment",
		}
	case before.Status == 0:
		return false, &tenure.Error{
			Kind: tenure.Conflict, Code: "answer_not_kept",
			Msg: "the first request with this " + keyHeader + " was carried out, and its answer was lost; look for what it made in the list",
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set(replayedHeader, "true")
	if before.Status == http.StatusOK { // creations answer 201 or 202
		h.Set(secretHeader, "omitted")
	}
	h.Set("Content-Length", strconv.Itoa(len(before.Body)))
	w.WriteHeader(before.Status)
	_, err = w.Write(before.Body)
	return true, err
}

func errOtherRequest() error {
	return wrongKey("this %s was sent before with another request; take a new one for each thing that is made", keyHeader)
}

func wrongKey(format string, args ...any) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: "invalid_idempotency_key", Field: keyHeader, Msg: fmt.Sprintf(format, args...)}
}

// withoutSecret gives what of an answer may be kept: all but the members that the
// operation has named as secrets, and then it is no longer the answer of a creation
// but that of a look at what was made. What an operation says nothing about, and an
// answer with a token elsewhere, is not kept.
func withoutSecret(answer *recorded, op huma.Operation) (body []byte, status int, ok bool) {
	secrets, said := secretsOf(op)
	var members map[string]json.RawMessage
	if !said || json.Unmarshal(answer.body.Bytes(), &members) != nil {
		return nil, 0, false
	}
	body, status = answer.body.Bytes(), answer.status
	shown := len(members)
	for _, name := range secrets {
		delete(members, name)
	}
	if len(members) < shown {
		rest, err := json.Marshal(members)
		if err != nil {
			return nil, 0, false
		}
		body, status = rest, http.StatusOK
	}
	return body, status, !tenure.HoldsToken(string(body))
}

// recorded is an answer that is held back until it has been kept.
type recorded struct {
	http.ResponseWriter
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *recorded) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorded) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *recorded) Write(b []byte) (int, error) { return w.body.Write(b) }

// Unwrap lets http.ResponseController reach the connection.
func (w *recorded) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorded) send() {
	for name, values := range w.header {
		w.ResponseWriter.Header()[name] = values
	}
	w.ResponseWriter.WriteHeader(w.status)
	_, _ = w.ResponseWriter.Write(w.body.Bytes())
}
