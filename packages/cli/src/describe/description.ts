/** What holds for one thing of a mesh, as sections of rows; the fields are part of the interface. */

export interface Description {
  readonly kind: 'workload' | 'service' | 'gateway' | 'route'
  /** `namespace/name`. */
  readonly name: string
  /** `file:line`; `null`: nobody wrote it down. */
  readonly origin: string | null
  readonly sections: readonly Section[]
  readonly warnings: readonly string[]
}

export interface Section {
  /** Of the JSON; the heading is made from it. */
  readonly name: string
  readonly rows: readonly Row[]
}

export type Row = Readonly<Record<string, string | number | null>>

export function section(name: string, rows: readonly Row[]): readonly Section[] {
  return rows.length === 0 ? [] : [{ name, rows }]
}

/** For `--json`: sections by name. */
export function descriptionJson({ sections, ...rest }: Description): object {
  return { ...rest, ...Object.fromEntries(sections.map(({ name, rows }) => [name, rows])) }
}
