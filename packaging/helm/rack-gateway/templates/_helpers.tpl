{{/* The name of everything: the release's, with the chart's unless it holds that already. */}}
{{- define "rack-gateway.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods; it never changes. */}}
{{- define "rack-gateway.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rack-gateway.labels" -}}
{{ include "rack-gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "rack-gateway.serviceAccount" -}}
{{- default (include "rack-gateway.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "rack-gateway.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "rack-gateway.claim" -}}
{{- default (printf "%s-data" (include "rack-gateway.name" .)) .Values.database.sqlite.existingClaim -}}
{{- end -}}

{{/* How long a pod sleeps before it is told to stop, so that no balancer still sends it anything. */}}
{{- define "rack-gateway.pauseSeconds" -}}5{{- end -}}

{{/* Every secret that becomes a file: variable, secret, key. */}}
{{- define "rack-gateway.secretFiles" -}}
{{- $files := list (dict "variable" "RACK_TOKEN" "secret" .Values.rack.token.secret "key" .Values.rack.token.key) -}}
{{- $files = append $files (dict "variable" "APP_SECRET_KEY" "secret" .Values.appSecretKey.secret "key" .Values.appSecretKey.key) -}}
{{- if eq .Values.database.kind "postgres" -}}
{{- $files = append $files (dict "variable" "DATABASE_URL" "secret" .Values.database.url.secret "key" .Values.database.url.key) -}}
{{- end -}}
{{- if .Values.gateway.google.clientId -}}
{{- $secret := .Values.gateway.google.clientSecret -}}
{{- $files = append $files (dict "variable" "GOOGLE_CLIENT_SECRET" "secret" $secret.secret "key" $secret.key) -}}
{{- end -}}
{{- concat $files .Values.gateway.secretFiles | toJson -}}
{{- end -}}

{{/* What the values must not say. Each refusal tells what to write instead. */}}
{{- define "rack-gateway.check" -}}
{{- $values := .Values -}}
{{- if not $values.gateway.domain -}}
{{- fail "gateway.domain is empty: give the gateway's public name, such as gateway.example.com" -}}
{{- end -}}
{{- if not $values.rack.host -}}
{{- fail "rack.host is empty: give the host of the rack's API" -}}
{{- end -}}
{{- if not $values.rack.token.secret -}}
{{- fail "rack.token.secret is empty: give the name of a Secret that holds the rack's password" -}}
{{- end -}}
{{- if not $values.appSecretKey.secret -}}
{{- fail "appSecretKey.secret is empty: give the name of a Secret that holds the output of `openssl rand -hex 32`" -}}
{{- end -}}
{{- if eq $values.database.kind "sqlite" -}}
{{- if ne (int $values.replicas) 1 -}}
{{- fail "database.kind is sqlite and replicas is not 1: one file has one writer. Set replicas to 1, or database.kind to postgres" -}}
{{- end -}}
{{- if $values.autoscaling.enabled -}}
{{- fail "database.kind is sqlite and autoscaling is on: one file has one writer. Turn it off, or set database.kind to postgres" -}}
{{- end -}}
{{- else if not $values.database.url.secret -}}
{{- fail "database.url.secret is empty: give the name of a Secret that holds postgres://user:password@host/name, or set database.kind to sqlite" -}}
{{- end -}}
{{- if and $values.autoscaling.enabled (gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and $values.gateway.google.clientId (not $values.gateway.google.clientSecret.secret) -}}
{{- fail "gateway.google.clientSecret.secret is empty: give the name of the Secret that belongs to the client id" -}}
{{- end -}}
{{- if and (not $values.gateway.google.clientId) (not (contains "identity.provider" $values.gateway.config)) -}}
{{- fail "nobody could sign in: give gateway.google.clientId, or an [[identity.provider]] in gateway.config" -}}
{{- end -}}
{{- if and (eq $values.tls.at "gateway") (not $values.tls.secret) -}}
{{- fail "tls.at is gateway and tls.secret is empty: give the name of a Secret of type kubernetes.io/tls" -}}
{{- end -}}
{{- if and $values.networkPolicy.enabled (not $values.networkPolicy.rack.to) -}}
{{- fail "networkPolicy.rack.to is empty, so the gateway could not reach the rack: say where it is, such as [{ipBlock: {cidr: 203.0.113.7/32}}]" -}}
{{- end -}}
{{- if and $values.networkPolicy.enabled (eq $values.database.kind "postgres") (not $values.networkPolicy.database.to) -}}
{{- fail "networkPolicy.database.to is empty, so the gateway could not reach PostgreSQL: say where it is" -}}
{{- end -}}
{{- if and $values.rackNetworkPolicy.enabled (or (not $values.rackNetworkPolicy.namespace) (not $values.rackNetworkPolicy.podLabels)) -}}
{{- fail "rackNetworkPolicy needs namespace and podLabels: without labels it would close the whole namespace" -}}
{{- end -}}
{{- range $name, $text := $values.gateway.policies -}}
{{- if not (hasSuffix ".cedar" $name) -}}
{{- fail (printf "gateway.policies: %s does not end in .cedar, so the gateway would not read it" $name) -}}
{{- end -}}
{{- end -}}
{{- range $values.gateway.env -}}
{{- if has .name (list "ADMIN_ADDRESS" "ADMIN_PORT" "PORT" "LISTENER_TLS" "DRAIN_TIMEOUT" "RACK_GATEWAY_CONFIG" "POLICY_DIR") -}}
{{- fail (printf "gateway.env: %s is set by the chart; use the value that stands for it" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
