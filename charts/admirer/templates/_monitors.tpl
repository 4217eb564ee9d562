{{/* Endpoints of both kinds of monitor, by the ports' names. */}}
{{- define "admirer.endpoints" -}}
{{- $interval := index . 1 -}}
{{- $ports := list "metrics" "as-metrics" "dash-metrics" -}}
{{- if eq (index . 0).Values.ray.transport "haproxy" }}{{ $ports = append $ports "haproxy-metrics" }}{{ end -}}
{{- range $ports }}
- port: {{ . }}
  interval: {{ $interval }}
  relabelings:
  - {sourceLabels: [__meta_kubernetes_pod_label_ray_io_cluster], targetLabel: ray_io_cluster}
  - {sourceLabels: [__meta_kubernetes_pod_label_ray_io_node_type], targetLabel: ray_io_node_type}
  - {sourceLabels: [__meta_kubernetes_pod_label_ray_io_group], targetLabel: ray_io_group}
{{- end }}
{{- end -}}
