import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { unzipSync } from 'fflate';

/** What the deployed code registers, as the worker of Azure Functions would see it. */
export interface RegisteredFunction {
  readonly name: string;
  /** For example `timerTrigger`. */
  readonly trigger: string;
  /** Queue of a Service Bus trigger. */
  readonly queue?: string;
  /** Schedule of a timer. */
  readonly schedule?: string;
}

/** What one start of the code told. */
interface Told {
  readonly functions: readonly RegisteredFunction[];
  readonly version: unknown;
}

/** Stands for the worker's own package, which exists in no registry: it notes what is registered. */
const CORE = `
const functions = [];
const disposable = () => ({ dispose() {} });
module.exports = {
  version: '1.1.0',
  workerVersion: '3.12.0',
  hostVersion: '4.1041.200',
  setProgrammingModel() {},
  getProgrammingModel() {},
  registerHook: disposable,
  log() {},
  registerFunction(metadata, callback) {
    functions.push({ metadata, callback });
    return disposable();
  },
  Disposable: class { dispose() {} },
  functions,
};
`;

/** Loads the code, calls its version function and prints what the code has registered. */
const LOADER = `
require('./' + require('./package.json').main);
const { functions } = require('@azure/functions-core');
const triggerOf = ({ metadata }) =>
  Object.values(metadata.bindings).find(({ type }) => /trigger$/i.test(type)) ?? {};
const version = functions.find(({ metadata }) => metadata.name === 'version');
Promise.resolve(version.callback({ method: 'GET', url: 'http://127.0.0.1/api/version', headers: new Map() }, {}))
  .then((answer) => {
    const told = {
      functions: functions.map((one) => {
        const { type, queueName, schedule } = triggerOf(one);
        return { name: one.metadata.name, trigger: type, queue: queueName, schedule };
      }),
      version: answer.jsonBody ?? JSON.parse(answer.body),
    };
    process.stdout.write(JSON.stringify(told), () => process.exit(0));
  });
`;

const START_LIMIT_MS = 30_000;

/** A deployed archive, run once in a folder of its own with nothing but Node: what it lacks, the real app would lack. */
export class DeployedApp {
  readonly #told: Told;
  readonly functions: readonly RegisteredFunction[];

  private constructor(told: Told) {
    this.#told = told;
    this.functions = told.functions;
  }

  /**
   * Unpacks and starts an archive.
   *
   * @throws Error with what the code printed when it does not start.
   */
  static async start(archive: Uint8Array): Promise<DeployedApp> {
    const folder = await mkdtemp(join(tmpdir(), 'adit-deployed-'));
    try {
      const core = 'node_modules/@azure/functions-core';
      const text = (content: string): Uint8Array => new TextEncoder().encode(content);
      const files: Record<string, Uint8Array> = {
        ...unzipSync(archive),
        [`${core}/index.js`]: text(CORE),
        [`${core}/package.json`]: text('{"name":"@azure/functions-core","main":"index.js"}'),
        'loader.cjs': text(LOADER),
      };
      for (const [name, content] of Object.entries(files)) {
        await mkdir(dirname(join(folder, name)), { recursive: true });
        await writeFile(join(folder, name), content);
      }
      return new DeployedApp(await load(folder));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** The body that an http function answers with. */
  answer(name: 'version'): unknown {
    return this.#told[name];
  }

  /** Names of the functions with a trigger, in order. */
  namesOf(trigger: 'timerTrigger' | 'serviceBusTrigger' | 'httpTrigger'): readonly string[] {
    return this.functions
      .filter((one) => one.trigger === trigger)
      .map(({ name }) => name)
      .sort();
  }
}

function load(folder: string): Promise<Told> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['loader.cjs'], {
      cwd: folder,
      env: { PATH: process.env['PATH'] ?? '' },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: START_LIMIT_MS,
    });
    const texts = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (texts.stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (texts.stderr += chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(texts.stdout) as Told);
      else reject(new Error(`the deployed code does not start (${code}):\n${texts.stderr}`));
    });
  });
}
