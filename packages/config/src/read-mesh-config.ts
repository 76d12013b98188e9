/** Reads `MeshConfig` out of the ConfigMap that holds it. */

import { type AccessLogFields, logOperatorsProblem } from '@weft/model'
import { findIdle, IDLE_MESH_FIELDS } from './acted-on.ts'
import type { DocumentOf } from './document.ts'
import { type MeshConfig, meshConfig } from './kinds/mesh-config.ts'
import type { Problem, Severity } from './problem.ts'
import type { ProblemCode } from './problem-codes.ts'
import { checkRetries } from './rules/http-route-actions.ts'
import { checkDuration } from './rules/istio-common.ts'
import { isDnsLabel } from './rules/names.ts'
import type { Findings } from './rules/rules.ts'
import { checkSchema } from './schema/check.ts'
import { goDurationMs } from './schema/go-duration.ts'
import { findPlace, LineIndex, offsetOf, type Place, type Position } from './text/places.ts'
import { readYaml } from './text/read-yaml.ts'

/** Name and key under which Istio keeps the settings of the mesh. */
export const MESH_CONFIG_MAP = { name: 'istio', key: 'mesh' } as const

export interface ReadMeshConfig {
  readonly meshConfig: MeshConfig
  readonly problems: readonly Problem[]
}

/**
 * The settings with defaults filled in; the defaults alone when `configMap` is
 * undefined or its settings are broken (then `problems` says why).
 */
export function readMeshConfig(configMap: DocumentOf<'ConfigMap'> | undefined): ReadMeshConfig {
  const text = configMap?.spec.data[MESH_CONFIG_MAP.key]
  if (configMap === undefined || text === undefined) {
    return { meshConfig: DEFAULT_MESH_CONFIG, problems: [] }
  }
  const reader = new MeshReader(configMap, text)
  return reader.read()
}

const NO_PLACE: Place = { at: 0 }

/** Nothing written means every default. */
const DEFAULT_MESH_CONFIG = checkSchema(meshConfig, {}, '').value as MeshConfig

/** The path of a setting: where it stands in the ConfigMap, then in the text there. */
const ROOT = `data.${MESH_CONFIG_MAP.key}`

class MeshReader {
  readonly #configMap: DocumentOf<'ConfigMap'>
  readonly #text: string
  readonly #lines: LineIndex
  readonly #problems: Problem[] = []

  constructor(configMap: DocumentOf<'ConfigMap'>, text: string) {
    this.#configMap = configMap
    this.#text = text
    this.#lines = new LineIndex(text)
  }

  read(): ReadMeshConfig {
    const raw = readYaml(this.#text)
    for (const { offset, message, code } of raw.problems) {
      this.#add(ROOT, 'error', code, message, this.#lines.positionOf(offset))
    }
    const { value = {}, place = NO_PLACE } = raw.documents[0] ?? {}
    const checked = checkSchema(meshConfig, value ?? {}, '')
    for (const { path, code, message, suggestion } of checked.findings) {
      // Istio's list of settings is longer than ours and grows: an unknown one may be right.
      const severity = code === 'unknown-field' ? 'warning' : 'error'
      this.#add(below(path), severity, code, message, this.#positionOf(place, path), suggestion)
    }
    if (checked.broken.length === 0) {
      checkMesh(checked.value as MeshConfig, this.#findings(place))
      for (const path of findIdle(IDLE_MESH_FIELDS, '', value)) {
        const message = 'accepted, not acted on yet'
        this.#add(below(path), 'warning', 'not-acted-on', message, this.#positionOf(place, path))
      }
    }
    const isBroken = this.#problems.some(({ severity }) => severity === 'error')
    const settings = isBroken ? DEFAULT_MESH_CONFIG : (checked.value as MeshConfig)
    return { meshConfig: settings, problems: this.#problems }
  }

  #findings(place: Place): Findings {
    return {
      error: (path, code, message) =>
        this.#add(below(path), 'error', code, message, this.#positionOf(place, path)),
      warning: (path, code, message) =>
        this.#add(below(path), 'warning', code, message, this.#positionOf(place, path)),
    }
  }

  #positionOf(place: Place, path: string): Position {
    return this.#lines.positionOf(offsetOf(findPlace(place, path).place))
  }

  #add(
    path: string,
    severity: Severity,
    code: ProblemCode,
    message: string,
    inner: Position,
    suggestion?: string,
  ): void {
    const { apiVersion, kind, metadata, origin, lineOf } = this.#configMap
    // A block scalar's text begins on the line below its key.
    const isBlock = this.#text.includes('\n')
    this.#problems.push({
      file: origin.file ?? '',
      line: lineOf(ROOT) + (isBlock ? inner.line : inner.line - 1),
      column: 0,
      path,
      severity,
      code,
      message: `${path}: ${message}`,
      ...(suggestion === undefined ? {} : { suggestion }),
      object: { apiVersion, kind, namespace: metadata.namespace, name: metadata.name },
    })
  }
}

function below(path: string): string {
  return path === '' || path.startsWith('[') ? `${ROOT}${path}` : `${ROOT}.${path}`
}

/** Istio's bounds on `connectTimeout`. */
const CONNECT_TIMEOUT_MS = { min: 1, max: 30_000 }

/** A format that no proxy would take is as if absent: the lines are Weft's own then. */
function checkLogFormat(
  { accessLogFormat, accessLogEncoding }: MeshConfig,
  findings: Findings,
): void {
  const fields = accessLogEncoding === 'JSON' ? jsonFields(accessLogFormat) : undefined
  const format =
    fields === undefined
      ? ({ kind: 'text', template: accessLogFormat } as const)
      : ({ kind: 'json', fields } as const)
  const problem = logOperatorsProblem(format)
  if (problem === undefined) return
  findings.warning('accessLogFormat', 'no-effect', `${problem}; the default format is used`)
}

function jsonFields(text: string): AccessLogFields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as AccessLogFields) : undefined
  } catch {
    return undefined
  }
}

function checkMesh(mesh: MeshConfig, findings: Findings): void {
  checkLogFormat(mesh, findings)
  checkDuration(mesh.connectTimeout, 'connectTimeout', findings)
  const ms = goDurationMs(mesh.connectTimeout) ?? 0
  if (ms > CONNECT_TIMEOUT_MS.max) {
    findings.error(
      'connectTimeout',
      'out-of-range',
      `must be at most 30s, got ${mesh.connectTimeout}`,
    )
  }
  checkRetries(mesh.defaultHttpRetryPolicy, 'defaultHttpRetryPolicy', findings)
  checkTrustDomain(mesh.trustDomain, 'trustDomain', findings)
  for (const [index, alias] of (mesh.trustDomainAliases ?? []).entries()) {
    checkTrustDomain(alias, `trustDomainAliases[${index}]`, findings)
  }
}

function checkTrustDomain(domain: string, path: string, findings: Findings): void {
  const labels = domain.replace(/\.$/, '').split('.')
  if (domain !== '' && labels.every(isDnsLabel)) return
  findings.error(path, 'bad-name', `must be a domain such as cluster.local, got "${domain}"`)
}
