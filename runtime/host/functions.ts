/** Entry of the deployed app: the Functions worker loads it, and everything opens at the first invocation. */
import { openConsoleLog } from '../adapters/pino-log.ts';
import { systemClock, systemRandom } from '../adapters/system.ts';
import { miners } from '../catalog.ts';
import { functionsOf } from '../core/functions.ts';
import { processVariables } from './config.ts';
import { FunctionsApp, type FunctionsGround } from './functions-app.ts';
import { guardWorker } from './exits.ts';
import { LOG_REDACTION } from './redaction.ts';
import { registerFunctions } from './functions-register.ts';

/** Version of the code: the bundler puts it here. */
declare const ADIT_CODE_VERSION: unknown;

const version = typeof ADIT_CODE_VERSION === 'string' ? ADIT_CODE_VERSION : 'dev';
const log = openConsoleLog(LOG_REDACTION);

/** Loads the clients of the cloud no earlier than they are needed: the host waits for this file before its first invocation. */
async function open(): Promise<FunctionsGround> {
  const [{ openCloud }, { readCloud }] = await Promise.all([import('./cloud.ts'), import('./cloud-config.ts')]);
  const cloud = await openCloud({ config: readCloud(processVariables()), log });
  return { ...cloud, openPipeline: () => cloud.openPipeline(miners) };
}

const running = new FunctionsApp({ open, version, hostId: systemRandom.uuid(), clock: systemClock, log });

guardWorker();
registerFunctions(functionsOf(miners), running, version);
