{{/* What `helm test` runs: none of it has the labels of the gateway's pods, or runbooks would take it for a replica. */}}

{{- define "switchgear.testSelector" -}}
app.kubernetes.io/name: {{ include "switchgear.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "switchgear.testPeer" -}}
- podSelector:
    matchLabels:
      {{- include "switchgear.testSelector" . | nindent 6 }}
{{- end -}}

{{- define "switchgear.testLabels" -}}
{{- $labels := include "switchgear.labels" . | fromYaml -}}
{{- $own := include "switchgear.testSelector" . | fromYaml -}}
{{- toYaml (mergeOverwrite (omit $labels "app.kubernetes.io/component") $own) -}}
{{- end -}}
