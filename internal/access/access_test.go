package access_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
)

var update = flag.Bool("update", false, "write the tables of docs/reference/access.md anew")

func principal(t *testing.T, edit func(*tenure.Standing)) tenure.Principal {
	t.Helper()
	s := &tenure.Standing{
		Tenant: tenure.DefaultTenant, TenantActive: true, User: "u", UserActive: true, Session: "s", Workspace: "w", WorkspaceRole: tenure.Member,
		ServiceAccount: "a", AccountActive: true, AuthAt: time.Now(), SeenAt: time.Now(),
		Limits: tenure.SessionLimits{AdminIdle: time.Minute, Reauth: time.Minute},
	}
	edit(s)
	p, err := s.Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What each kind of credential may do, besides asking for what does not exist.
func TestWhoMayWhat(t *testing.T) {
	data := []tenure.Action{tenure.ChatCompletions, tenure.CreateMessage, tenure.CountTokens, tenure.ListModels, tenure.ReadModel}
	self := []tenure.Action{tenure.ReadSelf, tenure.ListTokens, tenure.MintToken, tenure.RevokeToken, tenure.ListSession, tenure.EndSession, tenure.ViewPages}
	reads := []tenure.Action{tenure.ListAllTokens, tenure.ListUsers, tenure.ReadUser, tenure.ListProviders, tenure.ReadHealth}
	admin := []tenure.Action{tenure.RevokeAnyToken, tenure.DeactivateUser, tenure.ReactivateUser, tenure.RevokeAll}
	super := []tenure.Action{tenure.CreateProvider, tenure.ChangeProvider, tenure.DeleteProvider, tenure.RotateRoot}
	scim := []tenure.Action{tenure.ReadSCIM, tenure.ProvisionUser, tenure.UpdateUser, tenure.DeprovisionUser}
	all := slices.Concat(data, self, reads, admin, super, scim)
	for name, c := range map[string]struct {
		who tenure.Principal
		may []tenure.Action
	}{
		"pat":            {principal(t, func(s *tenure.Standing) { s.Kind, s.Scopes = tenure.PAT, tenure.DataPlane }), data},
		"narrow pat":     {principal(t, func(s *tenure.Standing) { s.Kind, s.Scopes = tenure.PAT, tenure.ScopeChat }), data[:1]},
		"pat of nothing": {principal(t, func(s *tenure.Standing) { s.Kind = tenure.PAT }), nil},
		"viewer's pat": {principal(t, func(s *tenure.Standing) {
			s.Kind, s.Scopes, s.WorkspaceRole = tenure.PAT, tenure.DataPlane, tenure.Viewer
		}), nil},
		"super admin's pat": {principal(t, func(s *tenure.Standing) {
			s.Kind, s.Scopes, s.Role = tenure.PAT, tenure.DataPlane, tenure.SuperAdmin
		}), data},
		"service token": {principal(t, func(s *tenure.Standing) { s.Kind, s.Scopes = tenure.ServiceToken, tenure.ScopeMessages }), data[1:3]},
		"member":        {principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.BrowserSession, tenure.Member }), self},
		"auditor": {
			principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.AssertedIdentity, tenure.Auditor }),
			slices.Concat(self, reads),
		},
		"admin": {
			principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.BrowserSession, tenure.Admin }),
			slices.Concat(self, reads, admin),
		},
		"super admin": {
			principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.AssertedIdentity, tenure.SuperAdmin }),
			slices.Concat(self, reads, admin, super),
		},
		"no role":   {principal(t, func(s *tenure.Standing) { s.Kind = tenure.AssertedIdentity }), nil},
		"connector": {principal(t, func(s *tenure.Standing) { s.Kind = tenure.ConnectorToken }), scim},
		"root in teams mode": {
			principal(t, func(s *tenure.Standing) { s.Kind = tenure.RootToken }),
			slices.DeleteFunc(slices.Concat(self, reads, admin, super), func(a tenure.Action) bool { return a == tenure.MintToken }),
		},
		"operator": {principal(t, func(s *tenure.Standing) { s.Kind = tenure.Operator }), all},
		"nobody":   {tenure.Principal{}, nil},
	} {
		for _, a := range all {
			if err := access.Check(c.who, a); (err == nil) != slices.Contains(c.may, a) {
				t.Errorf("%s, %s: %v", name, a, err)
			}
			if !access.Known(a) {
				t.Errorf("%s has no rule", a)
			}
		}
		if err := access.Check(c.who, "made.up"); err == nil {
			t.Errorf("%s may do what has no rule", name)
		}
	}
}

func TestNobodyActsOnAHigherRole(t *testing.T) {
	admin := principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.BrowserSession, tenure.Admin })
	super := principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.BrowserSession, tenure.SuperAdmin })
	scim := principal(t, func(s *tenure.Standing) { s.Kind = tenure.ConnectorToken })
	if access.Above(admin, tenure.SuperAdmin) == nil || access.Above(admin, tenure.Admin) != nil || access.Above(super, tenure.SuperAdmin) != nil || access.Above(scim, tenure.SuperAdmin) != nil {
		t.Error("the order of roles is not kept")
	}
}

// What is about the whole installation is the tenant default's, whoever asks.
func TestOnlyTheTenantDefault(t *testing.T) {
	for _, kind := range []tenure.CredentialKind{tenure.BrowserSession, tenure.AssertedIdentity, tenure.ServiceToken} {
		for _, action := range []tenure.Action{tenure.RotateRoot, tenure.ReadHealth} {
			other := principal(t, func(s *tenure.Standing) {
				s.Kind, s.Tenant, s.Role, s.Scopes = kind, "acme", tenure.SuperAdmin, tenure.AdminScopes
			})
			if err := access.Check(other, action); !tenure.IsKind(err, tenure.Forbidden) {
				t.Errorf("%v, %s: %v", kind, action, err)
			}
		}
	}
}

func TestOwner(t *testing.T) {
	u := principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.BrowserSession, tenure.Member })
	admin := principal(t, func(s *tenure.Standing) { s.Kind, s.Role, s.User = tenure.BrowserSession, tenure.Admin, "g" })
	if access.Owner(u, "u", tenure.RevokeAnyToken) != nil || access.Owner(admin, "u", tenure.RevokeAnyToken) != nil {
		t.Error("refused to the owner, or to the administrator")
	}
	if err := access.Owner(u, "v", tenure.RevokeAnyToken); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("somebody else's: %v", err)
	}
	if err := access.Owner(u, "", tenure.RevokeAnyToken); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("nobody's: %v", err)
	}
}

// Judging a model takes no memory: it is done for every request, and for every
// model of a list.
func TestModelAllocatesNothing(t *testing.T) {
	for _, models := range []tenure.Models{{tenure.AnyModel}, {"gpt-4.1*", "openai/gpt-4o*"}} {
		p := principal(t, func(s *tenure.Standing) {
			s.Kind, s.Models, s.SpaceModels = tenure.PAT, models, tenure.Models{tenure.AnyModel}
		})
		n := testing.AllocsPerRun(100, func() {
			if !access.Model(p, "openai", "gpt-4o-mini") {
				t.Fatal("not allowed")
			}
		})
		if n != 0 {
			t.Errorf("%v: %v allocations", models, n)
		}
	}
}

// An auditor changes nothing, whatever they are in a workspace, besides what is
// their own.
func TestAuditorsChangeNothing(t *testing.T) {
	auditor := principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.BrowserSession, tenure.Auditor })
	for _, row := range access.Matrix() {
		if len(row.Within) == 0 || row.Personal || slices.Contains(row.Roles, tenure.Auditor) {
			continue
		}
		for _, role := range row.Within {
			if access.CheckIn(auditor, row.Action, role) == nil {
				t.Errorf("an auditor who is %s may %s", role, row.Action)
			}
		}
	}
	if access.CheckIn(auditor, tenure.ReadWorkspace, tenure.Viewer) != nil || access.Check(auditor, tenure.MintToken) != nil {
		t.Error("an auditor neither reads nor has a token of their own")
	}
}

func TestLookAfter(t *testing.T) {
	member := principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.BrowserSession, tenure.Member })
	admin := principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.BrowserSession, tenure.Admin })
	auditor := principal(t, func(s *tenure.Standing) { s.Kind, s.Role = tenure.BrowserSession, tenure.Auditor })
	heads, members, none := []tenure.Role{tenure.WorkspaceAdmin}, []tenure.Role{tenure.Member}, []tenure.Role(nil)
	for name, c := range map[string]struct {
		who     tenure.Principal
		action  tenure.Action
		within  tenure.Role
		minters []tenure.Role
		kind    tenure.Kind // Internal: allowed
	}{
		"a head":                         {member, tenure.CreateAccount, tenure.WorkspaceAdmin, heads, tenure.Internal},
		"a member":                       {member, tenure.CreateAccount, tenure.Member, heads, tenure.NotFound},
		"a member whom the policy names": {member, tenure.CreateAccount, tenure.Member, members, tenure.Internal},
		"a head whom it does not":        {member, tenure.CreateAccount, tenure.WorkspaceAdmin, members, tenure.Forbidden},
		"such a head reads":              {member, tenure.ReadAccount, tenure.WorkspaceAdmin, members, tenure.Internal},
		"a head who is an admin":         {admin, tenure.CreateAccount, tenure.WorkspaceAdmin, none, tenure.Internal},
		"an admin":                       {admin, tenure.CreateAccount, "", none, tenure.Internal},
		"an auditor reads":               {auditor, tenure.ReadAccount, "", heads, tenure.Internal},
		"an auditor":                     {auditor, tenure.CreateAccount, "", heads, tenure.Forbidden},
		"an auditor who is a head":       {auditor, tenure.CreateAccount, tenure.WorkspaceAdmin, heads, tenure.Forbidden},
		"such an auditor reads":          {auditor, tenure.ReadAccount, tenure.WorkspaceAdmin, heads, tenure.Internal},
		"nobody of the workspace":        {member, tenure.ReadAccount, "", members, tenure.NotFound},
	} {
		err := access.LookAfter(c.who, c.action, c.within, c.minters)
		if (err == nil) != (c.kind == tenure.Internal) || err != nil && !tenure.IsKind(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// docs/reference/access.md has the tables that this package judges by. Write them
// anew with: go test ./internal/access -run TestDocument -update
func TestDocument(t *testing.T) {
	const begin, end = "<!-- tenure access matrix --markdown -->\n", "<!-- end -->\n"
	path := filepath.Join("..", "..", "docs", "reference", "access.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	has, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the tables", path)
	}
	want := access.Markdown()
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if has != want {
		t.Errorf("the tables of %s are out of date; run: go test ./internal/access -run TestDocument -update", path)
	}
}

// Every action is in one table, and each row has a cell for every column.
func TestTables(t *testing.T) {
	n := 0
	for _, table := range access.Tables() {
		for _, r := range table.Rows {
			n++
			if len(r.Cells) != len(table.Columns) || r.What == "" {
				t.Errorf("%s: %d cells, %d columns, %q", r.Action, len(r.Cells), len(table.Columns), r.What)
			}
		}
	}
	if want := len(access.Matrix()); n != want {
		t.Errorf("%d rows, want %d", n, want)
	}
}
