{{- define "user-manager.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 39 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end }}

{{- define "user-manager.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "user-manager.labels" -}}
{{ include "user-manager.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "user-manager.secret" -}}
{{- .Values.existingSecret | default (include "user-manager.name" .) -}}
{{- end }}

{{- /* The settings whose values are files of the Secret, as a JSON list. */}}
{{- define "user-manager.secretKeys" -}}
{{- if .Values.existingSecret -}}
{{- .Values.existingSecretKeys | toJson -}}
{{- else -}}
{{- keys .Values.secrets | sortAlpha | toJson -}}
{{- end -}}
{{- end }}

{{- /* What cannot work is told before anything is made. */}}
{{- define "user-manager.mistakes" -}}
{{- if ne (int .Values.replicas) 1 -}}
{{- fail (printf "replicas: it is %d, and the state is a SQLite file, which one process owns; right would be: 1" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.existingSecret .Values.secrets -}}
{{- fail "existingSecret: it is set, and so is secrets; right would be: one of them" -}}
{{- end -}}
{{- if and .Values.existingSecret (not .Values.existingSecretKeys) -}}
{{- fail "existingSecretKeys: it is empty, and existingSecret is set; right would be: the names of the settings in it, such as ADMIN_PASSWORD" -}}
{{- end -}}
{{- if and .Values.existingSecretKeys (not .Values.existingSecret) -}}
{{- fail "existingSecret: it is not set, and existingSecretKeys is; right would be: the name of a Secret" -}}
{{- end -}}
{{- if and (not .Values.publicUrl) (ne (get .Values.settings "AUTH_MODULE") "keycloak") -}}
{{- fail "publicUrl: it is not set, and nobody knows where the links in mails lead; right would be: such as https://users.example.org" -}}
{{- end -}}
{{- range list "HTTP_HOST" "HTTP_PORT" "METRICS_LISTEN" "DATA_DIR" "STATE" "STATE_EPHEMERAL" "PUBLIC_URL" -}}
{{- if hasKey $.Values.settings . -}}
{{- fail (printf "settings: %s is the chart's to set; right would be: publicUrl, metrics, persistence, or nothing" .) -}}
{{- end -}}
{{- end -}}
{{- end }}
