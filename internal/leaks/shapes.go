package leaks

import (
	"bytes"
	"regexp"
)

// alphabet is a set of bytes.
type alphabet func(byte) bool

func digit(b byte) bool  { return b >= '0' && b <= '9' }
func large(b byte) bool  { return b >= 'A' && b <= 'Z' }
func alnum(b byte) bool  { return digit(b) || large(b) || b >= 'a' && b <= 'z' }
func hexa(b byte) bool   { return digit(b) || b >= 'a' && b <= 'f' }
func upper(b byte) bool  { return digit(b) || large(b) }
func narrow(b byte) bool { return alnum(b) || b == '_' || b == '-' }
func base(b byte) bool   { return alnum(b) || b == '+' || b == '/' || b == '=' }

// wide is what words are made of that have no known form.
func wide(b byte) bool { return narrow(b) || b == '.' || b == '~' || b == '+' || b == '/' }

// shape is the form of a key: how it begins, and what follows.
type shape struct {
	kind, prefix string
	of           alphabet
	min, max     int // how long what follows is
}

// shapes are the keys that tell what they are. Of two that begin alike the longer stands
// first. They are what the providers document, or what their keys were seen to be.
var shapes = []shape{
	{"Anthropic key", "sk-ant-", narrow, 40, 200},
	{"OpenAI key", "sk-proj-", narrow, 40, 250},
	{"OpenAI key", "sk-svcacct-", narrow, 40, 250},
	{"OpenAI key", "sk-admin-", narrow, 40, 250},
	{"OpenRouter key", "sk-or-v1-", hexa, 64, 64},
	{"key of OpenAI, DeepSeek or a like provider", "sk-", alnum, 32, 64},
	{"AWS access key", "AKIA", upper, 16, 16},
	{"AWS access key", "ASIA", upper, 16, 16},
	{"Amazon Bedrock key", "ABSK", base, 100, 300},
	{"Google key", "AIza", narrow, 35, 35},
	{"Hugging Face token", "hf_", alnum, 30, 40},
	{"Groq key", "gsk_", alnum, 48, 56},
	{"xAI key", "xai-", alnum, 70, 90},
	{"Perplexity key", "pplx-", alnum, 40, 60},
	{"Replicate token", "r8_", alnum, 37, 40},
	{"Cerebras key", "csk-", alnum, 40, 60},
	{"NVIDIA key", "nvapi-", narrow, 60, 80},
	{"Together key", "tgp_v1_", narrow, 40, 50},
	{"Databricks token", "dapi", hexa, 32, 32},
	{"GitHub token", "github_pat_", narrow, 82, 82},
	{"GitHub token", "ghp_", alnum, 36, 36},
	{"Vault token", "hvs.", narrow, 24, 200},
	{"secret key of age", "AGE-SECRET-KEY-1", upper, 58, 58},
}

// lowEntropy is below what a random key has, and above what a placeholder has, in bits
// a character.
const lowEntropy = 3.0

// in adds the keys of this form that begin in a part of a window.
func (s shape) in(out []found, buf []byte, from, to int) []found {
	for i := from; i < to; i++ {
		at := bytes.Index(buf[i:], []byte(s.prefix))
		if at < 0 || i+at >= to {
			return out
		}
		i += at
		if i > 0 && alnum(buf[i-1]) {
			continue
		}
		end := i + len(s.prefix)
		for end < len(buf) && end-i <= maxSecret && s.of(buf[end]) {
			end++
		}
		rest := buf[i+len(s.prefix) : end]
		if len(rest) < s.min || len(rest) > s.max || end < len(buf) && alnum(buf[end]) || !random(rest) {
			continue
		}
		out = append(out, found{i, end, Hit{Kind: s.kind}})
		i = end - 1
	}
	return out
}

// random reports whether a text is neither a placeholder nor an example. The texts here
// are what such are made of: "xxxx" is how documentation blanks a key.
func random(text []byte) bool {
	for _, example := range [...]string{"EXAMPLE", "example", "0123456789", "1234567890", "abcdefgh", "ABCDEFGH", "xxxx", "XXXX"} {
		if bytes.Contains(text, []byte(example)) {
			return false
		}
	}
	return entropy(text) >= lowEntropy
}

// A namedKey tells nothing by itself: it is one by the name of what it is given to, as
// MISTRAL_API_KEY=….
type namedKey struct {
	kind  string
	names []string // of which one is in the name
	form  *regexp.Regexp
}

// assigned is the rest of a name with "key" in it, and what is given to it.
const assigned = `^[A-Za-z0-9_.-]{0,24}?(?i:key)[A-Za-z0-9_]{0,8}["'\x60]?\s{0,4}(?:[:=]|=>|:=)\s{0,4}["'\x60]?`

var named = []namedKey{
	{"Mistral key", []string{"MISTRAL", "mistral", "Mistral"}, regexp.MustCompile(assigned + `([A-Za-z0-9]{32})(?:[^A-Za-z0-9]|$)`)},
	{"Azure OpenAI key", []string{"AZURE", "azure", "Azure"}, regexp.MustCompile(assigned + `([0-9a-f]{32}|[A-Za-z0-9]{84})(?:[^A-Za-z0-9]|$)`)},
	{"Azure OpenAI key", []string{"api-", "Api-", "API-"}, regexp.MustCompile(`^(?i:key)["'\x60]?\s{0,4}[:=]\s{0,4}["'\x60]?([0-9a-f]{32}|[A-Za-z0-9]{84})(?:[^A-Za-z0-9]|$)`)},
	{"Cohere key", []string{"COHERE", "cohere", "Cohere", "CO_API"}, regexp.MustCompile(assigned + `([A-Za-z0-9]{40})(?:[^A-Za-z0-9]|$)`)},
	{"Together key", []string{"TOGETHER", "together", "Together"}, regexp.MustCompile(assigned + `([0-9a-f]{64})(?:[^A-Za-z0-9]|$)`)},
}

// maxNamed is how far behind its name a key ends, in bytes.
const maxNamed = 160

func (n namedKey) in(out []found, buf []byte, from, to int) []found {
	for _, name := range n.names {
		for i := from; i < to; i++ {
			at := bytes.Index(buf[i:], []byte(name))
			if at < 0 || i+at >= to {
				break
			}
			i += at + len(name)
			rest := buf[i:min(len(buf), i+maxNamed)]
			m := n.form.FindSubmatchIndex(rest)
			if m == nil || !random(rest[m[2]:m[3]]) {
				i-- // what follows may be a name, too
				continue
			}
			out = append(out, found{i + m[2], i + m[3], Hit{Kind: n.kind}})
			i += m[3] - 1
		}
	}
	return out
}
