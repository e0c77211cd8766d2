package beliefs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
)

// version is that of the messages.
const version = 1

// head is what every message of a client has.
type head struct {
	V    int    `json:"v"`
	Type string `json:"type"`
	ID   string `json:"id"` // of the request; its answer has it
}

// maxID is the longest id of a request, in bytes.
const maxID = 100

// known is the id of a request as it is answered: none, where what was sent is none.
func (h head) known() string {
	if len(h.ID) > maxID || tenure.MentionsToken(h.ID) {
		return ""
	}
	return h.ID
}

// handler does what a message asks for, as somebody.
type handler func(ctx context.Context, s *socket, by tenure.Principal) (ack, error)

// decode reads a message into what it asks for. The head is what could be read of it, also
// beside an error.
func decode(data []byte) (head, handler, error) {
	var h head
	if !utf8.Valid(data) {
		return h, nil, bad("", "it is no UTF-8")
	}
	err := json.Unmarshal(data, &h)
	if h.ID != h.known() {
		h.ID = ""
		return h, nil, bad("id", fmt.Sprintf("an id has at most %d bytes, and no token in it", maxID))
	}
	if err != nil {
		return h, nil, notAsked(err)
	}
	if h.V != version {
		return h, nil, bad("v", fmt.Sprintf("v is %d: the version of the messages", version))
	}
	ask, known := requests[h.Type]
	if !known {
		return h, nil, &tenure.Error{Kind: tenure.Invalid, Code: "unknown_message", Field: "type", Msg: fmt.Sprintf("there is no message of type %q", tenure.Shown(h.Type))}
	}
	handle, err := ask(data)
	return h, handle, err
}

// on reads the messages of one type, strictly, each for its act.
func on[T any](act func(T, context.Context, *socket, tenure.Principal) (ack, error)) func([]byte) (handler, error) {
	return func(data []byte) (handler, error) {
		var in T
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return nil, notAsked(err)
		}
		return func(ctx context.Context, s *socket, by tenure.Principal) (ack, error) { return act(in, ctx, s, by) }, nil
	}
}

// notAsked says what is wrong with a message that is no JSON, or not of its type's form.
func notAsked(err error) error {
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return bad(wrong.Field, fmt.Sprintf("%s is of the wrong type: %s", wrong.Field, tenure.Shown(wrong.Value)))
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return bad("", "it has no field "+tenure.Shown(field))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("", "it ends too early")
	}
	return bad("", "it is no JSON object")
}

func bad(field, why string) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: "invalid_message", Field: field, Msg: "the message is not as it should be: " + why}
}

// The types of what is sent.
const (
	typeReady      = "ready"
	typeAck        = "ack"
	typeError      = "error"
	typeUpserted   = "belief.upserted"
	typeSuperseded = "belief.superseded"
	typeDeleted    = "belief.deleted"
	typeErased     = "beliefs.erased"
	typeStarted    = "extraction.started"
	typeFinished   = "extraction.finished"
	typeFailed     = "extraction.failed"
	typeResync     = "resync"
)

// ack answers a request that was done.
type ack struct {
	V       int                `json:"v"`
	Type    string             `json:"type"`
	Request string             `json:"request"`
	Scope   tenure.BeliefScope `json:"scope,omitempty"`
	Belief  *shown             `json:"belief,omitempty"`
	How     string             `json:"how,omitempty"`
	Before  tenure.BeliefID    `json:"before,omitempty"`
	Beliefs *[]*shown          `json:"beliefs,omitempty"`
	Next    tenure.BeliefID    `json:"next,omitempty"`
	Job     string             `json:"job,omitempty"`
	Extract *extraction        `json:"extraction,omitempty"`
}

// refusal answers a request that was not done.
type refusal struct {
	V       int    `json:"v"`
	Type    string `json:"type"`
	Request string `json:"request,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

func refuse(id string, err error) refusal {
	e := tenure.AsError(err)
	return refusal{version, typeError, id, e.Code, tenure.Redact(e.Msg), e.Field}
}

// event tells of a change.
type event struct {
	V        int                `json:"v"`
	Type     string             `json:"type"`
	Belief   *shown             `json:"belief,omitempty"`
	By       *tenure.BeliefID   `json:"by,omitempty"` // "": nothing took its place
	BeliefID tenure.BeliefID    `json:"belief_id,omitempty"`
	Job      string             `json:"job,omitempty"`
	Scope    tenure.BeliefScope `json:"scope,omitempty"`
	Found    *int               `json:"found,omitempty"`
	Error    string             `json:"error,omitempty"`
}

// ready is the first message on a socket.
type ready struct {
	V       int        `json:"v"`
	Type    string     `json:"type"`
	Extract extraction `json:"extraction"`
	Limits  bounds     `json:"limits"`
}

// extraction is when beliefs are drawn out of turns: as the asker said it, and of a token
// what comes of that with what the tenant, the workspace and the person say.
type extraction struct {
	Said  tenure.Extraction `json:"said"`
	Holds tenure.Extraction `json:"holds,omitempty"`
}

// bounds are what a client may ask of a socket.
type bounds struct {
	Message   int `json:"message_bytes"`
	Turn      int `json:"turn_bytes"`
	PerSecond int `json:"requests_per_second"`
	Burst     int `json:"requests_at_once"`
	Scopes    int `json:"scopes"`
	Page      int `json:"page"`
}

// shown is a belief as it is sent.
type shown struct {
	ID        tenure.BeliefID     `json:"id"`
	Workspace tenure.WorkspaceID  `json:"workspace"`
	Scope     tenure.BeliefScope  `json:"scope"`
	Type      tenure.BeliefType   `json:"type"`
	Status    tenure.BeliefStatus `json:"status"`
	tenure.BeliefText
	Confidence  float64         `json:"confidence"`
	Line        tenure.BeliefID `json:"line"`
	Supersedes  tenure.BeliefID `json:"supersedes,omitempty"`
	Superseded  tenure.BeliefID `json:"superseded_by,omitempty"`
	Contradicts tenure.BeliefID `json:"contradicts,omitempty"`
	Request     string          `json:"request,omitempty"`
	Token       tenure.TokenID  `json:"token,omitempty"`
	Model       string          `json:"model,omitempty"`
	Version     int64           `json:"version"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
}

func show(b tenure.Belief) *shown {
	return &shown{
		b.ID, b.Workspace, b.Scope, b.Type, b.Status, b.BeliefText, b.Confidence, b.Line, b.Supersedes, b.Superseded, b.Contradicts,
		b.From.Request, b.From.Token, b.From.Model, b.Version, b.CreatedAt.UTC(), b.UpdatedAt.UTC(),
	}
}

func showAll(all []tenure.Belief) *[]*shown {
	out := make([]*shown, len(all))
	for i, b := range all {
		out[i] = show(b)
	}
	return &out
}
