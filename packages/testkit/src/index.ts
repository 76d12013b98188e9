export { FakeClock } from './fake-clock.ts'
export { checkGolden, renderYaml } from './golden.ts'
export { seededRandom } from './seeded-random.ts'
