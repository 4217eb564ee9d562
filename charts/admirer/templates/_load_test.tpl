{{/*
Locust in the cluster: a master, which judges, and workers, which ask. Both are Jobs. A Deployment
would start a finished test once more; a Job ends, holds no CPU after that, and tells by its status
whether the limits held. The names of both carry a hash of both, since a Job cannot change and
workers belong to one run of their master.
*/}}

{{/* (list $ "master") */}}
{{- define "admirer.loadTestJob" -}}
{{- $root := index . 0 -}}
{{- $role := index . 1 -}}
{{- $specs := print (include "admirer.loadTestMaster" $root) (include "admirer.loadTestWorkers" $root) -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "admirer.fullname" $root }}-load-{{ $role }}-{{ print $root.Values.loadTest.run $specs | sha256sum | trunc 5 }}
  labels:
    {{- include "admirer.labels" $root | nindent 4 }}
    app.kubernetes.io/component: load-test-{{ $role }}
{{- end -}}

{{- define "admirer.loadTestMaster" -}}
{{- $test := .Values.loadTest -}}
# A second attempt would be another test.
backoffLimit: 0
{{- include "admirer.loadTestDeadline" $test }}
template:
  {{- include "admirer.loadTestPod" (list . "master") | nindent 2 }}
    restartPolicy: Never
    containers:
    - name: master
      {{- include "admirer.containerOf" (list . $test.image) | nindent 6 }}
      args:
      {{- include "admirer.loadTestArguments" $test | nindent 6 }}
      - --master
      - --expect-workers={{ int $test.workers }}
      - --expect-workers-max-wait={{ int $test.waitSeconds }}
      - --wait-s={{ int $test.waitSeconds }}
      - --host=http://{{ include "admirer.serveService" . }}:{{ include "admirer.servePort" . }}
      - --users={{ int $test.users }}
      - --spawn-rate={{ $test.spawnRate }}
      - --run-time={{ int $test.durationSeconds }}s
      - --stop-timeout=30
      - --shape={{ $test.shape }}
      {{- if eq $test.mode "headless" }}
      - --headless
      {{- else if eq $test.mode "autostart" }}
      - --autostart
      - --autoquit={{ int $test.pageSeconds }}
      {{- end }}
      - --only-summary
      - --max-failures-ratio={{ $test.limits.maxFailuresRatio }}
      - --max-p95-ms={{ $test.limits.maxP95Ms }}
      - --max-refused-ratio={{ $test.limits.maxRefusedRatio }}
      - --metrics-port=9646
      - --report-dir=/report
      - --html=/report/report.html
      {{- with concat $test.extraOptions $test.people }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      env:
      {{- include "admirer.variable" (list "HOME" "/tmp") | nindent 6 }}
      ports:
      - {name: workers, containerPort: 5557}
      - {name: page, containerPort: 8089}
      - {name: load-metrics, containerPort: 9646}
      resources:
        {{- toYaml $test.master.resources | nindent 8 }}
      volumeMounts:
      - {name: tmp, mountPath: /tmp}
      - {name: report, mountPath: /report}
      {{- with $test.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    volumes:
    - name: tmp
      emptyDir: {}
    - name: report
      {{- if $test.reportClaim }}
      persistentVolumeClaim: {claimName: {{ $test.reportClaim }}}
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- with $test.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "admirer.loadTestWorkers" -}}
{{- $test := .Values.loadTest -}}
parallelism: {{ int $test.workers }}
completions: {{ int $test.workers }}
{{- include "admirer.loadTestDeadline" $test }}
template:
  {{- include "admirer.loadTestPod" (list . "worker") | nindent 2 }}
    # One that is lost comes back, and the master shares the users anew.
    restartPolicy: OnFailure
    containers:
    - name: worker
      {{- include "admirer.containerOf" (list . $test.image) | nindent 6 }}
      args:
      {{- include "admirer.loadTestArguments" $test | nindent 6 }}
      - --worker
      - --master-host={{ include "admirer.fullname" . }}-load-test
      # Who judges is the master.
      - --exit-code-on-error=0
      {{- with $test.people }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      env:
      {{- include "admirer.variable" (list "HOME" "/tmp") | nindent 6 }}
      resources:
        {{- toYaml $test.worker.resources | nindent 8 }}
      volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- with $test.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    volumes:
    - name: tmp
      emptyDir: {}
    {{- with $test.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* What both are told, and ask or judge by. */}}
{{- define "admirer.loadTestArguments" -}}
- locust
- --locustfile=load_tests/locustfile.py
- {{ printf "--photos=%s" .photos | quote }}
- --think-time-s={{ .thinkTimeS }}
{{- if .anyAnswer }}
- --any-answer
{{- end }}
{{- if .allowDegraded }}
- --allow-degraded
{{- end }}
{{- end -}}

{{/* The longest that a test takes whose end is set: two waits, the test, and a report. */}}
{{- define "admirer.loadTestDeadline" -}}
{{- if ne .mode "page" }}
activeDeadlineSeconds: {{ add (mul 2 .waitSeconds) .durationSeconds (ternary .pageSeconds 0 (eq .mode "autostart")) 300 }}
{{- end }}
{{- end -}}

{{/* What both pods have: (list $ "master"). */}}
{{- define "admirer.loadTestPod" -}}
{{- $root := index . 0 -}}
{{- $component := printf "load-test-%s" (index . 1) -}}
metadata:
  labels:
    {{- include "admirer.componentLabels" (list $root $component) | nindent 4 }}
  annotations:
    cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
spec:
  serviceAccountName: {{ include "admirer.serviceAccountName" $root }}
  automountServiceAccountToken: false
  # The variables of a Service called locust-web would otherwise be Locust's options.
  enableServiceLinks: false
  securityContext:
    {{- toYaml $root.Values.ray.podSecurityContext | nindent 4 }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "admirer.scheduling" (dict "root" $root "pod" $root.Values.loadTest "component" $component) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Master and workers, whatever run they are of. */}}
{{- define "admirer.loadTestPods" -}}
matchLabels:
  {{- include "admirer.selectorLabels" . | nindent 2 }}
matchExpressions:
- {key: app.kubernetes.io/component, operator: In, values: [load-test-master, load-test-worker]}
{{- end -}}
