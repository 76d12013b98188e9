/**
 * The proto files that are compiled, without what they import: everything that may turn up in an
 * `Any` of somebody's configuration. Code is generated for less: `kept-messages.mjs`.
 *
 * Roots, never whole directories: some files in the package import protos that it does not ship
 * (Prometheus, OpenCensus), and one of those would fail the whole compilation.
 * `a/{b,c}/d` stands for `a/b/d` and `a/c/d`.
 */
import { expand } from './expand.mjs'

const BRACED = `
xds/core/v3/cidr
envoy/admin/v3/{certs,clusters,config_dump,config_dump_shared,init_dump,listeners,memory,server_info}
envoy/config/{bootstrap/v3/bootstrap,listener/v3/listener,listener/v3/api_listener,route/v3/route,route/v3/scoped_route,cluster/v3/cluster,endpoint/v3/endpoint,rbac/v3/rbac,trace/v3/zipkin,trace/v3/opentelemetry,metrics/v3/stats,ratelimit/v3/rls,tap/v3/common}
envoy/service/{discovery/v3/ads,listener/v3/lds,route/v3/rds,route/v3/srds,cluster/v3/cds,endpoint/v3/eds,endpoint/v3/leds,secret/v3/sds,runtime/v3/rtds,extension/v3/config_discovery,load_stats/v3/lrs,status/v3/csds,accesslog/v3/als,auth/v3/external_auth,ratelimit/v3/rls,ext_proc/v3/external_processor,health/v3/hds,tap/v3/tap}
envoy/extensions/access_loggers/{file/v3/file,filters/cel/v3/cel,grpc/v3/als,stream/v3/stream,wasm/v3/wasm}
envoy/extensions/bootstrap/internal_listener/v3/internal_listener
envoy/extensions/clusters/{aggregate/v3/cluster,dynamic_forward_proxy/v3/cluster}
envoy/extensions/compression/{gzip/compressor/v3/gzip,brotli/compressor/v3/brotli,zstd/compressor/v3/zstd}
envoy/extensions/filters/common/fault/v3/fault
envoy/extensions/filters/http/{adaptive_concurrency/v3/adaptive_concurrency,buffer/v3/buffer,composite/v3/composite,compressor/v3/compressor,cors/v3/cors,csrf/v3/csrf,dynamic_forward_proxy/v3/dynamic_forward_proxy,ext_authz/v3/ext_authz,ext_proc/v3/ext_proc,fault/v3/fault,grpc_http1_bridge/v3/config,grpc_json_transcoder/v3/transcoder,grpc_stats/v3/config,grpc_web/v3/grpc_web,header_mutation/v3/header_mutation,header_to_metadata/v3/header_to_metadata,health_check/v3/health_check}
envoy/extensions/filters/http/{jwt_authn/v3/config,local_ratelimit/v3/local_rate_limit,lua/v3/lua,on_demand/v3/on_demand,original_src/v3/original_src,ratelimit/v3/rate_limit,rbac/v3/rbac,router/v3/router,set_filter_state/v3/set_filter_state,set_metadata/v3/set_metadata,stateful_session/v3/stateful_session,tap/v3/tap,upstream_codec/v3/upstream_codec,wasm/v3/wasm}
envoy/extensions/filters/listener/{http_inspector/v3/http_inspector,original_dst/v3/original_dst,proxy_protocol/v3/proxy_protocol,tls_inspector/v3/tls_inspector}
envoy/extensions/filters/network/{connection_limit/v3/connection_limit,direct_response/v3/config,echo/v3/echo,ext_authz/v3/ext_authz,http_connection_manager/v3/http_connection_manager,local_ratelimit/v3/local_rate_limit,ratelimit/v3/rate_limit,rbac/v3/rbac,redis_proxy/v3/redis_proxy,mongo_proxy/v3/mongo_proxy,set_filter_state/v3/set_filter_state,sni_cluster/v3/sni_cluster,sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy,tcp_proxy/v3/tcp_proxy,thrift_proxy/v3/thrift_proxy,thrift_proxy/router/v3/router,dubbo_proxy/v3/dubbo_proxy,dubbo_proxy/router/v3/router,wasm/v3/wasm}
envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy
envoy/extensions/formatter/{metadata/v3/metadata,req_without_query/v3/req_without_query}
envoy/extensions/health_check/event_sinks/file/v3/file
envoy/extensions/http/{header_formatters/preserve_case/v3/preserve_case,original_ip_detection/xff/v3/xff,original_ip_detection/custom_header/v3/custom_header,stateful_session/cookie/v3/cookie,stateful_session/header/v3/header}
envoy/extensions/internal_redirect/previous_routes/v3/previous_routes_config
envoy/extensions/load_balancing_policies/{client_side_weighted_round_robin/v3/client_side_weighted_round_robin,cluster_provided/v3/cluster_provided,least_request/v3/least_request,maglev/v3/maglev,pick_first/v3/pick_first,random/v3/random,ring_hash/v3/ring_hash,round_robin/v3/round_robin,subset/v3/subset,wrr_locality/v3/wrr_locality}
envoy/extensions/matching/{common_inputs/network/v3/network_inputs,common_inputs/ssl/v3/ssl_inputs,input_matchers/ip/v3/ip}
envoy/extensions/outlier_detection_monitors/consecutive_errors/v3/consecutive_errors
envoy/extensions/path/{match/uri_template/v3/uri_template_match,rewrite/uri_template/v3/uri_template_rewrite}
envoy/extensions/rate_limit_descriptors/expr/v3/expr
envoy/extensions/rbac/{matchers/upstream_ip_port/v3/upstream_ip_port_matcher,audit_loggers/stream/v3/stream}
envoy/extensions/request_id/uuid/v3/uuid
envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections
envoy/extensions/retry/{host/previous_hosts/v3/previous_hosts,host/omit_host_metadata/v3/omit_host_metadata_config,priority/previous_priorities/v3/previous_priorities_config}
envoy/extensions/transport_sockets/{internal_upstream/v3/internal_upstream,proxy_protocol/v3/upstream_proxy_protocol,quic/v3/quic_transport,raw_buffer/v3/raw_buffer,tap/v3/tap,tls/v3/tls,tls/v3/tls_spiffe_validator_config}
envoy/extensions/upstreams/{http/v3/http_protocol_options,tcp/v3/tcp_protocol_options}
envoy/extensions/wasm/v3/wasm
xds/{core/v3/resource_name,core/v3/resource_locator,core/v3/collection_entry,type/v3/typed_struct,type/matcher/v3/cel,type/matcher/v3/http_inputs,type/matcher/v3/domain,type/matcher/v3/ip,type/matcher/v3/range}
udpa/type/v1/typed_struct
google/rpc/status
`

export const ROOTS = BRACED.trim()
  .split('\n')
  .flatMap(expand)
  .map((path) => `${path}.proto`)
