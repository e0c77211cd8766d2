package app

import (
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

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
	socketsRoom   = 5000             // sockets of beliefs
	networkRoom   = otherRoom / 10   // of them, those of one network that nobody is known to have asked
	writeTime     = 10 * time.Second // for a piece of an answer to leave
	readTime      = 5 * time.Second  // for a body of nobody known to come
)

// inflight is how many model requests may be in flight: what the setting says or,
// without one, what fits into half of the memory and most of the open files.
func (a *App) inflight() int {
	if a.Config.MaxInflight > 0 {
		return a.Config.MaxInflight
	}
	return int(max(leastInflight, min(mostInflight, memory(os.DirFS("/"))/2/flightMemory, fitFiles())))
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

// memory is how many bytes this process may have, as far as Linux tells: what the machine
// has, or the least limit of its control group and those above.
func memory(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	number := func(text string, unit int64) {
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n <= math.MaxInt64/unit { // "max" is no number
			least = min(least, n*unit)
		}
	}
	read := func(file string) iter.Seq[string] {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			return func(func(string) bool) {}
		}
		return strings.Lines(string(text))
	}
	for line := range read("proc/meminfo") {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "MemTotal:" {
			number(fields[1], 1<<10)
		}
	}
	// Each line is a number, controllers and a path (cgroups(7)); version 2 names no controller.
	for line := range read("proc/self/cgroup") {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		base, file := "sys/fs/cgroup", "memory.max"
		if controllers != "" {
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		if controllers != "" && !slices.Contains(strings.Split(controllers, ","), "memory") {
			continue
		}
		for group = filepath.Clean("/" + group); ; group = filepath.Dir(group) {
			for limit := range read(filepath.Join(base, group, file)) {
				number(limit, 1)
			}
			if group == "/" {
				break
			}
		}
	}
	return least
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
		routes[i].Lane = &web.Lane{Name: routes[i].Pattern, Max: otherRoom, PerNetwork: networkRoom}
		if routes[i].Pattern == listeners {
			routes[i].Lane.Max = listenersRoom
		}
	}
	return routes
}
