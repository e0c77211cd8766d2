package scim

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure/internal/directory"
)

// cursorLife is how long a cursor leads anywhere.
const cursorLife = time.Hour

// A question is what a list is asked for by.
type question struct {
	query      url.Values
	filter     string
	filtered   bool
	sortBy     string
	descending bool
	start      int
	count      int
	byCursor   bool
	place      directory.Place // after which a cursor goes on
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

// queryOfBody reads a SearchRequest (RFC 7644 §3.4.3) as the parameters that it
// stands for.
func queryOfBody(body map[string]any) (url.Values, error) {
	if err := checkSchemas(body, searchURN); err != nil {
		return nil, err
	}
	query := url.Values{}
	for _, name := range []string{"attributes", "excludedAttributes", "filter", "sortBy", "sortOrder", "startIndex", "count", "cursor"} {
		v, ok, err := member(body, name)
		if err != nil {
			return nil, err
		}
		if !ok || v == nil {
			continue
		}
		text, ok := v.(string)
		switch v := v.(type) {
		case json.Number:
			text, ok = v.String(), name == "startIndex" || name == "count"
		case []any:
			ok = strings.HasSuffix(strings.ToLower(name), "attributes")
			var names []string
			for _, v := range v {
				s, _ := v.(string)
				names = append(names, s)
			}
			text = strings.Join(names, ",")
		}
		if !ok {
			return nil, invalid("invalidValue", name, "%s: not expected to be %s", name, jsonType(v))
		}
		query.Set(name, text)
	}
	return query, nil
}

// parseQuestion reads the parameters of RFC 7644 §3.4.2 and RFC 9865 §2.
func parseQuestion(query url.Values, now time.Time) (question, error) {
	q := question{query: query, filter: query.Get("filter"), filtered: query.Has("filter"), sortBy: query.Get("sortBy"), byCursor: query.Has("cursor")}
	switch order := query.Get("sortOrder"); {
	case order == "", strings.EqualFold(order, "ascending"):
	case strings.EqualFold(order, "descending"):
		q.descending = q.sortBy != ""
	default:
		return q, invalid("invalidValue", "sortOrder", "sortOrder: expected ascending or descending, got %q", clip(order))
	}
	var err error
	if q.start, err = wholeNumber(query, "startIndex", 1); err != nil {
		return q, err
	}
	if q.count, err = wholeNumber(query, "count", defaultCount); err != nil && !q.byCursor {
		return q, err
	}
	if q.byCursor {
		if err != nil || q.count < 1 || q.count > maxCount {
			return q, invalid("invalidCount", "count", "count: expected a whole number from 1 to %d with a cursor", maxCount)
		}
		return q, q.goOn(query.Get("cursor"), now)
	}
	// What is smaller than possible is taken as the smallest that is.
	q.start, q.count = max(q.start, 1), min(max(q.count, 0), maxCount)
	return q, nil
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

// A cursor is a place in the list that a question has. Nothing is kept here for
// it, and nothing secret is in it.
type cursor struct {
	Key   string `json:"k,omitempty"`
	ID    string `json:"i"`
	Query string `json:"q"` // digest of the question
	Made  int64  `json:"t"` // seconds
}

func (q question) digest() string {
	sum := sha256.Sum256([]byte(q.filter + "\x00" + q.sortBy + "\x00" + strconv.FormatBool(q.descending)))
	return hex.EncodeToString(sum[:6])
}

func (q question) cursorAt(p directory.Place, now time.Time) string {
	text, err := json.Marshal(cursor{Key: p.Key, ID: p.ID, Query: q.digest(), Made: now.Unix()})
	if err != nil {
		return "" // strings and a number: it cannot be
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// goOn reads a cursor; "" is that of the first page.
func (q *question) goOn(text string, now time.Time) error {
	if text == "" {
		return nil
	}
	var c cursor
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(data, &c) != nil || c.ID == "" || c.Query != q.digest() {
		return invalid("invalidCursor", "cursor", "cursor: expected the nextCursor of an answer to the same filter and order, or nothing")
	}
	if age := now.Sub(time.Unix(c.Made, 0)); age > cursorLife || age < -cursorLife {
		return invalid("expiredCursor", "cursor", "cursor: expected one that is not older than %d seconds; begin anew", int(cursorLife.Seconds()))
	}
	q.place = directory.Place{Key: c.Key, ID: c.ID}
	return nil
}

// ask puts the question to one of several kinds. A name that only another kind
// has is absent in this one (RFC 7644 §3.4.2.1).
func (q question) ask(k kind, all []kind) (askedKind, error) {
	a := askedKind{kind: k, exact: true, sorted: true, view: viewOf(k.t, q.query)}
	resolve := func(p path) (target, bool) {
		found, ok := k.t.resolve(p)
		for i := 0; !ok && i < len(all); i++ {
			found, ok = all[i].t.resolve(p)
		}
		return found, ok
	}
	if q.filtered {
		f, err := parseFilter(q.filter)
		if err == nil {
			err = f.bind(resolve)
		}
		if err != nil {
			return a, err
		}
		where, exact := f.compile(k.t)
		if !exact && k.t == &groupType && f.speaksOf(membersAttribute) {
			return a, invalid("invalidFilter", "filter", "filter: members are compared by their value, and with nothing but and beside what is no column")
		}
		a.filter, a.where, a.exact = f, &where, exact
	}
	if q.sortBy == "" {
		return a, nil
	}
	p, err := parsePath(q.sortBy)
	if err != nil {
		return a, err
	}
	by, ok := resolve(p)
	if ok && by.attr != nil && by.leaf().kind == complexType {
		by.sub = by.attr.lookup("value")
	}
	if !ok || by.attr == nil || p.selector != nil || by.leaf().kind == complexType {
		return a, invalid("invalidPath", "sortBy", "sortBy: expected the name of an attribute with a simple value, got %q", clip(q.sortBy))
	}
	field, column := columns[by.String()]
	a.by, a.order = by, directory.Order{By: field, Descending: q.descending}
	a.sorted = column && field != directory.FieldActive
	return a, nil
}

// speaksOf reports whether a filter that cannot be compiled whole compares an
// attribute.
func (f *filter) speaksOf(name string) bool {
	if len(f.parts) == 0 {
		return f.target.attr.name == name
	}
	return slices.ContainsFunc(f.parts, func(part *filter) bool { return part.speaksOf(name) })
}

// scan looks at resources one by one: for what the database cannot do, and for
// questions to several kinds.
func scan(r *http.Request, q question, asked []askedKind) (page, error) {
	type hit struct {
		directory.Place
		kind int
	}
	var hits []hit
	budget := maxScan
	for i, k := range asked {
		err := k.each(r, &budget, func(row row) {
			p := row.place
			if q.sortBy != "" {
				p.Key = sortKey(k.by, row.resource)
			}
			hits = append(hits, hit{p, i})
		})
		if err != nil {
			return page{}, err
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return q.compare(a.Place, b.Place) })
	out := page{total: len(hits), resources: []any{}}
	begin := min(q.start-1, len(hits))
	if q.byCursor {
		begin = 0
		for q.place.ID != "" && begin < len(hits) && q.compare(hits[begin].Place, q.place) <= 0 {
			begin++
		}
	}
	end := min(begin+q.count, len(hits))
	if q.byCursor && end < len(hits) && end > begin {
		out.next = &hits[end-1].Place
	}
	shown := map[string]any{}
	for i, k := range asked {
		var ids []string
		for _, h := range hits[begin:end] {
			if h.kind == i {
				ids = append(ids, h.ID)
			}
		}
		found, err := k.byID(r, ids)
		if err != nil {
			return page{}, err
		}
		maps.Copy(shown, found)
	}
	for _, h := range hits[begin:end] {
		if v, ok := shown[h.ID]; ok { // else it has gone meanwhile
			out.resources = append(out.resources, v)
		}
	}
	return out, nil
}

// compare orders two places as the database does: what is absent is last, or
// first when descending.
func (q question) compare(a, b directory.Place) int {
	order := cmp.Or(compareBool(a.Key == "", b.Key == ""), cmp.Compare(a.Key, b.Key), cmp.Compare(a.ID, b.ID))
	if q.descending {
		return -order
	}
	return order
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// sortKey is what a resource is sorted by: of several values the primary one, or
// the first (RFC 7644 §3.4.2.3).
func sortKey(by target, resource map[string]any) string {
	values := by.values(resource, nil)
	primary, err := parseFilter("primary eq true")
	if err == nil && by.attr.multi && by.sub != nil && primary.bind(by.attr.member) == nil {
		if chosen := by.values(resource, primary); len(chosen) > 0 {
			values = chosen
		}
	}
	if len(values) == 0 {
		return ""
	}
	switch v := values[0].(type) {
	case string:
		return by.leaf().fold(v)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}
