import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DEFAULT_OVERLOAD } from './overload-options.ts'
import { parseOverload } from './parse-overload.ts'

const MEMORY = 'envoy.resource_monitors.cgroup_memory'
const STOP = 'envoy.overload_actions.stop_accepting_requests'

describe("Envoy's overload_manager", () => {
  test('monitors, thresholds, scaled triggers and the least idle timeout are read', () => {
    const options = parseOverload({
      refresh_interval: '0.5s',
      resource_monitors: [
        { name: MEMORY, typed_config: { '@type': 'x', max_memory_bytes: '268435456' } },
        {
          name: 'envoy.resource_monitors.fixed_heap',
          typed_config: { maxHeapSizeBytes: 1_000 },
        },
      ],
      actions: [
        {
          name: 'envoy.overload_actions.reduce_timeouts',
          triggers: [
            { name: MEMORY, scaled: { scaling_threshold: 0.8, saturation_threshold: 0.9 } },
          ],
          typed_config: {
            timer_scale_factors: [{ timer: 'HTTP_DOWNSTREAM_CONNECTION_IDLE', min_timeout: '3s' }],
          },
        },
        { name: STOP, triggers: [{ name: MEMORY, threshold: { value: 0.95 } }] },
      ],
    })
    assert.deepEqual(options, {
      refreshMs: 500,
      maxLoopDelayMs: DEFAULT_OVERLOAD.maxLoopDelayMs,
      minIdleMs: 3_000,
      maxMemoryBytes: 268_435_456,
      maxHeapBytes: 1_000,
      actions: [
        {
          name: 'envoy.overload_actions.reduce_timeouts',
          triggers: [{ monitor: MEMORY, fromPressure: 0.8, toPressure: 0.9 }],
        },
        { name: STOP, triggers: [{ monitor: MEMORY, fromPressure: 0.95, toPressure: 0.95 }] },
      ],
    })
  })

  test('monitors without actions keep the actions that are built in', () => {
    assert.deepEqual(parseOverload({}), DEFAULT_OVERLOAD)
  })

  for (const [value, problem] of [
    [[], /^overload_manager: must be an object/],
    [{ load_shed_points: [] }, /^overload_manager\.load_shed_points: is not supported/],
    [{ refresh_interval: 5 }, /refresh_interval: must be a duration/],
    [{ actions: {} }, /actions: must be a list/],
    [{ actions: [{ name: 'x' }] }, /actions\[0\]\.name: must be one of envoy\./],
    [{ actions: [{ name: STOP }] }, /actions\[0\]\.triggers: at least one/],
    [
      { actions: [{ name: STOP, triggers: [{ name: MEMORY }] }] },
      /triggers\[0\]: either threshold or scaled/,
    ],
    [
      { actions: [{ name: STOP, triggers: [{ name: MEMORY, threshold: { value: 95 } }] }] },
      /threshold\.value: must be a number from 0 to 1/,
    ],
    [
      {
        actions: [
          {
            name: STOP,
            triggers: [
              { name: MEMORY, scaled: { scaling_threshold: 0.9, saturation_threshold: 0.9 } },
            ],
          },
        ],
      },
      /saturation_threshold must be above/,
    ],
    [
      { resource_monitors: [{ name: MEMORY, typed_config: { max_memory_bytes: -1 } }] },
      /max_memory_bytes: must be a whole number above 0/,
    ],
  ] as const) {
    test(`says where it is wrong: ${problem}`, () => {
      assert.throws(() => parseOverload(value), { message: problem })
    })
  }
})
