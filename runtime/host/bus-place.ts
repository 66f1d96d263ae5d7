import { existsSync } from 'node:fs';
import type { ServiceBusOptions } from '../adapters/service-bus.ts';
import { openStateFolder, StateFolderError } from '../local/state-folder.ts';
import { BadInput } from './bad-input.ts';
import { readBroker } from './broker-address.ts';
import { readCloud } from './cloud-config.ts';
import { startBroker } from './local-broker.ts';
import type { Release } from './release.ts';
import { readStackOutputs } from './stack-outputs.ts';
import type { Whereabouts } from './stack-storage.ts';

type Connect = ServiceBusOptions['connect'];

/**
 * How a command reaches the bus of a place: that of a stack, one that is named by its connection string, the broker of a running
 * `npm start`, or, when nobody runs, a broker that this process starts and `releases` stop again.
 * @throws BadInput
 */
export async function connectBus(place: Whereabouts, releases: Release[]): Promise<Connect> {
  const { stack, environment, state } = place;
  if (stack !== undefined) return connectStack(stack);
  if (environment.bus !== undefined) return { connectionString: environment.bus };
  if (!existsSync(state)) {
    throw new BadInput(
      `there is no state in ${state}. Next: name the folder with --state DIR, or a stack with --stack`,
    );
  }
  return (await startOwn(state, releases)) ?? (await joinRunning(state));
}

async function connectStack(stack: string): Promise<Connect> {
  const { settings } = await readStackOutputs(stack);
  const { bus } = readCloud(settings, { next: `pulumi up -s ${stack}` });
  if (!('namespace' in bus)) return bus;
  const { personLogin } = await import('./person-login.ts');
  return { fullyQualifiedNamespace: bus.namespace, credential: await personLogin() };
}

/** Undefined: the folder is in use by another Adit. */
async function startOwn(state: string, releases: Release[]): Promise<Connect | undefined> {
  try {
    const folder = await openStateFolder(state);
    releases.push(() => folder.close());
    const broker = await startBroker(folder.dir, 0);
    releases.push(() => broker.stop());
    return { connectionString: String(broker.ready['connectionString']) };
  } catch (error) {
    if (error instanceof StateFolderError && error.code === 'STATE_IN_USE') return undefined;
    throw error;
  }
}

async function joinRunning(state: string): Promise<Connect> {
  const address = await readBroker(state);
  if (address !== undefined) return address;
  throw new BadInput(`another command is at work in ${state}, and it has no broker. Next: try again when it has ended`);
}
