/**
 * A configuration that a data plane must refuse. The message goes to the person
 * who wrote it (status, NACK, log); code reads `where`.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** What was refused, from outside in, e.g. `virtual host "reviews", route "canary"`. */
  readonly where: string

  /** @param problem `Cannot <do>: <what must hold>, got <what was found>`, no period. */
  constructor(where: string, problem: string, options?: ErrorOptions) {
    super(where === '' ? problem : `${where}: ${problem}`, options)
    this.where = where
  }
}
