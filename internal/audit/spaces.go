package audit

import (
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
)

func aboutWorkspace(e tenure.AuditEvent, w tenure.Workspace) tenure.AuditEvent {
	e.Tenant, e.Workspace, e.ObjectID, e.Object = w.Tenant, w.ID, string(w.ID), w.Name
	return e
}

// WorkspaceCreated tells of a new workspace.
func WorkspaceCreated(p tenure.Principal, w tenure.Workspace) tenure.AuditEvent {
	e := aboutWorkspace(by(p, "workspace.created"), w)
	e.Detail = map[string]string{"models": w.Models.String()}
	return e
}

// WorkspaceUpdated tells what of a workspace has changed.
func WorkspaceUpdated(p tenure.Principal, before, after tenure.Workspace) tenure.AuditEvent {
	e := aboutWorkspace(by(p, "workspace.updated"), after)
	e.Detail = map[string]string{}
	if before.Name != after.Name {
		e.Detail["name_before"] = before.Name
	}
	if was, is := before.Models.String(), after.Models.String(); was != is {
		e.Detail["models_before"], e.Detail["models"] = was, is
	}
	if was, is := before.OutageGrace, after.OutageGrace; was != is {
		e.Detail["outage_grace_seconds_before"], e.Detail["outage_grace_seconds"] = wholeSeconds(was), wholeSeconds(is)
	}
	if was, is := before.Exception, after.Exception; was != is {
		e.Detail["exception_before"], e.Detail["exception"] = string(was), string(is)
	}
	if before.About != after.About {
		e.Detail["about"] = "changed"
	}
	return e
}

func wholeSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// WorkspaceDeleted tells of a workspace's end and of what ended with it.
func WorkspaceDeleted(p tenure.Principal, w tenure.Workspace, ended tenure.Ended) tenure.AuditEvent {
	e := aboutWorkspace(by(p, "workspace.deleted"), w)
	e.Detail = map[string]string{"tokens": strconv.Itoa(ended.Tokens), "service_accounts": strconv.Itoa(len(ended.Accounts))}
	return e
}

// MemberSet tells what somebody now is in a workspace by themselves; before is
// empty for who was not.
func MemberSet(p tenure.Principal, w tenure.Workspace, u tenure.User, before, role tenure.Role) tenure.AuditEvent {
	e := aboutUser(by(p, "membership.set"), u)
	e.Workspace = w.ID
	e.Detail = map[string]string{"workspace": w.Name, "role": string(role), "role_before": string(before)}
	return e
}

// MemberRemoved tells that somebody is no member of a workspace by themselves any
// more, and how many tokens ended.
func MemberRemoved(p tenure.Principal, w tenure.Workspace, u tenure.User, before tenure.Role, tokens int) tenure.AuditEvent {
	e := aboutUser(by(p, "membership.removed"), u)
	e.Workspace = w.ID
	e.Detail = map[string]string{"workspace": w.Name, "role_before": string(before), "tokens": strconv.Itoa(tokens)}
	return e
}

// MappingSet tells what the members of a group now are in a workspace.
func MappingSet(p tenure.Principal, w tenure.Workspace, g tenure.GroupRole, before tenure.Role) tenure.AuditEvent {
	e := by(p, "group_mapping.set")
	e.Tenant, e.Workspace, e.ObjectID, e.Object = w.Tenant, w.ID, string(g.Group), g.Name
	e.Detail = map[string]string{"workspace": w.Name, "role": string(g.Role), "role_before": string(before)}
	return e
}

// MappingRemoved tells that a group means nothing in a workspace any more, and how
// many tokens ended.
func MappingRemoved(p tenure.Principal, w tenure.Workspace, g tenure.GroupRole, tokens int) tenure.AuditEvent {
	e := by(p, "group_mapping.removed")
	e.Tenant, e.Workspace, e.ObjectID, e.Object = w.Tenant, w.ID, string(g.Group), g.Name
	e.Detail = map[string]string{"workspace": w.Name, "role_before": string(g.Role), "tokens": strconv.Itoa(tokens)}
	return e
}

// RoleSet tells of a role in the tenant that somebody gave or took.
func RoleSet(p tenure.Principal, u tenure.User, before, role tenure.Role) tenure.AuditEvent {
	e := RoleGranted(p, u, role, "")
	e.Detail["role_before"] = string(before)
	return e
}

// TenantChanged tells of a tenant that was "created", "suspended" or "resumed". The
// event is the tenant's own.
func TenantChanged(p tenure.Principal, t tenure.Tenant, what string) tenure.AuditEvent {
	e := by(p, "tenant."+what)
	e.Tenant, e.ObjectID, e.Object = t.ID, string(t.ID), t.Name
	return e
}
