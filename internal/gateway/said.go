package gateway

import (
	"bytes"
	"encoding/json"
	"strings"
)

// Said is what the user said last and what the model answered, as plain text: the text of
// the last user message, and that of the answer; of several choices the first. The user
// said nothing in a turn that only goes on after a tool's result. Both are empty where the
// turn cannot be read. It decodes all of it: it is for whoever has the time.
func (t Turn) Said() (user, answer string) {
	var q struct {
		Messages []struct {
			Role    string `json:"role"`
			Content parts  `json:"content"`
		} `json:"messages"`
	}
	if json.Unmarshal(t.asked, &q) != nil {
		return "", ""
	}
	for _, m := range q.Messages {
		switch m.Role {
		case "user":
			user = m.Content.text("\n")
		case "tool", "function":
			user = ""
		}
	}
	var text strings.Builder
	if !t.events {
		if !say(&text, t.answered) {
			return "", ""
		}
		return user, text.String()
	}
	for line := range bytes.Lines(t.answered) {
		data, ok := bytes.CutPrefix(line, dataField)
		if data = bytes.TrimSpace(data); !ok || len(data) == 0 || string(data) == "[DONE]" {
			continue
		}
		if !say(&text, data) {
			return "", ""
		}
	}
	return user, text.String()
}

// say adds the text of an answer, or of an event of one, in either protocol. It reports
// whether that can be read and is no error.
func say(text *strings.Builder, doc []byte) bool {
	type choice struct {
		Content parts `json:"content"`
	}
	var a struct {
		Error   json.RawMessage `json:"error"`
		Choices []struct {
			Index   int    `json:"index"`
			Message choice `json:"message"`
			Delta   choice `json:"delta"`
		} `json:"choices"`
		Content parts `json:"content"`       // of a message
		Block   part  `json:"content_block"` // that begins
		Delta   part  `json:"delta"`         // of a block
	}
	if json.Unmarshal(doc, &a) != nil || len(a.Error) > 0 && string(a.Error) != "null" {
		return false
	}
	for _, c := range a.Choices {
		if c.Index == 0 {
			text.WriteString(c.Message.Content.text(""))
			text.WriteString(c.Delta.Content.text(""))
		}
	}
	text.WriteString(a.Content.text(""))
	if a.Block.Type == "text" {
		text.WriteString(a.Block.Text)
	}
	if a.Delta.Type == "text_delta" {
		text.WriteString(a.Delta.Text)
	}
	return true
}

// part is a piece of a message: text, if its type says so.
type part struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// parts are what a message holds: a list, or one text.
type parts []part

// UnmarshalJSON implements json.Unmarshaler.
func (p *parts) UnmarshalJSON(doc []byte) error {
	if doc[0] != '"' {
		return json.Unmarshal(doc, (*[]part)(p))
	}
	var text string
	err := json.Unmarshal(doc, &text)
	*p = parts{{Type: "text", Text: text}}
	return err
}

func (p parts) text(between string) string {
	var texts []string
	for _, part := range p {
		if part.Type == "text" {
			texts = append(texts, part.Text)
		}
	}
	return strings.Join(texts, between)
}
