/** Contenders of scenarios in which one process stands between clients and one application. */
import type { Contender, Place } from './contest.ts'
import { launchEnvoy, launchHaproxy, launchNginx, launchWeft } from './launch.ts'
import { cluster, httpListener, type ResourceFiles } from './resources.ts'

export interface OneHop {
  /** Of Weft and Envoy. */
  readonly resources: (place: Place) => ResourceFiles
  readonly haproxy?: {
    /** Default: `http`. */
    readonly mode?: 'http' | 'tcp'
    /** Behind the addresses, e.g. `proto h2`. */
    readonly bind?: string
    readonly server?: string
  }
  /** What stands in `http` and in `stream`; absent: nginx does not take part. */
  readonly nginx?: ((port: number, origin: number) => NginxSections) | undefined
}

interface NginxSections {
  readonly http?: string
  readonly stream?: string
}

/** Plain HTTP/1.1 on both sides. */
export function plainHttp({ ports: [port = 0], origin }: Place): ResourceFiles {
  return {
    listeners: [httpListener(port, 'app')],
    clusters: [cluster('app', [origin])],
    secrets: [],
  }
}

export function oneHop({ resources, haproxy = {}, nginx }: OneHop): readonly Contender[] {
  const { mode = 'http', bind = '', server = '' } = haproxy
  const weft: Contender = {
    name: 'weft',
    launches: (place) => [launchWeft(place.dir, portOf(place), resources(place))],
  }
  const haproxyItself: Contender = {
    name: 'haproxy',
    program: 'haproxy',
    launches(place) {
      const port = portOf(place)
      const front = `frontend f\n  bind 127.0.0.1:${port} ${bind}\n  default_backend b\n`
      const back = `backend b\n  server a 127.0.0.1:${place.origin} ${server}\n`
      return [launchHaproxy(place.dir, port, mode, front + back)]
    },
  }
  const envoy: Contender = {
    name: 'envoy',
    program: 'envoy',
    launches: (place) => [launchEnvoy(place.dir, portOf(place), resources(place))],
  }
  return nginx === undefined
    ? [weft, haproxyItself, envoy]
    : [weft, haproxyItself, nginxWith(nginx), envoy]
}

function nginxWith(sections: NonNullable<OneHop['nginx']>): Contender {
  return {
    name: 'nginx',
    program: 'nginx',
    launches(place) {
      const port = portOf(place)
      const { http = '', stream } = sections(port, place.origin)
      return [launchNginx(place.dir, port, http, stream)]
    },
  }
}

function portOf({ ports: [port = 0] }: Place): number {
  return port
}
