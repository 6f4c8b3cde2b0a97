{{/* What all monitors have in common. */}}

{{/*
The operator gives every series a label `endpoint` with the port's name, and ours of that name, which says which
address of a bookmaker is meant, would arrive as `exported_endpoint`.
*/}}
{{- define "switchgear.relabelings" -}}
- { action: labeldrop, regex: endpoint }
{{- with .relabelings }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Prometheus asks for OpenMetrics, which tells when each counter began: two series for every five. */}}
{{- define "switchgear.metricRelabelings" -}}
- { action: drop, sourceLabels: [__name__], regex: .+_created }
{{- with .metricRelabelings }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "switchgear.monitorMetadata" -}}
{{- $own := .monitor -}}
{{- with .root -}}
name: {{ include "switchgear.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- toYaml (mergeOverwrite (include "switchgear.labels" . | fromYaml) .Values.monitoring.labels ($own.labels | default dict)) | nindent 2 }}
{{- with $own.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The bounds of a scrape; 0 samples are no limit. */}}
{{- define "switchgear.scrapeLimits" -}}
{{- $scrape := (include "switchgear.alertValues" . | fromYaml).scrape -}}
{{- if gt (int $scrape.sampleLimit) 0 }}
sampleLimit: {{ int $scrape.sampleLimit }}
{{- end }}
# What a bookmaker can bring in grows without end only by a mistake of ours.
labelValueLengthLimit: 256
{{- end -}}
