import { describe, expect, it } from 'vitest';
import { Fault } from '../../runtime/core/faults.ts';
import type { UpstreamDefinition } from '../../runtime/core/upstream.ts';
import { fetchPage } from '../../runtime/engine/fetch-page.ts';
import { ClientPool } from '../../runtime/engine/client-pool.ts';
import type { Permit } from '../../runtime/engine/limits.ts';
import type { UpstreamAnswer } from '../../runtime/ports.ts';
import { graph } from '../../runtime/upstreams/graph.ts';
import { CANARY, KNOWN_FORMS, NAMED_FORMS } from '../core/secret-samples.ts';
import { findCanary } from '../core/secret-search.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { MINER, NEVER_LOST, userNamed } from '../fakes/engine-rig.ts';

const TOKEN = `${CANARY}-4f9X.q~2_Zz-of-u1`;
const PROXY = `http://${CANARY}-cust:${CANARY}-p%40ss@proxy.example:8080`;

/** An API whose author takes whatever a body says for a reason, also behind a status of 200, and cuts it. */
const CARELESS: UpstreamDefinition = {
  ...graph,
  classify: ({ status, body }) => {
    const said = (body as { said?: string } | undefined)?.said;
    return said === undefined ? undefined : { code: 'refused', reason: `status ${status}: ${said}`.slice(0, 2_000) };
  },
  next: ({ body }) => ({ kind: 'broken', reason: String((body as { next?: string }).next) }),
};

async function reasonOf(answer: Partial<UpstreamAnswer> | Error, definition = CARELESS): Promise<Fault> {
  const clock = new AutoClock();
  const permit: Permit = { run: (work) => work(), giveBack: async () => undefined, note: async () => undefined };
  const call = async (): Promise<UpstreamAnswer> => {
    if (answer instanceof Error) throw answer;
    return { status: 200, headers: {}, text: '', ...answer };
  };
  const log = { info: () => undefined, warn: () => undefined };
  const upstream = { call, close: async () => undefined };
  const clients = new ClientPool({ clock, upstream, log }, { idleMs: 60_000 });
  const user = userNamed('u1', { accessToken: TOKEN, proxyUrl: PROXY });
  const source = {
    miner: MINER,
    definition,
    baseUrl: 'http://h',
    user,
    marker: null,
    limit: 1,
    maxBytes: 1,
    timeoutMs: 1,
    permit,
  };
  const fault: unknown = await fetchPage({ clock, clients }, source, NEVER_LOST).catch((error: unknown) => error);
  if (!(fault instanceof Fault)) throw new Error('a fault was expected', { cause: fault });
  return fault;
}

const FORMS = [...KNOWN_FORMS, ...NAMED_FORMS].map(({ name, text }) => [name, text] as const);

describe('the reason of a fault', () => {
  it.each(FORMS)('has no credential of the user, whoever says it: %s', async (_, text) => {
    for (const secret of [TOKEN, `${CANARY}-p@ss`]) {
      const said = `on page 4: ${text(secret)}`;
      for (const status of [200, 400]) {
        const { message, code } = await reasonOf({ status, text: JSON.stringify({ said }) });
        expect(findCanary(message), message).toEqual([]);
        expect([code, message]).toEqual(['refused', expect.stringContaining(`status ${status}: on page 4: `)]);
      }
      const refusal = JSON.stringify({ error: { code: 190, message: said, type: said } });
      expect(findCanary((await reasonOf({ status: 400, text: refusal }, graph)).message)).toEqual([]);
      expect(findCanary((await reasonOf({ text: JSON.stringify({ data: [], next: said }) })).message)).toEqual([]);
      expect(findCanary((await reasonOf(new Fault('transient', said, { cause: new Error('x') }))).message)).toEqual([]);
    }
  });

  it('keeps its code, its cause and its wait when it is masked, and is the same fault when there is nothing to mask', async () => {
    const cause = new Error('below');
    const masked = await reasonOf(new Fault('transient', `said ${TOKEN}`, { cause, waitMs: 7 }));
    expect([masked.code, masked.message, masked.cause, masked.waitMs]).toEqual([
      'transient',
      'said [masked]',
      cause,
      7,
    ]);
    const plain = new Fault('transient', 'h/users/u1/chats: connect ECONNREFUSED 127.0.0.1:1');
    expect(await reasonOf(plain)).toBe(plain);
  });
});
