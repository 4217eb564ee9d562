{{/* Pods of Ray of this release, whatever cluster they are of. */}}
{{- define "admirer.rayPods" -}}
matchLabels:
  {{- include "admirer.selectorLabels" . | nindent 2 }}
  ray.io/is-ray-node: "yes"
{{- end -}}

{{/* One rule: (dict "direction" "to" "peers" list "ports" list). No peers means every address. */}}
{{- define "admirer.rule" -}}
- ports:
  {{- range .ports }}
  - {protocol: TCP, port: {{ int . }}}
  {{- end }}
  {{- with .peers }}
  {{ $.direction }}:
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "admirer.dnsRule" -}}
- ports:
  - {protocol: UDP, port: 53}
  - {protocol: TCP, port: 53}
  {{- with .Values.networkPolicy.dns.to }}
  to:
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "admirer.apiServerRule" -}}
{{- $server := .Values.networkPolicy.apiServer -}}
{{- include "admirer.rule" (dict "direction" "to" "peers" $server.to "ports" $server.ports) -}}
{{- end -}}

{{/* The way to where questions are answered. */}}
{{- define "admirer.appRule" -}}
- to:
  {{- if include "admirer.isIncremental" . }}
  # The Gateway's pods, whose namespace and ports only its implementation knows.
  - namespaceSelector: {}
  {{- else }}
  - podSelector:
      {{- include "admirer.rayPods" . | nindent 6 }}
  ports:
  - {protocol: TCP, port: 8000}
  {{- end }}
{{- end -}}

{{- define "admirer.wantsLlm" -}}
{{- $enabled := .Values.networkPolicy.llm.enabled -}}
{{- if kindIs "invalid" $enabled -}}
{{- if or .Values.openai.existingSecret.name (dig "openai" "baseUrl" "" .Values.stages.answerer) }}true{{ end -}}
{{- else if $enabled -}}
true
{{- end -}}
{{- end -}}

{{/* Port of Redis out of its address; 6379 where it names none. */}}
{{- define "admirer.redisPort" -}}
{{- default "6379" (regexFind "[0-9]+$" (regexFind ":[0-9]+$" .Values.ray.gcsFaultTolerance.redisAddress)) -}}
{{- end -}}
