/** The documents by what checks look them up by. Built once for all checks. */

import { type Document, type DocumentOf, type DocumentType, documentsOf } from '../document.ts'

export interface AnalyzedService {
  /** Fully qualified; may begin with `*`. */
  readonly host: string
  readonly namespace: string
  readonly ports: readonly { readonly number: number; readonly name: string }[]
  readonly document: DocumentOf<'Service'> | DocumentOf<'ServiceEntry'>
}

/** Everything that checks need; `domain` and `rootNamespace` as in `AnalyzeOptions`. */
export class AnalysisIndex {
  readonly domain: string
  readonly rootNamespace: string
  readonly documents: readonly Document[]
  readonly services: readonly AnalyzedService[]
  readonly #byName = new Map<string, Document>()
  readonly #byType: ReadonlyMap<DocumentType, readonly Document[]>
  readonly #byHost: ReadonlyMap<string, readonly AnalyzedService[]>
  readonly #wildcards: readonly AnalyzedService[]
  readonly #rulesByHost: ReadonlyMap<string, readonly DocumentOf<'DestinationRule'>[]>

  constructor(documents: readonly Document[], domain: string, rootNamespace: string) {
    this.documents = documents
    this.domain = domain
    this.rootNamespace = rootNamespace
    for (const document of documents) {
      const { namespace, name } = document.metadata
      this.#byName.set(`${document.type}/${namespace}/${name}`, document)
    }
    this.#byType = Map.groupBy(documents, ({ type }) => type)
    this.services = [...kubernetesServices(documents, domain), ...serviceEntries(documents)]
    this.#byHost = Map.groupBy(this.services, ({ host }) => host)
    this.#wildcards = this.services.filter(({ host }) => host.startsWith('*'))
    this.#rulesByHost = Map.groupBy(this.all('DestinationRule'), ({ spec, metadata }) =>
      this.resolveHost(spec.host, metadata.namespace),
    )
  }

  all<T extends DocumentType>(type: T): readonly DocumentOf<T>[] {
    return (this.#byType.get(type) ?? []) as unknown as readonly DocumentOf<T>[]
  }

  find<T extends DocumentType>(
    type: T,
    namespace: string,
    name: string,
  ): DocumentOf<T> | undefined {
    return this.#byName.get(`${type}/${namespace}/${name}`) as DocumentOf<T> | undefined
  }

  /** Without any service, files hold only rules, and nothing can be said about their hosts. */
  hasServices(): boolean {
    return this.services.length > 0
  }

  /** `reviews` of namespace `default` → `reviews.default.svc.cluster.local`; names with a dot are whole. */
  resolveHost(host: string, namespace: string): string {
    const isShort = !host.includes('.') && !host.startsWith('*') && !host.includes(':')
    return isShort ? `${host}.${namespace}.svc.${this.domain}`.toLowerCase() : host.toLowerCase()
  }

  /** The DestinationRules whose host is exactly this one, fully qualified. */
  rulesOf(host: string): readonly DocumentOf<'DestinationRule'>[] {
    return this.#rulesByHost.get(host) ?? []
  }

  servicesOf(host: string): readonly AnalyzedService[] {
    const exact = this.#byHost.get(host)
    if (exact !== undefined) return exact
    return this.#wildcards.filter((service) => host.endsWith(service.host.slice(1)))
  }
}

function kubernetesServices(
  documents: readonly Document[],
  domain: string,
): readonly AnalyzedService[] {
  return documentsOf(documents, 'Service').map((document) => ({
    host: `${document.metadata.name}.${document.metadata.namespace}.svc.${domain}`,
    namespace: document.metadata.namespace,
    ports: (document.spec.ports ?? []).map(({ port, name = '' }) => ({ number: port, name })),
    document,
  }))
}

function serviceEntries(documents: readonly Document[]): readonly AnalyzedService[] {
  return documentsOf(documents, 'ServiceEntry').flatMap((document) =>
    document.spec.hosts.map((host) => ({
      host: host.toLowerCase(),
      namespace: document.metadata.namespace,
      ports: (document.spec.ports ?? []).map(({ number, name }) => ({ number, name })),
      document,
    })),
  )
}
