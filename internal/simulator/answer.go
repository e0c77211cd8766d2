package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// imageTokens is what one image adds to the input.
const imageTokens = 85

// ask is a request in the words of neither protocol: what the rule that makes
// answers needs to know.
type ask struct {
	system  []string // system texts
	user    string   // the last text of the user's
	results []string // tool results in the last turn
	open    bool     // the last turn is the user's and carries no tool result
	images  int
	bytes   int // of all images, decoded
	tools   []tool
	choice  choice
	model   string
	format  json.RawMessage // the schema of a structured answer; nil: words
	limit   int             // most words to answer with; zero is no limit
	tokens  int             // of the input so far
}

// tool is a function that the caller offers.
type tool struct {
	name   string
	schema json.RawMessage
}

// choice is the caller's tool_choice. The zero value leaves it to the model.
type choice struct {
	never bool
	force bool
	name  string // with force: the tool to call, empty for any
}

// answer is what the simulator has decided to say.
type answer struct {
	pieces []string // the text, or the arguments of call, as they are streamed
	call   *tool    // set if the answer is a tool call
	cut    bool     // the limit cut the text
	pace   time.Duration
	fault  fault
	output int // tokens
}

// text is the pieces together.
func (ans *answer) text() string { return strings.Join(ans.pieces, "") }

// count adds the words of text to the input.
func (a *ask) count(text string) {
	for range strings.FieldsSeq(text) {
		a.tokens++
	}
}

// say records a turn of the user or the model. Its tool results follow, each by
// result.
func (a *ask) say(user bool, text string) {
	a.count(text)
	if user && text != "" {
		a.user = text
	}
	a.open = user
	a.results = nil
}

// result records a tool result.
func (a *ask) result(text string) {
	a.count(text)
	a.open = false
	a.results = append(a.results, text)
}

// instruct records system text.
func (a *ask) instruct(text string) {
	a.count(text)
	a.system = append(a.system, text)
}

// image records an image by its base64 data.
func (a *ask) image(data string) error {
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return fmt.Errorf("decode image: %w", err)
	}
	a.images++
	a.bytes += len(raw)
	a.tokens += imageTokens
	return nil
}

// offer records a tool.
func (a *ask) offer(name, description string, schema json.RawMessage) {
	a.count(name)
	a.count(description)
	a.tools = append(a.tools, tool{name: name, schema: schema})
}

// hasTool says whether the caller offers a tool of that name.
func (a *ask) hasTool(name string) bool {
	return slices.ContainsFunc(a.tools, func(t tool) bool { return t.name == name })
}

// answer decides what to say to a. It is a pure function of a and the fields of
// the Server.
func (s *Server) answer(a *ask) *answer {
	d := readDirectives(a.user, s.Faults).or(readDirectives(strings.Join(a.system, "\n"), s.Faults))
	ans := &answer{pace: s.ChunkEvery, fault: d.fault}
	if s.Faults && a.model == modelLate && (a.format != nil || a.choice.force) {
		ans.fault = fault{kind: hang}
	}
	if d.paced {
		ans.pace = d.pace
	}
	if t := a.callee(); t != nil {
		ans.call = t
		ans.pieces = split(s.document(a, t.schema))
		ans.output = 1 + len(ans.pieces)
		return ans
	}
	if a.format != nil {
		ans.pieces = split(s.document(a, a.format))
		ans.output = len(ans.pieces)
		return ans
	}
	words := s.words(a, d.count)
	if a.limit > 0 && len(words) > a.limit {
		words, ans.cut = words[:a.limit], true
	}
	for i, word := range words {
		if i > 0 {
			word = " " + word
		}
		ans.pieces = append(ans.pieces, word)
	}
	ans.output = len(ans.pieces)
	return ans
}

// words is the text that answers a, counting to count if that is not zero.
func (s *Server) words(a *ask, count int) []string {
	var words []string
	if a.images > 0 {
		noun := "images"
		if a.images == 1 {
			noun = "image"
		}
		words = strings.Fields(fmt.Sprintf("I received %d %s, %d bytes.", a.images, noun, a.bytes))
	}
	if len(a.results) > 0 {
		words = append(words, "The", "tool", "answered:")
		words = append(words, strings.Fields(strings.Join(a.results, " "))...)
	}
	length := s.Words
	if length <= 0 {
		length = defaultWords
	}
	if count > 0 {
		length = len(words) + count
	} else if room := length - len(words); room > 0 {
		said := append([]string{"You", "said:"}, strings.Fields(a.user)...)
		words = append(words, said[:min(room, len(said))]...)
	}
	for n := 1; len(words) < length; n++ {
		words = append(words, strconv.Itoa(n))
	}
	return words
}

// callee is the tool to call instead of answering, nil for none.
func (a *ask) callee() *tool {
	asked := strings.Contains(strings.ToLower(a.user), "weather")
	if len(a.tools) == 0 || a.choice.never || !a.open || !a.choice.force && !asked {
		return nil
	}
	for i, t := range a.tools {
		if t.name == a.choice.name {
			return &a.tools[i]
		}
	}
	for i, t := range a.tools {
		if strings.Contains(strings.ToLower(t.name), "weather") {
			return &a.tools[i]
		}
	}
	return &a.tools[0]
}
