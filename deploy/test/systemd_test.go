package deploy

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestSystemdUnits(t *testing.T) {
	for _, name := range []string{"tenure.service", "tenure@.service"} {
		unit := map[string][]string{}
		for _, line := range regexp.MustCompile(`(?m)^(\w+)=(.*)$`).FindAllStringSubmatch(read(t, "../systemd/"+name), -1) {
			unit[line[1]] = append(unit[line[1]], line[2])
		}
		for key, want := range map[string]string{
			"User": "tenure", "ExecStart": "/usr/local/bin/tenure serve", "EnvironmentFile": "/etc/tenure/tenure.env",
			"LoadCredential": "master.key:/etc/tenure/master.key", "Restart": "always", "KillSignal": "SIGTERM", "UMask": "0077", "StateDirectoryMode": "0700",
			"NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "", "ProtectSystem": "strict", "ProtectHome": "yes",
			"PrivateTmp": "yes", "PrivateDevices": "yes", "PrivateUsers": "yes", "ProtectProc": "invisible", "ProcSubset": "pid",
			"ProtectClock": "yes", "ProtectControlGroups": "yes", "ProtectHostname": "yes", "ProtectKernelLogs": "yes", "ProtectKernelModules": "yes",
			"ProtectKernelTunables": "yes", "RestrictNamespaces": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes", "LockPersonality": "yes",
			"MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "RemoveIPC": "yes",
			"SystemCallFilter": "@system-service",
		} {
			if len(unit[key]) == 0 || unit[key][0] != want {
				t.Errorf("%s: %s=%v, want %q", name, key, unit[key], want)
			}
		}
		if !strings.Contains(strings.Join(unit["Environment"], "\n"), "TENURE_KEY_URL=file:%d/master.key") {
			t.Errorf("%s: the key is not the credential: %v", name, unit["Environment"])
		}
		grace := regexp.MustCompile(`TENURE_SHUTDOWN_GRACE.*default:"(\w+)"`).FindStringSubmatch(read(t, root+"/internal/config/config.go"))
		wait, err := time.ParseDuration(unit["TimeoutStopSec"][0])
		if usual, _ := time.ParseDuration(grace[1]); err != nil || usual == 0 || wait <= usual {
			t.Errorf("%s: killed after %s, and streams have %s", name, wait, usual)
		}
		if regexp.MustCompile(`(?i)(password|token|secret|api_key)=\S`).MatchString(strings.Join(unit["Environment"], "\n")) {
			t.Errorf("%s: has a secret in it", name)
		}
	}
	if env := read(t, "../systemd/tenure.env"); regexp.MustCompile(`(?m)^#?\w*(TOKEN|KEY|SECRET)=\S`).MatchString(env) {
		t.Error("tenure.env has a secret in it")
	}
}

// TestSystemdExposure asks systemd itself; it need not be what this machine runs on.
func TestSystemdExposure(t *testing.T) {
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("systemd-analyze is missing; on Debian: apt-get install systemd")
	}
	for _, name := range []string{"tenure.service", "tenure@.service"} {
		out, err := exec.Command(program, "security", "--offline=true", "--threshold=15", "--no-pager", "../systemd/"+name).CombinedOutput()
		if err != nil {
			t.Errorf("%s is exposed by more than 1.5 of 10: %v\n%s", name, err, out)
		}
	}
}
