package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/tenure-gateway/tenure"
)

// maxSecret is how much of a file is read of which one line is a secret.
const maxSecret = 8 << 10

// readSecret reads one line of a file; "-" is standard input, where somebody at a
// terminal is asked for it, by its name, and nothing of what they type is shown.
func readSecret(e *env, what, file string) (tenure.Secret, error) {
	if file == "-" && term.IsTerminal(int(os.Stdin.Fd())) {
		return askSecret(e, what)
	}
	in := io.Reader(os.Stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return tenure.Secret{}, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return tenure.Secret{}, err
	}
	return tenure.NewSecret(strings.TrimSpace(line)), nil
}

// askSecret asks whoever is at the terminal. Who interrupts it gets the terminal back as
// it was.
func askSecret(e *env, what string) (tenure.Secret, error) {
	fd := int(os.Stdin.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return tenure.Secret{}, err
	}
	type typed struct {
		line []byte
		err  error
	}
	done := make(chan typed, 1)
	fmt.Fprintf(e.stderr, "%s (not shown): ", what)
	go func() {
		line, err := term.ReadPassword(fd)
		done <- typed{line, err}
	}()
	defer fmt.Fprintln(e.stderr)
	select {
	case got := <-done:
		if got.err != nil && !errors.Is(got.err, io.EOF) {
			return tenure.Secret{}, got.err
		}
		return tenure.NewSecret(strings.TrimSpace(string(got.line))), nil
	case <-e.ctx.Done():
		return tenure.Secret{}, errors.Join(errInterrupted, term.Restore(fd, before))
	}
}

// errInterrupted is of no kind: nothing was wrong with what was asked.
var errInterrupted = errors.New("interrupted: nothing was done")
