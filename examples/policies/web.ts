/** The service: text for everybody, `/healthz` for health checks. Listens where PORT says. */
import { createServer } from 'node:http'

const page = 'A page of the shop.\n'.repeat(100)
const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/plain')
  response.end(request.url === '/healthz' ? 'ok' : page)
})
server.listen(Number(process.env.PORT), '127.0.0.1')
