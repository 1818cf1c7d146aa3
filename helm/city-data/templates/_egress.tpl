{{/* Where each role may connect to: a policy each, beside the one that denies all. */}}

{{/* Any address but the link-local ones, where clouds hand out their machines' credentials: (list . ports) */}}
{{- define "city-data.egress.ports" -}}
{{- if index . 1 }}
- to:
    - namespaceSelector: {}
    - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
    - ipBlock: {cidr: "::/0", except: ["fe80::/10"]}
  ports:
    {{- range index . 1 }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- end -}}

{{/* A pod of this release: (list . "component" "port") */}}
{{- define "city-data.egress.role" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "city-data.selector" . | nindent 10 }}
  ports:
    - port: {{ index . 2 }}
{{- end -}}

{{/* The port of a URL: its own, or its scheme's. */}}
{{- define "city-data.portOf" -}}
{{- $url := urlParse . -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (eq $url.scheme "http" | ternary 80 443) -}}
{{- end -}}

{{/* The TCP ports of the API: its stores, its keys and its tenants. */}}
{{- define "city-data.apiPorts" -}}
{{- $ports := concat .Values.networkPolicy.databasePorts .Values.networkPolicy.apiEgressPorts -}}
{{- if .Values.redis.existingSecret -}}
{{- $ports = concat $ports .Values.networkPolicy.redisPorts -}}
{{- end -}}
{{- range compact (list .Values.api.auth.jwksUrl .Values.api.tenantService.url) -}}
{{- $ports = append $ports (include "city-data.portOf" . | int) -}}
{{- end -}}
{{- $numbers := list -}}
{{- range $ports }}{{ $numbers = append $numbers (int .) }}{{ end -}}
{{- uniq $numbers | toJson -}}
{{- end -}}

{{/* The rules of a role: (list . "role") */}}
{{- define "city-data.egress" -}}
{{- $ := index . 0 -}}
{{- $role := index . 1 -}}
{{- $policy := $.Values.networkPolicy -}}
- to:
    {{- toYaml $policy.dnsTo | nindent 4 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- $ports := $policy.databasePorts -}}
{{- if eq $role "api" -}}
{{- $ports = include "city-data.apiPorts" $ | fromJsonArray -}}
{{- end -}}
{{- if and (has $role (list "code" "run")) $.Values.redis.existingSecret -}}
{{- $ports = concat $ports $policy.redisPorts -}}
{{- end -}}
{{- if and (has $role (list "code" "run" "collector" "exporter")) $.Values.rawArchive.url -}}
{{- $ports = concat $ports $policy.archivePorts -}}
{{- end -}}
{{- if has $role (list "run" "collector") -}}
{{- $ports = concat $ports $policy.sourcePorts -}}
{{- end -}}
{{- if and (eq $role "code") $.Values.slack.existingSecret -}}
{{- $ports = append $ports 443 -}}
{{- end -}}
{{- if has $role (list "daemon" "webserver") -}}
{{- $ports = concat $ports $policy.kubernetesPorts -}}
{{- end -}}
{{- $numbers := list -}}
{{- range $ports }}{{ $numbers = append $numbers (int .) }}{{ end -}}
{{ include "city-data.egress.ports" (list $ (uniq $numbers)) }}
{{- if has $role (list "daemon" "webserver") }}
{{ include "city-data.egress.role" (list $ "code" "grpc") }}
{{- end }}
{{- if has $role (list "backfill" "code") }}
{{ include "city-data.egress.role" (list $ "webserver" "http") }}
{{- end }}
{{- end -}}
