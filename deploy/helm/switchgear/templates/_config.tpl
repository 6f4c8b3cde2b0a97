{{/* The gateway's own configuration: what values give, and what only the chart can know. */}}

{{- define "switchgear.storeKind" -}}
{{- (.Values.config.store).kind | default "sqlite" -}}
{{- end -}}

{{/* A StatefulSet keeps one replica beside one volume; whatever shares its store, or keeps nothing, needs none. */}}
{{- define "switchgear.workloadKind" -}}
{{- eq (include "switchgear.storeKind" .) "sqlite" | ternary "StatefulSet" "Deployment" -}}
{{- end -}}

{{- define "switchgear.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $store := $config.store | default dict -}}
{{- $kind := include "switchgear.storeKind" . -}}
{{- if eq $kind "sqlite" -}}
{{- if not $store.path -}}
{{- $_ := set $store "path" (printf "%s/circuit_breaker.db" (.Values.persistence.mountPath | trimSuffix "/")) -}}
{{- end -}}
{{- else if and (eq $kind "redis") .Values.redis.existingSecret -}}
{{- $keys := .Values.redis -}}
{{- if and $keys.passwordKey (not $store.password) (not $store.passwordFile) -}}
{{- $_ := set $store "passwordFile" (printf "/run/secrets/switchgear-redis/%s" $keys.passwordKey) -}}
{{- end -}}
{{- if and $keys.usernameKey (not $store.username) -}}
{{- $_ := set $store "username" "${SWITCHGEAR_REDIS_USERNAME}" -}}
{{- end -}}
{{- if and $keys.urlKey (not $store.url) -}}
{{- $_ := set $store "url" "${SWITCHGEAR_REDIS_URL}" -}}
{{- end -}}
{{- end -}}
{{- range $config.upstreams -}}
{{- /* Helm's YAML reads `off` as false. */}}
{{- if and (kindIs "map" .limit) (kindIs "bool" (.limit).kind) -}}{{- $_ := set .limit "kind" "off" -}}{{- end -}}
{{- end -}}
{{- toYaml (set $config "store" $store) -}}
{{- end -}}

{{/*
Of what waits for a restart: the gateway takes everything else from the changed file by itself, and restarting for
it would cost connections. As FIXED of src/cli/reload.ts has it.
*/}}
{{- define "switchgear.configChecksum" -}}
{{- $config := include "switchgear.config" . | fromYaml -}}
{{- $fixed := pick $config "gateway" "admin" "store" "logging" "loadShedding" "limits" -}}
{{- range $section, $name := dict "gateway" "maxCriticality" "logging" "level" -}}
{{- if hasKey $fixed $section -}}
{{- $_ := set $fixed $section (omit (get $fixed $section | default dict) $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $fixed | sha256sum -}}
{{- end -}}

{{- define "switchgear.gatewayPort" -}}
{{- (.Values.config.gateway).port | default 8080 | int -}}
{{- end -}}

{{- define "switchgear.adminPort" -}}
{{- (.Values.config.admin).port | default 9464 | int -}}
{{- end -}}

{{/* After SIGTERM new connections are served for so long, and then calls in flight have seven seconds at most. */}}
{{- define "switchgear.stopSeconds" -}}
{{- $drainMs := hasKey (.Values.config.gateway | default dict) "drainDelayMs" | ternary (.Values.config.gateway).drainDelayMs 2000 -}}
{{- add (divf $drainMs 1000 | ceil | int) 7 -}}
{{- end -}}

{{- define "switchgear.graceSeconds" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{- add (include "switchgear.stopSeconds" . | int) 3 -}}
{{- else -}}
{{- .Values.terminationGracePeriodSeconds | int -}}
{{- end -}}
{{- end -}}

{{/* Whether there may be more than one pod at a time. */}}
{{- define "switchgear.isMany" -}}
{{- if .Values.autoscaling.enabled -}}
{{- if gt (int .Values.autoscaling.minReplicas) 1 -}}true{{- end -}}
{{- else if kindIs "invalid" .Values.replicas -}}true
{{- else if gt (int .Values.replicas) 1 -}}true
{{- end -}}
{{- end -}}
