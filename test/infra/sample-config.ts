import { readStackConfig } from '../../infra/config.ts';
import { readConfigFile } from '../../infra/config-file.ts';
import type { StackConfig, StackStage } from '../../infra/stack-config.ts';
import type { Miner } from '../../runtime/core/miner.ts';
import { dataList, userList } from '../../runtime/core/page.ts';

/** The raw values of a committed stack, with changes; an undefined one takes the key out. */
export function rawValues(
  stage: StackStage,
  changes: Readonly<Record<string, string | undefined>> = {},
): Record<string, string> {
  const { values } = readConfigFile(process.cwd(), stage);
  const changed = { ...values, ...changes };
  return Object.fromEntries(
    Object.entries(changed).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** A committed stack, read, with changes. */
export function sampleConfig(
  stage: StackStage,
  changes: Readonly<Record<string, string | undefined>> = {},
): StackConfig {
  const result = readStackConfig(stage, rawValues(stage, changes));
  if (!result.ok) throw new Error(result.errors.join('\n'));
  return result.config;
}

/** A data type that is not in the catalog. */
export function sampleMiner(changes: Partial<Miner> = {}): Miner {
  return {
    name: 'profile-views',
    upstream: 'graph',
    lane: 'bulk',
    schedule: '0 40 */6 * * *',
    cacheTtlMs: 1000,
    request: (userId) => userList(userId, 'profile-views'),
    page: dataList,
    ...changes,
  };
}
