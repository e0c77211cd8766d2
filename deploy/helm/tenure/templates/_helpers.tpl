{{- define "tenure.name" -}}
{{- .Values.nameOverride | default .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "tenure.selector" -}}
app.kubernetes.io/name: tenure
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tenure.labels" -}}
{{ include "tenure.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "tenure.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "tenure.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "tenure.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities: {drop: [ALL]}
{{- end }}

{{- /* What cannot work is refused before anything is made, with what would. */ -}}
{{/* A replica with a home of its own keeps its name. */}}
{{- define "tenure.kind" -}}
{{- if .Values.home.persistent }}StatefulSet{{ else }}Deployment{{ end }}
{{- end }}

{{- define "tenure.check" -}}
{{- if not .Values.key.existingSecret }}
{{- fail "key.existingSecret: name the secret that holds the key-encryption key; for example kubectl create secret generic tenure-key --from-literal=master.key=\"$(head -c 32 /dev/urandom | base64)\"" }}
{{- end }}
{{- if .Values.sqlite.enabled }}
{{- if .Values.home.persistent }}
{{- fail "home.persistent: the file of sqlite.enabled is on a volume already; leave it out" }}
{{- end }}
{{- if .Values.database.existingSecret }}
{{- fail "sqlite.enabled and database.existingSecret: choose one of the two databases" }}
{{- end }}
{{- if or (gt (int .Values.replicaCount) 1) .Values.autoscaling.enabled }}
{{- fail "sqlite.enabled: a SQLite database serves one replica; set replicaCount to 1 and autoscaling.enabled to false, or name a PostgreSQL database by database.existingSecret" }}
{{- end }}
{{- else }}
{{- if not .Values.database.existingSecret }}
{{- fail "database.existingSecret: name the secret that holds the URL of the PostgreSQL database, or set sqlite.enabled and replicaCount to 1" }}
{{- end }}
{{- if and .Values.migration.enabled (not .Values.migration.existingSecret) }}
{{- fail "migration.existingSecret: name the secret that holds the URL of the role that owns the schema, or set migration.enabled to false and run \"tenure migrate\" yourself" }}
{{- end }}
{{- end }}
{{- if not .Values.settings.TENURE_PUBLIC_URL }}
{{- fail "settings.TENURE_PUBLIC_URL: the URL that people use; for example https://tenure.example.com" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host: the host name of settings.TENURE_PUBLIC_URL; for example tenure.example.com" }}
{{- end }}
{{- end }}

{{- define "tenure.secretEnv" -}}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .from.existingSecret | quote }}, key: {{ .from.key | quote }}}}
{{- end }}
