import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { callbackify } from 'node:util';
import { credentials, type ServerWritableStream, status, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { AnalyzerStackConfigureRequest } from '@pulumi/pulumi/proto/analyzer_pb.js';
import { EngineClient } from '@pulumi/pulumi/proto/engine_grpc_pb.js';
import engine from '@pulumi/pulumi/proto/engine_pb.js';
import language from '@pulumi/pulumi/proto/language_pb.js';
import plugin from '@pulumi/pulumi/proto/plugin_pb.js';
import empty from 'google-protobuf/google/protobuf/empty_pb.js';
import { PolicyProxy } from './policy-proxy.ts';
import { unary } from './unary.ts';

/**
 * The Node language host of the Pulumi engine, as far as a program, its dynamic resources and its policy packs need it.
 *
 * Why it exists: the real host is a Go module of its own (github.com/pulumi/pulumi/sdk/nodejs/cmd/pulumi-language-nodejs/v3)
 * without tags, and the module proxy answers "403 This module version is not available." for the pseudo-version of every
 * release commit from 3.207 to 3.260, so it cannot be built from modules as the CLI is. The engine dials this one instead
 * (PULUMI_DEBUG_LANGUAGES). A machine with a Pulumi release has `pulumi-language-nodejs` on its PATH, and then that one serves.
 *
 * What it does is what the real one does: it starts the SDK's own runner of programs (`@pulumi/pulumi/cmd/run`) and of policy
 * packs (`@pulumi/pulumi/cmd/run-policy-pack`) with the same arguments and variables, and translates their exit codes.
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
    runPlugin: (call: PluginCall) => {
      runPolicyPackBack(call, (error) => {
        if (error === null) call.end();
        else call.emit('error', { code: status.UNKNOWN, details: error.message });
      });
    },
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
    env: { ...process.env, ...configOf(request), ...typescriptOf(request.getInfo()) },
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

type PluginCall = ServerWritableStream<language.RunPluginRequest, language.RunPluginResponse>;
type Pack = ChildProcessByStdio<null, Readable, Readable>;

/** A policy pack lives as long as the call: the engine cancels it when it has asked everything. */
async function runPolicyPack(call: PluginCall): Promise<void> {
  const kind = call.request.getKind();
  if (kind !== 'analyzer') throw new Error(`This host starts policy packs only, not a plugin of kind ${kind}.`);
  const proxy = await PolicyProxy.listen();
  const cancelled = new Promise<undefined>((resolve) => call.once('cancelled', () => resolve(undefined)));
  try {
    call.write(new language.RunPluginResponse().setStdout(textBytes(`${proxy.port}\n`)));
    const stack = await Promise.race([proxy.configured(), cancelled]);
    if (!call.cancelled) await servePack(call, proxy, startPack(call.request, stack));
  } finally {
    proxy.close();
  }
}

const runPolicyPackBack = callbackify(runPolicyPack);

async function servePack(call: PluginCall, proxy: PolicyProxy, child: Pack): Promise<void> {
  const kill = (): boolean => child.kill('SIGKILL');
  call.once('cancelled', kill);
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  child.stderr.on('data', (chunk: Buffer) => call.write(new language.RunPluginResponse().setStderr(chunk)));
  try {
    const port = await portOf(child, call);
    if (port === undefined) proxy.fail(new Error('The policy pack has ended before it named its port.'));
    else await proxy.attach(port);
    const [code, signal] = await ended;
    if (code !== 0 && !call.cancelled) throw new Error(`Program exited with non-zero exit code: ${code ?? signal}`);
  } finally {
    kill();
  }
}

function startPack(request: language.RunPluginRequest, stack: AnalyzerStackConfigureRequest | undefined): Pack {
  const info = request.getInfo();
  const folder = info?.getProgramDirectory() ?? request.getPwd();
  const runner = createRequire(join(folder, 'package.json')).resolve('@pulumi/pulumi/cmd/run-policy-pack');
  // The other way round than for every other kind of plugin: the folder comes last.
  return spawn(process.execPath, [runner, ...request.getArgsList(), folder], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...variablesOf(request.getEnvList()), ...typescriptOf(info), ...stackOf(stack) },
  });
}

/** The first line that a pack prints is its port; what follows is for people. */
function portOf(child: Pack, call: PluginCall): Promise<number | undefined> {
  const lines = createInterface({ input: child.stdout });
  const tell = (line: string): void =>
    void call.write(new language.RunPluginResponse().setStdout(textBytes(`${line}\n`)));
  return new Promise((resolve) => {
    lines.once('line', (first) => {
      lines.on('line', tell);
      resolve(Number(first));
    });
    lines.once('close', () => resolve(undefined));
  });
}

/** Where a Node pack looks for the stack that it judges. */
function stackOf(stack: AnalyzerStackConfigureRequest | undefined): Record<string, string> {
  if (stack === undefined) return {};
  const config: Record<string, string> = {};
  stack.getConfigMap().forEach((value, key) => (config[key] = value));
  return {
    PULUMI_NODEJS_ORGANIZATION: stack.getOrganization(),
    PULUMI_NODEJS_PROJECT: stack.getProject(),
    PULUMI_NODEJS_STACK: stack.getStack(),
    PULUMI_NODEJS_DRY_RUN: String(stack.getDryRun()),
    PULUMI_CONFIG: JSON.stringify(config),
  };
}

/** `NAME=value`, as the engine writes its environment; the later one wins. */
function variablesOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

const textBytes = (text: string): Uint8Array => new TextEncoder().encode(text);

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

function typescriptOf(info: language.ProgramInfo | undefined): Record<string, string> {
  const isOn = info?.getOptions()?.toJavaScript()['typescript'] !== false;
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
