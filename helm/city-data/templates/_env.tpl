{{/* The environment of each process. Every secret is a reference: none is in a manifest, in a ConfigMap or in a run's arguments. */}}
{{- define "city-data.secretEnv" -}}
{{- /* (list "VARIABLE" "secret" "key") */ -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end -}}

{{- define "city-data.env.database" -}}
{{ include "city-data.secretEnv" (list "CITY_DATA_DATABASE_URL" .Values.database.existingSecret .Values.database.urlKey) }}
{{- end -}}

{{/* For the API, which reads this name first. */}}
{{- define "city-data.env.api" -}}
{{ include "city-data.secretEnv" (list "API_DATABASE_URL" .Values.database.existingSecret .Values.database.readerUrlKey) }}
{{- end -}}

{{/* For the command line and the exporter, which know one database. */}}
{{- define "city-data.env.reader" -}}
{{ include "city-data.secretEnv" (list "CITY_DATA_DATABASE_URL" .Values.database.existingSecret .Values.database.readerUrlKey) }}
{{- end -}}

{{- define "city-data.env.dagsterUrl" -}}
{{ include "city-data.secretEnv" (list "CITY_DATA_DAGSTER_URL" .Values.database.existingSecret .Values.database.dagsterUrlKey) }}
{{- end -}}

{{/* For the exporter: heartbeats and backfills, with a login that may only read. */}}
{{- define "city-data.env.dagsterReader" -}}
- name: DAGSTER_HOME
  value: /opt/dagster/dagster_home
{{ include "city-data.secretEnv" (list "CITY_DATA_DAGSTER_URL" .Values.database.existingSecret .Values.database.dagsterReaderUrlKey) }}
{{- end -}}

{{- define "city-data.env.dagster" -}}
- name: DAGSTER_HOME
  value: /opt/dagster/dagster_home
{{ include "city-data.env.dagsterUrl" . }}
{{- end -}}

{{- define "city-data.env.redis" -}}
{{- if .Values.redis.existingSecret -}}
{{ include "city-data.secretEnv" (list "CITY_DATA_REDIS_URL" .Values.redis.existingSecret .Values.redis.urlKey) }}
{{- end -}}
{{- end -}}

{{- define "city-data.env.archive" -}}
{{- if .Values.rawArchive.existingSecret -}}
{{- range .Values.rawArchive.keys }}
{{ include "city-data.secretEnv" (list . $.Values.rawArchive.existingSecret .) }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "city-data.env.providers" -}}
{{- if .Values.providerKeys.existingSecret -}}
{{- range .Values.providerKeys.keys }}
{{ include "city-data.secretEnv" (list . $.Values.providerKeys.existingSecret .) }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "city-data.env.slack" -}}
{{- if .Values.slack.existingSecret -}}
{{ include "city-data.secretEnv" (list "SLACK_WEBHOOK_URL" .Values.slack.existingSecret .Values.slack.key) }}
{{- end -}}
{{- end -}}

{{/* Everything that a run needs, but for what dagster-k8s adds itself: DAGSTER_HOME. */}}
{{- define "city-data.env.run" -}}
{{ include "city-data.env.database" . }}
{{ include "city-data.env.dagsterUrl" . }}
{{ include "city-data.env.redis" . }}
{{ include "city-data.env.archive" . }}
{{ include "city-data.env.providers" . }}
{{- end -}}

{{- define "city-data.envFrom" -}}
- configMapRef:
    name: {{ include "city-data.fullname" . }}-env
{{- end -}}

{{- define "city-data.env.auth" -}}
- name: AUTH_MODE
  value: {{ .Values.api.auth.mode }}
- name: AUTH_JWT_ISSUER
  value: {{ .Values.api.auth.issuer | quote }}
- name: AUTH_JWT_AUDIENCE
  value: {{ .Values.api.auth.audience | quote }}
- name: AUTH_TENANT_CLAIM
  value: {{ .Values.api.auth.tenantClaim | quote }}
{{- if .Values.api.auth.jwksUrl }}
- name: AUTH_JWKS_URL
  value: {{ .Values.api.auth.jwksUrl | quote }}
{{- else }}
- name: AUTH_JWKS_FILE
  value: /etc/city-data-jwks/jwks.json
{{- end }}
{{- range $name, $value := .Values.api.settings }}
- name: {{ $name }}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- with .Values.api.tenantService.url }}
- name: TENANT_SERVICE_URL
  value: {{ . | quote }}
{{- end }}
{{- if .Values.api.tenantService.existingSecret }}
{{ include "city-data.secretEnv" (list "TENANT_SERVICE_TOKEN" .Values.api.tenantService.existingSecret .Values.api.tenantService.tokenKey) }}
{{- end }}
{{- end -}}
