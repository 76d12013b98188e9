/** The latest refusals, for people to look at; bounded, newest first. */
import type { Clock } from '@weft/base'
import type { Rejection } from './ads-client.ts'

const MAX_KEPT = 100

export class Rejections {
  readonly #clock: Clock
  #list: Rejection[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(rejection: Omit<Rejection, 'atMs'>): void {
    this.#list = [{ ...rejection, atMs: this.#clock.nowMs() }, ...this.#list].slice(0, MAX_KEPT)
  }

  newestFirst(): readonly Rejection[] {
    return this.#list
  }
}
