package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	scimPrefix = "/scim/v2"
	scimToken  = "bench-scim-0123456789abcdef0123456789"
	userURN    = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN   = "urn:ietf:params:scim:schemas:core:2.0:Group"
	patchURN   = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// scimServer is a `tenure serve` that takes SCIM.
type scimServer struct {
	child *child
	addr  string
}

// startSCIM starts the program, with more settings, on the home in dir, on all cores, and waits
// until it is ready. Its log goes to a file, as in life.
func startSCIM(ctx context.Context, tenure, dir, database string, more ...string) (*scimServer, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child writes to a handle of its own
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	env := []string{
		"HOME=" + dir,
		"TENURE_HOME=" + filepath.Join(dir, "home"),
		"TENURE_MODE=teams",
		"TENURE_LISTEN=" + addr,
		"TENURE_SCIM_TOKEN=" + scimToken,
		"TENURE_DATABASE_URL=" + database,
		"TENURE_SHUTDOWN_GRACE=2s",
	}
	env = append(env, more...)
	c, err := startChild(ctx, pinning{}, sideGateway, []string{tenure, "serve"}, env, log, log)
	if err != nil {
		return nil, err
	}
	s := &stand{addr: addr, measured: c}
	if err := s.waitReady(ctx); err != nil {
		c.stop()
		return nil, fmt.Errorf("%w; its log ends:\n%s", err, tail(log.Name(), 2000))
	}
	return &scimServer{child: c, addr: addr}, nil
}

func (s *scimServer) stop() { s.child.stop() }

// scimConn is one keep-alive connection of a connector.
type scimConn struct {
	wire *wire
	addr string
	body []byte // of the last answer
}

// dial opens a connection that ends with ctx.
func (s *scimServer) dial(ctx context.Context) (*scimConn, error) {
	deadline, limited := ctx.Deadline()
	if !limited {
		deadline = time.Now().Add(scimLimit)
	}
	w, err := dialWire(s.addr, deadline)
	if err != nil {
		return nil, err
	}
	return &scimConn{wire: w, addr: s.addr}, nil
}

func (c *scimConn) close() { _ = c.wire.conn.Close() }

// call sends one request and returns the answer's body, valid until the next
// call. Any status but want is an error.
func (c *scimConn) call(method, path, body string, want int) ([]byte, error) {
	if _, err := c.wire.conn.Write(scimRequest(c.addr, method, path, body)); err != nil {
		return nil, err
	}
	h, err := c.wire.readHead()
	if err != nil {
		return nil, err
	}
	c.body = c.body[:0]
	if h.status != 204 { // which has no body, and no length
		err = c.wire.readBody(h, func(piece []byte) { c.body = append(c.body, piece...) })
	}
	if err == nil && h.status != want {
		err = fmt.Errorf("%s %s: status %d, not %d: %.300s", method, path, h.status, want, c.body)
	}
	if err == nil && h.close {
		err = fmt.Errorf("%s %s: the server closes the connection", method, path)
	}
	return c.body, err
}

// scimRequest returns the bytes of a request.
func scimRequest(addr, method, path, body string) []byte {
	request := fmt.Appendf(nil, "%s %s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, scimPrefix, path, addr, scimToken)
	if body != "" {
		request = fmt.Appendf(request, "Content-Type: application/scim+json\r\nContent-Length: %d\r\n", len(body))
	}
	return append(append(request, "\r\n"...), body...)
}

// scimName is the userName of user i, made over HTTP or put in by SQL.
func scimName(i int) string { return fmt.Sprintf("user%07d@example.com", i) }

// scimUser returns the JSON of user i, of about 300 bytes, as Okta and Entra send it.
func scimUser(i int) string {
	name := scimName(i)
	return fmt.Sprintf(`{"schemas":["%s"],"userName":"%s","externalId":"ext%07d","name":{"givenName":"Given","familyName":"Family %d"},`+
		`"displayName":"User %d","emails":[{"value":"%s","type":"work","primary":true}],"active":true}`, userURN, name, i, i, i, name)
}

// scimFilter returns path and query of the question for one userName.
func scimFilter(name string) string {
	return "/Users?filter=" + url.QueryEscape(`userName eq "`+name+`"`)
}

func scimGroup() string { return `{"schemas":["` + groupURN + `"],"displayName":"bench"}` }

// scimPatch returns the JSON of a PATCH with these operations.
func scimPatch(operations []string) string {
	return `{"schemas":["` + patchURN + `"],"Operations":[` + strings.Join(operations, ",") + `]}`
}

// addMembers returns the operation that adds the users with these ids.
func addMembers(ids []string) string {
	values := make([]string, len(ids))
	for i, id := range ids {
		values[i] = `{"value":"` + id + `"}`
	}
	return `{"op":"add","path":"members","value":[` + strings.Join(values, ",") + `]}`
}

// removeMembers returns n operations that each remove one member, spread evenly
// over ids, of which there are at least n.
func removeMembers(ids []string, n int) []string {
	operations := make([]string, n)
	for i := range operations {
		operations[i] = `{"op":"remove","path":"members[value eq \"` + ids[i*len(ids)/n] + `\"]"}`
	}
	return operations
}

// idOf returns the id of the resource in body.
func idOf(body []byte) (string, error) {
	var resource struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(body, &resource); err != nil {
		return "", err
	}
	if resource.ID == "" {
		return "", fmt.Errorf("no id in %.300s", body)
	}
	return resource.ID, nil
}

// found refuses an answer to a filter that is not the one user called name.
func found(body []byte, name string) error {
	if !bytes.Contains(body, []byte(`"totalResults":1`)) || !bytes.Contains(body, []byte(`"userName":"`+name+`"`)) {
		return fmt.Errorf("%s was not found: %.300s", name, body)
	}
	return nil
}

// checkMembers refuses a group that has not want members.
func checkMembers(c *scimConn, id string, want int) error {
	body, err := c.call("GET", "/Groups/"+id, "", 200)
	if err != nil {
		return err
	}
	var group struct {
		Members []json.RawMessage `json:"members"`
	}
	if err := json.Unmarshal(body, &group); err != nil {
		return err
	}
	if len(group.Members) != want {
		return fmt.Errorf("the group has %d members, not %d", len(group.Members), want)
	}
	return nil
}

// insertBySQL puts users first up to first+n into the database in dir, whose
// server is stopped, through the sqlite3 shell.
func insertBySQL(ctx context.Context, dir string, first, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sqlite3", filepath.Join(dir, "home", "tenure.db"))
	cmd.SysProcAttr = childAttr()
	cmd.Stdin = strings.NewReader(sqlScript(first, n))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sqlite3: %w: %.500s", errors.Join(err, ctx.Err()), out)
	}
	return nil
}

// sqlScript is what the sqlite3 shell is given, as an operator would: users
// with the columns that SCIM fills, their addresses and their memberships. The
// triggers of the database run as ever; there are no audit events.
func sqlScript(first, n int) string {
	return fmt.Sprintf(`.bail on
PRAGMA cache_size = -1000000; -- KiB
BEGIN;
CREATE TEMP TABLE made (i INTEGER PRIMARY KEY, id TEXT, name TEXT);
WITH RECURSIVE count (i) AS (SELECT %d UNION ALL SELECT i + 1 FROM count WHERE i + 1 < %d)
INSERT INTO made SELECT i, printf('01a20000-0000-7000-8000-%%012x', i), printf('user%%07d@example.com', i) FROM count;
INSERT INTO users (id, tenant_id, user_name, user_name_fold, display_name, display_name_fold, external_id, source, profile, created_at, updated_at)
SELECT id, 'default', name, name, 'User ' || i, 'user ' || i, printf('ext%%07d', i), 'scim',
    json_object('emails', json_array(json_object('primary', json('true'), 'type', 'work', 'value', name)),
        'name', json_object('familyName', 'Family ' || i, 'givenName', 'Given')),
    strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now'), strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now') FROM made;
INSERT INTO user_emails (user_id, n, type_fold, value_fold) SELECT id, 0, 'work', name FROM made;
INSERT INTO memberships (tenant_id, workspace_id, user_id, created_at)
SELECT 'default', 'default', id, strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now') FROM made;
COMMIT;
`, first, first+n)
}

// peakBytes returns the most resident memory that the process ever had.
func peakBytes(pid int) (float64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	value, _ := procField(string(status), "VmHWM")
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(value, " kB"), 64)
	if err != nil {
		return 0, fmt.Errorf("VmHWM of %d: %w", pid, err)
	}
	return kilobytes * 1024, nil
}
