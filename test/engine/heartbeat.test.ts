import { describe, expect, it } from 'vitest';
import { beat, HOST_SILENT_MS, liveHosts } from '../../runtime/engine/heartbeat.ts';
import { memoryLedger } from '../fakes/memory-rows.ts';
import { TestClock } from '../fakes/test-clock.ts';

const DAY_MS = 24 * 3_600_000;
const SIGN = { version: 'v1', kind: 'functions' } as const;

const rig = () => ({ clock: new TestClock(), control: memoryLedger().control });

async function rows({ control }: ReturnType<typeof rig>): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { row } of control.scan('host')) found.push(row);
  return found;
}

describe('a sign of life', () => {
  it('makes a host live for as long as the limit says, and no longer', async () => {
    const deps = rig();
    await beat(deps, 'a', SIGN);
    const atMs = deps.clock.now();
    await deps.clock.advance(HOST_SILENT_MS);
    expect(await liveHosts(deps)).toEqual([{ hostId: 'a', atMs, ...SIGN }]);
    await deps.clock.advance(1);
    expect(await liveHosts(deps)).toEqual([]);
  });

  it('is one row per host, which each beat renews', async () => {
    const deps = rig();
    await beat(deps, 'a', SIGN);
    await deps.clock.advance(HOST_SILENT_MS);
    await beat(deps, 'a', { ...SIGN, version: 'v2' });
    await beat(deps, 'b', SIGN);
    await deps.clock.advance(HOST_SILENT_MS);
    expect(await rows(deps)).toEqual(['a', 'b']);
    expect((await liveHosts(deps)).map(({ hostId, version }) => [hostId, version])).toEqual([
      ['a', 'v2'],
      ['b', 'v1'],
    ]);
  });

  it('deletes the rows of hosts that have been silent for a day', async () => {
    const deps = rig();
    await beat(deps, 'a', SIGN);
    await deps.clock.advance(1);
    await beat(deps, 'b', SIGN);
    await deps.clock.advance(DAY_MS);
    await beat(deps, 'c', SIGN);
    expect(await rows(deps)).toEqual(['b', 'c']);
  });

  it('leaves other rows of the control table alone', async () => {
    const deps = rig();
    await deps.control.write([{ partition: 'monitor', row: 'watch', value: '{"atMs":0}', ifMatch: 'absent' }]);
    await deps.clock.advance(10 * DAY_MS);
    await beat(deps, 'a', SIGN);
    expect(await deps.control.read([{ partition: 'monitor', row: 'watch' }])).toMatchObject([{ value: '{"atMs":0}' }]);
  });

  it('fails loudly when the ledger is away', async () => {
    const deps = rig();
    deps.control.fail = new Error('away');
    await expect(beat(deps, 'a', SIGN)).rejects.toThrow('away');
    await expect(liveHosts(deps)).rejects.toThrow('away');
  });
});
