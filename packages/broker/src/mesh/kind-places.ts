/**
 * Where brokers of a cluster offer kinds of workloads to the mesh. Each broker has an address of
 * its own for each kind, also for those that are connected to others: whoever is at one of these
 * addresses is called by a link of the cluster, not by the way of who did not dial in.
 */
import { createHash } from 'node:crypto'

/** By address (`host:port`) which kind it is for. */
export type Places = Readonly<Record<string, string>>

/** The same at every broker. @param key Whatever makes the kind what it is. */
export function kindId(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, 16)
}

export class KindPlaces {
  readonly #byBroker = new Map<string, Places>()
  #all = new Map<string, string>()

  /** What another broker offers from now on; undefined: nothing. */
  learn(broker: string, places: Places | undefined): void {
    if (places === undefined) this.#byBroker.delete(broker)
    else this.#byBroker.set(broker, places)
    this.#all = new Map([...this.#byBroker.values()].flatMap((each) => Object.entries(each)))
  }

  /** The kind that another broker offers at the address. */
  at(address: string): string | undefined {
    return this.#all.get(address)
  }
}
