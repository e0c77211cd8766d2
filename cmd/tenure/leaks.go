package main

import (
	"fmt"
	"io"
	"os"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/leaks"
	"github.com/tenure-gateway/tenure/internal/token"
)

type leaksCmd struct {
	Rule  leaksRule  `cmd:"" help:"Print rules by which scanners find tokens of Tenure."`
	Check leaksCheck `cmd:"" help:"Look for tokens of Tenure in files, and revoke them if told to."`
}

type leaksRule struct {
	Format string `required:"" enum:"gitleaks,trufflehog,regex" placeholder:"gitleaks|trufflehog|regex" help:"For which scanner."`
}

// Help implements kong.HelpProvider.
func (leaksRule) Help() string {
	return "Example:\n\n  tenure leaks rule --format gitleaks > .gitleaks.toml && gitleaks dir --config .gitleaks.toml .\n\n" +
		"'regex' prints the bare regular expression, for any other scanner."
}

// Rules of the scanners. A token ends where letters and digits end; the entropy
// of a real one is above 4 bits a character, that of a placeholder below.
const (
	gitleaksRules = `# Tokens of Tenure, for gitleaks (https://github.com/gitleaks/gitleaks) 8.

[extend]
useDefault = true
`
	gitleaksRule = `
[[rules]]
id = "tenure-%[1]s"
description = "%[2]s"
regex = '''(%[3]s[0-9A-Za-z]{46})(?:[^0-9A-Za-z]|$)'''
secretGroup = 1
entropy = 4
keywords = ["%[3]s"]
`
	trufflehogRules = `# Tokens of Tenure, for TruffleHog (https://github.com/trufflesecurity/trufflehog) 3, as custom detectors.
detectors:
`
	trufflehogRule = `  - name: tenure-%[1]s
    description: "%[2]s"
    keywords:
      - %[3]s
    regex:
      token: '(%[3]s[0-9A-Za-z]{46})(?:[^0-9A-Za-z]|$)'
    entropy: 4
`
)

// leakKinds are the kinds of token, and what a leaked one of each means.
func leakKinds() []struct {
	kind tenure.TokenKind
	what string
} {
	return []struct {
		kind tenure.TokenKind
		what string
	}{
		{tenure.KindPAT, "Tenure personal access token"},
		{tenure.KindService, "Tenure service account token"},
		{tenure.KindSCIM, "Tenure SCIM connector token: it can create and deactivate people"},
		{tenure.KindRoot, "Tenure root token: it can do everything"},
	}
}

// Run implements the verb.
func (c *leaksRule) Run(e *env) error {
	head, rule := gitleaksRules, gitleaksRule
	switch c.Format {
	case "regex":
		_, err := fmt.Fprintln(e.stdout, tenure.TokenPattern)
		return err
	case "trufflehog":
		head, rule = trufflehogRules, trufflehogRule
	}
	fmt.Fprint(e.stdout, head)
	for _, k := range leakKinds() {
		fmt.Fprintf(e.stdout, rule, k.kind, k.what, k.kind.Prefix())
	}
	return nil
}

type leaksCheck struct {
	local
	Files  []string `arg:"" optional:"" name:"file" help:"Files to look into; - or none is standard input."`
	Revoke bool     `help:"Revoke what is found, in the data directory."`
}

// Help implements kong.HelpProvider.
func (leaksCheck) Help() string {
	return `Example:

  git log -p | tenure leaks check --revoke

Tokens are shown by their first nine characters, with file and line. Only those whose checksum holds count. ` +
		`Exit status 1: there was one. Without --revoke no data directory is needed.`
}

// finding is a token that was found.
type finding struct {
	file  string
	line  int
	token string
	state string // "", or what --revoke made of it
}

// Run implements the verb.
func (c *leaksCheck) Run(e *env) error {
	if len(c.Files) == 0 {
		c.Files = []string{"-"}
	}
	var found []finding
	for _, name := range c.Files {
		more, err := lookInto(name)
		if err != nil {
			return err
		}
		found = append(found, more...)
	}
	if c.Revoke && len(found) > 0 {
		if err := c.with(e, false, func(a *app.App, by tenure.Principal) error { return revokeFound(e, a, by, found) }); err != nil {
			return err
		}
	}
	views := make([]map[string]any, len(found))
	for i, f := range found {
		kind, _ := tenure.ParseToken(f.token)
		views[i] = map[string]any{"file": f.file, "line": f.line, "prefix": f.token[:tenure.TokenPrefixLength], "kind": kind}
		if c.Revoke {
			views[i]["state"] = f.state
		}
	}
	err := c.print(e, views, func(w io.Writer) {
		for _, f := range found {
			fmt.Fprintf(w, "%s:%d\t%s…\t%s\n", f.file, f.line, f.token[:tenure.TokenPrefixLength], f.state)
		}
	})
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%d found", len(found))
	}
	return err
}

// revokeFound reports each token that was found as leaked.
func revokeFound(e *env, a *app.App, by tenure.Principal, found []finding) error {
	for i, f := range found {
		done, err := a.Tokens.ReportLeak(e.ctx, token.Leak{Token: f.token, Where: fmt.Sprintf("%s:%d", f.file, f.line), By: by.Label()})
		switch {
		case err != nil:
			return err
		case done.Revoked:
			found[i].state = "revoked"
		case done.Known:
			found[i].state = "revoked before"
		default:
			found[i].state = "not known here"
		}
	}
	return nil
}

// lookInto finds the tokens in a file; "-" is standard input.
func lookInto(name string) ([]finding, error) {
	if name == "-" {
		return lookThrough(os.Stdin, "stdin")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return lookThrough(f, name)
}

// lookThrough finds the tokens in a text of any length and any kind.
func lookThrough(r io.Reader, name string) (found []finding, err error) {
	f := leaks.Finder{TokensOnly: true}
	err = f.Find(r, func(h leaks.Hit) { found = append(found, finding{file: name, line: h.Line, token: h.Secret}) })
	return found, err
}
