package app

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/config"
	"github.com/tenure-gateway/tenure/internal/web"
)

// The model routes share one room, every other route, the socket's too, has its own, and so none of them is
// taken by another's load.
func TestRooms(t *testing.T) {
	a := install(t, "teams")
	if a.router.Patience.Read == 0 || a.router.Patience.Write == 0 {
		t.Errorf("clients are waited for as long as they like: %+v", a.router.Patience)
	}
	listen := int64(0)
	models := map[*web.Lane]bool{}
	others := map[*web.Lane]string{}
	for _, route := range a.router.Routes() {
		_, path, ok := strings.Cut(route.Pattern, " ")
		if !ok {
			path = route.Pattern
		}
		if route.Pattern == listeners {
			listen = route.Lane.Max
		}
		if route.Streams != (route.Pattern == listeners || strings.HasPrefix(route.Pattern, "POST /v1/") || path == "/v1/ws/beliefs") {
			t.Errorf("%s streams: %t", route.Pattern, route.Streams)
		}
		if anybody := route.Action == tenure.Public || route.Action == tenure.RevokeHeld; anybody && route.Lane.PerNetwork < 1 {
			t.Errorf("%s is bound for no network", route.Pattern)
		}
		switch {
		case route.Lane == nil || route.Lane.Max < 1:
			t.Errorf("%s has no bound", route.Pattern)
		case strings.HasPrefix(path, "/v1/") && path != "/v1/ws/beliefs":
			models[route.Lane] = true
		case others[route.Lane] != "":
			t.Errorf("%s shares the room of %s", route.Pattern, others[route.Lane])
		default:
			others[route.Lane] = route.Pattern
		}
	}
	if len(models) != 1 || listen != listenersRoom {
		t.Errorf("%d rooms of the model routes; %d pages may listen", len(models), listen)
	}
	for lane := range models {
		if lane.Max != int64(a.inflight()) || others[lane] != "" {
			t.Errorf("the room of the model routes is %d, %d wanted", lane.Max, a.inflight())
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

// Of all limits of memory the least counts, wherever above the process it is.
func TestMemory(t *testing.T) {
	const total = "MemFree: 7 kB\nMemTotal:        8000 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing is told":        {nil, math.MaxInt64},
		"the machine's":          {map[string]string{"proc/meminfo": total}, 8000 << 10},
		"a container's":          {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4096\n"}, 4096},
		"more than the machine":  {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "9000000000\n"}, 8000 << 10},
		"none":                   {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 8000 << 10},
		"a service's":            {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "0::/system.slice/tenure.service\n", "sys/fs/cgroup/system.slice/tenure.service/memory.max": "2048\n", "sys/fs/cgroup/system.slice/memory.max": "max\n"}, 2048},
		"its slice's":            {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "0::/system.slice/tenure.service\n", "sys/fs/cgroup/system.slice/tenure.service/memory.max": "2048\n", "sys/fs/cgroup/system.slice/memory.max": "1024\n"}, 1024},
		"version 1, none":        {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "9:memory:/docker/x\n1:cpu,cpuacct:/y\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 8000 << 10},
		"version 1, a container": {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "9:memory:/docker/x\n0::/z\n", "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "512\n"}, 512},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := memory(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
