/** An application that knows nothing of a mesh: it listens where PORT says. */
import { createServer } from 'node:http'

const version = process.env.WEFT_VERSION ?? 'unknown'
createServer((_request, response) => response.end(`hello from ${version}\n`)).listen(
  Number(process.env.PORT ?? 8000),
  '127.0.0.1',
)
