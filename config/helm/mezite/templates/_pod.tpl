{{- define "mezite.lockedDown" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: ["ALL"] }
{{- end }}

{{/* What all pods have in common: (list root component values) */}}
{{- define "mezite.podBasics" -}}
{{- $root := index . 0 -}}
automountServiceAccountToken: false
serviceAccountName: {{ include "mezite.fullname" $root }}
# Variables of services begin with MEZITE_ as well, and are nobody's configuration.
enableServiceLinks: false
terminationGracePeriodSeconds: 45
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 2).nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 2).tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "mezite.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}

{{- define "mezite.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* A volume comes with mode 0770 and the group of the pod; the data directory belongs to nobody else. (list root image) */}}
{{- define "mezite.dataDirectory" -}}
- name: data-directory
  image: {{ include "mezite.image" . | quote }}
  imagePullPolicy: {{ (index . 0).Values.image.pullPolicy }}
  command: ["mkdir", "-p", "-m", "0700", "/volume/data"]
  securityContext:
    {{- include "mezite.lockedDown" . | nindent 4 }}
  resources:
    requests: { cpu: 10m, memory: 16Mi }
    limits: { memory: 64Mi }
  volumeMounts:
    - { name: data, mountPath: /volume }
{{- end }}

{{/* Probes of a process with a web server. */}}
{{- define "mezite.webProbes" -}}
startupProbe:
  httpGet: { path: /healthz, port: web, scheme: HTTPS }
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /healthz, port: web, scheme: HTTPS }
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: { path: /readyz, port: web, scheme: HTTPS }
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/* Probes of an auth server alone, which speaks HTTP/2 only. */}}
{{- define "mezite.authProbes" -}}
{{- range $probe := list (list "startupProbe" 3 40) (list "livenessProbe" 30 3) (list "readinessProbe" 10 2) }}
{{ index $probe 0 }}:
  exec: { command: ["mezd", "health", "--address=127.0.0.1:3025", "--timeout=5s", "--ca-file=/var/lib/mezite/host-ca.pem"] }
  periodSeconds: {{ index $probe 1 }}
  timeoutSeconds: 10
  failureThreshold: {{ index $probe 2 }}
{{- end }}
{{- end }}

{{/* Ports of a process that is a proxy. */}}
{{- define "mezite.proxyPorts" -}}
- { name: public, containerPort: 3443 }
- { name: ssh, containerPort: 3023 }
- { name: tunnels, containerPort: 3024 }
- { name: web, containerPort: 3080 }
{{- end }}

{{/* Mounts and volumes that all have. (list root component) */}}
{{- define "mezite.mounts" -}}
- { name: config, mountPath: /etc/mezite, readOnly: true }
- { name: data, mountPath: /var/lib/mezite, subPath: data }
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "mezite.volumes" -}}
- name: config
  configMap: { name: {{ include "mezite.fullname" (index . 0) }}-{{ index . 1 }} }
- name: tmp
  emptyDir: { medium: Memory, sizeLimit: 64Mi }
{{- end }}

{{- define "mezite.claim" -}}
volumeClaimTemplates:
  - metadata: { name: data }
    spec:
      accessModes: ["ReadWriteOnce"]
      {{- with .className }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests: { storage: {{ .size }} }
{{- end }}
