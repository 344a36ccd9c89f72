{{- define "safelight.labels" -}}
app.kubernetes.io/name: safelight
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "safelight.serverLabels" -}}
{{ include "safelight.labels" . }}
app.kubernetes.io/component: server
{{- end }}

{{- define "safelight.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- define "safelight.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "safelight.claim" -}}
{{ .Values.data.existingClaim | default (printf "%s-data" .Release.Name) }}
{{- end }}

{{- define "safelight.backupClaim" -}}
{{ .Values.backup.existingClaim | default (printf "%s-backup" .Release.Name) }}
{{- end }}

{{- /* The pod standard "restricted". */ -}}
{{- define "safelight.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "safelight.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* The settings that servers and maintenance share, as variables. */ -}}
{{- define "safelight.settings" -}}
- {name: HOME, value: /tmp}
- {name: SAFELIGHT_ENGINES, value: {{ join "," .Values.engines | quote }}}
{{- range $name, $value := .Values.settings }}
- {name: SAFELIGHT_{{ upper $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- end }}

{{- define "safelight.isGpuGroup" -}}
{{- if hasKey (.resources.limits | default dict) "nvidia.com/gpu" }}yes{{ end }}
{{- end }}
