import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { credentials, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { EngineClient } from '@pulumi/pulumi/proto/engine_grpc_pb.js';
import engine from '@pulumi/pulumi/proto/engine_pb.js';
import language from '@pulumi/pulumi/proto/language_pb.js';
import plugin from '@pulumi/pulumi/proto/plugin_pb.js';
import empty from 'google-protobuf/google/protobuf/empty_pb.js';
import { unary } from './unary.ts';

/**
 * The Node language host of the Pulumi engine, as far as a program and its dynamic resources need it.
 *
 * Why it exists: the real host is a Go module of its own (github.com/pulumi/pulumi/sdk/nodejs/cmd/pulumi-language-nodejs/v3)
 * without tags, and the module proxy answers "403 This module version is not available." for the pseudo-version of every
 * release commit from 3.207 to 3.260, so it cannot be built from modules as the CLI is. The engine dials this one instead
 * (PULUMI_DEBUG_LANGUAGES). A machine with a Pulumi release has `pulumi-language-nodejs` on its PATH, and then that one serves.
 *
 * What it does is what the real one does: it starts the SDK's own program runner (`@pulumi/pulumi/cmd/run`) with the same
 * flags and variables, and translates its exit code.
 */
export function languageHost(): UntypedServiceImplementation {
  let engineAddress = '';
  return {
    handshake: unary((request: language.LanguageHandshakeRequest) => {
      engineAddress = request.getEngineAddress();
      return new language.LanguageHandshakeResponse();
    }),
    getPluginInfo: unary(() => new plugin.PluginInfo().setVersion(VERSION)),
    // Every provider is attached, so there is no plugin to fetch.
    getRequiredPackages: unary(() => new language.GetRequiredPackagesResponse()),
    getRequiredPlugins: unary(() => new language.GetRequiredPluginsResponse()),
    getProgramDependencies: unary(() => new language.GetProgramDependenciesResponse()),
    about: unary(() => new language.AboutResponse().setExecutable(process.execPath).setVersion(process.version)),
    cancel: unary(() => new empty.Empty()),
    run: unary((request: language.RunRequest) => runProgram(request, engineAddress)),
  };
}

/** The engine only logs it. */
const VERSION = '0.0.0';

/** The runner's exit code when it has told the person itself what is wrong. */
const EXIT_ALREADY_TOLD = 32;

async function runProgram(request: language.RunRequest, engineAddress: string): Promise<language.RunResponse> {
  const programFolder = request.getInfo()?.getProgramDirectory() ?? request.getPwd();
  const runner = createRequire(join(programFolder, 'package.json')).resolve('@pulumi/pulumi/cmd/run');
  const child = spawn(process.execPath, [runner, ...argumentsOf(request, engineAddress)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...configOf(request), ...typescriptOf(request) },
  });
  // An attached host has no pipe to the engine, so what the program prints is told to it over its own service.
  const log = new EngineLog(engineAddress);
  try {
    const [[code, signal]] = await Promise.all([
      once(child, 'close') as Promise<[number | null, string | null]>,
      log.forward(child.stdout),
      log.forward(child.stderr),
    ]);
    if (code === 0) return new language.RunResponse();
    if (code === EXIT_ALREADY_TOLD) return new language.RunResponse().setBail(true);
    return new language.RunResponse().setError(`Program exited with non-zero exit code: ${code ?? signal}`);
  } finally {
    log.close();
  }
}

function argumentsOf(request: language.RunRequest, engineAddress: string): readonly string[] {
  const info = request.getInfo();
  const flags: readonly (readonly [string, string | undefined])[] = [
    ['monitor', request.getMonitorAddress()],
    ['engine', engineAddress],
    ['organization', request.getOrganization()],
    ['project', request.getProject()],
    ['root-directory', info?.getRootDirectory()],
    ['stack', request.getStack()],
    ['pwd', info?.getProgramDirectory()],
    ['parallel', String(request.getParallel())],
  ];
  const given = flags.flatMap(([name, value]) => (value === undefined || value === '' ? [] : [`--${name}`, value]));
  const dryRun = request.getDryrun() ? ['--dry-run'] : [];
  return [...given, ...dryRun, info?.getEntryPoint() ?? '.', ...request.getArgsList()];
}

function configOf(request: language.RunRequest): Record<string, string> {
  const config: Record<string, string> = {};
  request.getConfigMap().forEach((value, key) => (config[key] = value));
  return {
    PULUMI_CONFIG: JSON.stringify(config),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
  };
}

function typescriptOf(request: language.RunRequest): Record<string, string> {
  const isOn = request.getInfo()?.getOptions()?.toJavaScript()['typescript'] !== false;
  return { PULUMI_NODEJS_TYPESCRIPT: String(isOn) };
}

class EngineLog {
  readonly #client: EngineClient;

  constructor(address: string) {
    this.#client = new EngineClient(address, credentials.createInsecure());
  }

  async forward(stream: Readable): Promise<void> {
    for await (const line of createInterface({ input: stream })) await this.#send(line);
  }

  #send(message: string): Promise<void> {
    const request = new engine.LogRequest().setSeverity(engine.LogSeverity.INFO).setMessage(`${message}\n`);
    return new Promise((resolve) => {
      // An engine that is gone wants no text any more.
      this.#client.log(request, () => resolve());
    });
  }

  close(): void {
    this.#client.close();
  }
}
