{{/* Labels of everything. The argument: {root, part}. */}}
{{- define "sikkerkey.labels" -}}
{{ include "sikkerkey.selector" . }}
app.kubernetes.io/part-of: sikkerkey
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels that find the pods of a part; they never change. */}}
{{- define "sikkerkey.selector" -}}
app.kubernetes.io/name: sikkerkey-{{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{/* The image of a part. */}}
{{- define "sikkerkey.image" -}}
{{- $image := index .root.Values.images .part -}}
{{- $reference := printf "%s/%s" (trimSuffix "/" .root.Values.images.registry) $image.name -}}
{{- if $image.digest -}}
{{ $reference }}@{{ $image.digest }}
{{- else -}}
{{ $reference }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The origin by which everybody reaches the server. */}}
{{- define "sikkerkey.serverUrl" -}}
{{- if .Values.server.publicUrl -}}
{{ trimSuffix "/" .Values.server.publicUrl }}
{{- else -}}
{{- $port := int .Values.server.service.port -}}
https://sikkerkey-server.{{ .Release.Namespace }}.svc{{ if ne $port 443 }}:{{ $port }}{{ end }}
{{- end -}}
{{- end }}

{{/* `--namespace-selector` of the operator; empty: every namespace. */}}
{{- define "sikkerkey.namespaceSelector" -}}
{{- $parts := list -}}
{{- range $key, $value := .Values.namespaces.equal }}{{ $parts = append $parts (printf "%s=%s" $key $value) }}{{ end -}}
{{- range $key, $value := .Values.namespaces.notEqual }}{{ $parts = append $parts (printf "%s!=%s" $key $value) }}{{ end -}}
{{- range .Values.namespaces.exists }}{{ $parts = append $parts . }}{{ end -}}
{{- range .Values.namespaces.absent }}{{ $parts = append $parts (printf "!%s" .) }}{{ end -}}
{{- join "," $parts -}}
{{- end }}

{{/*
The same for the webhooks: never where what the cluster and the operator itself need is started. By the label that the API
server keeps itself.
*/}}
{{- define "sikkerkey.managedNamespaces" -}}
{{- with .Values.namespaces.equal }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
matchExpressions:
{{- range $key, $value := .Values.namespaces.notEqual }}
- {key: {{ $key | quote }}, operator: NotIn, values: [{{ $value | quote }}]}
{{- end }}
{{- range .Values.namespaces.exists }}
- {key: {{ . | quote }}, operator: Exists}
{{- end }}
{{- range .Values.namespaces.absent }}
- {key: {{ . | quote }}, operator: DoesNotExist}
{{- end }}
- {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, {{ .Release.Namespace }}]}
{{- end }}

{{/* What Pod Security `restricted` asks of a pod. */}}
{{- define "sikkerkey.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* And of a container, which besides writes nothing but its volumes. */}}
{{- define "sikkerkey.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where pods of a part go: apart from each other if that is possible. */}}
{{- define "sikkerkey.placement" -}}
{{- $values := index .root.Values .part -}}
{{- if gt (int $values.replicas) 1 }}
topologySpreadConstraints:
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "sikkerkey.selector" $ | nindent 6 }}
  # Counts the pods of one rollout, so that those before it do not decide where the new ones go.
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $.root.Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* What no schema can say. */}}
{{- define "sikkerkey.check" -}}
{{- $server := .Values.server -}}
{{- if and (gt (int $server.replicas) 1) (not $server.database.existingSecret.name) -}}
{{- fail (printf "server.replicas is %d, and the embedded database has room for one server: set server.database.existingSecret.name to a Secret with the URL of a PostgreSQL database, or server.replicas to 1" (int $server.replicas)) -}}
{{- end -}}
{{- if and (not $server.enabled) (not $server.publicUrl) -}}
{{- fail "server.enabled is false: set server.publicUrl to where the server is" -}}
{{- end -}}
{{- if and $server.enabled (not $server.rootKey.command) (not $server.rootKey.existingSecret.name) -}}
{{- fail "the server has no root key: set server.rootKey.existingSecret.name to a Secret that holds one, or server.rootKey.command" -}}
{{- end -}}
{{- if and $server.enabled $server.database.existingSecret.name (not (kindIs "invalid" $server.auditRetentionDays)) (not (contains "--audit-archive" (join " " $server.extraArgs))) -}}
{{- fail "server.auditRetentionDays moves rows into files, and with PostgreSQL the server has no volume that stays: set server.extraVolumes and extraVolumeMounts to one and server.extraArgs to [--audit-archive=DIRECTORY] in it, or server.auditRetentionDays to null" -}}
{{- end -}}
{{- if and .Values.tracing.ca.configMap (not (hasPrefix "https://" .Values.tracing.endpoint)) -}}
{{- fail "tracing.ca.configMap is set, and tracing.endpoint is no https:// address: set tracing.endpoint to one, or tracing.ca.configMap to nothing" -}}
{{- end -}}
{{- if and .Values.monitoring.podMonitor.enabled (not .Values.sidecar.statusAddress) -}}
{{- fail "monitoring.podMonitor.enabled is true, and sidecars answer nowhere: set sidecar.statusAddress to 0.0.0.0:9917 or [::]:9917" -}}
{{- end -}}
{{- end }}

{{/* Where traces go, as arguments of server and operator. */}}
{{- define "sikkerkey.tracing" -}}
{{- with .Values.tracing }}
{{- if .endpoint }}
- --otlp-endpoint={{ .endpoint }}
- --trace-ratio={{ .ratio }}
{{- if .ca.configMap }}
- --otlp-ca=/etc/sikkerkey/otlp/{{ .ca.key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The ConfigMap that vouches for the collector, where there is one. */}}
{{- define "sikkerkey.tracingCa" -}}
{{- with .Values.tracing -}}
{{- if and .endpoint .ca.configMap }}{{ .ca.configMap }}{{ end -}}
{{- end -}}
{{- end }}

{{/* The pod of the server, for a StatefulSet or a Deployment. */}}
{{- define "sikkerkey.serverPod" -}}
{{- $server := .Values.server -}}
{{- $part := dict "root" . "part" "server" -}}
{{- $database := $server.database.existingSecret -}}
metadata:
  labels:
    {{- include "sikkerkey.selector" $part | nindent 4 }}
    app.kubernetes.io/part-of: sikkerkey
    {{- with $server.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $server.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: sikkerkey-server
  # It asks the API server for nothing.
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $server.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "sikkerkey.podSecurity" . | nindent 4 }}
  {{- with include "sikkerkey.placement" $part }}
  {{- trim . | nindent 2 }}
  {{- end }}
  {{- with $server.initContainers }}
  initContainers:
    {{- toYaml . | nindent 2 }}
  {{- end }}
  containers:
  - name: server
    image: {{ include "sikkerkey.image" $part | quote }}
    imagePullPolicy: {{ .Values.images.pullPolicy }}
    # `kubectl describe pod` says why it ended.
    terminationMessagePolicy: FallbackToLogsOnError
    args:
    - serve
    # A directory inside the volume: the server makes it, and nobody else may look into it.
    - --data-dir=/var/lib/sikkerkey/data
    - --listen={{ .Values.listenAddress }}:8443
    - --public-url={{ include "sikkerkey.serverUrl" . }}
    - --tls-cert=/etc/sikkerkey/tls/tls.crt
    - --tls-key=/etc/sikkerkey/tls/tls.key
    - --tls-ca=/etc/sikkerkey/tls/ca.crt
    {{- if $server.rootKey.command }}
    - {{ printf "--root-key-command=%s" $server.rootKey.command | quote }}
    {{- else }}
    - --root-key-file=/etc/sikkerkey/root-key/root.key
    {{- end }}
    {{- range $server.trustedProxies }}
    - --trusted-proxy={{ . }}
    {{- end }}
    {{- range $server.sharedAddresses }}
    - --shared-address={{ . }}
    {{- end }}
    {{- range $server.auditAnchors }}
    - --audit-anchor={{ . }}
    {{- end }}
    {{- if not (kindIs "invalid" $server.auditRetentionDays) }}
    - --audit-retention-days={{ int $server.auditRetentionDays }}
    {{- end }}
    {{- range $server.webhookAllow }}
    - --webhook-allow={{ . }}
    {{- end }}
    - --machine-rate={{ int $server.machineRate }}
    - --max-connections={{ int $server.maxConnections }}
    {{- with include "sikkerkey.tracing" . }}
    {{- trim . | nindent 4 }}
    {{- end }}
    - --log-format={{ $server.logFormat }}
    {{- range $server.extraArgs }}
    - {{ . | quote }}
    {{- end }}
    env:
    - {name: SIKKERKEY_LOG, value: {{ $server.logLevel | quote }}}
    {{- if $database.name }}
    - name: SIKKERKEY_DATABASE_URL
      valueFrom: {secretKeyRef: {name: {{ $database.name }}, key: {{ $database.key }}}}
    {{- end }}
    ports:
    - {name: https, containerPort: 8443, protocol: TCP}
    startupProbe:
      httpGet: {path: /healthz, port: https, scheme: HTTPS}
      periodSeconds: 1
      failureThreshold: 600
    # Not while it is sealed.
    readinessProbe:
      httpGet: {path: /readyz, port: https, scheme: HTTPS}
      periodSeconds: 5
      timeoutSeconds: 3
    livenessProbe:
      httpGet: {path: /healthz, port: https, scheme: HTTPS}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    {{- if gt (int $server.replicas) 1 }}
    lifecycle:
      # Nobody may call it any more when it stops to listen.
      preStop: {sleep: {seconds: 5}}
    {{- end }}
    resources:
      {{- toYaml $server.resources | nindent 6 }}
    securityContext:
      {{- include "sikkerkey.containerSecurity" . | nindent 6 }}
    volumeMounts:
    - {name: data, mountPath: /var/lib/sikkerkey}
    - {name: tls, mountPath: /etc/sikkerkey/tls, readOnly: true}
    {{- if not $server.rootKey.command }}
    - {name: root-key, mountPath: /etc/sikkerkey/root-key, readOnly: true}
    {{- end }}
    {{- if include "sikkerkey.tracingCa" . }}
    - {name: otlp, mountPath: /etc/sikkerkey/otlp, readOnly: true}
    {{- end }}
    # What the embedded database sorts, and backups on their way.
    - {name: tmp, mountPath: /tmp}
    {{- with $server.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
  - name: data
    {{- if $database.name }}
    # The administration socket, and files of the audit on their way.
    emptyDir: {}
    {{- else }}
    persistentVolumeClaim: {claimName: {{ $server.persistence.existingClaim | default "sikkerkey-server-data" }}}
    {{- end }}
  # The operator makes it, and renews it; the server follows. The pod waits for it.
  - name: tls
    secret: {secretName: sikkerkey-server-tls, defaultMode: 288}
  {{- if not $server.rootKey.command }}
  - name: root-key
    secret:
      secretName: {{ $server.rootKey.existingSecret.name }}
      items: [{key: {{ $server.rootKey.existingSecret.key }}, path: root.key}]
      # 0440: the server takes no root key that others can read.
      defaultMode: 288
      # The server waits for it, sealed, and says so.
      optional: true
  {{- end }}
  {{- with include "sikkerkey.tracingCa" . }}
  - name: otlp
    configMap: {name: {{ . }}}
  {{- end }}
  - name: tmp
    emptyDir: {sizeLimit: 1Gi}
  {{- with $server.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* A right that exists while `helm test` runs. */}}
{{- define "sikkerkey.testRight" -}}
helm.sh/hook: test
helm.sh/hook-weight: "-1"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end }}

{{/* A right that exists while the last objects are let go of. */}}
{{- define "sikkerkey.lastRight" -}}
helm.sh/hook: post-delete
helm.sh/hook-weight: "-1"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
{{- end }}
