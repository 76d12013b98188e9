/**
 * Asks a gRPC service who the caller is: `node client.ts xds:///HOST:PORT`, with its configuration and
 * identity from GRPC_XDS_BOOTSTRAP, or `node client.ts HOST:PORT`, in plaintext as nobody.
 */
import { credentials, makeGenericClientConstructor, type ServiceError } from '@grpc/grpc-js'
import { register, XdsChannelCredentials } from '@grpc/grpc-js-xds'
import { ECHO } from './echo.ts'

const TIMEOUT_MS = 10_000

register()
const [, , target = ''] = process.argv
const insecure = credentials.createInsecure()
const isXds = target.startsWith('xds:')
const Client = makeGenericClientConstructor(ECHO, 'Echo')
const client = new Client(target, isXds ? new XdsChannelCredentials(insecure) : insecure)
type WhoAmI = (
  request: string,
  options: { readonly deadline: number },
  answer: (error: ServiceError | null, text: string) => void,
) => void
const whoAmI = client.whoAmI as WhoAmI
whoAmI.call(client, 'who am I?', { deadline: Date.now() + TIMEOUT_MS }, (error, text) => {
  console.log(JSON.stringify(error === null ? { text } : { error: error.details }))
  process.exit(0)
})
