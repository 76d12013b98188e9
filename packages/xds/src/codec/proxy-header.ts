/** What of PROXY protocol headers is read, kept and sent ⇄ Envoy's listener filter and transport socket. */
import type { Listener, ProxyHeaderRules, ProxyTlvs, TlvChoice } from '@weft/model'
import {
  type ProxyProtocolConfig,
  ProxyProtocolConfig_Version,
  type ProxyProtocolConfigSchema,
  type ProxyProtocolPassThroughTLVs,
  ProxyProtocolPassThroughTLVs_PassTLVsMatchType,
  ProxyProtocolPassThroughTLVsSchema,
  TlvEntrySchema,
} from '../gen/envoy/config/core/v3/proxy_protocol_pb.js'
import {
  type ProxyProtocol,
  ProxyProtocol_KeyValuePairSchema,
  ProxyProtocol_RuleSchema,
  ProxyProtocolSchema,
} from '../gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import type { Init } from './values.ts'

const PROXY_VERSIONS = {
  v1: ProxyProtocolConfig_Version.V1,
  v2: ProxyProtocolConfig_Version.V2,
} as const satisfies Record<'v1' | 'v2', ProxyProtocolConfig_Version>

const { INCLUDE, INCLUDE_ALL } = ProxyProtocolPassThroughTLVs_PassTLVsMatchType
const MAX_TLV_TYPE = 255
/** Envoy's, where a rule names none. */
const NAMESPACE = 'envoy.filters.listener.proxy_protocol'

export function encodeProxyFilter({
  proxyProtocol,
  proxyHeader = {},
}: Listener): Init<typeof ProxyProtocolSchema> {
  const { keeps, metadata = [], refuses } = proxyHeader
  return {
    allowRequestsWithoutProxyProtocol: proxyProtocol === 'optional',
    ...(keeps === undefined ? {} : { passThroughTlvs: encodeChoice(keeps) }),
    rules: metadata.map(({ type, namespace, key }) => ({
      tlvType: type,
      onTlvPresent: { metadataNamespace: namespace === NAMESPACE ? '' : namespace, key },
    })),
    disallowedVersions: refuses === undefined ? [] : [PROXY_VERSIONS[refuses]],
  }
}

const FILTER = covers(
  ProxyProtocolSchema,
  ...['allow_requests_without_proxy_protocol', 'stat_prefix', 'pass_through_tlvs', 'rules'],
  'disallowed_versions',
)
const RULE = covers(ProxyProtocol_RuleSchema, 'tlv_type', 'on_tlv_present')
const PAIR = covers(ProxyProtocol_KeyValuePairSchema, 'metadata_namespace', 'key')

export function decodeProxyFilter(
  proto: ProxyProtocol,
  path: string,
  problems: Problems,
): Pick<Listener, 'proxyProtocol' | 'proxyHeader'> {
  refuseOthers(FILTER, proto, path, problems)
  const keeps = decodeChoice(proto.passThroughTlvs, `${path}.pass_through_tlvs`, problems)
  const metadata = proto.rules.map((rule, index) => {
    const at = `${path}.rules[${index}]`
    const { tlvType: type, onTlvPresent } = rule
    refuseOthers(RULE, rule, at, problems)
    checkType(type, `${at}.tlv_type`, problems)
    if (onTlvPresent !== undefined) {
      refuseOthers(PAIR, onTlvPresent, `${at}.on_tlv_present`, problems)
    }
    const key = onTlvPresent?.key ?? ''
    if (key === '') problems.add(`${at}.on_tlv_present.key`, 'must not be empty')
    return { type, namespace: onTlvPresent?.metadataNamespace || NAMESPACE, key }
  })
  const [refuses, ...others] = new Set(proto.disallowedVersions.map(versionOf))
  if (others.length > 0) problems.add(`${path}.disallowed_versions`, 'leave no version to take')
  const proxyHeader: ProxyHeaderRules = {
    ...(keeps === undefined ? {} : { keeps }),
    ...(metadata.length === 0 ? {} : { metadata }),
    ...(refuses === undefined ? {} : { refuses }),
  }
  return {
    proxyProtocol: proto.allowRequestsWithoutProxyProtocol ? 'optional' : 'required',
    ...(Object.keys(proxyHeader).length === 0 ? {} : { proxyHeader }),
  }
}

export function encodeProxyConfig(
  version: 'v1' | 'v2',
  { passes, adds = [] }: ProxyTlvs = {},
): Init<typeof ProxyProtocolConfigSchema> {
  return {
    version: PROXY_VERSIONS[version],
    ...(passes === undefined ? {} : { passThroughTlvs: encodeChoice(passes) }),
    addedTlvs: adds.map(({ type, value }) => ({ type, value })),
  }
}

/** `format_string` is for TCP proxies alone. */
const ENTRY = covers(TlvEntrySchema, 'type', 'value')

export function decodeProxyConfig(
  proto: ProxyProtocolConfig | undefined,
  path: string,
  problems: Problems,
): { proxyProtocol: 'v1' | 'v2'; proxyTlvs?: ProxyTlvs } {
  const passes = decodeChoice(proto?.passThroughTlvs, `${path}.pass_through_tlvs`, problems)
  const adds = (proto?.addedTlvs ?? []).map((entry, index) => {
    const at = `${path}.added_tlvs[${index}]`
    refuseOthers(ENTRY, entry, at, problems)
    checkType(entry.type, `${at}.type`, problems)
    if (entry.value.length === 0) problems.add(`${at}.value`, 'must not be empty')
    return { type: entry.type, value: entry.value }
  })
  const isSilent = passes === undefined && adds.length === 0
  const proxyTlvs = {
    ...(passes === undefined ? {} : { passes }),
    ...(adds.length === 0 ? {} : { adds }),
  }
  return {
    proxyProtocol: versionOf(proto?.version ?? ProxyProtocolConfig_Version.V1),
    ...(isSilent ? {} : { proxyTlvs }),
  }
}

function versionOf(version: ProxyProtocolConfig_Version): 'v1' | 'v2' {
  return version === ProxyProtocolConfig_Version.V2 ? 'v2' : 'v1'
}

function encodeChoice(choice: TlvChoice): Init<typeof ProxyProtocolPassThroughTLVsSchema> {
  return choice === 'all'
    ? { matchType: INCLUDE_ALL }
    : { matchType: INCLUDE, tlvType: [...choice] }
}

const CHOICE = covers(ProxyProtocolPassThroughTLVsSchema, 'match_type', 'tlv_type')

function decodeChoice(
  proto: ProxyProtocolPassThroughTLVs | undefined,
  path: string,
  problems: Problems,
): TlvChoice | undefined {
  if (proto === undefined) return undefined
  refuseOthers(CHOICE, proto, path, problems)
  for (const [index, type] of proto.tlvType.entries()) {
    checkType(type, `${path}.tlv_type[${index}]`, problems)
  }
  return proto.matchType === INCLUDE ? proto.tlvType : 'all'
}

function checkType(type: number, path: string, problems: Problems): void {
  if (type > MAX_TLV_TYPE) problems.add(path, `must be at most ${MAX_TLV_TYPE}, got ${type}`)
}
