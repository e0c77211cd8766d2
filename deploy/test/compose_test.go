package deploy

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// service is what the rules are about of a service of the Compose file.
type service struct {
	Image       string            `json:"image"`
	Command     []string          `json:"command"`
	User        string            `json:"user"`
	ReadOnly    bool              `json:"read_only"`
	Privileged  bool              `json:"privileged"`
	CapDrop     []string          `json:"cap_drop"`
	SecurityOpt []string          `json:"security_opt"`
	Grace       string            `json:"stop_grace_period"`
	Restart     string            `json:"restart"`
	Ports       []string          `json:"ports"`
	Volumes     []string          `json:"volumes"`
	Secrets     []string          `json:"secrets"`
	Environment map[string]string `json:"environment"`
	Healthcheck *struct {
		Test    []string `json:"test"`
		Disable bool     `json:"disable"`
	} `json:"healthcheck"`
	DependsOn map[string]struct {
		Condition string `json:"condition"`
	} `json:"depends_on"`
}

func TestCompose(t *testing.T) {
	text := read(t, "../compose/compose.yaml")
	var file struct {
		Services map[string]service `json:"services"`
		Networks map[string]struct {
			Internal bool `json:"internal"`
		} `json:"networks"`
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tenure1", "tenure2", "tenure3", "migrate", "roles", "postgres", "nginx", "oauth2-proxy"} {
		if _, ok := file.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, s := range file.Services {
		if s.Image == "" || strings.HasSuffix(s.Image, ":latest") || !strings.Contains(s.Image, ":") {
			t.Errorf("%s: image %q", name, s.Image)
		}
		if s.Healthcheck == nil || len(s.Healthcheck.Test) == 0 && !s.Healthcheck.Disable {
			t.Errorf("%s: nobody asks how it is", name)
		}
		if s.Restart == "" || s.Privileged || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: restart %q, privileged %v, %v", name, s.Restart, s.Privileged, s.SecurityOpt)
		}
		if len(s.Ports) > 0 && name != "nginx" {
			t.Errorf("%s can be reached past nginx: %v", name, s.Ports)
		}
		for key, value := range s.Environment {
			if regexp.MustCompile(`(PASSWORD|SECRET|TOKEN|API_KEY)$`).MatchString(key) && !regexp.MustCompile(`^\$\{\w+:[?-]`).MatchString(value) {
				t.Errorf("%s: %s is written down", name, key)
			}
			if strings.HasSuffix(key, "PASSWORD") && !strings.Contains(value, ":?") {
				t.Errorf("%s starts without %s", name, key)
			}
			if regexp.MustCompile(`://[^/@]*:[^/@]*@`).MatchString(value) {
				t.Errorf("%s: a password is in %s", name, key)
			}
		}
		for before, on := range s.DependsOn {
			if _, ok := file.Services[before]; !ok || on.Condition == "" {
				t.Errorf("%s waits for %s: %+v", name, before, on)
			}
		}
	}
	for _, name := range []string{"tenure1", "tenure2", "tenure3"} {
		s := file.Services[name]
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.Healthcheck.Test, []string{"CMD", "/tenure", "health"}) || s.Grace != "45s" || s.Environment["TENURE_SHUTDOWN_GRACE"] != "30s" {
			t.Errorf("%s: %+v", name, s)
		}
		if want := []string{"home" + strings.TrimPrefix(name, "tenure") + ":/var/lib/tenure"}; !slices.Equal(s.Volumes, want) {
			t.Errorf("%s forgets what it has seen: %v", name, s.Volumes)
		}
		if s.DependsOn["migrate"].Condition != "service_completed_successfully" || !strings.Contains(s.Environment["TENURE_DATABASE_URL"], "tenure_app@") || !slices.Contains(s.Secrets, "master.key") {
			t.Errorf("%s: %+v", name, s)
		}
		if !strings.Contains(read(t, "../compose/nginx.conf"), "server "+name+":5757 ") {
			t.Errorf("nginx does not know %s", name)
		}
		if s.Environment["TENURE_TRUSTED_PROXIES"] != "172.30.57.10" || !strings.Contains(text, "nginx:\n") || strings.Count(text, "ipv4_address: 172.30.57.10") != 1 {
			t.Errorf("%s believes %s", name, s.Environment["TENURE_TRUSTED_PROXIES"])
		}
	}
	m := file.Services["migrate"]
	if !slices.Equal(m.Command, []string{"migrate"}) || !strings.Contains(m.Environment["TENURE_DATABASE_URL"], "tenure_owner@") || m.Restart != "no" || m.DependsOn["roles"].Condition != "service_completed_successfully" || len(m.Environment) != 2 || len(m.Secrets) != 0 {
		t.Errorf("migrate: %+v", m)
	}
	if r := file.Services["roles"]; !slices.Contains(r.Volumes, "../postgres/roles.sql:/roles.sql:ro") || r.DependsOn["postgres"].Condition != "service_healthy" {
		t.Errorf("roles: %+v", r)
	}
	if !file.Networks["database"].Internal {
		t.Error("the database can be reached from outside")
	}
	// Every variable is in the example, and none of those has a value.
	example := read(t, "../compose/env.example")
	for _, v := range regexp.MustCompile(`\$\{(\w+):\?`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(example, "\n"+v[1]+"=\n") {
			t.Errorf("env.example has no empty %s", v[1])
		}
	}
}
