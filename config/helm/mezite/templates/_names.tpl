{{- define "mezite.fullname" -}}
{{- if contains "mezite" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-mezite" (.Release.Name | trunc 33 | trimSuffix "-") }}{{ end }}
{{- end }}

{{/* Labels that never change: (list root component) */}}
{{- define "mezite.selector" -}}
app.kubernetes.io/name: mezite
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "mezite.labels" -}}
{{ include "mezite.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end }}

{{/* Who answers people and nodes. */}}
{{- define "mezite.front" -}}
{{- if .Values.proxy.replicas }}proxy{{ else }}auth{{ end }}
{{- end }}

{{- define "mezite.publicHost" -}}
{{ regexReplaceAll ":[0-9]+$" .Values.publicAddress "" }}
{{- end }}

{{- define "mezite.publicPort" -}}
{{ regexFind "[0-9]+$" .Values.publicAddress }}
{{- end }}

{{/* (list root image) */}}
{{- define "mezite.image" -}}
{{- $image := index . 1 }}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}{{ end }}
{{- end }}

{{/* What no schema can say. */}}
{{- define "mezite.check" -}}
{{- if and (gt (int .Values.auth.replicas) 1) (ne .Values.database.driver "postgres") }}
{{- fail "auth.replicas: several auth servers share a database, so database.driver has to be postgres" }}
{{- end }}
{{- if and (gt (int .Values.auth.replicas) 1) (not .Values.proxy.replicas) }}
{{- fail "proxy.replicas: several auth servers need proxies of their own, at least 1" }}
{{- end }}
{{- if and .Values.proxy.replicas (not .Values.proxy.tokenSecret) }}
{{- fail "proxy.tokenSecret: proxies of their own join with a token each, so name the secret that will hold them" }}
{{- end }}
{{- if and .Values.node.replicas (not .Values.node.tokenSecret) }}
{{- fail "node.tokenSecret: nodes join with a token each, so name the secret that will hold them" }}
{{- end }}
{{- end }}
