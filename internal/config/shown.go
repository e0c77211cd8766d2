package config

import (
	"cmp"
	"net/url"
	"reflect"
)

// Shown is one setting in force, for people to look at.
type Shown struct {
	Name  string // of the environment variable
	Value string // "" when it is not set; of a secret, "set"
}

// shown lists the settings in the order in which they are documented.
func (s Serve) shown() []Shown {
	var out []Shown
	var walk func(reflect.Value)
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if field.Anonymous {
				walk(v.Field(i))
				continue
			}
			value := v.Field(i).String()
			if value != "" && field.Tag.Get("secret") == "yes" {
				value = "set"
			}
			if u, err := url.Parse(value); err == nil && u.User != nil {
				value = u.Redacted()
			}
			out = append(out, Shown{field.Tag.Get("env"), value})
		}
	}
	walk(reflect.ValueOf(s))
	for i, row := range out {
		if usual := s.usual(row.Name); row.Value == "" {
			out[i].Value = usual
		}
	}
	return out
}

// usual says what holds when a setting is not set whose default is not in its tag.
func (s Serve) usual(name string) string {
	home, _ := s.Dir()
	switch name {
	case "OIDC_PROXY_HEADER":
		if s.Mode == "teams" {
			return "x-user-id"
		}
	case "TENURE_TRUSTED_PROXIES":
		return "loopback only"
	case "TENURE_MAX_INFLIGHT":
		return "what the machine holds"
	case "TENURE_MAX_INFLIGHT_PER_OWNER":
		return "half of TENURE_MAX_INFLIGHT"
	case "TENURE_HOME":
		return home
	case "TENURE_DATABASE_URL":
		return "sqlite:" + cmp.Or(home, "~/.tenure") + "/tenure.db"
	case "TENURE_KEY_URL":
		return "file:" + cmp.Or(home, "~/.tenure") + "/master.key"
	}
	return ""
}
