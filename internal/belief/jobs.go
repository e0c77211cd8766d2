package belief

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Message is one message of a conversation.
type Message struct {
	Role string `json:"role"` // "user" or "assistant"
	Text string `json:"text"`
}

// Turn is what was said, out of which beliefs are to be drawn.
type Turn struct {
	Request  string // X-Request-Id: the same turn is stored once
	Scope    tenure.BeliefScope
	Messages []Message
	// Address is the client's: a token that is bound to networks asks from there. "" is that
	// of the request that ctx belongs to.
	Address string
}

// sealedTurn is what of a turn is sealed.
type sealedTurn struct {
	Address  string    `json:"address"`
	Messages []Message `json:"messages"`
}

// MaxWaiting is how many turns of one person may wait to have beliefs drawn out of them.
const MaxWaiting = 50

// Extract stores a turn, to have beliefs drawn out of it, as somebody asks whose token may,
// and gives the id of the job. Forbidden: they may not, or extraction is off for them.
// TooMany: too many wait.
func (s *Beliefs) Extract(ctx context.Context, by tenure.Principal, t Turn) (string, error) {
	of, err := whose(by, tenure.ChangeBeliefs)
	if err != nil {
		return "", err
	}
	if by.Kind() != tenure.PAT {
		return "", errTokenOnly
	}
	if by.Standing().Extract.When == tenure.ExtractNever {
		return "", errOff
	}
	if err := t.check(); err != nil {
		return "", err
	}
	return t.Request, s.enqueue(ctx, by, of, t)
}

// errTokenOnly is the answer to a session: it has no workspace whose model could be asked.
var errTokenOnly = &tenure.Error{Kind: tenure.Forbidden, Code: "token_required", Msg: "beliefs are drawn out of what a token sends: a model is asked in its workspace, at its limits"}

// errOff is the answer where extraction is off.
var errOff = &tenure.Error{
	Kind: tenure.Forbidden, Code: "extraction_off",
	Msg: "no beliefs are drawn out here: the organisation's policy, the workspace, you or this token have it off, or the workspace names no model for it",
}

func (t *Turn) check() error {
	if _, err := tenure.ParseBeliefScope(string(t.Scope)); err != nil {
		return err
	}
	size := 0
	for _, m := range t.Messages {
		if m.Role != "user" && m.Role != "assistant" {
			return tenure.InvalidField("messages", "the role %q is none of user and assistant", tenure.Shown(m.Role))
		}
		size += len(m.Text)
	}
	if strings.TrimSpace(t.of("user")) == "" {
		return tenure.InvalidField("messages", "there is no text of a user in them")
	}
	if size > tenure.MaxExtractTurn {
		return &tenure.Error{Kind: tenure.TooLarge, Code: "turn_too_large", Field: "messages", Msg: "the messages are longer than what beliefs are drawn out of"}
	}
	return nil
}

// of is what one side said.
func (t *Turn) of(role string) string {
	var b strings.Builder
	for _, m := range t.Messages {
		if m.Role == role {
			b.WriteString(m.Text + "\n")
		}
	}
	return b.String()
}

func (s *Beliefs) enqueue(ctx context.Context, by tenure.Principal, of store.BeliefFilter, t Turn) error {
	k, err := s.Ring.make(ctx, of.Tenant, of.User)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(sealedTurn{cmp.Or(t.Address, tenure.OriginOf(ctx).Address), t.Messages})
	if err != nil {
		return err
	}
	j := store.BeliefJob{ID: t.Request, Tenant: of.Tenant, User: of.User, Workspace: of.Workspace, Token: by.Token(), Scope: t.Scope, SealedBy: k.row.ID}
	j.Sealed = k.text.Seal(nil, nil, plain, k.job(&j)) //nolint:gosec // NewGCMWithRandomNonce takes no nonce
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.HoldBeliefKey(ctx, k.row); err != nil {
			return gone(err)
		}
		n, err := tx.CountBeliefJobs(ctx, of.Tenant, of.User)
		if err != nil {
			return err
		}
		if n >= MaxWaiting {
			return errWaiting
		}
		_, err = tx.InsertBeliefJob(ctx, j)
		return err
	})
	s.ring()
	return wrap("store a turn", err)
}

// errWaiting is the answer where too many turns wait.
var errWaiting = &tenure.Error{Kind: tenure.TooMany, Code: "too_many_extractions", Msg: "too many of your turns wait to have beliefs drawn out of them: try again later"}

func (k *key) job(j *store.BeliefJob) []byte {
	return bound("turn", k.row.ID, string(j.Tenant), string(j.User), string(j.Workspace), string(j.Token), string(j.Scope), j.ID)
}

// Progress is how far the drawing of beliefs out of a turn is.
type Progress struct {
	ID    string
	Scope tenure.BeliefScope
	State string // store.JobWaiting, …
	Found int    // how many beliefs were kept
	Error string // code of why it failed
}

// Progress reads how far a job of the asker's is. NotFound: they have no such.
func (s *Beliefs) Progress(ctx context.Context, by tenure.Principal, id string) (Progress, error) {
	of, err := whose(by, tenure.ReadBeliefs)
	if err != nil {
		return Progress{}, err
	}
	j, err := s.DB.BeliefJob(ctx, of.Tenant, of.User, id)
	if err != nil || of.Workspace != "" && j.Workspace != of.Workspace {
		return Progress{}, notFound(err)
	}
	return Progress{j.ID, j.Scope, j.State, j.Found, j.Error}, nil
}
