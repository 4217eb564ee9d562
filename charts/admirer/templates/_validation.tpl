{{- define "admirer.checkNames" -}}
{{- $name := include "admirer.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "fullnameOverride: the name %q must start with a letter and hold only a-z, 0-9 and -, or RayService refuses it; choose another release name or set fullnameOverride." $name) -}}
{{- end -}}
{{- if gt (len $name) 47 -}}
{{- fail (printf "fullnameOverride: the name %q has %d characters and RayService takes 47; choose a shorter release name or set fullnameOverride." $name (len $name)) -}}
{{- end -}}
{{- include "admirer.checkImage" (list "image" .Values.image) -}}
{{- range $key := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/part-of" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- if hasKey $.Values.commonLabels $key -}}
{{- fail (printf "commonLabels: %s is the chart's own; remove it." $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* (list key image) */}}
{{- define "admirer.checkImage" -}}
{{- $key := index . 0 -}}
{{- with index . 1 -}}
{{- if and (not .digest) (or (not .tag) (eq .tag "latest")) -}}
{{- fail (printf "%s.tag: %q does not say which image runs; name a tag that is never moved, or set %s.digest." $key .tag $key) -}}
{{- end -}}
{{- if and .digest (not (regexMatch "^sha256:[0-9a-f]{64}$" .digest)) -}}
{{- fail (printf "%s.digest: %q is not a digest; write sha256: and 64 hexadecimal digits." $key .digest) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "admirer.checkStages" -}}
{{- $groups := include "admirer.workerGroups" . | fromJson -}}
{{- range $name, $stage := .Values.stages -}}
{{- $key := printf "stages.%s" $name -}}
{{- if not (hasKey $groups $stage.workerGroup) -}}
{{- fail (printf "%s.workerGroup: there is no worker group %q; name one of ray.workerGroups: %s." $key $stage.workerGroup (keys $groups | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $group := get $groups $stage.workerGroup -}}
{{- if and (gt (float64 $stage.numGpus) 0.0) (eq (int $group.gpu.count) 0) -}}
{{- fail (printf "%s.numGpus: the stage asks for GPUs and worker group %q has none; set ray.workerGroups.%s.gpu.count or choose another workerGroup." $key $stage.workerGroup $stage.workerGroup) -}}
{{- end -}}
{{- if gt (float64 $stage.numGpus) (float64 $group.gpu.count) -}}
{{- fail (printf "%s.numGpus: a replica asks for %v GPUs and a worker of group %q has %v; lower it or raise ray.workerGroups.%s.gpu.count." $key $stage.numGpus $stage.workerGroup $group.gpu.count $stage.workerGroup) -}}
{{- end -}}
{{- if and (gt (float64 $stage.numGpus) 1.0) (ne (float64 $stage.numGpus) (floor $stage.numGpus)) -}}
{{- fail (printf "%s.numGpus: Ray gives a replica a fraction of one GPU or whole GPUs, not %v; write a whole number." $key $stage.numGpus) -}}
{{- end -}}
{{- if gt (float64 $stage.numCpus) (float64 $group.numCpus) -}}
{{- fail (printf "%s.numCpus: a replica asks for %v CPUs and a worker of group %q gives %v; lower it or raise ray.workerGroups.%s.numCpus." $key $stage.numCpus $stage.workerGroup $group.numCpus $stage.workerGroup) -}}
{{- end -}}
{{- with $stage.maxReplicasPerNode -}}
{{- if lt (mul . $group.maxReplicas) (int64 (dig "autoscaling" "maxReplicas" 1 $stage)) -}}
{{- fail (printf "%s.maxReplicasPerNode: %d on each of %d workers are fewer than autoscaling.maxReplicas; raise it or ray.workerGroups.%s.maxReplicas." $key (int .) (int $group.maxReplicas) $stage.workerGroup) -}}
{{- end -}}
{{- end -}}
{{- include "admirer.checkScaling" (list $key $stage) -}}
{{- include "admirer.checkEngine" (list $key $stage $group) -}}
{{- end -}}
{{- end -}}

{{/* A rule of the app's own settings that spans two of them. */}}
{{- define "admirer.checkEmbeddings" -}}
{{- $most := int (dig "maxEmbeddings" 32 .Values.app.limits) -}}
{{- $waiting := int (dig "batch" "maxWaiting" 64 .Values.stages.retriever) -}}
{{- if gt $most $waiting -}}
{{- fail (printf "app.limits.maxEmbeddings: %d could never be served, for stages.retriever.batch.maxWaiting is %d; lower it or raise that." $most $waiting) -}}
{{- end -}}
{{- end -}}

{{- define "admirer.checkScaling" -}}
{{- $key := index . 0 -}}
{{- $stage := index . 1 -}}
{{- $scaling := default dict $stage.autoscaling -}}
{{- $least := int (default 1 (get $scaling "minReplicas")) -}}
{{- if hasKey $scaling "minReplicas" }}{{ $least = int $scaling.minReplicas }}{{ end -}}
{{- if gt $least (int (default 1 (get $scaling "maxReplicas"))) -}}
{{- fail (printf "%s.autoscaling.minReplicas: %d is more than maxReplicas; lower it or raise maxReplicas." $key $least) -}}
{{- end -}}
{{- if gt (float64 (default 8 (get $scaling "targetOngoingRequests"))) (float64 (default 32 (get $stage "maxOngoingRequests"))) -}}
{{- fail (printf "%s.autoscaling.targetOngoingRequests: above maxOngoingRequests the stage never scales up; lower it, or raise %s.maxOngoingRequests." $key $key) -}}
{{- end -}}
{{- end -}}

{{/* GPU memory: Ray shares a device by bookkeeping only, so the sum is checked here. */}}
{{- define "admirer.checkEngine" -}}
{{- $key := index . 0 -}}
{{- $stage := index . 1 -}}
{{- $group := index . 2 -}}
{{- $engine := default dict (get $stage "engine") -}}
{{- $gpus := float64 $stage.numGpus -}}
{{- if and (ne (default "cpu" (get $engine "provider")) "cpu") (eq $gpus 0.0) -}}
{{- fail (printf "%s.numGpus: engine.provider is %s and the stage reserves no GPU; set numGpus, or engine.provider: cpu." $key $engine.provider) -}}
{{- end -}}
{{- with get $engine "gpuMemoryBytes" -}}
{{- $share := mulf $gpus (float64 (default 0 $group.gpu.memoryBytes)) -}}
{{- if and $group.gpu.memoryBytes (gt (float64 .) (float64 $share)) -}}
{{- fail (printf "%s.engine.gpuMemoryBytes: %d bytes are more than numGpus (%v) of the group's gpu.memoryBytes, so replicas that share a GPU would not fit; lower it or raise numGpus." $key (int64 .) $stage.numGpus) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "admirer.checkGroups" -}}
{{- $groups := include "admirer.workerGroups" . | fromJson -}}
{{- range $name, $group := $groups -}}
{{- $key := printf "ray.workerGroups.%s" $name -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "%s: the name of a worker group becomes part of labels and names; use a-z, 0-9 and -, a letter first." $key) -}}
{{- end -}}
{{- if eq $name "headgroup" -}}
{{- fail (printf "%s: KubeRay calls the head's own group so; choose another name." $key) -}}
{{- end -}}
{{- if gt (len $name) 20 -}}
{{- fail (printf "%s: the name of a worker group has at most 20 characters; shorten it." $key) -}}
{{- end -}}
{{- if gt (int $group.minReplicas) (int $group.maxReplicas) -}}
{{- fail (printf "%s.minReplicas: %d is more than maxReplicas (%d); lower it or raise maxReplicas." $key (int $group.minReplicas) (int $group.maxReplicas)) -}}
{{- end -}}
{{- if and (not (kindIs "invalid" $group.minAvailable)) (gt (int $group.minReplicas) 0) (ge (int $group.minAvailable) (int $group.minReplicas)) -}}
{{- fail (printf "%s.minAvailable: %d of %d workers leave none to evict, so a node drain would hang; use less than minReplicas." $key (int $group.minAvailable) (int $group.minReplicas)) -}}
{{- end -}}
{{- include "admirer.checkCapacity" (list $ $name $group) -}}
{{- end -}}
{{- end -}}

{{/* The replicas that always run must fit on the workers that may run. */}}
{{- define "admirer.checkCapacity" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $group := index . 2 -}}
{{- $cpus := 0.0 -}}
{{- $gpus := 0.0 -}}
{{- range $root.Values.stages -}}
{{- if eq .workerGroup $name -}}
{{- $least := float64 (dig "autoscaling" "minReplicas" 1 .) -}}
{{- $cpus = addf $cpus (mulf $least .numCpus) -}}
{{- $gpus = addf $gpus (mulf $least .numGpus) -}}
{{- end -}}
{{- end -}}
{{- if gt (float64 $cpus) (float64 (mulf $group.numCpus $group.maxReplicas)) -}}
{{- fail (printf "ray.workerGroups.%s.maxReplicas: the least replicas of its stages ask for %v CPUs and %d workers give %v; raise maxReplicas or numCpus, or lower the stages'." $name $cpus (int $group.maxReplicas) (mulf $group.numCpus $group.maxReplicas)) -}}
{{- end -}}
{{- if gt (float64 $gpus) (float64 (mulf $group.gpu.count $group.maxReplicas)) -}}
{{- fail (printf "ray.workerGroups.%s.maxReplicas: the least replicas of its stages ask for %v GPUs and %d workers have %v; raise maxReplicas or gpu.count, or lower the stages'." $name $gpus (int $group.maxReplicas) (mulf $group.gpu.count $group.maxReplicas)) -}}
{{- end -}}
{{- end -}}
