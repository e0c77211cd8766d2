// Command tenure is the gateway and its tools: it serves, shows a demo, and lets
// an operator look after tokens, people and providers on the machine that holds
// the data. It owns the command line; what the verbs do is not decided here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/demo"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Exit codes, for scripts.
const (
	exitFailed   = 1 // it did not work
	exitUsage    = 2 // wrong arguments or settings
	exitNotFound = 3 // there is no such token, user or provider
	exitConflict = 4 // it clashes with what is there
	exitUnsafe   = 5 // the disk failed to keep what was written
)

// version is that of the source; a build of a tagged module knows better.
const version = "v0.1.0-dev"

// cli is the whole command line.
type cli struct {
	Serve serveCmd `cmd:"" help:"Serve the gateway, the dashboard, the API and SCIM."`
	Demo  demoCmd  `cmd:"" help:"Show what Tenure does, with a simulated provider and a development sign-in proxy."`

	Migrate migrateCmd `cmd:"" help:"Bring the database's schema up to date."`
	Health  healthCmd  `cmd:"" help:"Ask the server on this machine whether it is ready."`
	Backup  backupCmd  `cmd:"" help:"Backups of everything, and their restore."`
	Doctor  doctorCmd  `cmd:"" help:"Look at the whole installation, and say what is wrong and what to do."`

	Token tokenCmd `cmd:"" help:"Access tokens."`
	User  userCmd  `cmd:"" help:"People."`

	ServiceAccount accountCmd `cmd:"" help:"Service accounts: who asks models without being a person."`

	Audit     auditCmd     `cmd:"" help:"The audit log."`
	Evidence  evidenceCmd  `cmd:"" help:"Evidence for an auditor: one signed file, and its verification."`
	Review    reviewCmd    `cmd:"" help:"Access reviews: who has access, and should they still."`
	Notice    noticeCmd    `cmd:"" help:"Notices: what people should know before it hurts."`
	Webhook   webhookCmd   `cmd:"" help:"The webhook that posts notices."`
	Connector connectorCmd `cmd:"" help:"SCIM connectors: the identity providers' ways in."`
	Policy    policyCmd    `cmd:"" help:"The tenant's policy: lifetimes, who may mint, what is open."`
	OIDC      oidcCmd      `cmd:"" name:"oidc" help:"OIDC connections: the identity providers by which people sign in."`
	Provider  providerCmd  `cmd:"" help:"Model providers."`
	Usage     usageCmd     `cmd:"" help:"What models used, in tokens, as their providers counted it."`
	Limit     limitCmd     `cmd:"" help:"Limits on the use of models: requests a minute, tokens a day, spend a month."`
	Exception exceptionCmd `cmd:"" help:"Exceptions: one rule does not hold for one thing, until a day."`
	Price     priceCmd     `cmd:"" help:"What the tokens of models cost."`
	Vault     vaultCmd     `cmd:"" help:"Sealed secrets, and the key-encryption key."`
	Workspace workspaceCmd `cmd:"" help:"Workspaces, their members, and what groups are in them."`

	Extraction extractionCmd `cmd:"" help:"When beliefs are drawn out of a workspace's turns, and by which model."`
	Access     accessCmd     `cmd:"" help:"Who may do what, and why."`
	Tenant     tenantCmd     `cmd:"" help:"Tenants."`
	Leaks      leaksCmd      `cmd:"" help:"Tokens where none must be: rules for scanners, and a check."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// env is what a verb works with.
type env struct {
	ctx    context.Context //nolint:containedctx // the life of the process
	stdout io.Writer
	stderr io.Writer
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run runs one command and gives its exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exited := -1
	parser, err := kong.New(&cli{}, kong.Name("tenure"), kong.Writers(stdout, stderr),
		kong.Description("Ties every model request to a person, and ends it the moment that person is gone."),
		kong.Exit(func(code int) { exited = code }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: false, WrapUpperBound: 100}))
	if err != nil {
		fmt.Fprintln(stderr, "tenure:", err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "tenure: %s; see 'tenure --help'\n", err)
		return exitUsage
	}
	return status(k.Run(&env{tenure.Everywhere(ctx), stdout, stderr}), stderr)
}

// status tells of an error in one line and gives its exit status.
func status(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, context.Canceled) {
		return 0
	}
	if errors.As(err, &errNo{}) {
		return exitFailed
	}
	line := strings.NewReplacer("\n\t", " ", "\n", "; ").Replace(strings.TrimSpace(err.Error()))
	fmt.Fprintln(stderr, "tenure:", tenure.Redact(line))
	var e *tenure.Error
	if !errors.As(err, &e) {
		return exitFailed
	}
	if e.Code == store.CodeUnsafe {
		return exitUnsafe
	}
	switch e.Kind { //nolint:exhaustive // the rest is a failure
	case tenure.Invalid:
		return exitUsage
	case tenure.NotFound:
		return exitNotFound
	case tenure.Conflict:
		return exitConflict
	}
	return exitFailed
}

type serveCmd struct {
	config.Serve
}

// Help implements kong.HelpProvider.
func (serveCmd) Help() string {
	return `Example, behind a proxy that signs people in:

  TENURE_MODE=teams TENURE_TRUSTED_PROXIES=10.0.3.7 TENURE_ADMINS=you@example.com \
  OPENAI_API_KEY=… tenure serve

Every flag is also the environment variable that is named beside it. Log lines go to standard error.`
}

// Run implements the verb.
func (c *serveCmd) Run(e *env) error {
	cfg, err := c.Check()
	if err != nil {
		return err
	}
	logs := web.NewLogWriter(e.stderr)
	defer func() { _ = logs.Close() }()
	a, err := app.Open(e.ctx, cfg, logs)
	if err != nil {
		return err
	}
	a.Version = built()
	err = a.Serve(e.ctx, e.stdout, func(at net.Addr) {
		fmt.Fprintf(e.stdout, "Tenure serves on http%s://%s\n", map[bool]string{true: "s"}[cfg.TLSCert != ""], at)
	})
	return errors.Join(err, a.Close())
}

type demoCmd struct {
	Dir    string `name:"home" default:".demo" placeholder:"DIR" help:"Directory of the demo's data, made anew at each start."`
	Listen string `default:"127.0.0.1:5757" placeholder:"HOST:PORT" help:"Address of Tenure."`
	Proxy  string `default:"127.0.0.1:5758" placeholder:"HOST:PORT" help:"Address of the development sign-in proxy."`
}

// Help implements kong.HelpProvider.
func (demoCmd) Help() string {
	return `Example:

  tenure demo

It uses the real OpenAI when OPENAI_API_KEY is set, and a simulated provider of both wire formats otherwise. Ctrl-C stops it.`
}

// Run implements the verb.
func (c *demoCmd) Run(e *env) error {
	return demo.Run(e.ctx, demo.Options{
		Dir: c.Dir, Listen: c.Listen, Proxy: c.Proxy, OpenAIKey: os.Getenv("OPENAI_API_KEY"),
		OpenAIBaseURL: os.Getenv("OPENAI_BASE_URL"), Out: e.stdout,
	})
}

type versionCmd struct{}

// Help implements kong.HelpProvider.
func (versionCmd) Help() string { return "Example:\n\n  tenure version" }

// Run implements the verb.
func (versionCmd) Run(e *env) error {
	_, err := fmt.Fprintln(e.stdout, "tenure", built())
	return err
}

// built is the version of this program.
func built() string {
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return info.Main.Version
	}
	return version
}
