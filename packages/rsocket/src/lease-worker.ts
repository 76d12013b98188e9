/** Test support: a responder in a thread of its own, so that its event loop can be held up. */
import { parentPort, workerData } from 'node:worker_threads'
import { connect } from './index.ts'

const { uri, lease } = workerData as { uri: string; lease: { initial: number } }
let served = 0
const client = await connect({
  brokers: uri,
  instance: 'leased',
  lease,
  services: {
    s: {
      count: () => `${++served}`,
      stall: (request) => {
        const untilMs = performance.now() + Number(request.text())
        while (performance.now() < untilMs);
      },
      status: () => client.status(),
    },
  },
})
parentPort?.on('message', () => void client.close(0).then(() => process.exit()))
parentPort?.postMessage('up')
