/** A gRPC service of one method, said without a compiler: who calls is the answer. */
import type { ServiceDefinition } from '@grpc/grpc-js'

const bytes = {
  serialize: (text: string) => Buffer.from(text),
  deserialize: (data: Buffer) => data.toString(),
}

export const ECHO: ServiceDefinition = {
  whoAmI: {
    path: '/weft.test.Echo/WhoAmI',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  },
}
