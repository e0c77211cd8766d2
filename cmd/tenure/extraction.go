package main

import (
	"fmt"
	"io"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/belief"
)

type extractionCmd struct {
	Show extractionShow `cmd:"" help:"Show when beliefs are drawn out of a workspace's turns."`
	Set  extractionSet  `cmd:"" help:"Say when beliefs are drawn out of a workspace's turns, and by which model."`
}

type extractionShow struct {
	local
	Workspace string `arg:"" help:"Name or id."`
}

// Help implements kong.HelpProvider.
func (extractionShow) Help() string {
	return "Example:\n\n  tenure extraction show Research\n\nWhat holds is the least of what the policy and the workspace say; people and tokens narrow it for themselves."
}

// Run implements the verb.
func (c *extractionShow) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error { return c.shown(e, a, by, c.Workspace) })
}

type extractionSet struct {
	local
	Workspace string `arg:"" help:"Name or id."`
	When      string `required:"" enum:"off,asked,always" placeholder:"off|asked|always" help:"When: never, where a request or a client asks for it, or always."`
	Model     string `placeholder:"MODEL" help:"Which model is asked, as it is asked for in the workspace (default: none, and nothing is drawn out)."`
}

// Help implements kong.HelpProvider.
func (extractionSet) Help() string {
	return "Example:\n\n  tenure extraction set Research --when asked --model gpt-4o-mini\n\nThe policy extraction is the most that holds: tenure policy set extraction=asked."
}

// Run implements the verb.
func (c *extractionSet) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		err := a.Beliefs.SetWorkspace(e.ctx, by, c.Workspace, belief.Setting{When: tenure.Extraction(c.When), Model: c.Model})
		if err != nil {
			return noWorkspace(err, c.Workspace)
		}
		return c.shown(e, a, by, c.Workspace)
	})
}

// shown prints when beliefs are drawn out of a workspace's turns.
func (l *local) shown(e *env, a *app.App, by tenure.Principal, workspace string) error {
	f, err := a.Beliefs.InWorkspace(e.ctx, by, workspace)
	if err != nil {
		return noWorkspace(err, workspace)
	}
	view := map[string]any{"workspace": f.Workspace, "name": f.Name, "extraction": f.When, "model": f.Model, "policy": f.Policy, "effective": f.Holds, "held_by": f.By}
	return l.print(e, view, func(out io.Writer) {
		fmt.Fprintln(out, "WORKSPACE\tSAYS\tMODEL\tPOLICY\tHOLDS")
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", f.Name, f.When, f.Model, f.Policy, f.Holds)
	})
}
