package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// psql is one session of PostgreSQL's shell: an operator who types.
type psql struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startPSQL(ctx context.Context, url string) (*psql, error) {
	cmd := exec.CommandContext(ctx, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", url)
	cmd.SysProcAttr = childAttr()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("psql: %w", err)
	}
	return &psql{cmd, in, bufio.NewReader(out)}, nil
}

// run has a statement carried out; it is committed when run returns.
func (p *psql) run(statement string) error {
	if _, err := io.WriteString(p.in, statement+"\n\\echo done\n"); err != nil {
		return fmt.Errorf("psql: %w", err)
	}
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			return fmt.Errorf("psql did not carry out %.100q: %w", statement, err)
		}
		if strings.TrimSpace(line) == "done" {
			return nil
		}
	}
}

func (p *psql) stop() {
	_ = p.in.Close()
	_ = p.cmd.Wait()
}
