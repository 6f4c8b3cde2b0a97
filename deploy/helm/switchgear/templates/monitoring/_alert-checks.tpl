{{/* What scripts/alerts/values.ts refuses and a schema cannot: the same values fail here with the same words. */}}

{{- define "switchgear.alertFaults" -}}
{{- $values := include "switchgear.alertValues" . | fromYaml -}}
{{- $faults := list -}}
{{- range $range := .Files.Get "files/alert-ranges.yaml" | fromYamlArray -}}
{{- range $at := include "switchgear.valuesAt" (dict "path" $range.path "values" $values) | fromYamlArray -}}
{{- $seconds := include "switchgear.seconds" $at.value | int -}}
{{- if or (lt $seconds (include "switchgear.seconds" $range.least | int)) (gt $seconds (include "switchgear.seconds" $range.most | int)) -}}
{{- $faults = append $faults (printf "%s: from %s to %s" $at.path $range.least $range.most) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $gap := include "switchgear.seconds" $values.gap | int -}}
{{- if mod $gap 15 -}}
{{- $faults = append $faults "gap: a multiple of 15s, in which its tests go" -}}
{{- end -}}
{{- $scrapes := mul 3 (include "switchgear.seconds" $values.scrape.interval | int) -}}
{{- if lt $gap (int $scrapes) -}}
{{- $faults = append $faults (printf "gap: three scrapes at least, which take %ds" $scrapes) -}}
{{- end -}}
{{- if lt $values.manyTripped.anyway $values.manyTripped.atLeast -}}
{{- $faults = append $faults "manyTripped.anyway: no fewer than atLeast" -}}
{{- end -}}
{{- with $values.mostlyOpen -}}
{{- $least := divf (add 300 (mul (add .trips 1) 15)) (include "switchgear.budget" .share | float64) | ceil | int -}}
{{- if lt (include "switchgear.seconds" .within | int) $least -}}
{{- $faults = append $faults (printf "mostlyOpen.within: %ds at least, with this share and so many trips" $least) -}}
{{- end -}}
{{- end -}}
{{- range $index, $window := $values.slo.windows -}}
{{- $path := printf "slo.windows.%d" $index -}}
{{- $long := include "switchgear.seconds" $window.long | int -}}
{{- if ge (include "switchgear.seconds" $window.short | int) $long -}}
{{- $faults = append $faults (printf "%s.short: shorter than long" $path) -}}
{{- end -}}
{{- range $kind := list "success" "latency" -}}
{{- $budget := include "switchgear.budget" (get $values.slo $kind).objective | float64 -}}
{{- if ge (mulf $window.factor $budget) 1.0 -}}
{{- $faults = append $faults (printf "%s.factor: %v times the budget of slo.%s is more than all calls" $path $window.factor $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $index, $window := rest $values.slo.windows -}}
{{- $before := index $values.slo.windows $index -}}
{{- $isLonger := gt (include "switchgear.seconds" $window.long | int) (include "switchgear.seconds" $before.long | int) -}}
{{- $isSooner := lt (include "switchgear.seconds" (get $window "for") | int) (include "switchgear.seconds" (get $before "for") | int) -}}
{{- if or (not $isLonger) (ge $window.factor $before.factor) $isSooner -}}
{{- $faults = append $faults (printf "slo.windows.%d: longer than the one before, slower, and no sooner" (add1 $index)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{/* What stands at a path such as `scrape.interval`, or at each of `slo.windows[].long`. */}}
{{- define "switchgear.valuesAt" -}}
{{- $found := list (dict "path" "" "value" .values) -}}
{{- range $part := splitList "." .path -}}
{{- $next := list -}}
{{- range $one := $found -}}
{{- $name := trimSuffix "[]" $part -}}
{{- $path := printf "%s.%s" $one.path $name | trimPrefix "." -}}
{{- $value := get $one.value $name -}}
{{- if hasSuffix "[]" $part -}}
{{- range $index, $item := $value -}}
{{- $next = append $next (dict "path" (printf "%s.%d" $path $index) "value" $item) -}}
{{- end -}}
{{- else -}}
{{- $next = append $next (dict "path" $path "value" $value) -}}
{{- end -}}
{{- end -}}
{{- $found = $next -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}
