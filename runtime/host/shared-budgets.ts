import { openRedisBudgets } from '../adapters/redis-budgets.ts';
import type { RedisLink } from '../adapters/redis-link.ts';
import { systemRandom } from '../adapters/system.ts';
import { rateOf } from '../core/budget.ts';
import type { SharedBudgets } from '../ports.ts';
import type { Settings } from '../settings.ts';

/** The budgets and breakers that all processes on this Redis share, by the limits of the settings. */
export function sharedBudgetsOn(link: RedisLink, settings: Settings): SharedBudgets {
  return openRedisBudgets({
    link,
    processId: systemRandom.uuid(),
    breakerOpenMs: settings.breakerOpenMs,
    rates: {
      upstream: rateOf(settings.upstreamCallsPerSecond),
      user: rateOf(settings.userCallsPerSecond),
      proxy: rateOf(settings.proxyCallsPerSecond),
    },
  });
}
