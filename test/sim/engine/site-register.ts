import type { Job, JobResult } from './job.ts';
import type { KillMoment } from './site-book.ts';
import type { PlannedKill } from './wire.ts';

interface KnownSite {
  readonly met: { readonly seed: number; readonly kills: readonly PlannedKill[]; readonly call: number }[];
  readonly killed: Set<KillMoment>;
  readonly tried: Map<KillMoment, number>;
}

/** Places at which a site is remembered, so that a kill that comes too late there is tried elsewhere. */
const PLACES_KEPT = 6;

const MOMENTS: readonly KillMoment[] = ['before', 'after'];

/** The crash sites of all seeds: which were found, where, and which have been killed. */
export class SiteRegister {
  readonly #sites = new Map<string, KnownSite>();
  seedsLookedAt = 0;

  note({ job, sites }: JobResult): void {
    if (!job.looks) return;
    this.seedsLookedAt += 1;
    for (const { name, firstCall, killed } of sites) {
      const site: KnownSite = this.#sites.get(name) ?? { met: [], killed: new Set(), tried: new Map() };
      this.#sites.set(name, site);
      for (const moment of killed) site.killed.add(moment);
      // A seed with a planned kill is another story from that kill on: a site after it is met again only with that kill.
      const kills = (job.kills ?? []).filter(({ call }) => call < firstCall);
      if (site.met.length < PLACES_KEPT) site.met.push({ seed: job.seed, kills, call: firstCall });
    }
  }

  /** Seeds to run again, each with a kill at a site that nobody has died at yet. */
  plan(): readonly Job[] {
    const jobs: Job[] = [];
    for (const site of this.#sites.values()) {
      for (const when of MOMENTS) {
        if (site.killed.has(when)) continue;
        const tries = site.tried.get(when) ?? 0;
        const place = site.met[tries];
        if (place === undefined) continue;
        site.tried.set(when, tries + 1);
        jobs.push({ seed: place.seed, looks: true, kills: [...place.kills, { call: place.call, when }] });
      }
    }
    return jobs;
  }

  get found(): number {
    return this.#sites.size;
  }

  /** Sites at which a process has died before the effect of the call, and one after it. */
  killed(): number {
    return [...this.#sites.values()].filter(({ killed }) => killed.size === MOMENTS.length).length;
  }

  /** Names of the others. */
  spared(): readonly string[] {
    return [...this.#sites].filter(([, { killed }]) => killed.size < MOMENTS.length).map(([name]) => name);
  }

  names(): readonly string[] {
    return [...this.#sites.keys()];
  }
}
