import { onTestFinished } from 'vitest';
import { type ConnectProxy, openConnectProxy } from '../fakes/connect-proxy.ts';

/** Starts a proxy on this machine. Closed after the test. */
export async function startProxy(): Promise<ConnectProxy> {
  const proxy = await openConnectProxy();
  onTestFinished(() => proxy.close());
  return proxy;
}
