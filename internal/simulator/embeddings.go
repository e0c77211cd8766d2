package simulator

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
)

// Lengths of a vector.
const (
	embeddingLength    = 1536
	maxEmbeddingLength = 3072
)

// embeddingRequest is what the simulator reads of a request for embeddings.
type embeddingRequest struct {
	Model          string          `json:"model"`
	Input          json.RawMessage `json:"input"` // a string, a list of them, tokens, or a list of lists of tokens
	EncodingFormat string          `json:"encoding_format"`
	Dimensions     *int            `json:"dimensions"`
}

// embeddingList is OpenAI's answer.
type embeddingList struct {
	Object string          `json:"object"`
	Data   []embedding     `json:"data"`
	Model  string          `json:"model"`
	Usage  embeddingTokens `json:"usage"`
}

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // numbers, or little-endian float32 in base64
}

type embeddingTokens struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

// embeddings answers POST /v1/embeddings.
func (x *exchange) embeddings() error {
	var q embeddingRequest
	if err := decodeOpenAI(x.body, &q); err != nil {
		return err
	}
	if q.Model == "" {
		return openAIInvalid("model", "missing_required_parameter", "you must provide a model parameter")
	}
	if err := x.known(q.Model); err != nil {
		return err
	}
	length := embeddingLength
	if q.Dimensions != nil {
		if err := atLeastOne("dimensions", q.Dimensions); err != nil {
			return err
		}
		length = min(*q.Dimensions, maxEmbeddingLength)
	}
	if !slices.Contains([]string{"", "float", "base64"}, q.EncodingFormat) {
		return openAIInvalid("encoding_format", "invalid_value", "Invalid value: '"+q.EncodingFormat+"'. Supported values are: 'float' and 'base64'.")
	}
	inputs, err := q.inputs()
	if err != nil {
		return err
	}
	a := &ask{}
	list := embeddingList{Object: "list", Data: []embedding{}, Model: q.Model}
	for i, input := range inputs {
		a.say(true, input)
		list.Data = append(list.Data, embedding{Object: "embedding", Index: i, Embedding: vector(input, length, q.EncodingFormat)})
	}
	ans := x.s.answer(a)
	if err := x.failFirst(ans.fault, false); err != nil {
		return err
	}
	list.Usage = embeddingTokens{PromptTokens: a.tokens, TotalTokens: a.tokens}
	return x.whole(&answer{fault: ans.fault}, list)
}

// inputs are the texts; tokens count as the text of their numbers.
func (q *embeddingRequest) inputs() ([]string, error) {
	var one string
	if json.Unmarshal(q.Input, &one) == nil && one != "" {
		return []string{one}, nil
	}
	var several []json.RawMessage
	if err := json.Unmarshal(q.Input, &several); err != nil || len(several) == 0 {
		return nil, openAIInvalid("input", "", "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.")
	}
	texts := make([]string, 0, len(several))
	for _, raw := range several {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		texts = append(texts, text)
	}
	if first := bytes.TrimSpace(several[0]); first[0] != '"' && first[0] != '[' { // the tokens of one text
		return []string{fmt.Sprint(texts)}, nil
	}
	return texts, nil
}

// vector is a direction that depends on the text alone, of length one.
func vector(text string, length int, format string) any {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))                  // never fails
	random := rand.New(rand.NewPCG(h.Sum64(), 0)) //nolint:gosec // the same each time, on purpose
	numbers := make([]float32, length)
	square := 0.0
	for i := range numbers {
		n := random.NormFloat64()
		numbers[i] = float32(n)
		square += n * n
	}
	scale := float32(1 / math.Sqrt(square))
	var raw []byte
	for i := range numbers {
		numbers[i] *= scale
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(numbers[i]))
	}
	if format == "base64" {
		return base64.StdEncoding.EncodeToString(raw)
	}
	return numbers
}
