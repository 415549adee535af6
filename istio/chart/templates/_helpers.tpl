{{- define "foresail.labels" -}}
app.kubernetes.io/name: foresail
app.kubernetes.io/part-of: foresail
{{- end }}

{{- define "foresail.selector" -}}
app.kubernetes.io/name: foresail
{{- end }}

{{- define "foresail.reference" -}}
{{- $image := index . 0 -}}
{{- $chart := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "foresail.settings" -}}
listen: 0.0.0.0:9900
state: /var/lib/foresail/foresail.redb
kubernetes:
  watch: true
{{- if .Values.mesh.enabled }}
# The sidecar says whose certificate a frame came with.
require_identity: xfcc
{{- end }}
{{- if .Values.externalMetrics.enabled }}
external_metrics:
  listen: 0.0.0.0:9443
  {{- if .Values.externalMetrics.tls.secret }}
  tls: { cert: /etc/foresail-tls/tls.crt, key: /etc/foresail-tls/tls.key }
  {{- else }}
  tls: { service: {{ .Release.Namespace }}/foresail }
  {{- end }}
{{- end }}
{{- if .Values.keda.enabled }}
keda:
  listen: 0.0.0.0:9444
{{- end }}
{{- end }}

{{- define "foresail.config" -}}
{{ mergeOverwrite (include "foresail.settings" . | fromYaml) .Values.config | toYaml }}
{{- end }}

{{- define "foresail.release" -}}
{{- $args := list "release" -}}
{{- $settings := .Values.config.kubernetes | default dict -}}
{{- with $settings.lease_namespace }}{{ $args = concat $args (list "--lease-namespace" .) }}{{ end -}}
{{- with $settings.lease_name }}{{ $args = concat $args (list "--lease-name" .) }}{{ end -}}
{{ $args | toJson }}
{{- end }}

{{- define "foresail.plugin" -}}
url: oci://{{ include "foresail.reference" (list .Values.filter.image .Chart) }}
imagePullPolicy: IfNotPresent
# Requests pass when the module fails.
failStrategy: FAIL_OPEN
# After authorization: what is refused there is not the service's load.
phase: STATS
pluginName: foresail
{{- end }}
