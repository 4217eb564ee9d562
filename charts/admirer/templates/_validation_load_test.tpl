{{- define "admirer.checkLoadTest" -}}
{{- with .Values.loadTest -}}
{{- if .enabled -}}
{{- include "admirer.checkImage" (list "loadTest.image" .image) -}}
{{- $name := include "admirer.fullname" $ -}}
{{- if gt (len $name) 45 -}}
{{- fail (printf "loadTest.enabled: the name %q has %d characters and the load test's Jobs have room for 45; choose a shorter release name or set fullnameOverride." $name (len $name)) -}}
{{- end -}}
{{- if lt (int .users) (int .workers) -}}
{{- fail (printf "loadTest.workers: %d of them cannot share %d users; lower it or raise loadTest.users." (int .workers) (int .users)) -}}
{{- end -}}
{{- if and (eq .photos "bundles/demo/photos") (ne $.Values.app.bundle "bundles/demo") (not .anyAnswer) -}}
{{- fail (printf "loadTest.anyAnswer: %s need not give the answers that are known of the demo bundle's photos; set it to true, or name photos of your own in loadTest.photos." $.Values.app.bundle) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
