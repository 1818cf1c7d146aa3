{{/* A run's Job. All of it is set here and nothing at the code location, whose settings would win over these. */}}
{{- define "city-data.launcher" -}}
load_incluster_config: true
job_namespace: {{ .Release.Namespace }}
service_account_name: {{ include "city-data.fullname" . }}-run
instance_config_map: {{ include "city-data.fullname" . }}-dagster
dagster_home: /opt/dagster/dagster_home
image_pull_policy: {{ .Values.image.pullPolicy }}
env_config_maps:
  - {{ include "city-data.fullname" . }}-env
labels:
  {{- include "city-data.runLabel" . | nindent 2 }}
  {{- with .Values.runs.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml .Values.runs.resources | nindent 2 }}
security_context:
  {{- include "city-data.containerSecurity" . | nindent 2 }}
run_k8s_config:
  job_spec_config:
    ttl_seconds_after_finished: {{ .Values.runs.ttlSecondsAfterFinished }}
    active_deadline_seconds: {{ add .Values.runs.deadlineSeconds .Values.runs.startTimeoutSeconds }}
  pod_spec_config:
    automountServiceAccountToken: false
    enableServiceLinks: false
    securityContext:
      {{- include "city-data.podSecurity" . | nindent 6 }}
    {{- include "city-data.placement" . | nindent 4 }}
    volumes:
      - name: tmp
        emptyDir:
          sizeLimit: {{ .Values.runs.tmpSize }}
      {{- include "city-data.volumes.dagster" . | nindent 6 }}
      {{- include "city-data.volumes.cities" . | nindent 6 }}
      {{- include "city-data.volumes.archive" . | nindent 6 }}
      {{- include "city-data.volumes.downloads" . | nindent 6 }}
  container_config:
    env:
      {{- include "city-data.env.run" . | nindent 6 }}
    volumeMounts:
      {{- include "city-data.mounts.tmp" . | nindent 6 }}
      {{- include "city-data.mounts.dagster" . | nindent 6 }}
      {{- include "city-data.mounts.cities" . | nindent 6 }}
      {{- include "city-data.mounts.archive" . | nindent 6 }}
      {{- include "city-data.mounts.downloads" . | nindent 6 }}
{{- end -}}
