package gateway

import (
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// One person has as many requests in flight as one may, by whichever of their tokens;
// others are not touched by it, and nor is the root token, which is nobody's.
func TestShares(t *testing.T) {
	principal := func(s tenure.Standing) tenure.Principal {
		s.TenantActive, s.UserActive, s.AccountActive, s.Workspace, s.WorkspaceRole = true, true, true, "w", tenure.Member
		p, err := s.Admit(time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	laptop, desk := principal(tenure.Standing{Kind: tenure.PAT, User: "alice", Token: "1"}), principal(tenure.Standing{Kind: tenure.PAT, User: "alice", Token: "2"})
	robot := principal(tenure.Standing{Kind: tenure.ServiceToken, ServiceAccount: "robot"})
	root := principal(tenure.Standing{Kind: tenure.RootToken})
	s := shares{max: 2}
	took := func(p tenure.Principal) string {
		owner, err := s.take(p)
		if err != nil {
			t.Errorf("%v: %v", p.Kind(), err)
		}
		return owner
	}
	alice := took(laptop)
	took(desk)
	for _, p := range []tenure.Principal{laptop, desk} {
		if _, err := s.take(p); !tenure.IsKind(err, tenure.TooMany) || tenure.AsError(err).RetryAfter < time.Second {
			t.Errorf("one more than the share: %v", err)
		}
	}
	for range 2 {
		took(robot)
	}
	for range 5 {
		s.give(took(root))
	}
	s.give(alice)
	took(desk)
	for range 2 {
		s.give("alice")
		s.give("robot")
	}
	if len(s.of) > 0 {
		t.Errorf("left over: %v", s.of)
	}
	if n := testing.AllocsPerRun(100, func() { s.give(took(laptop)) }); n > 0 {
		t.Errorf("a share costs %v allocations", n)
	}
}
