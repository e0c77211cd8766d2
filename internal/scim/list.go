package scim

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Sizes of a page.
const (
	defaultCount = 100
	maxCount     = 200
)

// listUsers answers GET /Users (RFC 7644 §3.4.2).
func (s *SCIM) listUsers(w http.ResponseWriter, r *http.Request) error {
	query, err := queryOf(r)
	if err != nil {
		return err
	}
	start, count, err := pageOf(query)
	if err != nil {
		return err
	}
	choice, err := chooseUsers(query)
	if err != nil {
		return err
	}
	users, total, err := s.chosen(r.Context(), choice, start, count)
	if err != nil {
		return err
	}
	v, resources := viewOf(&userType, r), make([]any, len(users))
	for i, u := range users {
		resources[i] = v.of(s.represent(r, u))
	}
	writeList(w, resources, total, start)
	return nil
}

// writeList answers with a part of a list that has total entries and begins with
// the one of number start (RFC 7644 §3.4.2).
func writeList(w http.ResponseWriter, resources []any, total, start int) {
	web.WriteJSON(w, contentType, http.StatusOK, map[string]any{
		"schemas": []string{listURN}, "totalResults": total, "startIndex": start,
		"itemsPerPage": len(resources), "Resources": resources,
	})
}

// queryOf reads the query string. A parameter that cannot be read may have been
// the filter: whoever loses it would take the first person listed for the one
// who was asked for.
func queryOf(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("invalidSyntax", "", "the query string: expected name=value pairs in percent encoding")
	}
	return query, nil
}

// pageOf reads startIndex and count as RFC 7644 §3.4.2.4 has them: what is
// smaller than possible is taken as the smallest that is.
func pageOf(query url.Values) (start, count int, err error) {
	if start, err = wholeNumber(query, "startIndex", 1); err != nil {
		return 0, 0, err
	}
	if count, err = wholeNumber(query, "count", defaultCount); err != nil {
		return 0, 0, err
	}
	return max(start, 1), min(max(count, 0), maxCount), nil
}

func wholeNumber(query url.Values, name string, otherwise int) (int, error) {
	s := query.Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is as good as the nearest that is in it
		return 0, invalid("invalidValue", name, "%s: expected a whole number, got %q", name, clip(s))
	}
	return n, nil
}

// A choice of people: by filter, by id, or nobody.
type choice struct {
	filter directory.UserFilter
	id     tenure.UserID
	nobody bool
}

// chooseUsers compiles the filter parameter. Only comparisons by eq of the
// attributes that have an index are compiled.
func chooseUsers(query url.Values) (choice, error) {
	var c choice
	if !query.Has("filter") {
		return c, nil
	}
	f, err := parseFilter(query.Get("filter"))
	if err != nil {
		return c, err
	}
	if err := f.bind(userType.resolve); err != nil {
		return c, err
	}
	value := f.value.text
	if f.op != opEqual || f.want == nil {
		return c, errFilter
	}
	switch f.target.String() {
	case "userName":
		c.filter.UserName = value
	case "externalId":
		c.filter.ExternalID = value
	case "id":
		c.id = tenure.UserID(value)
	default:
		return c, errFilter
	}
	c.nobody = value == "" // the store would take it for no condition
	return c, nil
}

var errFilter = invalid("invalidFilter", "filter",
	"filter: expected one of userName eq \"x\", externalId eq \"x\", id eq \"x\"; no other filter is supported on users yet")

// chosen reads one page of the chosen people, and tells how many there are.
func (s *SCIM) chosen(ctx context.Context, c choice, start, count int) ([]tenure.User, int, error) {
	by := web.Principal(ctx)
	switch {
	case c.nobody:
		return nil, 0, nil
	case c.id == "":
		c.filter.Offset, c.filter.Limit = start-1, count
		return s.Directory.Users(ctx, by, c.filter)
	}
	u, err := s.Directory.User(ctx, by, c.id)
	switch {
	case tenure.IsKind(err, tenure.NotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, err
	case start > 1 || count == 0:
		return nil, 1, nil
	}
	return []tenure.User{u}, 1, nil
}
