package audit

import (
	"maps"
	"strings"
)

// ocsfVersion is the version of the Open Cybersecurity Schema Framework that events are
// mapped to.
const ocsfVersion = "1.3.0"

// Classes of OCSF: an activity is one of a class.
const (
	accountChange    = 3001
	authentication   = 3002
	entityManagement = 3004
	userAccess       = 3005
	groupManagement  = 3006
	apiActivity      = 6003
	detectionFinding = 2004

	other = 99 // an activity that the class has no number for
)

// An ocsfKind is what an action is in OCSF.
type ocsfKind struct {
	class, activity int
	name            string // of the activity, as OCSF has it
}

// The activities that recur. Nobody modifies them.
var (
	entityCreate = ocsfKind{entityManagement, 1, "Create"}
	entityUpdate = ocsfKind{entityManagement, 3, "Update"}
	entityDelete = ocsfKind{entityManagement, 4, "Delete"}
	entityOther  = ocsfKind{entityManagement, other, "Other"}

	accountCreate  = ocsfKind{accountChange, 1, "Create"}
	accountEnable  = ocsfKind{accountChange, 2, "Enable"}
	accountDisable = ocsfKind{accountChange, 5, "Disable"}
	accountDelete  = ocsfKind{accountChange, 6, "Delete"}
	accountOther   = ocsfKind{accountChange, other, "Other"}

	assign = ocsfKind{userAccess, 1, "Assign Privileges"}
	revoke = ocsfKind{userAccess, 2, "Revoke Privileges"}

	logon      = ocsfKind{authentication, 1, "Logon"}
	logoff     = ocsfKind{authentication, 2, "Logoff"}
	authOther  = ocsfKind{authentication, other, "Other"}
	finding    = ocsfKind{detectionFinding, 1, "Create"}
	readOf     = ocsfKind{apiActivity, 2, "Read"}
	createOf   = ocsfKind{apiActivity, 1, "Create"}
	updateOf   = ocsfKind{apiActivity, 3, "Update"}
	somethings = ocsfKind{apiActivity, other, "Other"}
)

// ocsfOf says of each action what it is in OCSF. A test of the house finds actions that
// are not in it.
var ocsfOf = map[string]ocsfKind{
	"user.provisioned": accountCreate, "user.updated": accountOther, "user.deactivated": accountDisable, "user.reactivated": accountEnable,
	"user.deleted": accountDelete, "user.linked": accountOther, "user.unlinked": accountOther, "user.link_refused": authOther,
	"user.role_granted": assign, "user.access_ended": revoke, "user.all_revoked": revoke,
	"membership.set": assign, "membership.removed": revoke,
	"group.created": {groupManagement, 5, "Create"}, "group.updated": {groupManagement, other, "Other"}, "group.deleted": {groupManagement, 6, "Delete"},
	"group_mapping.set": {groupManagement, 1, "Assign Privileges"}, "group_mapping.removed": {groupManagement, 2, "Revoke Privileges"},

	"session.opened": logon, "session.ended": logoff, "request.refused": logon, "token.refused": logon, "connector.refused": logon,
	"oidc.refused": logon, "oidc.logout_refused": logoff, "identity.forged": logon, "identity.ignored": logon,
	"token.first_used": logon, "root_token.used": {apiActivity, other, "Other"}, "root_token.refused": {apiActivity, other, "Other"},

	"token.minted": assign, "token.rotated": {userAccess, other, "Other"}, "token.revoked": revoke, "token.revoked_many": revoke,
	"root_token.rotated": {userAccess, other, "Other"}, "token.used_in_outage": authOther, "stream.cut": revoke,
	"token_request.made": entityCreate, "token_request.approved": assign, "token_request.rejected": entityOther,
	"token_request.withdrawn": entityDelete, "token_request.collected": assign,
	"service_account.created": accountCreate, "service_account.updated": accountOther, "service_account.orphaned": accountOther, "service_account.ended": accountDelete,

	"token.leaked": finding, "token.reuse_detected": finding, "vault.tampered": finding, "database.went_back": finding,

	"tenant.created": entityCreate, "tenant.suspended": entityUpdate, "tenant.resumed": entityUpdate,
	"workspace.created": entityCreate, "workspace.updated": entityUpdate, "workspace.deleted": entityDelete,
	"connector.created": entityCreate, "connector.rotated": entityUpdate, "connector.deleted": entityDelete,
	"oidc_connection.created": entityCreate, "oidc_connection.deleted": entityDelete,
	"policy.changed": entityUpdate, "webhook.secret_made": entityUpdate, "webhook.given_up": entityOther,
	"limit.set": entityUpdate, "limit.removed": entityDelete, "limit.reached": entityOther,
	"price.set": entityUpdate, "price.removed": entityDelete, "price.applied": entityOther,
	"provider.created": entityCreate, "provider.renamed": entityUpdate, "provider.headers_changed": entityUpdate, "provider.exception_changed": entityUpdate, "provider.deleted": entityDelete,
	"provider.address_refused": entityOther, "provider.key_refused": entityOther, "provider.key_accepted": entityOther,
	"provider_key.staged": entityCreate, "provider_key.activated": entityUpdate, "provider_key.arranged": entityUpdate, "provider_key.retired": entityDelete,
	"provider_key.checked": entityOther, "provider_key.rotated_elsewhere": entityUpdate,
	"secret.outage_began": entityOther, "secret.outage_ended": entityOther, "secret.outage_given_up": entityOther,
	"vault.sealed": entityOther, "vault.unsealed": entityOther, "vault.rewrapped": entityUpdate, "vault.reset": entityUpdate, "vault.secret_destroyed": entityDelete,
	"audit_key.made": entityCreate, "audit_key.rotated": entityUpdate,
	"audit.began_anew": entityUpdate, "audit.erased": entityUpdate, "audit.events_removed": entityDelete, "audit.hold_placed": entityCreate, "audit.hold_released": entityUpdate, "audit.history_replaced": finding, "audit.fault_found": finding,
	"audit_sink.created": entityCreate, "audit_sink.paused": entityUpdate, "audit_sink.resumed": entityUpdate, "audit_sink.rotated": entityUpdate, "audit_sink.deleted": entityDelete,

	"exception.asked": entityCreate, "exception.approved": assign, "exception.rejected": entityOther, "exception.withdrawn": entityDelete,
	"exception.revoked": revoke, "exception.remediated": entityUpdate, "exception.renewed": entityUpdate, "exception.failed": revoke,
	"trust.requested": entityCreate, "trust.answered": entityUpdate, "trust.declined": entityUpdate, "trust.reviewed": entityUpdate,
	"review.opened": entityCreate, "review.closed": entityUpdate, "review.item_decided": entityUpdate, "review.item_reassigned": entityUpdate,
	"review.item_ended": revoke, "review.item_gone": entityOther,
	"belief.recorded": createOf, "belief.changed": updateOf, "belief.deleted": {apiActivity, 4, "Delete"}, "beliefs.erased": {apiActivity, 4, "Delete"},
	"beliefs.listed": readOf, "beliefs.exported": readOf, "beliefs.disclosed": readOf, "beliefs.watched": readOf, "extraction.set": entityUpdate, "extraction.finished": createOf, "extraction.failed": createOf,
	"evidence.begun": readOf, "evidence.exported": readOf,
	"backup.begun": readOf, "backup.created": createOf, "backup.failed": createOf,
	"backup.restored": updateOf, "backup.restore_tried": updateOf, "backup.restore_failed": updateOf,
}

// OCSF gives an event in the classes of OCSF. What the classes have no place for is under
// unmapped; nothing is lost. An action that nobody has mapped is API activity.
func OCSF(r Record) map[string]any {
	kind, known := ocsfOf[r.Action]
	if !known {
		kind = somethings
	}
	severity, status, statusID := 1, "Success", 1 // Informational
	if r.Outcome != Success {
		severity, status, statusID = 3, "Failure", 2 // Medium
	}
	if kind.class == detectionFinding {
		severity = 4 // High
	}
	out := map[string]any{
		"class_uid": kind.class, "category_uid": kind.class / 1000, "activity_id": kind.activity, "activity_name": kind.name,
		"type_uid": kind.class*100 + kind.activity, "severity_id": severity, "status": status, "status_id": statusID, "time": r.At.UnixMilli(),
		"metadata": map[string]any{
			"version": ocsfVersion, "uid": r.ID, "event_code": r.Action, "log_name": "audit", "log_version": "1", "tenant_uid": string(r.Tenant),
			"product": map[string]any{"name": "Tenure", "vendor_name": "Tenure", "feature": map[string]any{"name": "audit log"}},
		},
		"actor":    map[string]any{"user": ocsfUser(r.ActorID, r.Actor), "app_name": r.ActorKind},
		"unmapped": unmapped(r),
	}
	if r.Reason != "" {
		out["status_detail"] = r.Reason
	}
	if r.Address != "" {
		out["src_endpoint"] = map[string]any{"ip": r.Address}
	}
	if r.RequestID != "" {
		out["http_request"] = map[string]any{"uid": r.RequestID}
	}
	concerned(out, kind.class, r)
	return out
}

// concerned fills in what the event was done to, where its class wants it.
func concerned(out map[string]any, class int, r Record) {
	object := ocsfUser(r.ObjectID, r.Object)
	switch class {
	case accountChange, userAccess:
		out["user"] = object
		if class == userAccess {
			out["privileges"] = []string{r.Action}
		}
	case authentication:
		out["user"] = ocsfUser(r.ActorID, r.Actor)
		out["service"] = map[string]any{"name": "Tenure"}
	case groupManagement:
		out["group"] = object
	case entityManagement:
		what, _, _ := strings.Cut(r.Action, ".")
		object["type"] = what
		out["entity"] = object
	case apiActivity:
		out["api"] = map[string]any{"operation": r.Action}
		out["resources"] = []any{object}
	case detectionFinding:
		out["finding_info"] = map[string]any{"uid": r.ID, "title": r.Action, "desc": r.Reason}
		out["resources"] = []any{object}
	}
}

func ocsfUser(id, name string) map[string]any {
	out := map[string]any{}
	if id != "" {
		out["uid"] = id
	}
	if name != "" || id == "" {
		out["name"] = name
	}
	return out
}

func unmapped(r Record) map[string]any {
	out := map[string]any{"schema": r.Schema, "action": r.Action, "actor_kind": r.ActorKind, "outcome": r.Outcome}
	for name, value := range map[string]string{"workspace": r.Workspace, "object_id": r.ObjectID, "object": r.Object} {
		if value != "" {
			out[name] = value
		}
	}
	if r.Place != nil {
		out["place"] = *r.Place
	}
	if r.Erased {
		out["erased"] = true
	}
	if len(r.Detail) > 0 {
		out["detail"] = maps.Clone(r.Detail)
	}
	return out
}
