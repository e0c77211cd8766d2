package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/policy"
)

type policyCmd struct {
	List  policyList  `cmd:"" help:"List the policy: every key, its value and its default."`
	Set   policySet   `cmd:"" help:"Set keys of the policy, all of them or none."`
	Unset policyUnset `cmd:"" help:"Make keys of the policy what they are by default."`
}

type policyList struct {
	local
	Meaning bool `help:"Say what each key means."`
}

// Help implements kong.HelpProvider.
func (policyList) Help() string {
	return "Example:\n\n  tenure policy list --meaning\n\nWhat is set is marked with a star, and who set it when is told."
}

// Run implements the verb.
func (c *policyList) Run(e *env) error {
	return c.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Policies.Read(e.ctx, by)
		if err != nil {
			return err
		}
		return c.print(e, policyViews(rows), func(w io.Writer) { tellPolicy(w, rows, c.Meaning) })
	})
}

func policyViews(rows []policy.Entry) []map[string]any {
	views := make([]map[string]any, 0, len(rows))
	for _, r := range rows {
		views = append(views, map[string]any{
			"key": r.Key, "value": r.Value, "default": r.Default, "meaning": r.Meaning, "set": r.Set,
			"updated_at": stamp(r.UpdatedAt), "updated_by": r.UpdatedBy,
		})
	}
	return views
}

func tellPolicy(w io.Writer, rows []policy.Entry, meaning bool) {
	fmt.Fprint(w, "KEY\tVALUE\tDEFAULT\tSET BY\tSET AT")
	if meaning {
		fmt.Fprint(w, "\tMEANING")
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		key, by := r.Key, "–"
		if r.Set {
			key, by = "* "+key, r.UpdatedBy
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s", key, orDash(r.Value), orDash(r.Default), by, short(r.UpdatedAt))
		if meaning {
			fmt.Fprintf(w, "\t%s", r.Meaning)
		}
		fmt.Fprintln(w)
	}
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

type policySet struct {
	local
	Values []string `arg:"" name:"key=value" help:"Key and value, for example pat_max_lifetime=30d."`
}

// Help implements kong.HelpProvider.
func (policySet) Help() string {
	return "Example:\n\n  tenure policy set pat_max_lifetime=30d pat_default_lifetime=7d\n\n" +
		"Exit status 4: the root token would be off, and there is no super admin."
}

// Run implements the verb.
func (c *policySet) Run(e *env) error {
	values := map[string]*string{}
	for _, text := range c.Values {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return tenure.InvalidField("policy", "%q is no KEY=VALUE; write for example pat_max_lifetime=30d", text)
		}
		if _, twice := values[key]; twice {
			return tenure.InvalidField("policy", "%s is named twice", key)
		}
		values[key] = &value
	}
	return c.change(e, values)
}

// change sets keys, or unsets them where the value is nil, and shows them.
func (l local) change(e *env, values map[string]*string) error {
	return l.with(e, false, func(a *app.App, by tenure.Principal) error {
		rows, err := a.Policies.Set(e.ctx, by, values)
		if err != nil {
			return err
		}
		var changed []policy.Entry
		for _, r := range rows {
			if _, ok := values[r.Key]; ok {
				changed = append(changed, r)
			}
		}
		return l.print(e, policyViews(changed), func(w io.Writer) {
			for _, r := range changed {
				fmt.Fprintf(w, "%s is %s\n", r.Key, orDash(r.Value))
			}
		})
	})
}

type policyUnset struct {
	local
	Keys []string `arg:"" name:"key" help:"Keys."`
}

// Help implements kong.HelpProvider.
func (policyUnset) Help() string { return "Example:\n\n  tenure policy unset pat_max_lifetime" }

// Run implements the verb.
func (c *policyUnset) Run(e *env) error {
	values := map[string]*string{}
	for _, key := range c.Keys {
		values[key] = nil
	}
	return c.change(e, values)
}
