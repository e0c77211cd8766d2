package audit

import (
	"testing"
	"time"
)

// An event says in OCSF what it says itself: each class has what it requires, the type is
// class and activity together, and nothing is lost.
func TestOCSF(t *testing.T) {
	place := int64(7)
	for action, kind := range ocsfOf {
		for _, outcome := range []string{Success, Refused} {
			r := Record{
				Schema: 1, Place: &place, ID: "e", At: time.UnixMilli(1_700_000_000_123), Tenant: "default", Workspace: "w", Action: action, ActorKind: "session", ActorID: "u", Actor: "grace",
				ObjectID: "o", Object: "thing", Outcome: outcome, Reason: "why", RequestID: "r", Address: "192.0.2.1", Detail: map[string]string{"before": "a"},
			}
			o := OCSF(r)
			if o["type_uid"] != kind.class*100+kind.activity || o["category_uid"] != kind.class/1000 || o["time"] != int64(1_700_000_000_123) {
				t.Errorf("%s: %v", action, o)
			}
			if want := map[string]int{Success: 1, Refused: 2}[outcome]; o["status_id"] != want {
				t.Errorf("%s %s: status %v", action, outcome, o["status_id"])
			}
			meta := o["metadata"].(map[string]any)
			if meta["uid"] != "e" || meta["version"] == "" || meta["product"].(map[string]any)["vendor_name"] == "" {
				t.Errorf("%s: %v", action, meta)
			}
			needs := map[int][]string{
				accountChange: {"user"}, authentication: {"user", "service"}, entityManagement: {"entity"}, userAccess: {"user", "privileges"}, groupManagement: {"group"},
				apiActivity: {"api", "actor", "src_endpoint"}, detectionFinding: {"finding_info"},
			}[kind.class]
			if len(needs) == 0 {
				t.Errorf("%s: nobody knows the class %d", action, kind.class)
			}
			for _, field := range append(needs, "severity_id", "actor", "http_request", "status_detail") {
				if o[field] == nil {
					t.Errorf("%s: no %s", action, field)
				}
			}
			rest := o["unmapped"].(map[string]any)
			if rest["action"] != action || rest["place"] != place || rest["workspace"] != "w" || rest["object"] != "thing" || rest["detail"] == nil {
				t.Errorf("%s: %v", action, rest)
			}
		}
	}
	if o := OCSF(Record{Action: "new.thing", Outcome: Success}); o["class_uid"] != apiActivity || o["activity_id"] != other {
		t.Errorf("an action that nobody knows: %v", o)
	}
}
