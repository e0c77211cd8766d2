package app

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/beliefs"
)

// hold opens a socket by hand and announces a message that never comes: of it, sent bytes.
func (in *installation) hold(c credential, sent int) net.Conn {
	in.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(in.url, "http://"))
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET /v1/ws/beliefs HTTP/1.1\r\nHost: tenure\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: "+base64.StdEncoding.EncodeToString(make([]byte, 16))+"\r\n"+c.header+": "+c.value+"\r\n\r\n")
	if err != nil {
		in.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		in.t.Fatal(resp, err)
	}
	frame := binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, 1<<40) // a whole text, masked (RFC 6455 §5.2)
	if _, err := conn.Write(append(frame, make([]byte, 4+sent)...)); err != nil {
		in.t.Fatal(err)
	}
	return conn
}

// Whoever is cut keeps nothing: neither the connection nor their places, however they hold on.
func TestBeliefSocketHeld(t *testing.T) {
	in := install(t, "teams")
	ada := person(superAdmin)
	in.must(http.StatusOK, ada, http.MethodGet, "/api/v1/me", "")
	thief, token := in.pat("alice@example.com")
	for range beliefs.PerOwner {
		in.hold(thief, 1000)
	}
	in.must(http.StatusOK, ada, http.MethodDelete, "/api/v1/admin/tokens/"+token, "")
	fresh, _ := in.pat("alice@example.com")
	began := time.Now()
	for {
		if conn, _, err := in.dial(fresh); err == nil {
			_ = conn.CloseNow()
			break
		} else if time.Since(began) > 4*time.Second {
			t.Fatalf("the places are still taken: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	held := in.hold(fresh, 9<<20) // more than is read to answer it
	open := func() int { return len(in.Live.Flights(func(s *tenure.Standing) bool { return s.User != "" })) }
	for late := time.Now().Add(10 * time.Second); open() > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%d sockets stand for ever", open())
		}
	}
	_ = held.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.Copy(io.Discard, held); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("the connection is still there")
	}
}
