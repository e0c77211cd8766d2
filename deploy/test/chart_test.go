// Package deploy tests what people deploy Tenure with: the chart is linted and
// rendered by Helm itself, and the image, the Compose file, the systemd units and
// the proxies' files are held to what they promise. It runs no container.
package deploy

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chart = "../helm/tenure"

// rendered is what a set of values makes: each object once, read as strictly as
// Kubernetes reads it.
type rendered struct {
	deployment *appsv1.Deployment
	stateful   *appsv1.StatefulSet
	job        *batchv1.Job
	services   map[string]*corev1.Service
	claim      *corev1.PersistentVolumeClaim
	budget     *policyv1.PodDisruptionBudget
	policy     *networkingv1.NetworkPolicy
	ingress    *networkingv1.Ingress
	scaler     *autoscalingv2.HorizontalPodAutoscaler
	monitor    map[string]any
	text       string
}

func values(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile("values/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := yaml.UnmarshalStrict(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// install renders as "helm install --dry-run" does, schema and hooks included.
func install(vals map[string]any) (string, error) {
	c, err := loader.Load(chart)
	if err != nil {
		return "", err
	}
	run := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	run.DryRun, run.ClientOnly, run.ReleaseName, run.Namespace = true, true, "gate", "ai"
	run.KubeVersion = &chartutil.KubeVersion{Version: "v1.33.0", Major: "1", Minor: "33"}
	release, err := run.Run(c, vals)
	if err != nil {
		return "", err
	}
	text := release.Manifest
	for _, hook := range release.Hooks {
		text += "---\n" + hook.Manifest
	}
	return text, nil
}

func render(t *testing.T, vals map[string]any) *rendered {
	t.Helper()
	text, err := install(vals)
	if err != nil {
		t.Fatal(err)
	}
	r := &rendered{services: map[string]*corev1.Service{}, text: text}
	for _, part := range strings.Split(text, "\n---") {
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(part), &head); err != nil {
			t.Fatalf("%v\n%s", err, part)
		}
		if head.Kind == "" {
			continue
		}
		var into any
		switch head.Kind {
		case "Deployment":
			r.deployment = new(appsv1.Deployment)
			into = r.deployment
		case "StatefulSet": // judged as the Deployment that it would be
			r.stateful = new(appsv1.StatefulSet)
			into = r.stateful
		case "Job":
			r.job = new(batchv1.Job)
			into = r.job
		case "Service":
			into = new(corev1.Service)
		case "PersistentVolumeClaim":
			r.claim = new(corev1.PersistentVolumeClaim)
			into = r.claim
		case "PodDisruptionBudget":
			r.budget = new(policyv1.PodDisruptionBudget)
			into = r.budget
		case "NetworkPolicy":
			r.policy = new(networkingv1.NetworkPolicy)
			into = r.policy
		case "Ingress":
			r.ingress = new(networkingv1.Ingress)
			into = r.ingress
		case "HorizontalPodAutoscaler":
			r.scaler = new(autoscalingv2.HorizontalPodAutoscaler)
			into = r.scaler
		case "ServiceMonitor":
			into = &r.monitor
		default:
			t.Fatalf("nobody has judged a %s", head.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(part), into); err != nil {
			t.Fatalf("%v\n%s", err, part)
		}
		if s, ok := into.(*corev1.Service); ok {
			r.services[s.Name] = s
		}
	}
	if r.stateful != nil {
		s := r.stateful.Spec
		r.deployment = &appsv1.Deployment{ObjectMeta: r.stateful.ObjectMeta, Spec: appsv1.DeploymentSpec{Replicas: s.Replicas, Selector: s.Selector, Template: s.Template}}
	}
	if r.deployment == nil || r.services["gate"] == nil {
		t.Fatalf("no deployment or no service:\n%s", text)
	}
	return r
}

func TestChartIsLinted(t *testing.T) {
	for _, name := range []string{"postgres", "everything", "sqlite"} {
		linter := lint.All(chart, values(t, name), "ai", true)
		for _, m := range linter.Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %s", name, m)
			}
		}
	}
}

func TestChartPods(t *testing.T) {
	for _, name := range []string{"postgres", "everything", "sqlite"} {
		t.Run(name, func(t *testing.T) {
			r := render(t, values(t, name))
			pods := map[string]corev1.PodSpec{"deployment": r.deployment.Spec.Template.Spec}
			if r.job != nil {
				pods["job"] = r.job.Spec.Template.Spec
			}
			for which, pod := range pods {
				hardened(t, which, pod)
			}
			server(t, r)
			noSecrets(t, r)
		})
	}
}

// hardened demands what every pod of the chart promises.
func hardened(t *testing.T, which string, pod corev1.PodSpec) {
	t.Helper()
	sc := pod.SecurityContext
	if sc == nil || sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot || *sc.RunAsUser == 0 || *sc.RunAsGroup == 0 || sc.FSGroup == nil || sc.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s: pod's security context %+v", which, sc)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Errorf("%s: has a token of Kubernetes", which)
	}
	if pod.HostNetwork || pod.HostPID || pod.HostIPC {
		t.Errorf("%s: is in the host's namespaces", which)
	}
	for _, c := range slices.Concat(pod.Containers, pod.InitContainers) {
		s := c.SecurityContext
		if s == nil || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || *s.Privileged || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
			t.Errorf("%s: container's security context %+v", which, s)
		}
		if len(c.Command) > 0 {
			t.Errorf("%s: runs %q, and the image has one program", which, c.Command)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: resources %+v", which, c.Resources)
		}
		mounted := map[string]bool{}
		for _, m := range c.VolumeMounts {
			mounted[m.MountPath] = true
		}
		if !mounted["/tmp"] {
			t.Errorf("%s: nowhere to write on a read-only root", which)
		}
	}
	for _, v := range pod.Volumes {
		if v.HostPath != nil {
			t.Errorf("%s: mounts the host's %s", which, v.HostPath.Path)
		}
	}
}

// server demands that the server's pods begin, are asked, are spread and end as they
// should.
func server(t *testing.T, r *rendered) {
	t.Helper()
	pod := r.deployment.Spec.Template.Spec
	c := pod.Containers[0]
	for name, probe := range map[string]struct {
		*corev1.Probe
		path string
	}{"startup": {c.StartupProbe, "/healthz"}, "liveness": {c.LivenessProbe, "/healthz"}, "readiness": {c.ReadinessProbe, "/readyz"}} {
		if probe.Probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != probe.path || probe.HTTPGet.Port.StrVal != "http" {
			t.Errorf("%s probe: %+v", name, probe.Probe)
		}
	}
	grace := env(c, "TENURE_SHUTDOWN_GRACE").Value
	var seconds int64
	if _, err := fmt.Sscanf(grace, "%ds", &seconds); err != nil || *pod.TerminationGracePeriodSeconds <= seconds+c.Lifecycle.PreStop.Sleep.Seconds {
		t.Errorf("Kubernetes waits for %ds, and streams have %s after %ds", *pod.TerminationGracePeriodSeconds, grace, c.Lifecycle.PreStop.Sleep.Seconds)
	}
	if len(pod.TopologySpreadConstraints) == 0 {
		t.Error("pods may all be on one node")
	}
	for _, s := range pod.TopologySpreadConstraints {
		if !selects(s.LabelSelector.MatchLabels, r.deployment.Spec.Template.Labels) {
			t.Errorf("spread over %v, which are not the pods", s.LabelSelector)
		}
	}
	if !selects(r.deployment.Spec.Selector.MatchLabels, r.deployment.Spec.Template.Labels) || !selects(r.services["gate"].Spec.Selector, r.deployment.Spec.Template.Labels) {
		t.Error("the selectors do not select the pods")
	}
	if r.job != nil && selects(r.services["gate"].Spec.Selector, r.job.Spec.Template.Labels) {
		t.Error("requests go to the job")
	}
	for _, v := range pod.Volumes {
		if v.Name == "key" && (*v.Secret.DefaultMode&0o077 != 0 || env(c, "TENURE_KEY_URL").Value != "file:/etc/tenure/key/"+v.Secret.Items[0].Path) {
			t.Errorf("the key file: %+v, %s", v.Secret, env(c, "TENURE_KEY_URL").Value)
		}
	}
}

func env(c corev1.Container, name string) corev1.EnvVar {
	for _, e := range c.Env {
		if e.Name == name {
			return e
		}
	}
	return corev1.EnvVar{}
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// noSecrets demands that secrets are named and never written.
func noSecrets(t *testing.T, r *rendered) {
	t.Helper()
	secret := []string{"TENURE_DATABASE_URL", "TENURE_SCIM_TOKEN", "TENURE_API_TOKEN", "TENURE_OIDC_CLIENT_SECRET", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"}
	for _, e := range r.deployment.Spec.Template.Spec.Containers[0].Env {
		if slices.Contains(secret, e.Name) != (e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil && e.ValueFrom.SecretKeyRef.Name != "") {
			t.Errorf("%+v", e)
		}
	}
	if strings.Contains(r.text, "kind: Secret\n") {
		t.Error("the chart makes a secret")
	}
}

func TestChartOnPostgres(t *testing.T) {
	r := render(t, values(t, "postgres"))
	if *r.deployment.Spec.Replicas != 3 || r.deployment.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
		t.Errorf("%+v", r.deployment.Spec.Strategy)
	}
	if r.budget == nil || r.budget.Spec.MaxUnavailable.IntValue() != 1 || !selects(r.budget.Spec.Selector.MatchLabels, r.deployment.Spec.Template.Labels) {
		t.Errorf("%+v", r.budget)
	}
	if r.claim != nil || r.ingress != nil || r.scaler != nil || r.monitor != nil {
		t.Error("something is made that nobody asked for")
	}
	app := env(r.deployment.Spec.Template.Spec.Containers[0], "TENURE_DATABASE_URL").ValueFrom.SecretKeyRef
	if r.job == nil {
		t.Fatal("nobody migrates")
	}
	owner := env(r.job.Spec.Template.Spec.Containers[0], "TENURE_DATABASE_URL").ValueFrom.SecretKeyRef
	if owner.Name == app.Name && owner.Key == app.Key || owner.Name != "tenure-owner" {
		t.Errorf("the job migrates as %v, the pods serve as %v", owner, app)
	}
	if !slices.Equal(r.job.Spec.Template.Spec.Containers[0].Args, []string{"migrate"}) || r.job.Annotations["helm.sh/hook"] != "pre-install,pre-upgrade" {
		t.Errorf("%v %v", r.job.Spec.Template.Spec.Containers[0].Args, r.job.Annotations)
	}
	if r.job.Spec.Template.Spec.Containers[0].Image != r.deployment.Spec.Template.Spec.Containers[0].Image {
		t.Error("the job migrates with another version than serves")
	}
}

func TestChartNetworkPolicy(t *testing.T) {
	r := render(t, values(t, "everything"))
	p := r.policy
	if p == nil || len(p.Spec.PolicyTypes) != 2 || !selects(p.Spec.PodSelector.MatchLabels, r.deployment.Spec.Template.Labels) || !selects(p.Spec.PodSelector.MatchLabels, r.job.Spec.Template.Labels) {
		t.Fatalf("%+v", p)
	}
	for _, in := range p.Spec.Ingress {
		if len(in.From) == 0 || len(in.Ports) == 0 {
			t.Errorf("anybody may come in: %+v", in)
		}
	}
	if len(p.Spec.Ingress[0].From) != 2 {
		t.Errorf("the ingress controller and Prometheus come in: %+v", p.Spec.Ingress)
	}
	ports := map[int]bool{}
	for _, out := range p.Spec.Egress {
		for _, port := range out.Ports {
			ports[port.Port.IntValue()] = true
			if port.Port.IntValue() == 443 && (len(out.To) != 1 || !slices.Contains(out.To[0].IPBlock.Except, "169.254.0.0/16")) {
				t.Errorf("the cloud's metadata can be reached: %+v", out.To)
			}
			if port.Port.IntValue() == 6432 && len(out.To) != 1 {
				t.Errorf("the database is anywhere: %+v", out)
			}
		}
		if len(out.Ports) == 0 {
			t.Errorf("every port is open: %+v", out)
		}
	}
	if got := slices.Sorted(maps.Keys(ports)); !slices.Equal(got, []int{53, 443, 6432}) {
		t.Errorf("ports %v", got)
	}
	off := values(t, "everything")
	off["networkPolicy"] = map[string]any{"enabled": false}
	if render(t, off).policy != nil {
		t.Error("it cannot be switched off")
	}
}

func TestChartWithEverything(t *testing.T) {
	r := render(t, values(t, "everything"))
	if r.scaler == nil || r.deployment.Spec.Replicas != nil || *r.scaler.Spec.MinReplicas != 4 || r.scaler.Spec.ScaleTargetRef.Name != r.deployment.Name {
		t.Errorf("%+v, replicas %v", r.scaler, r.deployment.Spec.Replicas)
	}
	if r.monitor == nil || !strings.Contains(r.text, "path: /metrics") || !strings.Contains(r.text, "release: prometheus") {
		t.Errorf("%v", r.monitor)
	}
	if r.ingress == nil || r.ingress.Spec.TLS[0].SecretName != "tenure-tls" || r.ingress.Spec.Rules[0].Host != "tenure.example.com" {
		t.Fatalf("%+v", r.ingress)
	}
	to := map[string]string{}
	for _, path := range r.ingress.Spec.Rules[0].HTTP.Paths {
		s := r.services[path.Backend.Service.Name]
		if s == nil || s.Spec.Ports[0].Name != path.Backend.Service.Port.Name {
			t.Fatalf("%s leads to no service", path.Path)
		}
		to[path.Path] = fmt.Sprint(len(s.Spec.Selector) > 0)
	}
	if want := map[string]string{"/": "true", "/metrics": "false", "/healthz": "false", "/readyz": "false"}; !maps.Equal(to, want) {
		t.Errorf("paths that lead to pods: %v, want %v", to, want)
	}
	c := r.deployment.Spec.Template.Spec.Containers[0]
	if !strings.HasSuffix(c.Image, "@sha256:"+strings.Repeat("ab", 32)) || env(c, "TENURE_SHUTDOWN_GRACE").Value != "300s" || *r.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds != 320 {
		t.Errorf("%s %v %d", c.Image, env(c, "TENURE_SHUTDOWN_GRACE"), *r.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds)
	}
	for _, name := range []string{"TENURE_SCIM_TOKEN", "TENURE_API_TOKEN", "TENURE_OIDC_CLIENT_SECRET", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"} {
		if env(c, name).ValueFrom == nil {
			t.Errorf("%s is not there", name)
		}
	}
}

// With homes that stay, each replica has a volume of its own, and nothing else changes.
func TestChartWithHomesThatStay(t *testing.T) {
	vals := values(t, "everything")
	vals["home"] = map[string]any{"persistent": true, "storageClass": "ssd"}
	r := render(t, vals)
	server(t, r)
	hardened(t, "server", r.deployment.Spec.Template.Spec)
	if r.stateful == nil || len(r.stateful.Spec.VolumeClaimTemplates) != 1 || r.scaler.Spec.ScaleTargetRef.Kind != "StatefulSet" {
		t.Fatalf("%+v, %+v", r.stateful, r.scaler)
	}
	claim := r.stateful.Spec.VolumeClaimTemplates[0]
	if claim.Name != "home" || *claim.Spec.StorageClassName != "ssd" || r.stateful.Spec.ServiceName != r.stateful.Name {
		t.Errorf("%+v of %s", claim, r.stateful.Spec.ServiceName)
	}
	for _, v := range r.deployment.Spec.Template.Spec.Volumes {
		if v.Name == "home" {
			t.Errorf("the home is in %+v", v)
		}
	}
	for _, m := range r.deployment.Spec.Template.Spec.Containers[0].VolumeMounts {
		if m.Name == "home" && m.MountPath != "/var/lib/tenure" {
			t.Errorf("the home is at %s", m.MountPath)
		}
	}
}

func TestChartOnSQLite(t *testing.T) {
	r := render(t, values(t, "sqlite"))
	if *r.deployment.Spec.Replicas != 1 || r.deployment.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || r.job != nil || r.budget != nil {
		t.Errorf("%+v, %v, %v", r.deployment.Spec, r.job, r.budget)
	}
	if r.claim == nil || r.claim.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Fatalf("%+v", r.claim)
	}
	for _, v := range r.deployment.Spec.Template.Spec.Volumes {
		if v.Name == "home" && (v.PersistentVolumeClaim == nil || v.PersistentVolumeClaim.ClaimName != r.claim.Name) {
			t.Errorf("the data is in %+v", v)
		}
	}
	if env(r.deployment.Spec.Template.Spec.Containers[0], "TENURE_DATABASE_URL").Name != "" {
		t.Error("a database is named")
	}
}

// What cannot work is refused with what would.
func TestChartRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		base   string
		change map[string]any
		want   string
	}{
		"replicas on SQLite":       {"sqlite", map[string]any{"replicaCount": 2}, "serves one replica"},
		"scaling on SQLite":        {"sqlite", map[string]any{"autoscaling": map[string]any{"enabled": true}}, "serves one replica"},
		"two databases":            {"sqlite", map[string]any{"database": map[string]any{"existingSecret": "x"}}, "choose one"},
		"no database":              {"postgres", map[string]any{"database": map[string]any{"existingSecret": ""}}, "database.existingSecret"},
		"no owner":                 {"postgres", map[string]any{"migration": map[string]any{"existingSecret": ""}}, "tenure migrate"},
		"no key":                   {"postgres", map[string]any{"key": map[string]any{"existingSecret": ""}}, "key.existingSecret"},
		"no URL":                   {"postgres", map[string]any{"settings": map[string]any{"TENURE_PUBLIC_URL": ""}}, "TENURE_PUBLIC_URL"},
		"a secret among settings":  {"postgres", map[string]any{"settings": map[string]any{"TENURE_SCIM_TOKEN": "x"}}, "propertyName"},
		"a database in settings":   {"postgres", map[string]any{"settings": map[string]any{"TENURE_DATABASE_URL": "postgres://…"}}, "propertyName"},
		"a setting that is none":   {"postgres", map[string]any{"settings": map[string]any{"PATH": "x"}}, "propertyName"},
		"a value that is none":     {"postgres", map[string]any{"replicas": 3}, "replicas"},
		"no replica":               {"postgres", map[string]any{"replicaCount": 0}, "replicaCount"},
		"a digest that is none":    {"postgres", map[string]any{"image": map[string]any{"digest": "latest"}}, "digest"},
		"an ingress without host":  {"postgres", map[string]any{"ingress": map[string]any{"enabled": true}}, "ingress.host"},
		"a grace that is no count": {"postgres", map[string]any{"shutdownGraceSeconds": "30s"}, "shutdownGraceSeconds"},
	} {
		vals := values(t, c.base)
		for k, v := range c.change {
			if have, ok := vals[k].(map[string]any); ok {
				maps.Copy(have, v.(map[string]any))
				continue
			}
			vals[k] = v
		}
		if _, err := install(vals); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
