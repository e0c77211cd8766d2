package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// Whatever a provider answers, the key that it was asked with does not go through to the
// caller: not in an error, a header, or the middle of a stream.

// concealed is what stands in a key's place, at its length: so nothing of an answer moves.
const concealed = "[redacted]"

// conceal writes over every key in text, and reports whether there was one.
func conceal(text []byte, forms [][]byte) bool {
	found := false
	for _, form := range forms {
		for at := 0; ; at += len(form) {
			i := bytes.Index(text[at:], form)
			if i < 0 {
				break
			}
			at += i
			cover(text[at : at+len(form)])
			found = true
		}
	}
	return found
}

// cover writes over a key.
func cover(text []byte) {
	for n := copy(text, concealed); n < len(text); n++ {
		text[n] = '*'
	}
}

// begun is how long the longest end of text is that may be the beginning of a key.
func begun(text []byte, forms [][]byte) int {
	most := 0
	for _, form := range forms {
		end := text[len(text)-min(len(form)-1, len(text)):]
		for len(end) > most {
			i := bytes.IndexByte(end, form[0])
			if i < 0 || len(end)-i <= most {
				break
			}
			if end = end[i:]; bytes.HasPrefix(form, end) {
				most = len(end)
			}
			end = end[1:]
		}
	}
	return most
}

// concealHeader deletes the headers that have a key in them.
func concealHeader(h http.Header, forms [][]byte) {
	for name, values := range h {
		for _, v := range values {
			if tells(v, forms) {
				delete(h, name)
				break
			}
		}
	}
}

// tells reports whether there is a key in text.
func tells(text string, forms [][]byte) bool {
	for _, form := range forms {
		if len(text) >= len(form) && conceal([]byte(text), forms) {
			return true
		}
	}
	return false
}

// concealer conceals a key in a body while it passes. What may be the beginning of a key
// is held until what follows is there: of an answer that tells no key, nothing but now
// and then a byte. A body that ends with more than half a key has that concealed, too.
type concealer struct {
	io.ReadCloser
	forms [][]byte
	least int // a buffer of so much has room for what is held, and for more
	held  []byte
	ready []byte // what did not fit into a small buffer
}

// newConcealer conceals what is written in one of these forms.
func newConcealer(body io.ReadCloser, forms [][]byte) concealer {
	c := concealer{ReadCloser: body, forms: forms}
	for _, form := range forms {
		c.least = max(c.least, 2*len(form))
	}
	return c
}

// Read implements io.Reader.
func (c *concealer) Read(p []byte) (int, error) {
	if len(c.ready) == 0 && len(p) >= c.least {
		return c.fill(p)
	}
	if len(c.ready) == 0 && len(p) > 0 {
		room := make([]byte, max(c.least, copySize))
		n, err := c.fill(room)
		if c.ready = room[:n]; n == 0 {
			return 0, err
		} // an error comes again with the next read
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// fill reads into a buffer that is large enough: what is held is shorter than a key.
func (c *concealer) fill(p []byte) (int, error) {
	for {
		n := copy(p, c.held)
		c.held = c.held[:0]
		m, err := c.ReadCloser.Read(p[n:])
		n += m
		conceal(p[:n], c.forms)
		k := begun(p[:n], c.forms)
		if err == nil {
			c.held = append(c.held, p[n-k:n]...)
			if n -= k; n == 0 {
				continue
			}
			return n, nil
		}
		if k > 0 && k > len(c.forms[0])/2 {
			cover(p[n-k : n])
		}
		if n > 0 && !errors.Is(err, io.EOF) {
			return n, nil
		}
		return n, err
	}
}
