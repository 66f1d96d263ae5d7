import type { Environment } from './config.ts';
import { openHome } from './home.ts';
import type { StartOptions } from './options.ts';
import { releaseAll, type Release } from './release.ts';
import { factsText, Reporter } from './report.ts';
import { Session } from './session.ts';
import { chooseMiners, openSource, probe, targetsOf } from './source.ts';
import { readUsersFile } from './users-file.ts';

/** Runs `npm start`. The exit code is the answer. */
export async function runLocal(options: StartOptions, environment: Environment, stop: AbortSignal): Promise<number> {
  const releases: Release[] = [];
  const reporter = new Reporter(process.stderr);
  try {
    const users = options.usersFile === undefined ? undefined : await readUsersFile(options.usersFile);
    const home = await openHome({ state: options.state, settings: options.settings, environment });
    releases.push(() => home.close());
    const source = await openSource(options, users, home, releases);
    const chosen = chooseMiners(options, source, reporter);
    const pipeline = home.openPipeline(chosen, source.baseUrls);
    const targets = await targetsOf(pipeline, source);
    await probe(options, source, chosen[0], targets.sample);
    await targets.save();
    const addresses = [...new Set(Object.values(source.baseUrls))].join(', ');
    reporter.line(`Adit mines ${targets.count} users of ${source.text}\n${factsText(home.facts, addresses)}`);
    const session = new Session(options, pipeline, targets, reporter, stop, home);
    releases.push(() => session.close());
    return options.once ? await session.once(source) : await session.forever();
  } finally {
    reporter.stop();
    await releaseAll(releases);
  }
}
