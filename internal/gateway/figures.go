package gateway

import (
	"bytes"
	"strings"
)

// OpenAI tells what a streamed chat completion used only where it is asked, by
// stream_options.include_usage. Where the client did not ask, the gateway does, and
// takes what it caused out of the stream again. Servers that speak OpenAI's format
// and do not know the question may refuse the request for it: the policy
// stream_usage says whether they are asked.

// figures reports whether the provider is asked.
func (t *target) figures() bool { return t.rules.stream || t.openAI() }

// openAI reports whether the provider is OpenAI itself, or Azure's, and no server that
// speaks its format.
func (t *target) openAI() bool {
	host := t.base.Hostname()
	return host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com") || strings.HasSuffix(host, ".openai.azure.com")
}

// withUsage is the edit that asks for the figures of use, and whether it is one:
// options is where "stream_options" stands, if anywhere. What is not understood is
// left to the provider. doc has been walked by findModel.
func withUsage(doc []byte, options span) (splice, bool) {
	if options.to == 0 {
		at := bytes.IndexByte(doc, '{') + 1
		return splice{from: at, to: at, text: []byte(`"stream_options":{"include_usage":true},`)}, true
	}
	value := doc[options.from:options.to]
	if string(value) == "null" {
		return splice{from: options.from, to: options.to, text: []byte(`{"include_usage":true}`)}, true
	}
	if value[0] != '{' {
		return splice{}, false
	}
	members, asked := 0, splice{}
	err := each(doc, options.from, func(key []byte, from, to int) error {
		members++
		if is(key, "include_usage") {
			asked = splice{from: from, to: to, text: []byte("true")}
		}
		return nil
	})
	switch {
	case err != nil:
		return splice{}, false
	case asked.to > 0:
		if said := string(doc[asked.from:asked.to]); said == "false" || said == "null" {
			return asked, true
		}
		return splice{}, false
	}
	at, text := options.from+1, `"include_usage":true,`
	if members == 0 {
		text = strings.TrimSuffix(text, ",")
	}
	return splice{from: at, to: at, text: []byte(text)}, true
}

// hider takes the figures of use out of an event stream, as if nobody had asked:
// the chunk that has no choices and only tells them, and the null in all others.
type hider struct {
	on   bool
	part bool // what comes next is the rest of a line
	gone bool // an event was taken out, the blank line after it is to be
}

// pass takes the figures out of b, in its place, and gives how long it is then.
func (h *hider) pass(b []byte) int {
	if !h.part && !h.gone && find(b) < 0 {
		h.part = len(b) > 0 && b[len(b)-1] != '\n'
		return len(b)
	}
	kept, rest := 0, b
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 {
			end = len(rest)
		}
		line := rest[:end]
		rest = rest[end:]
		whole := !h.part
		h.part = line[len(line)-1] != '\n'
		blank := whole && len(bytes.TrimRight(line, "\r\n")) == 0
		if h.gone && blank {
			h.gone = false
			continue
		}
		usage, gone := span{}, false
		if whole && !h.part && find(line) >= 0 {
			usage, gone = figuresIn(line)
		}
		if h.gone = gone; gone {
			continue
		}
		kept += copy(b[kept:], line[:usage.from])
		kept += copy(b[kept:], line[usage.to:])
	}
	return kept
}

// figuresIn tells what is to be taken out of an event: where its "usage" stands that
// is null, with the comma before it, or that all of it is gone, because it tells of use
// and nothing else. What stands below the top is none of it.
func figuresIn(line []byte) (null span, gone bool) {
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	doc := bytes.TrimSpace(data)
	if !ok || len(doc) == 0 || doc[0] != '{' {
		return span{}, false
	}
	choices, told := true, false
	var key span
	err := each(doc, 0, func(name []byte, from, to int) error {
		switch string(name) {
		case "choices":
			choices = len(bytes.TrimSpace(bytes.Trim(doc[from:to], "[]"))) > 0
		case "usage":
			told = doc[from] == '{'
			if string(doc[from:to]) == "null" {
				key = span{bytes.LastIndex(doc[:from], needle), to}
			}
		}
		return nil
	})
	if err != nil {
		return span{}, false
	}
	if told && !choices {
		return span{}, true
	}
	before := bytes.TrimRight(doc[:key.from], " ")
	if key.to == 0 || !bytes.HasSuffix(before, []byte(",")) {
		return span{}, false
	}
	start := bytes.Index(line, doc[:1])
	return span{start + len(before) - 1, start + key.to}, false
}
