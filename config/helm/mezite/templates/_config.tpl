{{/* mezite.yaml of a component: (list root component) */}}
{{- define "mezite.config" -}}
{{- $root := index . 0 }}
{{- $component := index . 1 }}
{{- $values := $root.Values }}
{{- $name := include "mezite.fullname" $root }}
{{- $auths := list }}
{{- range $i := until (int $values.auth.replicas) }}
{{- $auths = append $auths (printf "%s-auth-%d.%s-auth" $name $i $name) }}
{{- end }}
{{- $own := dict "cluster_name" $values.clusterName "data_dir" "/var/lib/mezite" "log" (dict "format" "json") }}
{{- if eq $component "auth" }}
{{- $_ := set $own "auth" (dict "listen_addr" ":3025") }}
{{- $_ := set $own "authentication" (dict "ssh_proxy_address" $values.publicAddress) }}
{{- if eq $values.database.driver "postgres" }}
{{- with $values.database }}
{{- $database := dict "driver" "postgres" "host" .host "port" .port "name" .name "user" .user "sslmode" .sslmode "pool_size" .poolSize "password" "env:MEZITE_SECRET_DATABASE_PASSWORD" }}
{{- if .caSecret }}{{ $_ := set $database "sslrootcert" "/etc/mezite-database/ca.crt" }}{{ end }}
{{- $_ := set $own "database" $database }}
{{- end }}
{{- end }}
{{- else }}
{{- $addresses := list }}
{{- range $auths }}{{ $addresses = append $addresses (printf "%s:3025" .) }}{{ end }}
{{- $_ := set $own "auth" (dict "enabled" false "addresses" $addresses) }}
{{- end }}
{{- if eq $component (include "mezite.front" $root) }}
{{- $proxy := dict "ssh_listen_addr" ":3023" "tunnel_listen_addr" ":3024" "web_listen_addr" ":3080" "public_listen_addr" ":3443" "public_addr" $values.publicAddress }}
{{- if gt (int $values.proxy.replicas) 1 }}{{ $_ := set $proxy "peers" (list (printf "%s-proxy:3024" $name)) }}{{ end }}
{{- if $values.webTls.existingSecret }}{{ $_ := set $proxy "web_tls" (dict "certificate" "/etc/mezite-web/tls.crt" "key" "/etc/mezite-web/tls.key") }}{{ end }}
{{- $_ := set $own "proxy" $proxy }}
{{- end }}
{{- if eq $component "node" }}
{{- $tunnels := list }}
{{- if $values.proxy.replicas }}
{{- range $i := until (int $values.proxy.replicas) }}{{ $tunnels = append $tunnels (printf "%s-proxy-%d.%s-proxy:3024" $name $i $name) }}{{ end }}
{{- else }}
{{- range $auths }}{{ $tunnels = append $tunnels (printf "%s:3024" .) }}{{ end }}
{{- end }}
{{- $_ := set $own "node" (dict "proxy_addrs" $tunnels "labels" $values.node.labels) }}
{{- else }}
{{- $host := include "mezite.publicHost" $root }}
{{- $names := list $host }}
{{- if eq $component "auth" }}{{ $names = concat $names $auths }}{{ end }}
{{- if eq $component "proxy" }}{{ range $i := until (int $values.proxy.replicas) }}{{ $names = append $names (printf "%s-proxy-%d.%s-proxy" $name $i $name) }}{{ end }}{{ end }}
{{- $_ := set $own "plugins" (dict "nodes" (dict "config" (dict "public_addresses" $names))) }}
{{- end }}
{{- $more := (index $values $component).config }}
{{- toYaml (mergeOverwrite $own (deepCopy $values.config) (deepCopy $more)) }}
{{- end }}
