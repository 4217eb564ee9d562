{{- define "admirer.checkUpgrade" -}}
{{- with .Values.ray.upgradeStrategy -}}
{{- if include "admirer.isIncremental" $ -}}
{{- if or (lt (int .maxSurgePercent) 1) (gt (int .maxSurgePercent) 100) -}}
{{- fail (printf "ray.upgradeStrategy.maxSurgePercent: %d is not a share of the cluster; use 1 to 100." (int .maxSurgePercent)) -}}
{{- end -}}
{{- if or (lt (int .stepSizePercent) 1) (gt (int .stepSizePercent) (int .maxSurgePercent)) -}}
{{- fail (printf "ray.upgradeStrategy.stepSizePercent: %d must lie between 1 and maxSurgePercent (%d), for no more traffic can move than there is capacity." (int .stepSizePercent) (int .maxSurgePercent)) -}}
{{- end -}}
{{- if lt (int .intervalSeconds) 1 -}}
{{- fail (printf "ray.upgradeStrategy.intervalSeconds: %d is no time between two steps; use 1 or more." (int .intervalSeconds)) -}}
{{- end -}}
{{- if not .gatewayClassName -}}
{{- fail "ray.upgradeStrategy.gatewayClassName: an incremental upgrade moves traffic by a Gateway; name its class (kubectl get gatewayclass)." -}}
{{- end -}}
{{- if and (not .gatewayService.name) (or $.Values.ingress.enabled $.Values.httpRoute.enabled $.Values.tests.enabled $.Values.loadTest.enabled) -}}
{{- fail "ray.upgradeStrategy.gatewayService.name: with incremental upgrades, traffic enters by the Gateway's Service; name it, or set ingress.enabled, httpRoute.enabled, tests.enabled and loadTest.enabled to false." -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "admirer.checkDrain" -}}
{{- $drain := .Values.ray.drain -}}
{{- $longest := ternary 35.0 20.0 (eq .Values.ray.transport "haproxy") -}}
{{- range $name, $stage := .Values.stages -}}
{{- $timeout := float64 (default 20 (get $stage "gracefulShutdownTimeoutS")) -}}
{{- if gt $timeout (float64 $drain.timeoutSeconds) -}}
{{- fail (printf "ray.drain.timeoutSeconds: %d s are less than stages.%s.gracefulShutdownTimeoutS (%v s), so accepted work would be cut off; raise it." (int $drain.timeoutSeconds) $name $timeout) -}}
{{- end -}}
{{- end -}}
{{- if gt (float64 $longest) (float64 $drain.timeoutSeconds) -}}
{{- fail (printf "ray.drain.timeoutSeconds: Serve itself takes %v s to stop a replica of the ingress, more than %d s; raise it." $longest (int $drain.timeoutSeconds)) -}}
{{- end -}}
{{- $request := float64 (default 30 (get .Values.app.limits "timeoutS")) -}}
{{- if gt $request (float64 $drain.timeoutSeconds) -}}
{{- fail (printf "ray.drain.timeoutSeconds: a request may take %v s (app.limits.timeoutS), more than the %d s of a drain; raise it, or lower app.limits.timeoutS." $request (int $drain.timeoutSeconds)) -}}
{{- end -}}
{{- $needed := add $drain.preStopSeconds $drain.timeoutSeconds 5 | int -}}
{{- if lt (int $drain.terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "ray.drain.terminationGracePeriodSeconds: %d s end before the drain does; preStopSeconds, timeoutSeconds and 5 s to stop make %d." (int $drain.terminationGracePeriodSeconds) $needed) -}}
{{- end -}}
{{- if gt $request (float64 .Values.ray.clusterDeletionDelaySeconds) -}}
{{- fail (printf "ray.clusterDeletionDelaySeconds: a replaced cluster must outlive its last request (app.limits.timeoutS, %v s); raise it." $request) -}}
{{- end -}}
{{- end -}}

{{- define "admirer.checkEntrances" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: the Ingress is enabled and has no host; name at least one." -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: the route is enabled and belongs to no Gateway; name at least one." -}}
{{- end -}}
{{- if and (include "admirer.wantsMonitor" (list . .Values.metrics.podMonitor.enabled "PodMonitor")) (include "admirer.wantsMonitor" (list . .Values.metrics.serviceMonitor.enabled "ServiceMonitor")) -}}
{{- fail "metrics.serviceMonitor.enabled: with a PodMonitor as well, every sample would count twice; set metrics.podMonitor.enabled to false." -}}
{{- end -}}
{{- end -}}

{{- define "admirer.checkOptions" -}}
{{- $ray := .Values.ray -}}
{{- if not (semverCompare ">=2.53.0-0" $ray.version) -}}
{{- fail (printf "ray.version: %s is older than 2.53, from which on KubeRay has probes and tokens that this chart relies on; use a newer image." $ray.version) -}}
{{- end -}}
{{- if and $ray.gcsFaultTolerance.enabled (not $ray.gcsFaultTolerance.redisAddress) -}}
{{- fail "ray.gcsFaultTolerance.redisAddress: fault tolerance is enabled and there is no Redis; give its address." -}}
{{- end -}}
{{- if and $ray.auth.existingSecret (not $ray.auth.enabled) -}}
{{- fail "ray.auth.existingSecret: a token is named and ray.auth.enabled is false; enable it, or remove the Secret's name." -}}
{{- end -}}
{{- if and .Values.modelCache.enabled .Values.modelCache.prefetch.enabled (eq (list "ReadOnlyMany" | toString) (.Values.modelCache.accessModes | toString)) -}}
{{- fail "modelCache.accessModes: the prefetch writes to a claim that can only be read; add ReadWriteMany, or set modelCache.prefetch.enabled to false." -}}
{{- end -}}
{{- end -}}

{{/* A key among the values would be in every release's history. */}}
{{- define "admirer.checkKeys" -}}
{{- $environments := dict "ray.environment" .Values.ray.environment "ray.head.environment" .Values.ray.head.environment "modelCache.prefetch.environment" .Values.modelCache.prefetch.environment -}}
{{- range $name, $group := include "admirer.workerGroups" . | fromJson -}}
{{- $_ := set $environments (printf "ray.workerGroups.%s.environment" $name) $group.environment -}}
{{- end -}}
{{- range $key, $environment := $environments -}}
{{- if hasKey $environment "RAY_AUTH_MODE" -}}
{{- fail (printf "%s.RAY_AUTH_MODE: whoever reaches a replica could run code there if this disagreed with ray.auth.enabled; set that instead." $key) -}}
{{- end -}}
{{- range $name := list "OPENAI_API_KEY" "RAY_AUTH_TOKEN" "HF_TOKEN" "REDIS_PASSWORD" "ADMIRER_ANSWERER__OPENAI__API_KEY" -}}
{{- if hasKey $environment $name -}}
{{- fail (printf "%s.%s: a key has no place among values; put it into a Secret and name that (openai, ray.auth, modelCache.prefetch.tokenSecret, ray.gcsFaultTolerance)." $key $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Secrets can be looked for only where helm talks to a cluster and the namespace is there already;
its service account `default` tells. `helm template` and a GitOps controller skip this.
*/}}
{{- define "admirer.checkSecrets" -}}
{{- $namespace := .Release.Namespace -}}
{{- if and .Values.validation.lookupSecrets (lookup "v1" "ServiceAccount" $namespace "default") -}}
{{- $cache := .Values.modelCache -}}
{{- $redis := .Values.ray.gcsFaultTolerance -}}
{{- include "admirer.checkSecret" (list $namespace "openai.existingSecret" .Values.openai.existingSecret.name (list .Values.openai.existingSecret.key)) -}}
{{- include "admirer.checkSecret" (list $namespace "ray.auth.existingSecret" .Values.ray.auth.existingSecret (list "auth_token")) -}}
{{- if $redis.enabled -}}
{{- include "admirer.checkSecret" (list $namespace "ray.gcsFaultTolerance.existingSecret" $redis.existingSecret.name (list $redis.existingSecret.passwordKey $redis.existingSecret.usernameKey)) -}}
{{- end -}}
{{- if and $cache.enabled $cache.prefetch.enabled -}}
{{- include "admirer.checkSecret" (list $namespace "modelCache.prefetch.tokenSecret" $cache.prefetch.tokenSecret.name (list $cache.prefetch.tokenSecret.key)) -}}
{{- end -}}
{{- range .Values.imagePullSecrets -}}
{{- include "admirer.checkSecret" (list $namespace "imagePullSecrets" .name list) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* (list namespace key name keys) */}}
{{- define "admirer.checkSecret" -}}
{{- $namespace := index . 0 -}}
{{- $key := index . 1 -}}
{{- $name := index . 2 -}}
{{- if $name -}}
{{- $found := lookup "v1" "Secret" $namespace $name -}}
{{- if not $found -}}
{{- fail (printf "%s: there is no Secret %q in namespace %s; create it first." $key $name $namespace) -}}
{{- end -}}
{{- range index . 3 -}}
{{- if and . (not (hasKey (default dict $found.data) .)) -}}
{{- fail (printf "%s: Secret %q has no key %q; add it, or name the right key." $key $name .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
