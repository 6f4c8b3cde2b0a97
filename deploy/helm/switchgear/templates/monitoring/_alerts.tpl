{{/*
The rules of alerts/, which `npm run generate` puts into files/ with names in place of what alerts/values.yaml says:
`$(gap)` and the like, filled in here with the same values and what a release says otherwise.
*/}}

{{/* Those of alerts/values.yaml, what the release knows, and what monitoring.values says. Lists are taken whole. */}}
{{- define "switchgear.alertValues" -}}
{{- $defaults := .Files.Get "files/alert-values.yaml" | fromYaml -}}
{{- $jobs := list (include "switchgear.name" .) -}}
{{- if .Values.monitoring.hyperBun.enabled -}}{{- $jobs = append $jobs .Values.monitoring.hyperBun.job -}}{{- end -}}
{{- $known := dict "namespace" .Release.Namespace "jobs" $jobs -}}
{{- toYaml (mergeOverwrite $defaults $known (deepCopy .Values.monitoring.values)) -}}
{{- end -}}

{{/* A duration of one unit, in seconds. */}}
{{- define "switchgear.seconds" -}}
{{- $units := dict "s" 1 "m" 60 "h" 3600 "d" 86400 -}}
{{- mul (regexFind `^[0-9]+` . | int) (get $units (regexFind `[smhd]$` .)) -}}
{{- end -}}

{{/* As people write it: 5000 and 0.5, and not 5e+03. */}}
{{- define "switchgear.number" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{- printf "%.0f" . -}}{{- else -}}{{- printf "%v" . -}}{{- end -}}
{{- end -}}

{{- define "switchgear.budget" -}}
{{- printf "%.6g" (subf 1.0 .) -}}
{{- end -}}

{{/* Each value by its path, and what follows from them: what `$(…)` can name. */}}
{{- define "switchgear.alertFacts" -}}
{{- $values := . -}}
{{- $facts := include "switchgear.flat" (dict "prefix" "" "values" $values) | fromYaml -}}
{{- $jobs := list -}}
{{- range $values.jobs -}}{{- $jobs = append $jobs (replace "." `\\.` .) -}}{{- end -}}
{{- $job := printf `job="%s"` (first $values.jobs) -}}
{{- if gt (len $jobs) 1 -}}{{- $job = printf `job=~"%s"` (join "|" $jobs) -}}{{- end -}}
{{- $success := include "switchgear.budget" $values.slo.success.objective -}}
{{- $latency := include "switchgear.budget" $values.slo.latency.objective -}}
{{- $le := include "switchgear.number" $values.slo.latency.seconds -}}
{{- if contains "." $le -}}{{- $le = replace "." `\\.` $le -}}{{- else -}}{{- $le = printf `%s|%s\\.0` $le $le -}}{{- end -}}
{{- $own := dict
  "job" $job
  "le" $le
  "budget slo.success.objective" $success
  "budget slo.latency.objective" $latency
  "percent slo.success.objective" (printf "%.4g %%" (mulf (float64 $success) 100))
  "percent slo.latency.objective" (printf "%.4g %%" (mulf (float64 $latency) 100))
  "thousands scrape.sampleLimit" (include "switchgear.thousands" $values.scrape.sampleLimit)
  "gap and a minute" (add (include "switchgear.seconds" $values.gap | int) 60 | toString)
  "changes" (sub (mul 2 (int $values.mostlyOpen.trips)) 1 | toString) -}}
{{- toYaml (mergeOverwrite $facts $own) -}}
{{- end -}}

{{- define "switchgear.flat" -}}
{{- $prefix := .prefix -}}
{{- range $key, $value := .values }}
{{- if kindIs "map" $value }}
{{ include "switchgear.flat" (dict "prefix" (printf "%s%s." $prefix $key) "values" $value) | trim }}
{{- else if not (kindIs "slice" $value) }}
{{ printf "%s%s" $prefix $key | quote }}: {{ include "switchgear.number" $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* 5,000 */}}
{{- define "switchgear.thousands" -}}
{{- $digits := int . | toString -}}
{{- range until 4 -}}{{- $digits = regexReplaceAll `^(\d+)(\d{3})(,|$)` $digits "${1},${2}${3}" -}}{{- end -}}
{{- $digits -}}
{{- end -}}

{{/* All rules of a block at once, as JSON: each of the many names is looked for in one text. */}}
{{- define "switchgear.fill" -}}
{{- $text := toRawJson .rules -}}
{{- range $name, $value := .facts -}}
{{- $quoted := toRawJson $value -}}
{{- $text = replace (printf "$(%s)" $name) (substr 1 (len $quoted | add -1 | int) $quoted) $text -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{/* The windows of budgets, each once, the shortest first. */}}
{{- define "switchgear.sloWindows" -}}
{{- $sorted := list -}}
{{- range . -}}
{{- range $window := list .short .long -}}
{{- $sorted = append $sorted (printf "%012d %s" (include "switchgear.seconds" $window | int) $window) -}}
{{- end -}}
{{- end -}}
{{- $windows := list -}}
{{- range uniq $sorted | sortAlpha -}}{{- $windows = append $windows (splitList " " . | last) -}}{{- end -}}
{{- toYaml $windows -}}
{{- end -}}

{{/* What the values say of one alert, over what it says itself. */}}
{{- define "switchgear.overridden" -}}
{{- $own := .rule -}}
{{- with .override.severity -}}{{- $_ := set $own.labels "severity" . -}}{{- end -}}
{{- with get .override "for" -}}{{- $_ := set $own "for" . -}}{{- end -}}
{{- with .override.keepFiringFor -}}{{- $_ := set $own "keep_firing_for" . -}}{{- end -}}
{{- $_ := set $own "labels" (mergeOverwrite (deepCopy .labels) $own.labels (.override.labels | default dict)) -}}
{{- $_ := set $own "annotations" (mergeOverwrite $own.annotations (.override.annotations | default dict)) -}}
{{- end -}}

{{/* All groups, as a rules file of Prometheus and the spec of a PrometheusRule have them. */}}
{{- define "switchgear.rules" -}}
{{- $values := include "switchgear.alertValues" . | fromYaml -}}
{{- $facts := include "switchgear.alertFacts" $values | fromYaml -}}
{{- $eachWindow := list -}}
{{- range include "switchgear.sloWindows" $values.slo.windows | fromYamlArray -}}
{{- $eachWindow = append $eachWindow (merge (dict "window" .) $facts) -}}
{{- end -}}
{{- $eachBurn := list -}}
{{- range $values.slo.windows -}}
{{- $eachBurn = append $eachBurn (merge (include "switchgear.flat" (dict "prefix" "burn." "values" .) | fromYaml) $facts) -}}
{{- end -}}
{{- $limited := gt (int $values.scrape.sampleLimit) 0 | ternary (list $facts) list -}}
{{- $each := dict "" (list $facts) "window" $eachWindow "burn" $eachBurn "sampleLimit" $limited -}}
{{- $groups := list -}}
{{- range $group := (.Files.Get "files/rules.yaml" | fromYaml).groups -}}
{{- $rules := list -}}
{{- range $block := $group.blocks -}}
{{- range $facts := get $each $block.each -}}
{{- range $rule := include "switchgear.fill" (dict "rules" $block.rules "facts" $facts) | fromJsonArray -}}
{{- $override := get $.Values.monitoring.alerts ($rule.alert | default "") | default dict -}}
{{- if $rule.alert -}}
{{- include "switchgear.overridden" (dict "rule" $rule "override" $override "labels" $.Values.monitoring.alertLabels) -}}
{{- end -}}
{{- if ne (get $override "enabled" | toString) "false" -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}{{- $groups = append $groups (dict "name" $group.name "rules" $rules) -}}{{- end -}}
{{- end -}}
groups:
{{- toYaml $groups | nindent 2 }}
{{- end -}}
