import { describe, expect, it } from 'vitest';
import { isRedisHere } from '../../fakes/servers.ts';
import { FleetRig, SIZE } from './fleet-rig.ts';

const rig = new FleetRig();

describe.runIf(isRedisHere())('16 processes with clocks up to 5 s wrong', () => {
  it('send one probe when the breaker is half-open, and go on when it is answered', async () => {
    const server = await rig.redisServer();
    const openMs = 2000;
    const failForMs = 20_000;
    const fleet = await rig.fleetOn(server.url, 48_000, { failForMs, breakerOpenMs: openMs });
    const failUntilMs = fleet.startedAtMs + failForMs;
    const grants = await fleet.grants();
    const probes = grants.filter(({ isProbe }) => isProbe);
    const failing = grants.filter(({ atMs }) => atMs < failUntilMs);
    const before = failing.filter(({ isProbe }) => !isProbe);
    const gaps = probes.slice(1).map(({ atMs }, at) => Math.round(atMs - probes[at]!.atMs));
    const after = grants.filter(({ atMs }) => atMs > failUntilMs && atMs > probes.at(-1)!.atMs);
    process.stdout.write(
      `fleet probe, ${SIZE} processes: ${probes.length} probes in ${new Set(probes.map(({ member }) => member)).size} processes, ` +
        `${gaps.join(', ')} ms apart; ${before.length} other calls before it opened; ${after.length} calls after the answer\n`,
    );
    expect(probes.length).toBeGreaterThanOrEqual(3);
    // Each one comes no sooner than the breaker is open after the one before has failed, doubling: never two at once.
    for (const [at, gapMs] of gaps.entries()) expect(gapMs).toBeGreaterThanOrEqual(openMs * 2 ** (at + 1));
    // What was in flight, or had its place, when it opened: not more than the workers of a second.
    expect(before.every(({ atMs }) => atMs < probes[0]!.atMs)).toBe(true);
    expect(after.length).toBeGreaterThan(20);
  });
});
