"""Writes Envoy's configurations for compose: gateway.json and sidecar.json into the directory that is named."""

import json
import pathlib
import sys

HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}
MOST = 2**32 - 1


def foresail(workload, pod):
    settings = {"cluster": "foresail", "identity": {"namespace": "shop", "workload": workload, "pod": pod}}
    return {
        "name": "foresail",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "foresail",
                "root_id": "foresail",
                "failure_policy": "FAIL_OPEN",
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": json.dumps(settings)},
                "vm_config": {
                    "vm_id": "foresail",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": "/etc/foresail/filter.wasm"}},
                },
            },
        },
    }


def cluster(name, kind, host, port):
    endpoint = {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
    return {
        "name": name, "type": kind, "connect_timeout": "1s", "lb_policy": "LEAST_REQUEST", "dns_lookup_family": "V4_ONLY",
        "circuit_breakers": {"thresholds": [{"max_connections": MOST, "max_pending_requests": MOST, "max_requests": MOST}]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def proxy(port, direction, filters, route, clusters):
    manager = {
        "@type": HTTP, "stat_prefix": "http", "http_filters": [*filters, ROUTER],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}]},
    }
    return {
        "static_resources": {
            "listeners": [{
                "name": "http", "traffic_direction": direction,
                "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
                "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
            }],
            "clusters": clusters,
        },
    }


def main(directory):
    retry = {"retry_on": "connect-failure,refused-stream", "num_retries": 2}
    gateway = proxy(8000, "OUTBOUND", [], {"cluster": "web", "timeout": "10s", "retry_policy": retry}, [cluster("web", "STRICT_DNS", "web", 8080)])
    sidecar = proxy(8080, "INBOUND", [foresail("web", "@POD@")], {"cluster": "service", "timeout": "10s"}, [
        cluster("service", "STATIC", "127.0.0.1", 9000), cluster("foresail", "STRICT_DNS", "aggregator", 9900),
    ])
    for name, config in (("gateway", gateway), ("sidecar", sidecar)):
        pathlib.Path(directory, f"{name}.json").write_text(json.dumps(config, indent=1))


main(sys.argv[1])
