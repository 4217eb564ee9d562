{{/*
Write the settings of `from` into `to` under the names that the app has: camelCase becomes
snake_case and nothing else changes. Whole numbers lose the exponent that a large float would get.
Under `prices` keys are names of models, and stay as they are.
*/}}
{{- define "admirer.translate" -}}
{{- $to := .to -}}
{{- range $key, $value := .from -}}
{{- $name := ternary $key (snakecase $key) (eq (default "" $.under) "prices") -}}
{{- if kindIs "map" $value -}}
{{- $inner := dict -}}
{{- include "admirer.translate" (dict "from" $value "to" $inner "under" $key) -}}
{{- if $inner }}{{ $_ := set $to $name $inner }}{{ end -}}
{{- else if kindIs "float64" $value -}}
{{- $_ := set $to $name (ternary (int64 $value) $value (eq (floor $value) $value)) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $to $name $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Keys of a stage that the app keeps under `scaling`. */}}
{{- define "admirer.scalingKeys" -}}
autoscaling gracefulShutdownTimeoutS healthCheckPeriodS healthCheckTimeoutS maxOngoingRequests maxQueuedRequests numCpus numGpus
{{- end -}}

{{- define "admirer.stageNames" -}}
ingress captioner tagger retriever assembler answerer
{{- end -}}

{{/* Ray's resource that every worker of a group has one of; a replica asks for a thousandth. */}}
{{- define "admirer.groupResource" -}}
group-{{ . }}
{{- end -}}

{{/* The seconds after which Serve gives a request up: later than the app, which answers with its own problem document. */}}
{{- define "admirer.requestTimeout" -}}
{{- add 15 (ceil (float64 (default 30 (get .Values.app.limits "timeoutS")))) -}}
{{- end -}}

{{/* What the app's own settings class reads. */}}
{{- define "admirer.args" -}}
{{- $args := dict -}}
{{- include "admirer.translate" (dict "from" .Values.app "to" $args) -}}
{{- $scalingKeys := splitList " " (include "admirer.scalingKeys" .) -}}
{{- range $name, $stage := .Values.stages -}}
{{- $own := deepCopy $stage -}}
{{- range $key := splitList " " (include "admirer.placementKeys" $) }}{{ $own = omit $own $key }}{{ end -}}
{{- if ne $name "ingress" -}}
{{- $scaling := dict -}}
{{- range $key := $scalingKeys -}}
{{- if hasKey $own $key }}{{ $_ := set $scaling $key (get $own $key) }}{{ end -}}
{{- end -}}
{{- range $key := $scalingKeys }}{{ $own = omit $own $key }}{{ end -}}
{{- $_ := set $own "scaling" $scaling -}}
{{- end -}}
{{- $translated := dict -}}
{{- include "admirer.translate" (dict "from" $own "to" $translated) -}}
{{- $_ := set $args $name $translated -}}
{{- end -}}
{{- toYaml $args -}}
{{- end -}}

{{/* Keys of a stage that are not the app's: where its replicas run, and how they are replaced. */}}
{{- define "admirer.placementKeys" -}}
maxReplicasPerNode maxSurgePercent workerGroup
{{- end -}}

{{/* An override replaces the code's actor options whole, so they carry CPUs and GPUs again. */}}
{{- define "admirer.actorOptions" -}}
{{- range $name := splitList " " (include "admirer.stageNames" .) }}
{{- $stage := get $.Values.stages $name }}
- name: {{ $name }}
  ray_actor_options:
    num_cpus: {{ $stage.numCpus }}
    num_gpus: {{ $stage.numGpus }}
    resources:
      {{ include "admirer.groupResource" $stage.workerGroup }}: 0.001
  max_surge_percent: {{ int $stage.maxSurgePercent }}
  {{- with $stage.maxReplicasPerNode }}
  max_replicas_per_node: {{ int . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "admirer.serveConfig" -}}
proxy_location: EveryNode
http_options:
  host: 0.0.0.0
  port: 8000
  request_timeout_s: {{ include "admirer.requestTimeout" . }}
logging_config:
  encoding: JSON
  enable_access_log: false
applications:
- name: admirer
  route_prefix: /
  import_path: serve.app:build
  args:
    {{- include "admirer.args" . | nindent 4 }}
  deployments:
  {{- include "admirer.actorOptions" . | trim | nindent 2 }}
{{- end -}}
