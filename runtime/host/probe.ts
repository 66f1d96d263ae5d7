import { openUndiciUpstream } from '../adapters/undici-upstream.ts';
import { systemClock } from '../adapters/system.ts';
import { Fault } from '../core/faults.ts';
import type { Miner, User } from '../core/miner.ts';
import type { UpstreamDefinition } from '../core/upstream.ts';
import { ClientPool } from '../engine/client-pool.ts';
import { fetchPage } from '../engine/fetch-page.ts';
import type { Permit } from '../engine/limits.ts';
import type { Settings } from '../settings.ts';
import { BadInput } from './bad-input.ts';
import { guardUpstream } from './guarded-ports.ts';

export interface ProbeOptions {
  readonly url: string;
  readonly user: User;
  readonly miner: Miner;
  readonly definition: UpstreamDefinition;
  readonly settings: Settings;
}

/** Faults of a first page that say that the address is wrong or the server speaks something else. */
const WRONG_SERVER: ReadonlySet<string> = new Set(['wrong-address', 'page-shape']);

/** One attempt is enough to tell a wrong address; a limit, a token or a 5xx is the miners' business. */
const PROBE_TIMEOUT_MS = 10_000;

/** One call before anything else needs no budget. */
const ONE_CALL: Permit = { run: (call) => call(), giveBack: async () => undefined, note: async () => undefined };

/**
 * Asks a server for one page before anything is fired.
 * @throws BadInput when nobody answers there, or somebody who does not speak the upstream contract.
 */
export async function probeUpstream(options: ProbeOptions): Promise<void> {
  const upstream = guardUpstream(openUndiciUpstream({ connections: 1 }));
  const log = { info: () => undefined, warn: () => undefined };
  const clients = new ClientPool({ clock: systemClock, upstream, log }, { idleMs: PROBE_TIMEOUT_MS });
  try {
    await fetchPage(
      { clock: systemClock, clients },
      {
        miner: options.miner,
        definition: options.definition,
        baseUrl: options.url,
        user: options.user,
        marker: null,
        limit: 1,
        maxBytes: options.settings.pageMaxBytes,
        timeoutMs: Math.min(PROBE_TIMEOUT_MS, options.settings.callTimeoutMs),
        permit: ONE_CALL,
      },
      AbortSignal.timeout(PROBE_TIMEOUT_MS * 2),
    );
  } catch (error) {
    if (error instanceof Fault) judge(options.url, error);
    else throw error;
  } finally {
    clients.close();
    await upstream.close();
  }
}

function judge(url: string, fault: Fault): void {
  if (WRONG_SERVER.has(fault.code)) {
    throw new BadInput(
      `--upstream ${url} does not serve pages: ${fault.message}. Next: check the address; the contract is in README.md, "Mine your own upstream"`,
      { cause: fault },
    );
  }
  if (fault.code === 'transient' && isUnreachable(fault)) {
    throw new BadInput(
      `--upstream ${url} cannot be reached: ${fault.message}. Next: start it, or check host and port`,
      {
        cause: fault,
      },
    );
  }
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'EPROTO',
]);

/** Nobody listens, or who listens does not speak HTTP: waiting would not help. */
function isUnreachable(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = (at as { code?: unknown }).code;
    if (typeof code === 'string' && (UNREACHABLE.has(code) || code.startsWith('HPE_'))) return true;
    if (at.name === 'HTTPParserError') return true;
    if (at instanceof AggregateError && at.errors.some(isUnreachable)) return true;
  }
  return false;
}
