import { describe, expect, it } from 'vitest';
import { isRedisHere } from '../../fakes/servers.ts';
import { TcpGate } from '../storage/tcp-gate.ts';
import { callsOver } from './fleet.ts';
import { FleetRig, LIMITS, percent, SIZE, within } from './fleet-rig.ts';

const rig = new FleetRig();

describe.runIf(isRedisHere())('16 processes with clocks up to 5 s wrong', () => {
  it('pass no limit in any window while Redis is flushed, cut off, killed and started anew, and use what they may', async () => {
    const first = await rig.redisServer();
    const gate = await TcpGate.open(first.port);
    rig.onEnd(() => gate.close());
    const fleet = await rig.fleetOn(`redis://127.0.0.1:${gate.port}`, 70_000);
    const redis = await rig.client(first.url);
    await fleet.at(20_000);
    await redis.flushall();
    await fleet.at(30_000);
    gate.turn('cut');
    await fleet.at(39_000);
    gate.turn(first.port);
    await fleet.at(50_000);
    first.kill();
    const second = await rig.redisServer();
    await fleet.at(55_000);
    gate.turn(second.port);
    const grants = await fleet.grants();
    const over = callsOver(grants, LIMITS);
    const steady = within(grants, fleet, 10_000, 20_000);
    const cut = within(grants, fleet, 33_000, 39_000);
    const back = within(grants, fleet, 65_500, 69_500);
    const alone = grants.filter(({ isShared }) => !isShared).length;
    const late = grants.map(({ lateMs }) => lateMs).toSorted((a, b) => a - b);
    process.stdout.write(
      `limiter, ${SIZE} processes, clocks +-5 s, ${grants.length} calls (${alone} on own shares): ` +
        `over the limit in any window of 1, 2, 10 s: ${over.upstream} (upstream, fullest second ${over.fullest} of ${LIMITS.upstream}), ${over.user} (any user); ` +
        `used of the allowed rate: ${percent(steady.share)} in peace, ${percent(cut.share)} without Redis, ${percent(back.share)} after its return; ` +
        `calls later than their place: p50 ${late[Math.floor(late.length / 2)]?.toFixed(0)} ms, p99 ${late[Math.floor(late.length * 0.99)]?.toFixed(0)} ms\n`,
    );
    expect(over).toMatchObject({ upstream: 0, user: 0 });
    expect(steady.best).toBeGreaterThanOrEqual(0.95);
    expect(back.best).toBeGreaterThanOrEqual(0.95);
    expect(cut.calls).toBeGreaterThan(0);
    expect(alone).toBeGreaterThan(0);
  });
});
