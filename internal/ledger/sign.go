package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/tenure-gateway/tenure"
)

// statement begins what the log's key signs beside checkpoints. A checkpoint begins with
// the name of its log, which has no space: neither is taken for the other.
const statement = "tenure-statement/v1 "

// Sign signs a text, which ends with a line feed, as a statement of a kind: a C2SP signed
// note by the keys that sign checkpoints. It judges nobody: the act that states does.
// Unavailable: the vault is sealed.
func (l *Ledger) Sign(ctx context.Context, kind, text string) (string, error) {
	done, err := l.turn.take(ctx)
	if err != nil {
		return "", err
	}
	keys, err := l.keys(tenure.Everywhere(tenure.WithoutAsker(ctx)))
	done()
	if err != nil {
		return "", fmt.Errorf("audit signing key: %w", err)
	}
	signers := make([]note.Signer, len(keys))
	for i, k := range keys {
		signers[i] = k
	}
	signed, err := note.Sign(&note.Note{Text: statement + kind + "\n" + text}, signers...)
	if err != nil {
		return "", fmt.Errorf("sign a statement: %w", err)
	}
	return string(signed), nil
}

// OpenStatement gives the text of a statement that one of the given public keys has
// signed, and the name of that key. Invalid: a key is none. Any other error: it is not
// signed by one of them, or is of another kind.
func OpenStatement(signed, kind string, keys ...string) (text, by string, err error) {
	v, err := newVerifier(nil, Question{Keys: keys})
	if err != nil {
		return "", "", err
	}
	n, err := note.Open([]byte(signed), note.VerifierList(v.trusted...))
	if err != nil {
		return "", "", fmt.Errorf("no key that is trusted has signed it: %w", err)
	}
	text, ok := strings.CutPrefix(n.Text, statement+kind+"\n")
	if !ok {
		return "", "", errors.New("what is signed is no statement of the kind " + kind)
	}
	return text, fmt.Sprintf("%s+%08x", n.Sigs[0].Name, n.Sigs[0].Hash), nil
}
