{{/* What things are called, and the labels they carry. */}}

{{- define "switchgear.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 48 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 48 characters: a StatefulSet adds 11 to it in a label of its pods, which may have 63. */}}
{{- define "switchgear.fullname" -}}
{{- $name := include "switchgear.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the gateway's pods. Never more: a selector cannot be changed. */}}
{{- define "switchgear.selectorLabels" -}}
app.kubernetes.io/name: {{ include "switchgear.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/component: gateway
{{- end -}}

{{/* Of everything; `component` is given where it is another than the gateway itself. */}}
{{- define "switchgear.labels" -}}
{{- $labels := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/part-of" "switchgear"
  "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_" | trunc 63)
  "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $own := include "switchgear.selectorLabels" . | fromYaml -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.commonLabels) $labels $own) -}}
{{- end -}}

{{- define "switchgear.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "switchgear.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "switchgear.image" -}}
{{- $registry := (.Values.global).imageRegistry | default .Values.image.registry -}}
{{- $name := empty $registry | ternary .Values.image.repository (printf "%s/%s" $registry .Values.image.repository) -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "switchgear.imagePullSecrets" -}}
{{- $all := concat ((.Values.global).imagePullSecrets | default list) .Values.imagePullSecrets -}}
{{- $names := list -}}
{{- range $all -}}
{{- $names = append $names (kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name")) -}}
{{- end -}}
{{- range uniq $names }}
- name: {{ . }}
{{- end -}}
{{- end -}}

{{- define "switchgear.adminSecret" -}}
{{- .Values.adminToken.existingSecret | default (printf "%s-admin" (include "switchgear.fullname" .)) -}}
{{- end -}}

{{/* The same as a selector in one line. */}}
{{- define "switchgear.selector" -}}
{{- $pairs := list -}}
{{- range $name, $value := include "switchgear.selectorLabels" . | fromYaml -}}
{{- $pairs = append $pairs (printf "%s=%s" $name $value) -}}
{{- end -}}
{{- join "," $pairs -}}
{{- end -}}
