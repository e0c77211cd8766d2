package scim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Limits of Bulk (RFC 7644 §3.7.4).
const (
	maxBulkOperations = 1000
	maxBulkBytes      = 8 << 20
)

// bulkPrefix stands before a bulkId wherever an id would stand (RFC 7644 §3.7.2).
const bulkPrefix = "bulkId:"

// A bulkOperation is one operation of a bulk request, and what came of it.
type bulkOperation struct {
	method, path, bulkID, version string
	data                          map[string]any
	done                          bool
}

// A bulkRun runs the operations of one request, one after another.
type bulkRun struct {
	s        *SCIM
	r        *http.Request
	ops      []*bulkOperation
	ids      map[string]string // bulkId -> id, of those that were made
	open     map[string]bool   // bulkIds that are still to be made
	failures int
	out      []any
}

// bulk answers POST /Bulk (RFC 7644 §3.7). Each operation is a transaction of
// its own.
func (s *SCIM) bulk(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r, maxBulkBytes)
	if err != nil {
		return err
	}
	if err := checkSchemas(body, bulkRequestURN); err != nil {
		return err
	}
	stopAfter, err := failOnErrors(body)
	if err != nil {
		return err
	}
	run := &bulkRun{s: s, r: r, ids: map[string]string{}, open: map[string]bool{}, out: []any{}}
	if err := run.read(body); err != nil {
		return err
	}
	for op := run.next(); op != nil && (stopAfter == 0 || run.failures < stopAfter); op = run.next() {
		run.do(op)
	}
	web.WriteJSON(w, contentType, http.StatusOK, map[string]any{"schemas": []string{bulkResponseURN}, "Operations": run.out})
	return nil
}

// failOnErrors reads after how many failures the rest is left undone; 0 is never.
func failOnErrors(body map[string]any) (int, error) {
	v, _, err := member(body, "failOnErrors")
	if err != nil || v == nil {
		return 0, err
	}
	number, _ := v.(json.Number)
	n, err := strconv.Atoi(number.String())
	if err != nil || n < 1 {
		return 0, invalid("invalidValue", "failOnErrors", "failOnErrors: expected a whole number of at least 1")
	}
	return n, nil
}

// read takes the operations out of the body.
func (b *bulkRun) read(body map[string]any) error {
	v, _, err := member(body, "Operations")
	if err != nil {
		return err
	}
	list, ok := v.([]any)
	switch {
	case !ok:
		return invalid("invalidSyntax", "Operations", "Operations: expected a list, got %s", jsonType(v))
	case len(list) > maxBulkOperations:
		return &tenure.Error{Kind: tenure.TooLarge, Field: "Operations", Msg: "Operations: expected at most " + strconv.Itoa(maxBulkOperations)}
	}
	for _, v := range list {
		object, ok := v.(map[string]any)
		if !ok {
			return invalid("invalidSyntax", "Operations", "Operations: expected objects, got %s", jsonType(v))
		}
		op := &bulkOperation{}
		for name, to := range map[string]*string{"method": &op.method, "path": &op.path, "bulkId": &op.bulkID, "version": &op.version} {
			v, _, err := member(object, name)
			if err != nil {
				return err
			}
			if *to, ok = v.(string); !ok && v != nil {
				return invalid("invalidSyntax", name, "%s: expected a string, got %s", name, jsonType(v))
			}
		}
		data, _, err := member(object, "data")
		if err != nil {
			return err
		}
		op.data, _ = data.(map[string]any)
		op.method = strings.ToUpper(op.method)
		if op.bulkID != "" {
			if b.open[op.bulkID] {
				return invalid("invalidValue", "bulkId", "bulkId: %q stands twice in one request", clip(op.bulkID))
			}
			b.open[op.bulkID] = op.method == http.MethodPost
		}
		b.ops = append(b.ops, op)
	}
	return nil
}

// next is the first operation that waits for no other; if all wait, in a circle,
// the first one is freed of what it waits for.
func (b *bulkRun) next() *bulkOperation {
	var waiting, undone *bulkOperation
	for _, op := range b.ops {
		if !op.done && undone == nil {
			undone = op
		}
		switch {
		case op.done:
		case !b.waits(op.path) && !b.waits(op.data):
			return op
		case waiting == nil && op.method == http.MethodPost && !b.waits(op.path):
			waiting = op
		}
	}
	if waiting == nil {
		return undone // it waits for what will never be: its own answer says so
	}
	b.part(waiting)
	return waiting
}

// part takes the attributes that wait out of an operation, and adds a PATCH
// that brings them in afterwards.
func (b *bulkRun) part(op *bulkOperation) {
	later := map[string]any{}
	for name, v := range op.data {
		if b.waits(v) {
			later[name] = v
			delete(op.data, name)
		}
	}
	b.ops = append(b.ops, &bulkOperation{
		method: http.MethodPatch, path: op.path + "/" + bulkPrefix + op.bulkID,
		data: map[string]any{"schemas": []any{patchURN}, "Operations": []any{map[string]any{"op": "add", "value": later}}},
	})
}

// waits reports whether a value refers to something that is still to be made.
func (b *bulkRun) waits(v any) bool {
	switch v := v.(type) {
	case string:
		_, after, ok := strings.Cut(v, bulkPrefix)
		return ok && b.open[after]
	case []any:
		for _, v := range v {
			if b.waits(v) {
				return true
			}
		}
	case map[string]any:
		for _, v := range v {
			if b.waits(v) {
				return true
			}
		}
	}
	return false
}

// resolve puts ids in the place of bulkIds. missing is the first that there is
// no id for.
func (b *bulkRun) resolve(v any) (resolved any, missing string) {
	switch v := v.(type) {
	case string:
		id, ok := strings.CutPrefix(v, bulkPrefix)
		if !ok {
			return v, ""
		}
		if b.ids[id] == "" {
			return v, id
		}
		return b.ids[id], ""
	case []any:
		for i := range v {
			var not string
			if v[i], not = b.resolve(v[i]); not != "" {
				missing = not
			}
		}
	case map[string]any:
		for name := range v {
			var not string
			if v[name], not = b.resolve(v[name]); not != "" {
				missing = not
			}
		}
	}
	return v, missing
}

// do runs one operation and keeps its answer.
func (b *bulkRun) do(op *bulkOperation) {
	op.done = true
	delete(b.open, op.bulkID)
	rec := &bulkRecorder{header: http.Header{}}
	location, err := b.call(rec, op)
	if err != nil {
		Fail(rec, b.r, err)
	}
	answer := map[string]any{"method": op.method, "status": strconv.Itoa(rec.status)}
	if op.bulkID != "" {
		answer["bulkId"] = op.bulkID
	}
	if made := rec.header.Get("Location"); made != "" {
		location = made
		b.ids[op.bulkID] = made[strings.LastIndexByte(made, '/')+1:]
	}
	if location != "" {
		answer["location"] = location
	}
	if rec.status >= http.StatusBadRequest {
		b.failures++
		answer["response"] = json.RawMessage(bytes.TrimSpace(rec.body.Bytes()))
	} else if etag := rec.header.Get("ETag"); etag != "" {
		answer["version"] = etag
	}
	b.out = append(b.out, answer)
}

// call finds the handler of an operation and runs it. It gives the location of
// the resource that the operation is about, if that is there already.
func (b *bulkRun) call(rec http.ResponseWriter, op *bulkOperation) (location string, err error) {
	endpoint, id, _ := strings.Cut(strings.TrimPrefix(op.path, "/"), "/")
	if ref, ok := strings.CutPrefix(id, bulkPrefix); ok {
		if id = b.ids[ref]; id == "" {
			return "", noReference(ref)
		}
	}
	handle, t := b.handler(op.method, "/"+endpoint, id != "")
	if handle == nil {
		return "", invalid("invalidPath", "path", "path: no operation %s %q can be in a bulk request; expected POST /Users, PATCH /Users/{id} or the like",
			clip(op.method), clip(op.path))
	}
	if id != "" {
		location = b.s.location(b.r, t.endpoint, id)
	}
	if op.method == http.MethodPost && op.bulkID == "" {
		return "", invalid("invalidValue", "bulkId", "bulkId: expected one with every POST")
	}
	if _, missing := b.resolve(op.data); missing != "" {
		return location, noReference(missing)
	}
	body, err := json.Marshal(op.data)
	if err != nil {
		return location, err
	}
	if op.data == nil {
		body = nil
	}
	r := b.r.Clone(b.r.Context())
	r.Method, r.URL = op.method, &url.URL{Path: prefix + op.path}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header = http.Header{}
	if op.version != "" {
		r.Header.Set("If-Match", op.version)
	}
	r.SetPathValue("id", id)
	return location, handle(rec, r)
}

func noReference(bulkID string) error {
	return invalid("invalidValue", "bulkId", "bulkId: %q was not made by this request", clip(bulkID))
}

// handler finds what serves an operation, and of which resource type it is.
func (b *bulkRun) handler(method, endpoint string, one bool) (func(http.ResponseWriter, *http.Request) error, *resourceType) {
	s := b.s
	switch {
	case strings.EqualFold(endpoint, userType.endpoint):
		return map[string]func(http.ResponseWriter, *http.Request) error{
			"POST false": s.createUser, "PUT true": s.putUser, "PATCH true": s.patchUser, "DELETE true": s.deleteUser,
		}[method+" "+strconv.FormatBool(one)], &userType
	case strings.EqualFold(endpoint, groupType.endpoint):
		return map[string]func(http.ResponseWriter, *http.Request) error{
			"POST false": s.createGroup, "PUT true": s.putGroup, "PATCH true": s.patchGroup, "DELETE true": s.deleteGroup,
		}[method+" "+strconv.FormatBool(one)], &groupType
	}
	return nil, nil
}

// A bulkRecorder keeps what a handler answers.
type bulkRecorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *bulkRecorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *bulkRecorder) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *bulkRecorder) Write(p []byte) (int, error) { return w.body.Write(p) }
