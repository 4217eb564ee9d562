{{/*
The name of every object. It is not shortened: a shortened name could be another release's.
validate.yaml refuses what RayService would refuse.
*/}}
{{- define "admirer.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name -}}
{{- end -}}
{{- end -}}

{{/* Labels of the chart's own objects. Never for pods of Ray: see admirer.podLabels. */}}
{{- define "admirer.labels" -}}
{{- with .Values.commonLabels -}}
{{ toYaml . }}
{{ end -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
{{ include "admirer.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/*
What every pod of a release has. KubeRay owns app.kubernetes.io/name on pods of Ray (the head
Service selects by it), and no version may stand here: a change would start a second cluster.
*/}}
{{- define "admirer.selectorLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: admirer
{{- end -}}

{{/* Labels of one kind of pod: (list $ "head"). */}}
{{- define "admirer.componentLabels" -}}
{{ include "admirer.selectorLabels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "admirer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "admirer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Name of one of the images: (list $ .Values.image). */}}
{{- define "admirer.image" -}}
{{- $root := index . 0 -}}
{{- with index . 1 -}}
{{- $name := .repository -}}
{{- with $root.Values.global.imageRegistry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if .digest }}{{ printf "%s@%s" $name .digest }}{{ else }}{{ printf "%s:%s" $name .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "admirer.isIncremental" -}}
{{- if eq .Values.ray.upgradeStrategy.type "NewClusterWithIncrementalUpgrade" }}true{{ end -}}
{{- end -}}

{{/*
The Service that answers questions. While clusters change gradually there is no stable one of
KubeRay's: traffic then enters by the Gateway, whose Service its implementation names.
*/}}
{{- define "admirer.serveService" -}}
{{- if include "admirer.isIncremental" . -}}
{{- .Values.ray.upgradeStrategy.gatewayService.name -}}
{{- else -}}
{{- include "admirer.fullname" . }}-serve-svc
{{- end -}}
{{- end -}}

{{- define "admirer.servePort" -}}
{{- if include "admirer.isIncremental" . -}}
{{- .Values.ray.upgradeStrategy.gatewayService.port -}}
{{- else -}}
8000
{{- end -}}
{{- end -}}

{{/* "true" when an object of the Prometheus operator is wanted: (list $ setting kind); null asks the cluster. */}}
{{- define "admirer.wantsMonitor" -}}
{{- $root := index . 0 -}}
{{- $enabled := index . 1 -}}
{{- if kindIs "invalid" $enabled -}}
{{- if $root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" (index . 2)) }}true{{ end -}}
{{- else if $enabled -}}
true
{{- end -}}
{{- end -}}

{{- define "admirer.claimName" -}}
{{- default (printf "%s-models" (include "admirer.fullname" .)) .Values.modelCache.existingClaim -}}
{{- end -}}

{{/*
Each worker group over the defaults of all, as one JSON object by name. A key of a group replaces
the default whole, except gpu, whose keys replace one by one. (Sprig's merge keeps a default
where the group says 0 or false.)
*/}}
{{- define "admirer.workerGroups" -}}
{{- $groups := dict -}}
{{- range $name, $group := .Values.ray.workerGroups -}}
{{- if not (kindIs "invalid" $group) -}}
{{- $merged := deepCopy $.Values.ray.workerDefaults -}}
{{- range $key, $value := $group -}}
{{- if eq $key "gpu" -}}
{{- range $inner, $setting := $value }}{{ $_ := set $merged.gpu $inner $setting }}{{ end -}}
{{- else -}}
{{- $_ := set $merged $key $value -}}
{{- end -}}
{{- end -}}
{{- $_ := set $groups $name $merged -}}
{{- end -}}
{{- end -}}
{{- toJson $groups -}}
{{- end -}}
