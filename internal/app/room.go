package app

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/tenure-gateway/tenure/internal/web"
)

// What a machine is taken to hold, where no setting says it.
const (
	mostInflight  = 10_000   // model requests at once
	leastInflight = 100      // however small it is
	flightMemory  = 50 << 10 // bytes that one takes, its body not counted
	flightFiles   = 2        // open files that one takes: to its caller and to its provider
	spareFiles    = 10       // one in so many is for everybody else
	otherRoom     = 1000     // requests at once on each route that asks no model
	listenersRoom = 10_000   // pages that listen for the end of their session
	listeners     = "GET /events"
)

// inflight is how many model requests may be in flight: what the setting says or,
// without one, what fits into half of the memory and most of the open files.
func (a *App) inflight() int {
	if a.Config.MaxInflight > 0 {
		return a.Config.MaxInflight
	}
	return int(max(leastInflight, min(mostInflight, memory()/2/flightMemory, fitFiles())))
}

// perOwner is how many of them one person or service account may have.
func (a *App) perOwner() int {
	if a.Config.MaxPerOwner > 0 {
		return a.Config.MaxPerOwner
	}
	return max(1, a.inflight()/2)
}

// fitFiles is how many model requests fit into the limit of open files.
func fitFiles() int64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	files := int64(limit.Cur)
	return (files - files/spareFiles) / flightFiles
}

// memory is how many bytes this process may have, as far as Linux tells: the limit of
// its control group, or all that the machine has.
func memory() int64 {
	for _, file := range [...]string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil {
			return n // "max" is no number
		}
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return math.MaxInt64
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "MemTotal:" {
			if kb, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return kb << 10
			}
		}
	}
	return math.MaxInt64
}

// together gives routes one room that they share.
func together(lane *web.Lane, routes []web.Route) []web.Route {
	for i := range routes {
		routes[i].Lane = lane
	}
	return routes
}

// apart gives each route a room of its own: whatever is flooded, the others are served,
// and so is whoever ends access.
func apart(routes []web.Route) []web.Route {
	for i := range routes {
		routes[i].Lane = &web.Lane{Name: routes[i].Pattern, Max: otherRoom}
		if routes[i].Pattern == listeners {
			routes[i].Lane.Max = listenersRoom
		}
	}
	return routes
}
