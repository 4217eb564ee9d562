{{/* One pod of `helm test`: (dict "root" $ "name" "ready" "script" "ready.py" "arguments" list). */}}
{{- define "admirer.testPod" -}}
{{- $root := .root -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "admirer.fullname" $root }}-test-{{ .name }}
  labels:
    {{- include "admirer.labels" $root | nindent 4 }}
    app.kubernetes.io/component: test
  annotations:
    helm.sh/hook: test
    helm.sh/hook-weight: {{ .weight | quote }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  serviceAccountName: {{ include "admirer.fullname" $root }}-test
  automountServiceAccountToken: {{ .asksApiServer }}
  enableServiceLinks: false
  securityContext:
    {{- toYaml $root.Values.ray.podSecurityContext | nindent 4 }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
  - name: {{ .name }}
    {{- include "admirer.container" $root | nindent 4 }}
    command:
    {{- toYaml (concat (list "python" (printf "/scripts/%s.py" .name)) .arguments) | nindent 4 }}
    resources:
      {{- toYaml $root.Values.tests.resources | nindent 6 }}
    volumeMounts:
    - {name: tmp, mountPath: /tmp}
    - {name: scripts, mountPath: /scripts, readOnly: true}
  volumes:
  - name: tmp
    emptyDir: {}
  - name: scripts
    configMap: {name: {{ include "admirer.fullname" $root }}-scripts}
{{- end -}}
