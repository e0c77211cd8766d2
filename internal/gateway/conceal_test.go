package gateway

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tenure-gateway/tenure"
)

// However a body comes in pieces, and however it is read, the key is not in what passes,
// and all else passes as it was.
func TestConceal(t *testing.T) {
	concealsEverywhere(t, "sk-sk-a/key+of=tests-0123456789")
}

// A key may be so long that its beginning fills every buffer.
func TestConcealLong(t *testing.T) {
	concealsEverywhere(t, strings.Repeat("\u2039", 4096))
}

func concealsEverywhere(t *testing.T, key string) {
	t.Helper()
	forms := tenure.NewSecret(key).Forms()
	texts := []string{
		"", "s", "sk-sk", key, "sk-" + key + key + "sk-sk-a/", "no key at all, sk-sk-a but nearly",
		strings.Repeat("data: x\n\n", 3000) + `{"message":"Incorrect API key provided: ` + key + `."}` + "\n\n",
		`{"a":"` + strings.ReplaceAll(key, "/", `\/`) + `","b":"https://x/?k=` + url.QueryEscape(key) + `"}`,
		url.QueryEscape(key)[:2*len(key)/3], url.QueryEscape(key),
		strings.Repeat("s", 10000) + key[:20],
	}
	for _, text := range texts {
		want := []byte(text)
		conceal(want, forms)
		if k := begun(want, forms); k > len(key)/2 {
			cover(want[len(want)-k:])
		}
		for _, form := range forms {
			if bytes.Contains(want, form) {
				t.Fatalf("%s is in %.200q", form, want)
			}
		}
		for name, in := range map[string]io.Reader{
			"whole": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text)), "in halves": iotest.HalfReader(strings.NewReader(text)),
			"with its end": iotest.DataErrReader(strings.NewReader(text)), "in pieces": &pieces{strings.NewReader(text)},
		} {
			for _, room := range []int{1, 7, copySize - 1, copySize, 32 << 10} {
				c := newConcealer(io.NopCloser(in), forms)
				var got bytes.Buffer
				if _, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{&c}, make([]byte, room)); err != nil {
					t.Fatal(err)
				}
				if got.Len() == 0 && len(text) > 0 {
					continue // it was read before
				}
				if !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%s, by %d: %.300q, want %.300q", name, room, got.Bytes(), want)
				}
				if s, ok := in.(io.Seeker); ok {
					_, _ = s.Seek(0, io.SeekStart)
				}
			}
		}
	}
}

// pieces reads a little at a time.
type pieces struct{ io.ReadSeeker }

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	return p.ReadSeeker.Read(b[:min(len(b), 1+rand.IntN(9))])
}
