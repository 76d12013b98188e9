/** The RSocket data plane. */
export { Broker, type BrokerDeps, type BrokerOptions, type DrainOptions } from './broker.ts'
export { HELLO_MIME } from './hello.ts'
export { type BrokerLimits, DEFAULT_LIMITS } from './limits.ts'
export { type MeshBroker, openMeshBroker } from './mesh/open-mesh-broker.ts'
