package signin

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/oidc"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Assertions believes what the trusted proxy has signed of a request's person.
type Assertions struct {
	Verifier *oidc.Verifier
	Claim    string // that is the userName
}

// identity gives the name that an assertion is about, and how its person showed the
// proxy who they are; when: where it does not tell (auth_time), when it was issued.
// Unauthenticated: it is not to be believed. Unavailable: the proxy's keys cannot be
// had.
func (a *Assertions) identity(ctx context.Context, raw string) (string, tenure.SignIn, error) {
	t, err := a.Verifier.Assertion(ctx, raw)
	if err == nil {
		var name string
		if name, err = userName(t, a.Claim, true); err == nil {
			at := earlier(cmp.Or(t.AuthTime, t.IssuedAt), a.Verifier.Now())
			return name, tenure.SignIn{ACR: bounded(t.ACR), AMR: methods(t), AuthAt: at}, nil
		}
	}
	if tenure.IsKind(err, tenure.Unavailable) {
		return "", tenure.SignIn{}, err
	}
	return "", tenure.SignIn{}, &tenure.Error{
		Kind: tenure.Unauthenticated, Code: "invalid_assertion",
		Msg: "the proxy's signed assertion is missing something, has expired, or is not for Tenure", Err: err,
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// userName reads the claim that is the userName. An e-mail address must be verified;
// trusted tells that it is enough when nobody says that it is not.
func userName(t oidc.Token, claim string, trusted bool) (string, error) {
	name := t.Text(claim)
	switch {
	case !web.PlainIdentity(name):
		return "", errors.New("the claim " + claim + " is absent or no plain userName of 1 to 255 characters")
	case claim == "email" && (t.Denies("email_verified") || !trusted && !t.Affirms("email_verified")):
		return "", errors.New("the e-mail address is not verified (email_verified)")
	}
	return name, nil
}
