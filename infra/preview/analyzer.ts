import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { AnalyzerClient } from '@pulumi/pulumi/proto/analyzer_grpc_pb.js';
import analyzerPb from '@pulumi/pulumi/proto/analyzer_pb.js';
import type { Finding } from './finding.ts';
import { analyzerClient, answerOf } from './grpc-client.ts';
import { emptyMessage, structMessage } from './grpc-server.ts';
import { ProgramFault } from './program-fault.ts';
import type { RegisteredResource } from './registered-resource.ts';
import { partsOfUrn } from './urn.ts';
import { wireForm } from './wire-value.ts';

/** The SDK's own runner of policy packs, which Pulumi's language host starts too. */
const RUNNER = createRequire(import.meta.url).resolve('@pulumi/pulumi/cmd/run-policy-pack/index.js');

/** Folder of the policy pack in a repository. */
const PACK_FOLDER = 'policies';

/** Time for a pack to start, in ms. It takes one second. */
const START_LIMIT_MS = 60_000;

/** How much of what a pack prints is kept for the report of its failure. */
const KEPT_TEXT_CHARS = 64 * 1024;

/** An address that nobody listens on: the pack is told where the engine is, and never asks it. */
const NO_ENGINE = '127.0.0.1:1';

/** Which pack, for which stack. */
export interface AnalyzerOptions {
  /** Folder of Pulumi.yaml. */
  readonly dir: string;
  readonly stack: string;
  /** Key with namespace; lists and objects are JSON text. */
  readonly config: Readonly<Record<string, string>>;
  /** Ends the pack. */
  readonly signal?: AbortSignal | undefined;
}

/** A started policy pack, asked as the engine asks it. */
export interface Analyzer {
  /** Names of its policies. */
  policies(): Promise<readonly string[]>;
  /** Everything that it says about a stack: each resource, then all of them together. */
  analyze(resources: readonly RegisteredResource[]): Promise<readonly Finding[]>;
  /** Ends it; idempotent. */
  close(): void;
}

/** True where there is a policy pack. */
export function hasPack(dir: string): boolean {
  return existsSync(join(dir, PACK_FOLDER, 'PulumiPolicy.yaml'));
}

/**
 * Starts the policy pack of a repository by the SDK's own runner, in the environment that the engine gives it.
 * @throws ProgramFault when it does not start.
 */
export async function startAnalyzer(options: AnalyzerOptions): Promise<Analyzer> {
  const child = spawnPack(options);
  try {
    return new StartedAnalyzer(child, await portOf(child));
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
}

function spawnPack({ dir, stack, config, signal }: AnalyzerOptions): ChildProcess {
  const folder = join(dir, PACK_FOLDER);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', RUNNER, NO_ENGINE, folder], {
    cwd: folder,
    env: {
      PULUMI_CONFIG: JSON.stringify(config),
      PULUMI_NODEJS_PROJECT: 'adit',
      PULUMI_NODEJS_STACK: stack,
      PULUMI_NODEJS_DRY_RUN: 'true',
      // The runner itself reads a lot of JavaScript before the pack could turn this on.
      NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  // An aborted start is reported by whoever aborted it, and a failed one by portOf.
  child.on('error', () => undefined);
  return child;
}

/** The first line that a pack prints is its port. */
async function portOf(child: ChildProcess): Promise<number> {
  let text = '';
  const keep = (chunk: string): void => {
    text = `${text}${chunk}`.slice(-KEPT_TEXT_CHARS);
  };
  child.stderr?.setEncoding('utf8').on('data', keep);
  const lines = createInterface({ input: child.stdout ?? process.stdin });
  const over = new AbortController();
  const limit = AbortSignal.any([AbortSignal.timeout(START_LIMIT_MS), over.signal]);
  const ended = once(child, 'exit', { signal: limit }).then(() => '');
  const line = once(lines, 'line', { signal: limit }).then(([first]) => String(first));
  try {
    const port = Number(await Promise.race([line, ended]));
    if (Number.isInteger(port) && port > 0) return port;
  } catch {
    // It neither spoke nor ended in time, which the fault below says.
  } finally {
    over.abort();
    await Promise.allSettled([line, ended]);
    lines.close();
    child.stdout?.resume();
  }
  throw new ProgramFault('crashed', `The policy pack did not start.\n${text.trimEnd()}`);
}

class StartedAnalyzer implements Analyzer {
  readonly #child: ChildProcess;
  readonly #client: AnalyzerClient;

  constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#client = analyzerClient(port);
  }

  async policies(): Promise<readonly string[]> {
    const info = await answerOf<analyzerPb.AnalyzerInfo>((done) => this.#client.getAnalyzerInfo(emptyMessage(), done));
    return info.getPoliciesList().map((policy) => policy.getName());
  }

  async analyze(resources: readonly RegisteredResource[]): Promise<readonly Finding[]> {
    // As the engine does it: the pack learns what is asked for before it judges the whole.
    const answers = await Promise.all(
      resources.map((resource) =>
        answerOf<analyzerPb.AnalyzeResponse>((done) => this.#client.analyze(analyzeRequest(resource), done)),
      ),
    );
    const request = new analyzerPb.AnalyzeStackRequest().setResourcesList(resources.map(analyzerResource));
    const whole = await answerOf<analyzerPb.AnalyzeResponse>((done) => this.#client.analyzeStack(request, done));
    const ofResources = answers.flatMap((answer, at) => findingsOf(answer, resources[at]?.urn ?? ''));
    return [...ofResources, ...findingsOf(whole, '')];
  }

  close(): void {
    this.#client.close();
    this.#child.kill('SIGKILL');
  }
}

function analyzeRequest({
  type,
  name,
  urn,
  inputs,
  options,
  parentUrn,
}: RegisteredResource): analyzerPb.AnalyzeRequest {
  return new analyzerPb.AnalyzeRequest()
    .setType(type)
    .setName(name)
    .setUrn(urn)
    .setProperties(structMessage(wireForm(inputs)))
    .setOptions(optionsMessage(options, parentUrn));
}

function analyzerResource(resource: RegisteredResource): analyzerPb.AnalyzerResource {
  const { type, name, urn, inputs, options, parentUrn } = resource;
  const message = new analyzerPb.AnalyzerResource()
    .setType(type)
    .setName(name)
    .setUrn(urn)
    .setProperties(structMessage(wireForm(inputs)))
    .setOptions(optionsMessage(options, parentUrn))
    .setParent(parentUrn ?? '')
    .setDependenciesList([...options.dependsOn]);
  const byInput = message.getPropertydependenciesMap();
  for (const [input, urns] of Object.entries(options.propertyDependencies)) {
    byInput.set(input, new analyzerPb.AnalyzerPropertyDependencies().setUrnsList([...urns]));
  }
  return message;
}

function optionsMessage(
  { protect, ignoreChanges }: RegisteredResource['options'],
  parentUrn: string | undefined,
): analyzerPb.AnalyzerResourceOptions {
  return new analyzerPb.AnalyzerResourceOptions()
    .setProtect(protect)
    .setIgnorechangesList([...ignoreChanges])
    .setParent(parentUrn ?? '');
}

function findingsOf(answer: analyzerPb.AnalyzeResponse, urn: string): readonly Finding[] {
  return answer.getDiagnosticsList().map((diagnostic) => {
    const about = diagnostic.getUrn() || urn;
    const { type, name } = partsOfUrn(about);
    return {
      policy: diagnostic.getPolicyname(),
      level: diagnostic.getEnforcementlevel() === analyzerPb.EnforcementLevel.MANDATORY ? 'mandatory' : 'advisory',
      resource: about === '' ? null : `${type} ${name}`,
      message: diagnostic.getMessage(),
    };
  });
}
