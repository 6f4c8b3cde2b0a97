{{/* What the schema cannot see: values that do not go together. All of them are told at once. */}}

{{- define "switchgear.faults" -}}
{{- $faults := list -}}
{{- $kind := include "switchgear.storeKind" . -}}
{{- $store := .Values.config.store | default dict -}}
{{- $many := or .Values.autoscaling.enabled (kindIs "invalid" .Values.replicas) (gt (.Values.replicas | default 0 | int) 1) -}}
{{- if and $many (ne $kind "redis") -}}
{{- $faults = append $faults (printf "replicas: with config.store.kind %q each replica would have breakers of its own, and an order would reach one of them; set replicas to 1 and autoscaling.enabled to false, or config.store.kind to redis" $kind) -}}
{{- end -}}
{{- if eq $kind "sqlite" -}}
{{- $path := $store.path | default (printf "%s/circuit_breaker.db" .Values.persistence.mountPath) -}}
{{- if not (hasPrefix (printf "%s/" (trimSuffix "/" .Values.persistence.mountPath)) $path) -}}
{{- $faults = append $faults (printf "config.store.path: %s is not on the volume, which is mounted at %s, and would be lost with the pod; leave it out, or set persistence.mountPath" $path .Values.persistence.mountPath) -}}
{{- end -}}
{{- end -}}
{{- if eq $kind "redis" -}}
{{- $places := list -}}
{{- range $key := list "url" "sentinel" "cluster" -}}
{{- if get $store $key -}}{{- $places = append $places (printf "config.store.%s" $key) -}}{{- end -}}
{{- end -}}
{{- if and .Values.redis.existingSecret .Values.redis.urlKey -}}{{- $places = append $places "redis.urlKey" -}}{{- end -}}
{{- if ne (len $places) 1 -}}
{{- $faults = append $faults (printf "config.store: give one of url, sentinel and cluster, or redis.existingSecret with redis.urlKey: where the server is; found %s" (empty $places | ternary "none" (join " and " $places))) -}}
{{- end -}}
{{- if and $store.password (not (regexMatch `^\$\{[A-Za-z_][A-Za-z0-9_]*\}$` $store.password)) -}}
{{- $faults = append $faults "config.store.password: a ConfigMap is no place for a secret; set redis.existingSecret, or take it from the environment, as ${REDIS_PASSWORD} with extraEnv" -}}
{{- end -}}
{{- end -}}
{{- range $section := list "gateway" "admin" -}}
{{- $own := get $.Values.config $section | default dict -}}
{{- if regexMatch `^(127\.|localhost$|::1$)` ($own.host | default "") -}}
{{- $faults = append $faults (printf "config.%s.host: %s is the pod's own loopback, which no other pod reaches; leave it out, or set 0.0.0.0, or :: where pods have IPv6 alone" $section $own.host) -}}
{{- end -}}
{{- if and (hasKey $own "port") (lt ($own.port | default 0 | int) 1) -}}
{{- $faults = append $faults (printf "config.%s.port: a Service needs to know it; set one from 1 to 65535" $section) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "switchgear.gatewayPort" .) (include "switchgear.adminPort" .) -}}
{{- $faults = append $faults (printf "config.admin.port: gateway and admin cannot share port %s" (include "switchgear.adminPort" .)) -}}
{{- end -}}
{{- $stop := include "switchgear.stopSeconds" . | int -}}
{{- if le (include "switchgear.graceSeconds" . | int) $stop -}}
{{- $faults = append $faults (printf "terminationGracePeriodSeconds: a stop takes up to %d seconds with this config.gateway.drainDelayMs, and calls in flight would be killed; leave it out, or set more" $stop) -}}
{{- end -}}
{{- if and .Values.monitoring.serviceMonitor.enabled .Values.monitoring.podMonitor.enabled -}}
{{- $faults = append $faults "monitoring.podMonitor.enabled: with a ServiceMonitor, too, each pod would be scraped twice; enable one of them" -}}
{{- end -}}
{{- with .Values.monitoring.alertmanagerConfig -}}
{{- if and .enabled (not .pagerduty.existingSecret) -}}
{{- $faults = append $faults "monitoring.alertmanagerConfig.pagerduty.existingSecret: name the Secret with the integration key, or nobody is woken" -}}
{{- end -}}
{{- end -}}
{{- range include "switchgear.alertFaults" . | fromYamlArray -}}
{{- $faults = append $faults (printf "monitoring.values.%s" .) -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- define "switchgear.check" -}}
{{- $faults := include "switchgear.faults" . | fromYamlArray -}}
{{- if $faults -}}
{{- fail (printf "\n\nthese values do not go together:\n  %s\n" (join "\n  " $faults)) -}}
{{- end -}}
{{- end -}}
