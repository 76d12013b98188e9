/**
 * Every code a problem can have, with what it means. Codes are stable: scripts
 * and documents refer to them.
 */

export const PROBLEM_CODES = {
  // The text.
  syntax: 'The text is not YAML or JSON.',
  'duplicate-key': 'A map has a key twice.',
  'too-large': 'The text, its nesting or what its aliases unfold to is beyond a limit.',
  'unreadable-file': 'The source could not be read.',
  'not-an-object': 'There is no Kubernetes object here, or its group is misspelt.',
  // The schema of a kind.
  'unknown-field': 'The kind has no such field.',
  'missing-field': 'A required field is missing or empty.',
  'wrong-type': 'The value has another type than the field.',
  'not-allowed': 'The value is none of those allowed.',
  'out-of-range': 'The value, or the number of values, is outside its bounds.',
  'bad-format': 'The text has not the form of its field, e.g. of a duration.',
  duplicate: 'Something that must be unique is there twice.',
  'crd-rule': 'A validation rule of the published CRD is not met.',
  'conflicting-fields': 'Fields that exclude each other, or need each other, are set.',
  // What a field means.
  'bad-name': 'A name has not the form of its kind of name.',
  'bad-host': 'A host name or wildcard is not valid here.',
  'bad-address': 'An IP address, range or socket is not valid.',
  'bad-header': 'A header name or value is not valid, or the header may not be changed.',
  'bad-regex': 'A regular expression is not RE2, or too long.',
  'bad-label': 'A label or annotation key, or a label value, is not valid.',
  'bad-annotation': 'The annotation is refused on this kind.',
  'bad-export': 'An exportTo list contradicts itself.',
  'bad-gateway-name': 'A gateway is named in no known way.',
  'bad-locality': 'A locality is not region/zone/subzone, or overlaps another.',
  'bad-weights': 'Weights add up to what they must not.',
  'unknown-port': 'An endpoint names a port that its service does not have.',
  'not-supported': 'Known, but refused, by Istio as well.',
  // Valid, but perhaps not what was meant.
  'not-acted-on': 'Accepted, but no data plane of this release acts on it.',
  'no-effect': 'The setting changes nothing in its place.',
  deprecated: 'There is a newer field for it.',
  'empty-selector': 'A selector without labels selects everything.',
  'no-address': 'A workload without an address is reached through its network only.',
  'large-body': 'A response body that every proxy must hold.',
  'denies-all': 'An AuthorizationPolicy without rules allows nothing.',
  'denies-tcp': 'A DENY rule about HTTP alone denies every connection of TCP ports.',
  'unreachable-route': 'Earlier routes take every request of this one.',
  'unreachable-match': 'An earlier match takes every request of this one.',
  // Across objects.
  'duplicate-object': 'Two objects have the same kind, namespace and name.',
  'missing-host': 'No service has the host.',
  'missing-subset': 'No DestinationRule defines the subset.',
  'missing-port': 'The service has no such port.',
  'port-required': 'The service has several ports and none is named.',
  'missing-gateway': 'The Gateway does not exist.',
  'missing-delegate': 'The VirtualService to delegate to does not exist.',
  'missing-secret': 'The Secret does not exist.',
  'missing-parent': 'The parent of a route does not exist.',
  'missing-listener': 'The Gateway has no such listener.',
  'missing-backend': 'The backend does not exist.',
  'missing-class': 'The GatewayClass does not exist.',
  'reference-not-granted': 'No ReferenceGrant allows the reference into another namespace.',
  'host-not-served': 'The Gateway does not serve the host.',
  'conflicting-hosts': 'Several VirtualServices have rules for one host of the mesh.',
  'missing-target': 'What a policy attaches to does not exist.',
  'no-workload': 'No workload has the labels that a policy selects.',
  'missing-namespace': 'The namespace does not exist.',
  'conflicting-policies': 'Several policies say the same for one target.',
  'conflicting-rules': 'Several DestinationRules define the same for one host.',
  'conflicting-gateways': 'Several Gateways open one port for one host on the same proxies.',
  'addresses-required': 'Plain TCP cannot be told apart without addresses.',
} as const satisfies Record<string, string>

export type ProblemCode = keyof typeof PROBLEM_CODES
