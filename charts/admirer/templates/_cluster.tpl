{{/*
The cluster's spec. KubeRay compares its hash: any change but replica bounds and tolerations starts
a second cluster, GPUs and all. So no chart or app version stands in it, and `replicas` are left out
(the autoscaler owns them).
*/}}
{{- define "admirer.rayCluster" -}}
{{- $ray := .Values.ray -}}
rayVersion: {{ $ray.version | quote }}
enableInTreeAutoscaling: true
autoscalerOptions:
  version: v2
  idleTimeoutSeconds: {{ int $ray.autoscaler.idleTimeoutSeconds }}
  upscalingMode: {{ $ray.autoscaler.upscalingMode }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  securityContext:
    {{- toYaml $ray.securityContext | nindent 4 }}
  resources:
    {{- toYaml $ray.autoscaler.resources | nindent 4 }}
  env:
  {{- include "admirer.variable" (list "HOME" "/tmp") | nindent 2 }}
  volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- if $ray.auth.enabled }}
authOptions:
  mode: token
  {{- with $ray.auth.existingSecret }}
  secretName: {{ . }}
  {{- end }}
{{- else }}
authOptions:
  mode: disabled
{{- end }}
{{- with $ray.gcsFaultTolerance }}
{{- if .enabled }}
gcsFaultToleranceOptions:
  redisAddress: {{ .redisAddress | quote }}
  {{- with .externalStorageNamespace }}
  externalStorageNamespace: {{ . }}
  {{- end }}
  {{- $secret := .existingSecret }}
  {{- if $secret.name }}
  {{- with $secret.usernameKey }}
  redisUsername:
    valueFrom:
      secretKeyRef: {name: {{ $secret.name }}, key: {{ . }}}
  {{- end }}
  redisPassword:
    valueFrom:
      secretKeyRef: {name: {{ $secret.name }}, key: {{ $secret.passwordKey }}}
  {{- end }}
{{- end }}
{{- end }}
headGroupSpec:
  rayStartParams:
    {{- $fixed := dict "num-cpus" "0" "dashboard-host" "0.0.0.0" }}
    {{- toYaml (merge $fixed $ray.head.rayStartParams) | nindent 4 }}
  template:
    {{- include "admirer.podTemplate" (dict "root" . "pod" $ray.head "component" "head" "container" "ray-head") | nindent 4 }}
workerGroupSpecs:
{{- range $name, $group := include "admirer.workerGroups" . | fromJson }}
- groupName: {{ $name }}
  minReplicas: {{ int $group.minReplicas }}
  maxReplicas: {{ int $group.maxReplicas }}
  {{- if not (kindIs "invalid" $group.idleTimeoutSeconds) }}
  idleTimeoutSeconds: {{ int $group.idleTimeoutSeconds }}
  {{- end }}
  rayStartParams:
    {{- $resource := dict (include "admirer.groupResource" $name) 1 | toJson }}
    {{- $fixed := dict "num-cpus" (int $group.numCpus | toString) "num-gpus" (int $group.gpu.count | toString) "resources" (printf "'%s'" $resource) }}
    {{- toYaml (merge $fixed $group.rayStartParams) | nindent 4 }}
  template:
    {{- include "admirer.podTemplate" (dict "root" $ "pod" $group "component" (printf "worker-%s" $name) "container" "ray-worker") | nindent 4 }}
{{- end }}
{{- end -}}
