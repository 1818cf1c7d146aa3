{{/* Names and labels. A selector never changes: it has no version in it. */}}
{{- define "city-data.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "city-data.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "city-data.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "city-data.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* (list . "component") */}}
{{- define "city-data.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ include "city-data.name" $ }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "city-data.labels" -}}
{{- $ := index . 0 -}}
{{ include "city-data.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version }}
{{- end -}}

{{/* Run pods have Dagster's own labels; this one says whose they are. */}}
{{- define "city-data.runLabel" -}}
city-data/release: {{ .Release.Name }}
{{- end -}}

{{/* (list . image) */}}
{{- define "city-data.imageOf" -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "city-data.image" -}}
{{- include "city-data.imageOf" (list . .Values.image) -}}
{{- end -}}

{{- define "city-data.readerImage" -}}
{{- include "city-data.imageOf" (list . (ternary .Values.api.image .Values.image (ne .Values.api.image.repository ""))) -}}
{{- end -}}
