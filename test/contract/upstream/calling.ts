import { expect } from 'vitest';

import { openUndiciUpstream } from '../../../runtime/adapters/undici-upstream.ts';
import type { UndiciUpstreamOptions } from '../../../runtime/adapters/undici-upstream.ts';
import { Fault } from '../../../runtime/core/faults.ts';
import type { Upstream, UpstreamCall } from '../../../runtime/ports.ts';
import type { TestServer } from './servers.ts';

export const SECRET_QUERY = 'hidden-query';
export const SECRET_HEADER = 'hidden-header';

const closers: (() => Promise<void>)[] = [];

/** For `afterEach`: closes what a test has started. */
export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

export function open(options?: UndiciUpstreamOptions): Upstream {
  const upstream = openUndiciUpstream(options);
  closers.push(() => upstream.close());
  return upstream;
}

export async function serve(server: Promise<TestServer>): Promise<TestServer> {
  const started = await server;
  closers.push(() => started.close());
  return started;
}

export function callTo(server: { readonly url: string }, more: Partial<UpstreamCall> = {}): UpstreamCall {
  return {
    url: `${server.url}/users/u1/chats?limit=3&after=${SECRET_QUERY}`,
    headers: { authorization: `Bearer ${SECRET_HEADER}` },
    proxyUrl: null,
    maxBytes: 1_000_000,
    timeoutMs: 20_000,
    ...more,
  };
}

export async function faultOf(answer: Promise<unknown>): Promise<Fault> {
  const error: unknown = await answer.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Fault);
  const fault = error as Fault;
  expect(fault.message).not.toMatch(/hidden/);
  return fault;
}
