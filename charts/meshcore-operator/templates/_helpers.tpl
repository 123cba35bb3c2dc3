{{- define "meshcore-operator.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "meshcore-operator.selector" -}}
app.kubernetes.io/name: meshcore-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "meshcore-operator.labels" -}}
{{ include "meshcore-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "meshcore-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "meshcore-operator.name" .) .Values.serviceAccount.name }}
{{- else -}}
{{ required "serviceAccount.name must name an existing service account when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- define "meshcore-operator.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end -}}
{{- end -}}

{{/* The watched namespaces, separated by commas; empty is all of them. */}}
{{- define "meshcore-operator.namespaces" -}}
{{- if .Values.namespaces -}}
{{ join "," (uniq .Values.namespaces) }}
{{- else if eq .Values.rbac.profile "namespaced" -}}
{{ .Release.Namespace }}
{{- end -}}
{{- end -}}
