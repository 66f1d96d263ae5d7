import { miners, upstreams } from '../catalog.ts';
import type { Miner, User } from '../core/miner.ts';
import type { Pipeline } from '../engine/pipeline.ts';
import { BadInput } from './bad-input.ts';
import { startChild } from './child.ts';
import type { StartOptions } from './options.ts';
import { probeUpstream } from './probe.ts';
import type { Release } from './release.ts';
import type { Reporter } from './report.ts';
import { readUsersFile } from './users-file.ts';

/** The upstream that the simulator speaks. */
const SIMULATED_UPSTREAM = 'graph';

/** An upstream to mine and its users. */
export interface Source {
  /** Base URL by name of the upstream. */
  readonly baseUrls: Readonly<Record<string, string>>;
  readonly text: string;
  /** Where the ground truth is; undefined when the upstream is not simulated. */
  readonly simulatorUrl: string | undefined;
  /** Undefined: the imported users. */
  readonly users: readonly User[] | undefined;
  /** Command that imports users, for when there are none. */
  readonly importCommand: string;
}

const IMPORT_COMMAND = 'npm start -- --upstream URL --users-file FILE, or npm run adit -- users import FILE';

/** The servers that were named, or a simulator of our own. @throws BadInput */
export async function openSource(
  options: StartOptions,
  users: readonly User[] | undefined,
  stateDir: string,
  releases: Release[],
): Promise<Source> {
  const { upstreamUrls } = options;
  if (Object.keys(upstreamUrls).length > 0) {
    const named = upstreams.map(({ name }) => [name, upstreamUrls[name] ?? upstreamUrls['*']] as const);
    const baseUrls = Object.fromEntries(
      named.filter((entry): entry is readonly [string, string] => entry[1] !== undefined),
    );
    return {
      baseUrls,
      text: [...new Set(Object.values(baseUrls))].join(', '),
      simulatorUrl: undefined,
      users,
      importCommand: IMPORT_COMMAND,
    };
  }
  const simulator = await startChild('simulator', 'local/upstream/main.ts', {
    port: options.settings.simulatorPort,
    seed: options.seed,
    users: options.users,
    scenario: options.scenario,
    usersFile: `${stateDir}/simulated-users.ndjson`,
  });
  releases.push(() => simulator.stop());
  const { url, usersFile } = simulator.ready as { url: string; usersFile: string };
  return {
    baseUrls: { [SIMULATED_UPSTREAM]: url },
    text: `a simulated upstream (seed ${options.seed}, scenario ${options.scenario})`,
    simulatorUrl: url,
    users: users ?? (await readUsersFile(usersFile)),
    importCommand: IMPORT_COMMAND,
  };
}

/** The miners that were asked for and whose upstream has an address. */
export function chooseMiners(options: StartOptions, source: Source, reporter: Reporter): readonly Miner[] {
  const asked = miners.filter((miner) => options.minerNames.length === 0 || options.minerNames.includes(miner.name));
  const chosen = asked.filter((miner) => source.baseUrls[miner.upstream] !== undefined);
  for (const miner of asked.filter((left) => !chosen.includes(left))) {
    reporter.line(`${miner.name} is left out: its upstream has no address. Next: --upstream ${miner.upstream}=URL`);
  }
  if (chosen.length === 0)
    throw new BadInput('no miner is left to run. Next: give its upstream an address with --upstream name=URL');
  return chosen;
}

/** The users of a run. */
export interface Targets {
  readonly count: number;
  readonly sample: User | undefined;
  users(): AsyncIterable<User> | Iterable<User>;
  /** Puts the users of a file into the table, where the miners look them up. */
  save(): Promise<void>;
}

/** Who is mined: the users of the file, or the imported ones. @throws BadInput when there is nobody. */
export async function targetsOf(pipeline: Pipeline, source: Source): Promise<Targets> {
  const { users } = source;
  if (users !== undefined) {
    const active = users.filter((user) => user.status === 'active');
    return { count: active.length, sample: active[0], users: () => active, save: () => pipeline.users.import(users) };
  }
  let count = 0;
  let sample: User | undefined;
  for await (const user of pipeline.users.list()) {
    if (user.status !== 'active') continue;
    count += 1;
    sample ??= user;
  }
  if (count === 0) {
    throw new BadInput(`there is no active user to mine. Next: ${source.importCommand}`);
  }
  return { count, sample, users: () => pipeline.users.list(), save: async () => undefined };
}

/** Asks a server that was named for one page. @throws BadInput */
export async function probe(
  options: StartOptions,
  source: Source,
  miner: Miner | undefined,
  user: User | undefined,
): Promise<void> {
  const definition = upstreams.find((upstream) => upstream.name === miner?.upstream);
  if (source.simulatorUrl !== undefined || !user || !miner || !definition) return;
  const url = source.baseUrls[definition.name] ?? '';
  await probeUpstream({ url, user, miner, definition, settings: options.settings });
}
