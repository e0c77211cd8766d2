package scim

import (
	"net/http"
	"net/url"

	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Sizes of a page, and of a search.
const (
	defaultCount = 100
	maxCount     = 200
	// maxScan is how many resources are looked at, one by one, for a filter or
	// an order that the database cannot do.
	maxScan = 20000
	// scanPage is how many of them are read at once.
	scanPage = 500
)

// listUsers answers GET /Users (RFC 7644 §3.4.2).
func (s *SCIM) listUsers(w http.ResponseWriter, r *http.Request) error {
	return s.get(w, r, s.users())
}

// listGroups answers GET /Groups.
func (s *SCIM) listGroups(w http.ResponseWriter, r *http.Request) error {
	return s.get(w, r, s.allGroups())
}

// listAll answers GET on the root (RFC 7644 §3.4.2.1).
func (s *SCIM) listAll(w http.ResponseWriter, r *http.Request) error {
	return s.get(w, r, s.users(), s.allGroups())
}

// searchUsers answers POST /Users/.search (RFC 7644 §3.4.3).
func (s *SCIM) searchUsers(w http.ResponseWriter, r *http.Request) error {
	return s.search(w, r, s.users())
}

// searchGroups answers POST /Groups/.search.
func (s *SCIM) searchGroups(w http.ResponseWriter, r *http.Request) error {
	return s.search(w, r, s.allGroups())
}

// searchAll answers POST /.search.
func (s *SCIM) searchAll(w http.ResponseWriter, r *http.Request) error {
	return s.search(w, r, s.users(), s.allGroups())
}

// get answers a question that stands in the query string.
func (s *SCIM) get(w http.ResponseWriter, r *http.Request, kinds ...kind) error {
	query, err := queryOf(r)
	if err != nil {
		return err
	}
	return s.answer(w, r, query, kinds)
}

// search answers a question that stands in the body.
func (s *SCIM) search(w http.ResponseWriter, r *http.Request, kinds ...kind) error {
	body, err := readBody(w, r, maxBodyBytes)
	if err != nil {
		return err
	}
	query, err := queryOfBody(body)
	if err != nil {
		return err
	}
	return s.answer(w, r, query, kinds)
}

// A kind is a resource type with the way to its rows.
type kind struct {
	t *resourceType
	// rows reads a page and tells how long the list is. Without a view the
	// resources are as a filter sees them.
	rows func(r *http.Request, p pageOf, v *view) ([]row, int, error)
}

// pageOf says which rows are read.
type pageOf struct {
	where  *directory.Cond
	order  directory.Order
	place  directory.Place
	offset int
	limit  int
	alone  bool // the length of the list is not asked for
}

// A row is a resource in a list.
type row struct {
	place    directory.Place
	resource map[string]any
}

func (s *SCIM) users() kind {
	return kind{t: &userType, rows: func(r *http.Request, p pageOf, _ *view) ([]row, int, error) {
		users, total, err := s.Directory.Users(r.Context(), web.Principal(r.Context()),
			directory.UserFilter{Where: p.where, Order: p.order, Place: p.place, Offset: p.offset, Limit: p.limit, Uncounted: p.alone})
		if err != nil {
			return nil, 0, err
		}
		groups, err := s.groupsOf(r, users...)
		if err != nil {
			return nil, 0, err
		}
		out := make([]row, len(users))
		for i, u := range users {
			out[i] = row{p.order.PlaceOfUser(u), s.represent(r, u, groups[u.ID])}
		}
		return out, total, nil
	}}
}

func (s *SCIM) allGroups() kind {
	return kind{t: &groupType, rows: func(r *http.Request, p pageOf, v *view) ([]row, int, error) {
		groups, total, err := s.Directory.Groups(r.Context(), web.Principal(r.Context()),
			directory.GroupFilter{Where: p.where, Order: p.order, Place: p.place, Offset: p.offset, Limit: p.limit, Uncounted: p.alone})
		if err != nil {
			return nil, 0, err
		}
		if v == nil { // a filter that looks at members is one for the database
			v = &view{only: []target{}}
		}
		resources, err := s.groups(r, *v, groups...)
		if err != nil {
			return nil, 0, err
		}
		out := make([]row, len(groups))
		for i, g := range groups {
			out[i] = row{p.order.PlaceOfGroup(g), resources[i]}
		}
		return out, total, nil
	}}
}

// writeList answers with a part of a list that has total entries and begins with
// the one of number start (RFC 7644 §3.4.2).
func writeList(w http.ResponseWriter, resources []any, total, start int) {
	web.WriteJSON(w, contentType, http.StatusOK, map[string]any{
		"schemas": []string{listURN}, "totalResults": total, "startIndex": start,
		"itemsPerPage": len(resources), "Resources": resources,
	})
}

// answer finds what is asked for, and shows it.
func (s *SCIM) answer(w http.ResponseWriter, r *http.Request, query url.Values, kinds []kind) error {
	q, err := parseQuestion(query, s.Directory.Now())
	if err != nil {
		return err
	}
	asked := make([]askedKind, len(kinds))
	for i, k := range kinds {
		if asked[i], err = q.ask(k, kinds); err != nil {
			return err
		}
	}
	var found page
	if len(asked) == 1 && asked[0].exact && asked[0].sorted {
		found, err = asked[0].read(r, q)
	} else {
		found, err = scan(r, q, asked)
	}
	if err != nil {
		return err
	}
	if !q.byCursor {
		writeList(w, found.resources, found.total, q.start)
		return nil
	}
	body := map[string]any{
		"schemas": []string{listURN}, "totalResults": found.total, "itemsPerPage": len(found.resources), "Resources": found.resources,
	}
	if found.next != nil {
		body["nextCursor"] = q.cursorAt(*found.next, s.Directory.Now())
	}
	web.WriteJSON(w, contentType, http.StatusOK, body)
	return nil
}

// A page is what was found.
type page struct {
	resources []any
	total     int
	next      *directory.Place // where it goes on; nil is nowhere
}

// An askedKind is a question put to one kind.
type askedKind struct {
	kind
	filter *filter // nil chooses all
	where  *directory.Cond
	exact  bool // where chooses what filter does
	by     target
	order  directory.Order
	sorted bool // the database can do the order
	view   view
}

// read lets the database do all.
func (k askedKind) read(r *http.Request, q question) (page, error) {
	p := pageOf{where: k.where, order: k.order, place: q.place, limit: q.count}
	if q.byCursor {
		p.limit++ // to know whether it goes on
	} else {
		p.offset = q.start - 1
	}
	rows, total, err := k.rows(r, p, &k.view)
	if err != nil {
		return page{}, err
	}
	out := page{total: total, resources: []any{}}
	if q.byCursor && len(rows) > q.count {
		rows = rows[:q.count]
		out.next = &rows[q.count-1].place
	}
	for _, row := range rows {
		out.resources = append(out.resources, k.view.of(row.resource))
	}
	return out, nil
}

// errTooMany says that the database cannot do what is asked for, and that there
// is too much to do it without.
func errTooMany() error {
	return invalid("tooMany", "filter", "filter: it has to look at more than %d resources one by one; "+
		"expected it to choose fewer by id, userName, externalId, displayName, active, emails, groups, members or meta", maxScan)
}

// each reads all rows that the condition chooses, page by page.
func (k askedKind) each(r *http.Request, budget *int, do func(row)) error {
	p := pageOf{where: k.where, limit: scanPage, alone: true}
	for {
		rows, _, err := k.rows(r, p, nil)
		if err != nil {
			return err
		}
		if *budget -= len(rows); *budget < 0 {
			return errTooMany()
		}
		for _, row := range rows {
			if k.filter == nil || k.exact || k.filter.match(row.resource) {
				do(row)
			}
		}
		if len(rows) < scanPage {
			return nil
		}
		p.place = rows[len(rows)-1].place
	}
}

// byID reads rows anew, to show them.
func (k askedKind) byID(r *http.Request, ids []string) (map[string]any, error) {
	out := map[string]any{}
	if len(ids) == 0 {
		return out, nil
	}
	where := directory.Cond{Op: directory.CondOr}
	for _, id := range ids {
		where.Parts = append(where.Parts, directory.Cond{Op: directory.CondEqual, Field: directory.FieldID, Value: id})
	}
	rows, _, err := k.rows(r, pageOf{where: &where, limit: len(ids), alone: true}, &k.view)
	for _, row := range rows {
		out[row.place.ID] = k.view.of(row.resource)
	}
	return out, err
}
