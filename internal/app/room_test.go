package app

import (
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/web"
)

// The model routes share one room, every other route has its own, and so none of them is
// taken by another's load.
func TestRooms(t *testing.T) {
	a := install(t, "teams")
	models := map[*web.Lane]bool{}
	others := map[*web.Lane]string{}
	for _, route := range a.router.Routes() {
		_, path, ok := strings.Cut(route.Pattern, " ")
		if !ok {
			path = route.Pattern
		}
		switch {
		case route.Lane == nil || route.Lane.Max < 1:
			t.Errorf("%s has no bound", route.Pattern)
		case strings.HasPrefix(path, "/v1/"):
			models[route.Lane] = true
		case others[route.Lane] != "":
			t.Errorf("%s shares the room of %s", route.Pattern, others[route.Lane])
		default:
			others[route.Lane] = route.Pattern
		}
	}
	for lane := range models {
		if len(models) != 1 || lane.Max != int64(a.inflight()) || others[lane] != "" {
			t.Errorf("%d rooms of the model routes, of %d, %d wanted", len(models), lane.Max, a.inflight())
		}
	}
}

// Without a setting there is room for what the machine holds, and half of it for one
// owner.
func TestRoomOfTheMachine(t *testing.T) {
	for _, c := range []struct{ max, owner, room, one int }{{0, 0, 0, 0}, {7, 0, 7, 3}, {1, 0, 1, 1}, {50, 50, 50, 50}, {50, 10, 50, 10}} {
		a := &App{Config: &config.Checked{MaxInflight: c.max, MaxPerOwner: c.owner}}
		room, one := a.inflight(), a.perOwner()
		if c.max == 0 {
			if room < leastInflight || room > mostInflight || one != room/2 {
				t.Errorf("of this machine: %d and %d", room, one)
			}
			continue
		}
		if room != c.room || one != c.one {
			t.Errorf("%+v: %d and %d", c, room, one)
		}
	}
}
