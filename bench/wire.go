package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Lengths of a response body that are not a number of bytes.
const (
	lengthChunked = -1
	lengthUnknown = -2
)

// wire is the client's end of one HTTP/1.1 connection: it writes requests that
// are bytes already and reads responses with no more parsing than their framing
// needs. It is far cheaper than net/http's client, so that the load generator
// does not become what is measured, and it is no client for anything else.
type wire struct {
	conn net.Conn
	buf  []byte
	r, w int // buf[r:w] is read but not yet used
}

// head is what the client needs of a response's status line and header.
type head struct {
	status int
	length int64 // bytes, or lengthChunked, or lengthUnknown
	close  bool  // the server closes the connection after this answer
}

// dialWire connects to addr; every later operation fails after deadline.
func dialWire(addr string, deadline time.Time) (*wire, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return nil, err
	}
	return &wire{conn: conn, buf: make([]byte, 4096)}, nil
}

// roundTrip sends request and reads the whole answer, returning its status.
func (w *wire) roundTrip(request []byte) (head, error) {
	if _, err := w.conn.Write(request); err != nil {
		return head{}, err
	}
	h, err := w.readHead()
	if err != nil {
		return head{}, err
	}
	return h, w.readBody(h, nil)
}

// fill reads more bytes behind those not yet used.
func (w *wire) fill() error {
	if w.r > 0 {
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
	if w.w == len(w.buf) {
		return errors.New("response line or header longer than the buffer")
	}
	n, err := w.conn.Read(w.buf[w.w:])
	w.w += n
	if n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readHead reads up to and with the empty line that ends the header.
func (w *wire) readHead() (head, error) {
	for {
		if end := bytes.Index(w.buf[w.r:w.w], []byte("\r\n\r\n")); end >= 0 {
			block := w.buf[w.r : w.r+end+2]
			w.r += end + 4
			return parseHead(block)
		}
		if err := w.fill(); err != nil {
			return head{}, err
		}
	}
}

// parseHead reads a status line and header, each line ending in CRLF.
func parseHead(block []byte) (head, error) {
	h := head{length: lengthUnknown}
	line, rest, _ := bytes.Cut(block, []byte("\r\n"))
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return h, fmt.Errorf("not an HTTP/1.x status line: %.60q", line)
	}
	status, ok := parseUint(line[9:12], 10)
	if !ok {
		return h, fmt.Errorf("not a status: %.60q", line)
	}
	h.status = int(status)
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			n, ok := parseUint(value, 10)
			if !ok {
				return h, fmt.Errorf("not a length: %.60q", line)
			}
			h.length = n
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			h.length = lengthChunked
		case bytes.EqualFold(name, []byte("Connection")):
			h.close = bytes.EqualFold(value, []byte("close"))
		}
	}
	return h, nil
}

// parseUint reads digits of the given base (10 or 16) without allocating.
func parseUint(digits []byte, base int64) (int64, bool) {
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		d := base // no digit
		switch {
		case c >= '0' && c <= '9':
			d = int64(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			d = int64(c|0x20-'a') + 10
		}
		if d >= base {
			return 0, false
		}
		n = n*base + d
	}
	return n, true
}

// readBody reads the body that h announces and gives each piece of it, as it
// arrives, to data (which may be nil and must not keep the piece).
func (w *wire) readBody(h head, data func(piece []byte)) error {
	switch h.length {
	case lengthUnknown:
		return errors.New("response without a length")
	case lengthChunked:
		return w.readChunked(data)
	default:
		return w.take(h.length, data)
	}
}

// readChunked reads a chunked body, RFC 9112 section 7.1, trailers included.
func (w *wire) readChunked(data func(piece []byte)) error {
	for {
		line, err := w.readLine()
		if err != nil {
			return err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, ok := parseUint(bytes.TrimSpace(digits), 16)
		if !ok {
			return fmt.Errorf("not a chunk size: %.60q", line)
		}
		if size == 0 {
			break
		}
		if err := w.take(size, data); err != nil {
			return err
		}
		if line, err = w.readLine(); err != nil {
			return err
		}
		if len(line) != 0 {
			return errors.New("chunk longer than its size: " + strconv.Quote(string(line)))
		}
	}
	for {
		line, err := w.readLine()
		if err != nil || len(line) == 0 {
			return err
		}
	}
}

// take hands the next n bytes of the body to data.
func (w *wire) take(n int64, data func(piece []byte)) error {
	for n > 0 {
		if w.r == w.w {
			if err := w.fill(); err != nil {
				return err
			}
		}
		piece := w.buf[w.r:min(w.w, w.r+int(n))]
		if data != nil {
			data(piece)
		}
		w.r += len(piece)
		n -= int64(len(piece))
	}
	return nil
}

// readLine returns the next line without its CRLF; it is valid until the next read.
func (w *wire) readLine() ([]byte, error) {
	for {
		if end := bytes.Index(w.buf[w.r:w.w], []byte("\r\n")); end >= 0 {
			line := w.buf[w.r : w.r+end]
			w.r += end + 2
			return line, nil
		}
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
}
