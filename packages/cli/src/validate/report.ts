/** What `weft validate` says about objects, as JSON and for people. Pure. */
import type { ObjectRef, ParsedObject, Problem, Severity, Validation } from '@weft/config'
import { renderProblems } from '@weft/config'
import type { Style } from '../terminal/style.ts'

/** One object as `weft validate --json` prints it; the fields are part of the interface. */
export interface ObjectReport {
  readonly file: string
  readonly line: number
  /** Empty, like namespace and name, when the text could not be read as an object. */
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly valid: boolean
  readonly problems: readonly {
    readonly path: string
    readonly line: number
    readonly severity: Severity
    readonly message: string
  }[]
}

/** Every object in the order of the files, then of lines. */
export function reportObjects(validation: Validation): readonly ObjectReport[] {
  const reported = new Set<Problem>()
  const known = validation.objects.map((object) => {
    const problems = problemsOf(object, validation.problems)
    for (const problem of problems) reported.add(problem)
    return report(object.file, object.line, object.object, problems)
  })
  const skipped = validation.skipped.map(({ file, line, object, note }) =>
    report(file, line, object, [{ path: '', line, severity: 'info', message: note }]),
  )
  const nowhere = validation.problems
    .filter((problem) => !reported.has(problem))
    .map((problem) => report(problem.file, problem.line, problem.object, [problem]))
  return inOrder([...known, ...skipped, ...nowhere], fileOrder(validation))
}

function problemsOf(object: ParsedObject, all: readonly Problem[]): readonly Problem[] {
  const own = new Set(object.problems)
  const across = all.filter(
    (problem) =>
      !own.has(problem) &&
      problem.file === object.file &&
      problem.object !== undefined &&
      isSame(problem.object, object.object),
  )
  return [...own, ...across]
}

function isSame(a: ObjectRef, b: ObjectRef): boolean {
  return (
    a.kind === b.kind &&
    a.namespace === b.namespace &&
    a.name === b.name &&
    a.apiVersion === b.apiVersion
  )
}

type ReportedProblem = Pick<Problem, 'path' | 'line' | 'severity' | 'message'>

function report(
  file: string,
  line: number,
  object: ObjectRef | undefined,
  problems: readonly ReportedProblem[],
): ObjectReport {
  return {
    file,
    line,
    kind: object?.kind ?? '',
    namespace: object?.namespace ?? '',
    name: object?.name ?? '',
    valid: !problems.some((problem) => problem.severity === 'error'),
    problems: problems.map(({ path, line: at, severity, message }) => ({
      path,
      line: at,
      severity,
      message,
    })),
  }
}

function fileOrder(validation: Validation): ReadonlyMap<string, number> {
  const order = new Map<string, number>()
  for (const { file } of [...validation.objects, ...validation.skipped, ...validation.problems]) {
    if (!order.has(file)) order.set(file, order.size)
  }
  return order
}

function inOrder(
  reports: readonly ObjectReport[],
  files: ReadonlyMap<string, number>,
): readonly ObjectReport[] {
  const rank = (report: ObjectReport) => files.get(report.file) ?? 0
  return reports.toSorted((a, b) => rank(a) - rank(b) || a.line - b.line)
}

/** Problems with their lines of source, then one line that counts. */
export function renderValidation(
  validation: Validation,
  texts: ReadonlyMap<string, string>,
  style: Style,
): string {
  const reports = reportObjects(validation)
  const invalid = reports.filter((report) => !report.valid).length
  const warnings = validation.problems.filter(({ severity }) => severity === 'warning').length
  const skipped = validation.skipped.length
  const counts = [
    count(reports.length - skipped, 'object'),
    invalid === 0 ? style.green('all valid') : style.red(`${invalid} invalid`),
    ...(warnings === 0 ? [] : [style.yellow(count(warnings, 'warning'))]),
    ...(skipped === 0 ? [] : [`${skipped} of kinds that the mesh does not read`]),
  ]
  const shown = validation.problems.filter(({ severity }) => severity !== 'info')
  return `${renderProblems(shown, texts)}${counts.join(', ')}\n`
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
