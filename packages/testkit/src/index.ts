export { eventually } from './eventually.ts'
export { FakeClock } from './fake-clock.ts'
export { freePort } from './free-port.ts'
export { checkGolden, renderYaml } from './golden.ts'
export { seededRandom } from './seeded-random.ts'
export {
  createTestCa,
  der,
  type TestCa,
  type TestCertificate,
  type TestNames,
} from './test-certificates.ts'
