{{/* The pod, the same in a StatefulSet and in a Deployment. */}}

{{- define "switchgear.podTemplate" -}}
metadata:
  annotations:
    checksum/config: {{ include "switchgear.configChecksum" . }}
    {{- if .Values.monitoring.annotations.enabled }}
    prometheus.io/scrape: "true"
    prometheus.io/port: {{ include "switchgear.adminPort" . | quote }}
    prometheus.io/path: /metrics
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- toYaml (mergeOverwrite (deepCopy .Values.commonLabels) .Values.podLabels (include "switchgear.selectorLabels" . | fromYaml)) | nindent 4 }}
spec:
  serviceAccountName: {{ include "switchgear.serviceAccountName" . }}
  # It asks the API server for nothing.
  automountServiceAccountToken: false
  # Of a Service `switchgear` the variable SWITCHGEAR_PORT would be an address, where the gateway expects a number.
  enableServiceLinks: false
  {{- with include "switchgear.imagePullSecrets" . }}
  imagePullSecrets:
    {{- . | trim | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "switchgear.graceSeconds" . }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: switchgear
      image: {{ include "switchgear.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      ports:
        - { name: http, containerPort: {{ include "switchgear.gatewayPort" . }}, protocol: TCP }
        - { name: admin, containerPort: {{ include "switchgear.adminPort" . }}, protocol: TCP }
      env:
        {{- include "switchgear.env" . | nindent 8 }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- range $probe := list "startupProbe" "livenessProbe" "readinessProbe" }}
      {{- with get $.Values $probe }}
      {{ $probe }}:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        # The folder and no subPath: a file that is mounted by itself never changes.
        - { name: config, mountPath: /etc/switchgear, readOnly: true }
        - { name: tmp, mountPath: /tmp }
        {{- if eq (include "switchgear.storeKind" .) "sqlite" }}
        - { name: data, mountPath: {{ .Values.persistence.mountPath | quote }} }
        {{- end }}
        {{- if eq (include "switchgear.hasToken" .) "true" }}
        - { name: admin-token, mountPath: /run/secrets/switchgear-admin, readOnly: true }
        {{- end }}
        {{- if eq (include "switchgear.hasRedisPassword" .) "true" }}
        - { name: redis, mountPath: /run/secrets/switchgear-redis, readOnly: true }
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      configMap: { name: {{ include "switchgear.fullname" . }} }
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
    {{- if eq (include "switchgear.hasToken" .) "true" }}
    - name: admin-token
      secret:
        secretName: {{ include "switchgear.adminSecret" . }}
        defaultMode: 288
        items: [{ key: {{ .Values.adminToken.key | quote }}, path: token }]
    {{- end }}
    {{- if eq (include "switchgear.hasRedisPassword" .) "true" }}
    - name: redis
      secret:
        secretName: {{ .Values.redis.existingSecret }}
        defaultMode: 288
        items: [{ key: {{ .Values.redis.passwordKey | quote }}, path: {{ .Values.redis.passwordKey | quote }} }]
    {{- end }}
    {{- if eq (include "switchgear.storeKind" .) "sqlite" }}
    {{- if not .Values.persistence.enabled }}
    - name: data
      emptyDir: {}
    {{- else if .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim: { claimName: {{ .Values.persistence.existingClaim }} }
    {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "switchgear.topologySpread" . }}
  topologySpreadConstraints:
    {{- . | trim | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "switchgear.hasToken" -}}
{{- if or .Values.adminToken.existingSecret .Values.adminToken.generate }}true{{ end -}}
{{- end -}}

{{- define "switchgear.hasRedisPassword" -}}
{{- if and (eq (include "switchgear.storeKind" .) "redis") .Values.redis.existingSecret .Values.redis.passwordKey }}true{{ end -}}
{{- end -}}

{{- define "switchgear.env" -}}
- { name: SWITCHGEAR_CONFIG, value: /etc/switchgear/switchgear.yaml }
{{- if eq (include "switchgear.hasToken" .) "true" }}
# A file and no variable: variables show in dumps, and go to every child process.
- { name: SWITCHGEAR_ADMIN_TOKEN_FILE, value: /run/secrets/switchgear-admin/token }
{{- end }}
{{- if and (eq (include "switchgear.storeKind" .) "redis") .Values.redis.existingSecret }}
{{- range $name, $key := dict "SWITCHGEAR_REDIS_USERNAME" .Values.redis.usernameKey "SWITCHGEAR_REDIS_URL" .Values.redis.urlKey }}
{{- if $key }}
- name: {{ $name }}
  valueFrom: { secretKeyRef: { name: {{ $.Values.redis.existingSecret }}, key: {{ $key | quote }} } }
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* One replica needs no spreading. */}}
{{- define "switchgear.topologySpread" -}}
{{- if .Values.topologySpreadConstraints -}}
{{- toYaml .Values.topologySpreadConstraints -}}
{{- else if eq (include "switchgear.workloadKind" .) "Deployment" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  # Rather two on one node than one less.
  whenUnsatisfiable: ScheduleAnyway
  # Of one revision: those that a rollout is about to end do not count.
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "switchgear.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- end -}}
{{- end -}}
