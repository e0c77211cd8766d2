package scim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// contentType of every answer (RFC 7644 §3.1).
const contentType = "application/scim+json"

// scimTypes are the codes of RFC 7644 §3.12, table 9, and those of RFC 9865 §2.2. Whatever else an error's
// code may be, it is not shown.
var scimTypes = []string{
	"invalidFilter", "tooMany", "uniqueness", "mutability", "invalidSyntax",
	"invalidPath", "noTarget", "invalidValue", "invalidVers", "sensitive",
	"invalidCursor", "expiredCursor", "invalidCount",
}

// Fail answers with err in the shape of RFC 7644 §3.12. The status is that of
// the error's kind; the cause is not shown.
func Fail(w http.ResponseWriter, _ *http.Request, err error) {
	e := tenure.AsError(err)
	status := web.Status(e.Kind)
	body := map[string]any{"schemas": []string{errorURN}, "status": strconv.Itoa(status), "detail": tenure.Redact(e.Msg)}
	if slices.Contains(scimTypes, e.Code) {
		body["scimType"] = e.Code
	}
	if e.Kind == tenure.Unauthenticated {
		body["detail"] = "the SCIM bearer token is missing, invalid, expired or revoked: send \"Authorization: Bearer …\""
	}
	web.Challenge(w.Header(), e)
	web.RetryAfter(w.Header(), e)
	web.WriteJSON(w, contentType, status, body)
}

// invalid is a 400 with a scimType of RFC 7644 §3.12. The message names what
// was wrong and what was expected.
func invalid(scimType, field, format string, args ...any) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: scimType, Field: field, Msg: fmt.Sprintf(format, args...)}
}
