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
{{- end }}

{{- define "foresail.config" -}}
{{ mergeOverwrite (include "foresail.settings" . | fromYaml) .Values.config | toYaml }}
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
