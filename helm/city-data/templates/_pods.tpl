{{/* What pods have in common: nobody's user, no rights, a read-only file system with a few places to write. */}}
{{- define "city-data.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "city-data.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The start of a container: (list . "name"), or (list . "name" "image") for another image than the platform's */}}
{{- define "city-data.container" -}}
{{- $ := index . 0 -}}
name: {{ index . 1 }}
image: {{ gt (len .) 2 | ternary (last .) (include "city-data.image" $) }}
imagePullPolicy: {{ $.Values.image.pullPolicy }}
# Where a container says nothing of its end, the pod's status has the last lines of its log.
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  {{- include "city-data.containerSecurity" $ | nindent 2 }}
{{- end -}}

{{/* Pod fields before its containers: (list . "service account"). Its token is in no container but by `mounts.token`. */}}
{{- define "city-data.pod" -}}
{{- $ := index . 0 -}}
serviceAccountName: {{ index . 1 }}
automountServiceAccountToken: false
# Services named as this one would otherwise set variables that begin as the platform's own do.
enableServiceLinks: false
securityContext:
  {{- include "city-data.podSecurity" $ | nindent 2 }}
{{- include "city-data.placement" $ }}
{{- end -}}

{{- define "city-data.placement" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
tolerations:
  {{- range list "not-ready" "unreachable" }}
  - key: node.kubernetes.io/{{ . }}
    operator: Exists
    effect: NoExecute
    tolerationSeconds: {{ $.Values.lostNodeSeconds }}
  {{- end }}
  {{- with .Values.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Rolls the pods when their configuration changes. */}}
{{- define "city-data.checksum" -}}
checksum/config: {{ printf "%s%s" (include (print $.Template.BasePath "/configmap-env.yaml") .) (include (print $.Template.BasePath "/configmap-dagster.yaml") .) | sha256sum }}
{{- end -}}

{{/* (list . environment), or (list . environment "host:port") to wait for a Service's ready pod too */}}
{{- define "city-data.waitForMigrations" -}}
{{- $ := index . 0 -}}
- {{- include "city-data.container" (list $ "wait-for-migrations") | nindent 2 }}
  command:
    - city-data
    - migrate
    - --wait
    - {{ $.Values.migration.deadlineSeconds | quote }}
    {{- range rest (rest .) }}
    - --reach
    - {{ . }}
    {{- end }}
  envFrom:
    {{- include "city-data.envFrom" $ | nindent 4 }}
  env:
    {{- index . 1 | nindent 4 }}
  resources:
    requests: {cpu: 50m, memory: 192Mi, ephemeral-storage: 16Mi}
    limits: {memory: 384Mi, ephemeral-storage: 256Mi}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
{{- end -}}

{{- define "city-data.mounts.tmp" -}}
- name: tmp
  mountPath: /tmp
{{- end -}}

{{- define "city-data.mounts.token" -}}
- name: token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end -}}

{{- define "city-data.mounts.cities" -}}
{{- if .Values.citiesFile -}}
- name: cities
  mountPath: /etc/city-data
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "city-data.mounts.archive" -}}
{{- if not .Values.rawArchive.url -}}
- name: raw
  mountPath: /var/lib/city-data
{{- end -}}
{{- end -}}

{{- define "city-data.mounts.downloads" -}}
- name: downloads
  mountPath: /var/cache/city-data
{{- end -}}

{{- define "city-data.mounts.dagster" -}}
- name: dagster-home
  mountPath: /opt/dagster/dagster_home
- name: dagster
  mountPath: /opt/dagster/dagster_home/dagster.yaml
  subPath: dagster.yaml
  readOnly: true
{{- end -}}

{{- define "city-data.volumes.tmp" -}}
- name: tmp
  emptyDir:
    sizeLimit: 512Mi
{{- end -}}

{{/* As Kubernetes mounts it, but in the container alone that launches or stops runs. */}}
{{- define "city-data.volumes.token" -}}
- name: token
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- end -}}

{{- define "city-data.volumes.cities" -}}
{{- if .Values.citiesFile -}}
- name: cities
  configMap:
    name: {{ include "city-data.fullname" . }}-cities
{{- end -}}
{{- end -}}

{{- define "city-data.volumes.archive" -}}
{{- if not .Values.rawArchive.url -}}
- name: raw
  persistentVolumeClaim:
    claimName: {{ .Values.rawArchive.existingClaim | default (printf "%s-raw" (include "city-data.fullname" .)) }}
{{- end -}}
{{- end -}}

{{- define "city-data.volumes.downloads" -}}
- name: downloads
  {{- if .Values.downloads.existingClaim }}
  persistentVolumeClaim:
    claimName: {{ .Values.downloads.existingClaim }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.downloads.size }}
  {{- end }}
{{- end -}}

{{- define "city-data.volumes.dagster" -}}
- name: dagster-home
  emptyDir:
    sizeLimit: 256Mi
- name: dagster
  configMap:
    name: {{ include "city-data.fullname" . }}-dagster
{{- end -}}
