import type { User } from '../core/miner.ts';
import type { Environment } from './config.ts';
import { STDERR } from './exits.ts';
import { openHome } from './home.ts';
import type { StartOptions } from './options.ts';
import type { Place } from './place.ts';
import { releaseAll, type Release } from './release.ts';
import { factsText, Reporter } from './report.ts';
import { Session } from './session.ts';
import { chooseMiners, openSource, probe, type Source, targetsOf } from './source.ts';
import { readUsersFile } from './users-file.ts';

/** Where to mine from, where to, and by which settings. */
interface Opened {
  readonly place: Place;
  readonly source: Source;
  readonly options: StartOptions;
}

/** Runs `npm start`. The exit code is the answer. */
export async function runLocal(asked: StartOptions, environment: Environment, stop: AbortSignal): Promise<number> {
  const releases: Release[] = [];
  const reporter = new Reporter(STDERR);
  try {
    const users = asked.usersFile === undefined ? undefined : await readUsersFile(asked.usersFile);
    const { place, source, options } = await openPlace(asked, environment, users, releases);
    const chosen = chooseMiners(options, source, reporter);
    const pipeline = place.openPipeline(chosen, source.baseUrls);
    if (place.isShared) pipeline.shareWork();
    const targets = await targetsOf(pipeline, source);
    await probe(options, source, chosen[0], targets.sample);
    await targets.save();
    const addresses = [...new Set(Object.values(source.baseUrls))].join(', ');
    reporter.line(`Adit mines ${targets.count} users of ${source.text}\n${factsText(place.facts, addresses)}`);
    const session = new Session(options, pipeline, targets, reporter, stop, place);
    releases.push(() => session.close());
    return options.once ? await session.once(source) : await session.forever();
  } finally {
    reporter.stop();
    await releaseAll(releases);
  }
}

/** The cloud on this machine and a source beside it, or a deployed stack, which says itself what to mine. */
async function openPlace(
  asked: StartOptions,
  environment: Environment,
  users: readonly User[] | undefined,
  releases: Release[],
): Promise<Opened> {
  const { stack } = asked;
  if (stack === undefined) {
    const place = await openHome({ state: asked.state, settings: asked.settings, environment });
    releases.push(() => place.close());
    return { place, source: await openSource(asked, users, place.facts.stateDir, releases), options: asked };
  }
  // Only a stack needs the libraries of a login, and they take their time to load.
  const { openStackPlace } = await import('./stack-place.ts');
  const { place, source, config } = await openStackPlace({ ...asked, stack }, environment, users);
  releases.push(() => place.close());
  return { place, source, options: { ...asked, settings: config.settings } };
}
