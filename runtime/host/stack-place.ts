import { join } from 'node:path';
import { openFileLog } from '../adapters/pino-log.ts';
import { systemClock } from '../adapters/system.ts';
import type { User } from '../core/miner.ts';
import { liveHosts } from '../engine/heartbeat.ts';
import { openStateFolder } from '../local/state-folder.ts';
import type { Ledger } from '../ports.ts';
import { CONNECTIONS } from '../connections.ts';
import type { Assignment, StackOutputs } from '../settings.ts';
import { BadInput } from './bad-input.ts';
import { type CloudConfig, readCloud } from './cloud-config.ts';
import { type Cloud, needsLogin, openCloud } from './cloud.ts';
import type { Environment, Variables } from './config.ts';
import type { StartOptions } from './options.ts';
import { personLogin } from './person-login.ts';
import type { Place } from './place.ts';
import { LOG_REDACTION } from './redaction.ts';
import { releaseAll, type Release } from './release.ts';
import type { Source } from './source.ts';
import { readStackOutputs } from './stack-outputs.ts';

/** A deployed stack as a person's process sees it. */
interface Stack {
  readonly name: string;
  readonly outputs: StackOutputs;
  readonly config: CloudConfig;
}

/** A stack that is open for mining. */
export interface StackPlace {
  readonly place: Place;
  readonly source: Source;
  readonly config: CloudConfig;
}

/** What a person may say beside the outputs of a stack. */
const PERSONAL = ['sealingKeys', 'phaseFd'] as const;

/**
 * Reads a stack with the Pulumi of the person: its outputs are the whole configuration.
 * @throws BadInput when there is no such stack, or its outputs lack something.
 */
async function readStack(
  name: string,
  environment: Environment,
  overrides: readonly Assignment[] = [],
): Promise<Stack> {
  const outputs = await readStackOutputs(name);
  const personal: Variables = Object.fromEntries(PERSONAL.map((key) => [CONNECTIONS[key].variable, environment[key]]));
  const next = `pulumi up -s ${name}, or git pull when the stack is newer than what you have here`;
  const config = readCloud({ ...outputs.settings, ...definedOf(personal) }, { overrides, isComplete: true, next });
  return { name, outputs, config };
}

function definedOf(variables: Variables): Variables {
  return Object.fromEntries(Object.entries(variables).filter(([, text]) => text !== undefined));
}

/**
 * Opens a deployed stack for this process; the state folder holds only its lock and its log.
 * @throws BadInput when the stack cannot be read or entered, or its functions are at work and nobody said `--beside`.
 */
export async function openStackPlace(
  options: StartOptions & { readonly stack: string },
  environment: Environment,
  users: readonly User[] | undefined,
): Promise<StackPlace> {
  const stack = await readStack(options.stack, environment, options.overrides);
  const releases: Release[] = [];
  try {
    const place = await open(stack, options, releases);
    const { name, config } = stack;
    const source: Source = {
      baseUrls: config.baseUrls,
      text: `the upstreams of the stack ${name}, into that stack`,
      simulatorUrl: undefined,
      users,
      importCommand: `ADIT_STACK=${name} npm start -- --users-file FILE`,
    };
    return { place, source, config };
  } catch (error) {
    await releaseAll(releases);
    throw error;
  }
}

async function open(stack: Stack, options: StartOptions, releases: Release[]): Promise<Place> {
  const { config, outputs } = stack;
  const login = needsLogin(config) ? { credential: await personLogin() } : {};
  const folder = await openStateFolder(options.state);
  releases.push(() => folder.close());
  const logFile = join(folder.dir, 'adit.log');
  const log = openFileLog(logFile, LOG_REDACTION);
  releases.push(async () => log.close());
  const cloud = await openCloud({ config, log, ...login });
  releases.push(() => cloud.close());
  await refuseBusyStack(stack, cloud.ledger, options.isBeside);
  return placeOf(cloud, {
    ...cloud.facts,
    stateDir: folder.dir,
    logFile,
    look: outputs.dashboardUrl,
    close: () => releaseAll(releases),
  });
}

function placeOf(cloud: Cloud, { close, ...facts }: Place['facts'] & Pick<Place, 'close'>): Place {
  return {
    facts,
    lake: cloud.lake,
    isShared: false,
    openPipeline: (miners) => cloud.openPipeline(miners),
    failure: () => undefined,
    close,
  };
}

/** Two processes mine the same users correctly, but each pays for the other's calls, and neither sees why. @throws BadInput */
async function refuseBusyStack({ name, outputs }: Stack, ledger: Ledger, isBeside: boolean): Promise<void> {
  const hosts = await liveHosts({ control: ledger.control, clock: systemClock }).catch((cause: unknown) => {
    throw new BadInput(`the ledger of the stack ${name} cannot be read ${whyNot(cause)}`, { cause });
  });
  if (hosts.length === 0 || isBeside) return;
  const agoSeconds = Math.round((systemClock.now() - Math.max(...hosts.map(({ atMs }) => atMs))) / 1000);
  const { resourceGroup, functionApp } = outputs;
  throw new BadInput(
    `the functions of the stack ${name} are at work (${hosts.length} of ${functionApp.name}, last sign of life ${agoSeconds} s ago) and mine the same users. Next: ADIT_STACK=${name} npm start -- --beside mines beside them; or stop them with az functionapp stop -g ${resourceGroup} -n ${functionApp.name}, and try again 3 minutes later`,
  );
}

/** By code: the message of the error may be long, and may quote what was sent. */
function whyNot(error: unknown): string {
  const { statusCode, code, name } = error as { statusCode?: number; code?: string; name?: string };
  const why = [statusCode, code ?? name].filter((part) => part !== undefined).join(' ');
  if (statusCode === 401 || statusCode === 403) {
    return `(${why}). Next: give your object id (az ad signed-in-user show --query id -o tsv) to the config key developers of the stack, then pulumi up; a new role needs some minutes`;
  }
  if (statusCode === 404) return `(${why}). Next: pulumi up`;
  return `(${why}). Next: check the network and your login (az login), then try again`;
}
