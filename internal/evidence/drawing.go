package evidence

import "strings"

// A drawing is the architecture as it is set up: boxes from where requests come to where
// they go, with what is trusted between them.
type drawing struct {
	Boxes  []box
	Width  int
	Height int
	Text   []string // the same in words
}

// A box is one part, and the boundary before it.
type box struct {
	X, Y     int
	Name     string
	What     string
	Boundary string // what is between it and the one before; "": nothing
	Ours     bool
}

// The measures of a drawing.
const (
	boxStep = 110
	boxLeft = 20
)

// drawing draws what is set up.
func (x *export) drawing() drawing {
	client := box{Name: "Clients and browsers", What: "carry a token, or a session"}
	proxy := box{Name: "Reverse proxy", What: "signs people in and asserts who they are", Boundary: "TLS; the proxy is believed from its own addresses alone"}
	gateway := box{Name: "Tenure", What: "establishes who asks, judges, replaces the credential, streams", Boundary: "no credential but one on a request; deny is the default", Ours: true}
	database := box{Name: "Database", What: "SQLite, in the installation's home", Boundary: "digests of tokens and sealed secrets only", Ours: true}
	keys := box{Name: "Key-encryption key", What: "wraps the keys of secrets", Boundary: "asked to wrap and unwrap; it is never in the database", Ours: true}
	models := box{Name: "Model providers", What: "get the request with the workspace's own key", Boundary: "TLS; the caller's credential stays here"}
	if x.house.Postgres {
		database.What = "PostgreSQL; each tenant behind row-level security"
	}
	if x.house.TLS {
		gateway.Boundary = "TLS is ended here; " + gateway.Boundary
	}
	for _, k := range x.house.Keys {
		if k.Wraps {
			keys.What = k.Label
		}
	}
	all := []box{client}
	if !x.house.Known || strings.Contains(strings.Join(x.house.SignIn, " "), "proxy") {
		all = append(all, proxy)
	}
	all = append(all, gateway, database, keys, models)
	d := drawing{Width: 720, Height: len(all) * boxStep}
	for i := range all {
		all[i].X, all[i].Y = boxLeft, i*boxStep+40
		line := all[i].Name + ": " + all[i].What
		if all[i].Boundary != "" {
			line += " (boundary before it: " + all[i].Boundary + ")"
		}
		d.Text = append(d.Text, line)
	}
	d.Boxes = all
	return d
}
