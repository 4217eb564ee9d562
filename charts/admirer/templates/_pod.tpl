{{/* One variable of a list of `env`. */}}
{{- define "admirer.variable" -}}
- name: {{ index . 0 }}
  value: {{ index . 1 | quote }}
{{- end -}}

{{/*
What every Ray process needs, as serve/cli/ray_environment.py says (a test compares them). KubeRay sets the
authentication itself. Ray reads these when it starts: any change replaces the cluster.
*/}}
{{- define "admirer.rayEnvironment" -}}
HOME: /tmp
RAY_USAGE_STATS_ENABLED: "0"
HF_HUB_DISABLE_TELEMETRY: "1"
ORT_DISABLE_TELEMETRY: "1"
RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S: "60"
RAY_worker_niceness: "0"
RAY_SERVE_LOG_TO_STDERR: "1"
RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S: {{ .Values.ray.drain.timeoutSeconds | quote }}
{{- if eq .Values.ray.transport "haproxy" }}
RAY_SERVE_ENABLE_HA_PROXY: "1"
RAY_SERVE_THROUGHPUT_OPTIMIZED: "1"
RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE: "1"
RAY_SERVE_HAPROXY_RETRY_ON: "conn-failure\n    no option splice-request"
RAY_SERVE_HAPROXY_METRICS_PORT: "9101"
RAY_SERVE_HAPROXY_STATS_PORT: "8404"
{{- end }}
{{- if .Values.modelCache.enabled }}
HF_HOME: /models
HF_HUB_OFFLINE: "1"
{{- end }}
{{- end -}}

{{/*
The one pod template of Ray: (dict "root" $ "pod" settings "component" "head" "container" "ray-head").
Nothing here may depend on the chart's or the app's version.
*/}}
{{- define "admirer.podTemplate" -}}
{{- $root := .root -}}
{{- $pod := .pod -}}
{{- $ray := $root.Values.ray -}}
{{- $isHead := eq .component "head" -}}
{{- $cached := and $root.Values.modelCache.enabled (not $isHead) -}}
{{- $printed := include "admirer.logsArePrinted" $root -}}
metadata:
  labels:
    {{- include "admirer.componentLabels" (list $root .component) | nindent 4 }}
  {{- $annotations := $pod.podAnnotations }}
  {{- if $isHead }}
  {{- $annotations = merge (dict "cluster-autoscaler.kubernetes.io/safe-to-evict" "false") $annotations }}
  {{- end }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if not $isHead }}
  serviceAccountName: {{ include "admirer.serviceAccountName" $root }}
  automountServiceAccountToken: false
  {{- end }}
  # A Service called like the app would otherwise put ADMIRER_... variables into the pod.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ int $ray.drain.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml $ray.podSecurityContext | nindent 4 }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "admirer.scheduling" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if or $cached $printed }}
  initContainers:
  {{- end }}
  {{- if $cached }}
  - name: wait-for-models
    {{- include "admirer.container" $root | nindent 4 }}
    command: [python, /scripts/model_cache.py, wait, {{ $root.Values.app.bundle | quote }}, "--seconds", {{ int $root.Values.modelCache.waitSeconds | quote }}]
    env:
    {{- include "admirer.variable" (list "HF_HOME" "/models") | nindent 4 }}
    resources:
      requests: {cpu: 10m, memory: 128Mi}
      limits: {memory: 512Mi}
    volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: models, mountPath: /models, readOnly: true}
    - {name: scripts, mountPath: /scripts, readOnly: true}
  {{- end }}
  {{- if $printed }}
  # A sidecar ends after Ray and prints its last lines; among the containers KubeRay takes the first
  # for Ray's, and the pod would wait for this one.
  - name: logs
    {{- include "admirer.container" $root | nindent 4 }}
    restartPolicy: Always
    command: [python, -I, /scripts/follow_logs.py, /tmp/ray]
    resources:
      {{- toYaml $root.Values.logs.sidecar.resources | nindent 6 }}
    volumeMounts:
    - {name: ray-logs, mountPath: /tmp/ray, readOnly: true}
    - {name: scripts, mountPath: /scripts, readOnly: true}
  {{- end }}
  containers:
  - name: {{ .container }}
    {{- include "admirer.container" $root | nindent 4 }}
    env:
    {{- include "admirer.containerEnvironment" . | trim | nindent 4 }}
    ports:
    {{- include "admirer.ports" . | nindent 4 }}
    resources:
      {{- include "admirer.resources" $pod | nindent 6 }}
    {{- if not $isHead }}
    lifecycle:
      preStop:
        # Load balancers take note meanwhile; on SIGTERM Ray then drains the node itself.
        exec: {command: [sleep, {{ int $ray.drain.preStopSeconds | quote }}]}
    {{- end }}
    volumeMounts:
    - {name: tmp, mountPath: /tmp}
    {{- if $printed }}
    - {name: ray-logs, mountPath: /tmp/ray}
    {{- end }}
    {{- if $cached }}
    - {name: models, mountPath: /models, readOnly: true}
    {{- end }}
    {{- with $pod.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
  - name: tmp
    emptyDir: {sizeLimit: {{ $ray.temporaryStorage }}}
  {{- if $printed }}
  # KubeRay's own name, or the head would have another volume at this place for its autoscaler.
  - name: ray-logs
    emptyDir: {sizeLimit: {{ $ray.temporaryStorage }}}
  {{- end }}
  {{- if $cached }}
  - name: models
    persistentVolumeClaim: {claimName: {{ include "admirer.claimName" $root }}}
  {{- end }}
  {{- if or $cached $printed }}
  - name: scripts
    configMap: {name: {{ include "admirer.fullname" $root }}-scripts}
  {{- end }}
  {{- with $pod.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Non-empty where the log is printed: an older Kubernetes would wait for the sidecar to end. */}}
{{- define "admirer.logsArePrinted" -}}
{{- if and .Values.logs.sidecar.enabled (semverCompare ">=1.29.0-0" .Capabilities.KubeVersion.Version) }}yes{{ end -}}
{{- end -}}

{{/* What every container of the app's image has. */}}
{{- define "admirer.container" -}}
{{- include "admirer.containerOf" (list . .Values.image) -}}
{{- end -}}

{{/* What every container of the chart has: (list $ .Values.image). */}}
{{- define "admirer.containerOf" -}}
image: {{ include "admirer.image" . }}
imagePullPolicy: {{ (index . 1).pullPolicy }}
securityContext:
  {{- toYaml (index . 0).Values.ray.securityContext | nindent 2 }}
{{- end -}}

{{- define "admirer.containerEnvironment" -}}
{{- $own := dict -}}
{{- /* The image asks for all; a pod that reserves none must see none. */ -}}
{{- if not (dig "gpu" "count" 0 .pod) }}{{ $_ := set $own "NVIDIA_VISIBLE_DEVICES" "void" }}{{ end -}}
{{- $variables := include "admirer.rayEnvironment" .root | fromYaml -}}
{{- range $layer := list $own .root.Values.ray.environment .pod.environment -}}
{{- range $name, $value := $layer }}{{ $_ := set $variables $name $value }}{{ end -}}
{{- end -}}
{{- range $name, $value := $variables }}
{{ include "admirer.variable" (list $name $value) }}
{{- end }}
{{- $secret := .root.Values.openai.existingSecret }}
{{- if and $secret.name (eq .component (printf "worker-%s" .root.Values.stages.answerer.workerGroup)) }}
- name: OPENAI_API_KEY
  valueFrom:
    secretKeyRef: {name: {{ $secret.name }}, key: {{ $secret.key }}}
{{- end }}
{{- end -}}

{{- define "admirer.ports" -}}
{{- if eq .component "head" -}}
- {name: gcs-server, containerPort: 6379}
- {name: dashboard, containerPort: 8265}
- {name: client, containerPort: 10001}
- {name: as-metrics, containerPort: 44217}
- {name: dash-metrics, containerPort: 44227}
{{ end -}}
- {name: serve, containerPort: 8000}
- {name: metrics, containerPort: 8080}
{{- if eq .root.Values.ray.transport "haproxy" }}
- {name: haproxy-metrics, containerPort: 9101}
{{- end }}
{{- end -}}

{{/* Resources of a pod; GPUs are requested and limited alike. */}}
{{- define "admirer.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if and (hasKey . "gpu") .gpu.count -}}
{{- $device := dict .gpu.resourceName (int .gpu.count) -}}
{{- $_ := set $resources "requests" (merge $device (default dict $resources.requests)) -}}
{{- $_ := set $resources "limits" (merge $device (default dict $resources.limits)) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Where a pod may run. */}}
{{- define "admirer.scheduling" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- range $key := list "nodeSelector" "tolerations" "affinity" -}}
{{- with get $.pod $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}
{{- range $key := list "priorityClassName" "runtimeClassName" "schedulerName" -}}
{{- with get $.pod $key }}
{{ $key }}: {{ . }}
{{- end -}}
{{- end -}}
{{- with .pod.topologySpreadConstraints }}
topologySpreadConstraints:
{{- range . }}
{{- $constraint := deepCopy . }}
{{- if not (hasKey . "labelSelector") }}
{{- $own := include "admirer.componentLabels" (list $root $component) | fromYaml }}
{{- $_ := set $constraint "labelSelector" (dict "matchLabels" $own) }}
{{- end }}
{{- toYaml (list $constraint) | nindent 0 }}
{{- end }}
{{- end -}}
{{- end -}}
