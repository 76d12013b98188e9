/** A gRPC server that is its own proxy: `GRPC_XDS_BOOTSTRAP=… node server.ts HOST:PORT`. */
import { ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'
import { register, XdsServer, XdsServerCredentials } from '@grpc/grpc-js-xds'
import { ECHO } from './echo.ts'

// The library's filters are known to it from here on.
register()
const [, , address = ''] = process.argv
const server = new XdsServer({})
server.addService(ECHO, {
  whoAmI(call: ServerUnaryCall<string, string>, answer: sendUnaryData<string>) {
    answer(null, call.getAuthContext().sslPeerCertificate?.subjectaltname ?? 'nobody')
  },
})
const credentials = new XdsServerCredentials(ServerCredentials.createInsecure())
server.bindAsync(address, credentials, (error) => {
  if (error === null) console.log('the server is up')
  else throw error
})
