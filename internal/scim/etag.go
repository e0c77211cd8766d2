package scim

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
)

// Versions are weak entity tags (RFC 7644 §3.14). That of a group is its row's
// version. That of a person has a digest of their groups after it, since groups
// come and go without a change of the person: W/"3.8a2f01c7". A change that is
// asked for with If-Match compares the row's version only.

func etagOf(version int64, groups []directory.Membership) string {
	s := strconv.FormatInt(version, 10)
	if len(groups) > 0 {
		h := fnv.New32a()
		for _, g := range groups {
			_, _ = h.Write([]byte(string(g.Group) + "\x00" + g.DisplayName + "\x00"))
		}
		s += fmt.Sprintf(".%08x", h.Sum32())
	}
	return `W/"` + s + `"`
}

// tags reads If-Match or If-None-Match.
func tags(header string) []string {
	var out []string
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`); tag != "" {
			out = append(out, tag)
		}
	}
	return out
}

// unchanged answers 304 if the client has this version already.
func unchanged(w http.ResponseWriter, r *http.Request, etag string) bool {
	w.Header().Set("ETag", etag)
	for _, tag := range tags(r.Header.Get("If-None-Match")) {
		if tag == "*" || tag == tags(etag)[0] {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}

// precondition gives the check of If-Match, for a row's version. Precondition:
// the row is not, or no longer, the one that is meant.
func precondition(r *http.Request) func(version int64) error {
	wanted := tags(r.Header.Get("If-Match"))
	return func(version int64) error {
		for _, tag := range wanted {
			tag, _, _ = strings.Cut(tag, ".")
			if tag == "*" || tag == strconv.FormatInt(version, 10) {
				return nil
			}
		}
		if len(r.Header.Values("If-Match")) == 0 {
			return nil
		}
		return &tenure.Error{
			Kind: tenure.Precondition, Field: "If-Match",
			Msg: "If-Match: the resource has changed; its version is " + etagOf(version, nil),
		}
	}
}
