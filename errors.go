package tenure

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the kind of an error: few, so that each edge can have one table from
// kind to its protocol's answer.
type Kind uint8

// The kinds of error.
const (
	Internal          Kind = iota // a fault of ours
	Invalid                       // the request is malformed
	Unauthenticated               // no live credential
	Forbidden                     // a live credential that may not
	NotFound                      // no such thing, or not for this principal
	MethodNotAllowed              // a route, but not by this method
	Conflict                      // it clashes with what is there
	Precondition                  // If-Match does not hold
	TooLarge                      // a limit on size
	UnsupportedMedia              // a content type that is not spoken here
	TooMany                       // a limit on rate
	Unavailable                   // cannot know or cannot store now; try again
	BadGateway                    // the provider could not be reached or broke off
	GatewayTimeout                // the provider was too slow
	ClientClosed                  // the caller left
	InsufficientSpace             // no room to store
	TooSlow                       // the request did not arrive in time
	UpgradeRequired               // a route that speaks another protocol than HTTP
)

// Error is an error that an edge can answer with. Msg and Code are for the
// caller; Err is the cause, which is logged and never shown.
type Error struct {
	Kind       Kind
	Code       string        // machine-readable, snake_case; an SCIM edge reads its scimType here
	Msg        string        // what was wrong and what would be right
	Field      string        // the field that was wrong, if one was
	RetryAfter time.Duration // for TooMany and Unavailable; 0: not said
	Err        error
}

// Error gives the message and the cause, for logs.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError finds the Error in err, or wraps err as Internal.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Code: "internal_error", Msg: "internal error", Err: err}
}

// IsKind reports whether err is an Error of that kind.
func IsKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// InvalidField says what is wrong with a field, and what would be right.
func InvalidField(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Code: "invalid_" + field, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// Errors that are the same wherever they arise.
var (
	// ErrInvalidToken tells nothing of why: unknown, malformed, expired and
	// revoked look the same (RFC 6750 §3.1 invalid_token).
	ErrInvalidToken = &Error{
		Kind: Unauthenticated, Code: "invalid_token",
		Msg: "the access token is invalid, expired or revoked",
	}
	// ErrNoCredential is the absence of any credential.
	ErrNoCredential = &Error{
		Kind: Unauthenticated, Code: "missing_credential",
		Msg: "no credential: send a personal access token as \"Authorization: Bearer …\" or sign in",
	}
	// ErrDeactivated is a known person whom the identity provider has deactivated.
	ErrDeactivated = &Error{
		Kind: Forbidden, Code: "account_deactivated",
		Msg: "this account is deactivated; only your organisation's identity provider or an administrator can reactivate it",
	}
	// ErrDeleted is somebody whom the identity provider has deleted.
	ErrDeleted = &Error{
		Kind: Forbidden, Code: "account_deactivated",
		Msg: "this account was deleted by your organisation's identity provider, which must provision it again",
	}
	// ErrForbidden is a live credential that may not do what it asks.
	ErrForbidden = &Error{
		Kind: Forbidden, Code: "insufficient_scope",
		Msg: "this credential may not do that",
	}
	// ErrNotFound says the same of what does not exist and of what is not the asker's.
	ErrNotFound = &Error{Kind: NotFound, Code: "not_found", Msg: "not found"}
	// ErrRevoked is the cause of a request that is cut because its access was revoked.
	ErrRevoked = &Error{
		Kind: Unauthenticated, Code: "access_revoked",
		Msg: "access was revoked while the request was running",
	}
	// ErrCut is the cause of a request that an administrator ends, and nothing else
	// with it.
	ErrCut = &Error{
		Kind: Forbidden, Code: "ended_by_administrator",
		Msg: "an administrator ended this request while it was running; the access token is still good",
	}
	// ErrExpired is the cause of a request that is cut because its token expired.
	ErrExpired = &Error{
		Kind: Unauthenticated, Code: "access_revoked",
		Msg: "the access token expired while the request was running",
	}
	// ErrProviderEnded is the cause of a request that is cut because the exception ended
	// that let its provider be where it is.
	ErrProviderEnded = &Error{
		Kind: BadGateway, Code: "provider_exception_ended",
		Msg: "the exception ended that let the provider be where it is, and with it this request; the access token is still good",
	}
	// ErrStale is the answer of a replica that cannot know whether a credential
	// still holds.
	ErrStale = &Error{
		Kind: Unavailable, Code: "authority_unavailable", RetryAfter: time.Second,
		Msg: "cannot verify access at the moment; try again",
	}
	// ErrShutdown is the cause of a request that is cut because this process ends.
	ErrShutdown = &Error{
		Kind: Unavailable, Code: "shutting_down", RetryAfter: time.Second,
		Msg: "the gateway is shutting down; try again",
	}
)
