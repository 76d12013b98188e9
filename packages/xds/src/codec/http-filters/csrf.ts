/** Cross-site request forgery ⇄ `envoy.filters.http.csrf`. */
import type { CsrfPolicy } from '@weft/model'
import {
  type CsrfPolicy as CsrfPolicyProto,
  CsrfPolicySchema,
} from '../../gen/envoy/extensions/filters/http/csrf/v3/csrf_pb.js'
import { decodeString, encodeString } from '../matchers.ts'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import { type Init, packAny, unpackAny } from '../values.ts'
import { decodeShare, encodeShare, type HttpFilterCodec } from './filter-codec.ts'

const POLICY = covers(CsrfPolicySchema, 'filter_enabled', 'shadow_enabled', 'additional_origins')
const OFF: CsrfPolicy = { enabledPercent: 0, shadowPercent: 0, additionalOrigins: [] }

export const csrf: HttpFilterCodec<'csrf'> = {
  name: 'envoy.filters.http.csrf',

  encode: ({ policy }) => [
    {
      value: packAny(CsrfPolicySchema, encodePolicy(policy ?? OFF)),
      disabled: policy === undefined,
    },
  ],

  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, CsrfPolicySchema)
    if (proto === undefined) return undefined
    return { kind: 'csrf', ...(disabled ? {} : { policy: decodePolicy(proto, path, problems) }) }
  },

  encodeOverride: ({ csrf: policy }) =>
    policy === undefined ? undefined : packAny(CsrfPolicySchema, encodePolicy(policy)),

  decodeOverride(any, path, problems) {
    const proto = unpackAny(any, CsrfPolicySchema)
    return proto === undefined ? undefined : { csrf: decodePolicy(proto, path, problems) }
  },
}

function encodePolicy(policy: CsrfPolicy): Init<typeof CsrfPolicySchema> {
  return {
    filterEnabled: encodeShare(policy.enabledPercent),
    ...(policy.shadowPercent === 0 ? {} : { shadowEnabled: encodeShare(policy.shadowPercent) }),
    additionalOrigins: policy.additionalOrigins.map(encodeString),
  }
}

function decodePolicy(proto: CsrfPolicyProto, path: string, problems: Problems): CsrfPolicy {
  refuseOthers(POLICY, proto, path, problems)
  return {
    enabledPercent: decodeShare(proto.filterEnabled, 100),
    shadowPercent: decodeShare(proto.shadowEnabled, 0),
    additionalOrigins: proto.additionalOrigins.map((origin, index) =>
      decodeString(origin, `${path}.additional_origins[${index}]`, problems),
    ),
  }
}
