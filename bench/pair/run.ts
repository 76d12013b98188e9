/**
 * The path that a mesh is made of: application → sidecar → mTLS HTTP/2 → sidecar →
 * application, with the CPU of both sidecars summed, beside a pair of Envoys that is
 * given the same resources in the same run.
 */
import { makeCertificates } from '../kit/certificates.ts'
import { runScenario, type Scenario } from '../kit/contest.ts'
import { launchEnvoy, launchHaproxy, launchWeft } from '../kit/launch.ts'
import { type Json, sidecarPair } from '../kit/resources.ts'
import { postScript, wrk } from '../kit/wrk.ts'

let secrets: readonly Json[] = []
const pair: Scenario = {
  name: 'pair',
  summary: 'CPU per request of two sidecars with mTLS HTTP/2 between them, summed.',
  unit: 'request',
  needs: ['wrk', 'openssl'],
  prepare(shared) {
    secrets = makeCertificates(shared).secrets
  },
  contenders: [
    {
      name: 'weft',
      launches(place) {
        const { client, server } = sidecarPair(place, secrets)
        return [
          launchWeft(`${place.dir}/client`, place.ports[0] ?? 0, client),
          launchWeft(`${place.dir}/server`, place.ports[1] ?? 0, server),
        ]
      },
    },
    {
      name: 'haproxy',
      program: 'haproxy',
      launches({ dir, shared, ports: [front = 0, back = 0], origin }) {
        const at = `${shared}/certificates`
        const tls = `ssl crt ${at}/bundle.pem ca-file ${at}/ca.pem verify required alpn h2`
        const section = (bind: string, to: string) =>
          `frontend f\n  bind ${bind}\n  default_backend b\nbackend b\n  server a ${to}\n`
        return [
          launchHaproxy(
            dir,
            front,
            'http',
            section(`127.0.0.1:${front}`, `127.0.0.1:${back} ${tls}`),
          ),
          launchHaproxy(
            `${dir}/server`,
            back,
            'http',
            section(`127.0.0.1:${back} ${tls}`, `127.0.0.1:${origin}`),
          ),
        ]
      },
    },
    {
      name: 'envoy',
      program: 'envoy',
      launches(place) {
        const { client, server } = sidecarPair(place, secrets)
        return [
          launchEnvoy(`${place.dir}/client`, place.ports[0] ?? 0, client),
          launchEnvoy(`${place.dir}/server`, place.ports[1] ?? 0, server),
        ]
      },
    },
  ],
  works: [
    { name: '100 B', load: (port, seconds) => wrk(`http://127.0.0.1:${port}/bytes/100`, seconds) },
    {
      name: '10 KB down',
      load: (port, seconds) => wrk(`http://127.0.0.1:${port}/bytes/10000`, seconds),
    },
    {
      name: '10 KB up',
      load: (port, seconds, shared) =>
        wrk(`http://127.0.0.1:${port}/`, seconds, { script: postScript(shared, 10_000) }),
    },
  ],
}

export const run = (argv: string[]): Promise<number> => runScenario(pair, argv)
