package web

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tenure-gateway/tenure"
)

// request writes the one structured line of a request, in the form of
// slog.JSONHandler. It is written by hand because every request pays for it.
func (l *LogWriter) request(r *http.Request, ev *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := line(l.line[:0])
	b = append(b, `{"time":"`...)
	b = ev.Start.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"`...)
	if ev.Err != nil && tenure.AsError(ev.Err).Kind == tenure.Internal {
		b = append(b, slog.LevelError.String()...)
	} else {
		b = append(b, slog.LevelInfo.String()...)
	}
	b = append(b, `","msg":"request"`...)
	b = b.text("request_id", ev.ID).text("method", tenure.Redact(r.Method)).text("path", tenure.Redact(r.URL.Path)).text("route", ev.Route)
	b = b.number("status", int64(ev.Status)).number("bytes", ev.Bytes).number("took_us", ev.Took.Microseconds()).text("address", ev.Origin.Address)
	if p := ev.Principal; p.Valid() {
		b = b.text("credential", p.Kind().String()).text("who", p.Label()).some("token_id", string(p.Token()))
	}
	if ev.Inside {
		b = append(b.key("inside"), "true"...)
	}
	b = b.some("model", tenure.Redact(ev.Model))
	if ev.Provider != "" {
		b = b.text("provider", ev.Provider).number("added_us", ev.Added.Microseconds())
		if ev.KeysPassed > 0 {
			b = b.number("keys_passed", int64(ev.KeysPassed))
		}
	}
	if ev.Use != (tenure.ModelUse{}) {
		b = b.number("input_tokens", ev.Use.Input).number("cached_tokens", ev.Use.CacheReads).number("output_tokens", ev.Use.Output)
	}
	b = b.some("cut", ev.Cut).some("shed", ev.Shed)
	if ev.Err != nil {
		b = b.text("error", tenure.Redact(ev.Err.Error()))
	}
	b = append(b, "}\n"...)
	l.line = b
	_, _ = l.buf.Write(b)
}

// line is a JSON object that is being written.
type line []byte

func (b line) key(k string) line {
	b = append(b, `,"`...)
	b = append(b, k...)
	return append(b, `":`...)
}

func (b line) number(k string, n int64) line { return strconv.AppendInt(b.key(k), n, 10) }

// some writes a text that is not empty.
func (b line) some(k, v string) line {
	if v == "" {
		return b
	}
	return b.text(k, v)
}

// text writes a string as RFC 8259 §7 has it; what is no UTF-8 becomes U+FFFD.
func (b line) text(k, v string) line {
	b = append(b.key(k), '"')
	for i := 0; i < len(v); {
		c := v[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c < ' ' || c == 0x7f:
				const hex = "0123456789abcdef"
				b = append(b, `\u00`...)
				b = append(b, hex[c>>4], hex[c&15])
			default:
				b = append(b, c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(v[i:])
		b = utf8.AppendRune(b, r)
		i += n
	}
	return append(b, '"')
}
