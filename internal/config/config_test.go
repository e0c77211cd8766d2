package config_test

import (
	"reflect"
	"testing"

	"github.com/tenure-gateway/tenure/internal/config"
)

// A setting that is set but empty is one that is not set; and --help tells the
// defaults that hold.
func TestEmptyIsTheDefault(t *testing.T) {
	byTag, empty := config.Serve{}, config.Serve{}
	byTag.Home.Home, empty.Home.Home = t.TempDir(), ""
	empty.Home = byTag.Home
	v := reflect.ValueOf(&byTag).Elem()
	for i := range v.NumField() {
		if d := v.Type().Field(i).Tag.Get("default"); d != "" {
			v.Field(i).SetString(d)
		}
	}
	want, err := byTag.Check()
	if err != nil {
		t.Fatal(err)
	}
	got, err := empty.Check()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("empty: %+v\ndefaults: %+v", got, want)
	}
}

func TestTrustedProxies(t *testing.T) {
	for list, ok := range map[string]bool{
		"": true, "10.0.0.7": true, "10.0.0.0/8, fc00::/7": true, "::ffff:10.0.0.1": true, "::ffff:10.0.0.0/104": true,
		"0.0.0.0/0": false, "::/0": false, "0.0.0.0/1,128.0.0.0/1": false, "::ffff:0:0/96": false, "proxy.local": false, "10.0.0.0/33": false,
	} {
		s := config.Serve{TrustedProxies: list, Mode: "teams"}
		s.Home.Home = t.TempDir()
		if _, err := s.Check(); (err == nil) != ok {
			t.Errorf("%q: %v", list, err)
		}
	}
}

func TestSingleModeHasNoPeople(t *testing.T) {
	s := config.Serve{Mode: "single", Proxy: config.Proxy{ProxyHeader: "x-user-id"}}
	s.Home.Home = t.TempDir()
	if _, err := s.Check(); err == nil {
		t.Error("an identity header was accepted in single mode")
	}
}
