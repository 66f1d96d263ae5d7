import { upstreams } from '../catalog.ts';
import { type ConnectionName, CONNECTIONS } from '../connections.ts';
import { type Assignment, readSettings, SETTINGS, type Settings, type SettingSpec, variableOf } from '../settings.ts';
import { BadInput } from './bad-input.ts';
import { type Environment, readEnvironment, type Variables } from './config.ts';
import { isObject, parseJson } from '../core/json.ts';

/** Where the message bus is: with an Entra token, or with a key (an emulator). The connection string is a secret. */
export type BusPlace = { readonly namespace: string } | { readonly connectionString: string };

/** Where ledger and lake are: with an Entra token, or with a key (an emulator). The connection string is a secret. */
export type StoragePlace =
  | { readonly tablesUrl: string; readonly lakeUrl: string }
  | { readonly connectionString: string };

/** Where Redis is: with an Entra token over TLS, or by a URL that may hold a password. */
export type RedisPlace = { readonly host: string; readonly port: number } | { readonly url: string };

/** Everything that a process in the cloud is told, checked. */
export interface CloudConfig {
  readonly settings: Settings;
  /** Base URL of every upstream of the catalog, without a slash at the end. */
  readonly baseUrls: Readonly<Record<string, string>>;
  readonly bus: BusPlace;
  readonly storage: StoragePlace;
  /** Undefined: checkpoints are kept in memory only. */
  readonly redis: RedisPlace | undefined;
  /** The connections that these were made of, and those that only one part of the process needs. */
  readonly environment: Environment;
}

/** What a reading may be told beside the variables. */
export interface ReadCloudOptions {
  /** A person's settings, which win over the variables. Default: none. */
  readonly overrides?: readonly Assignment[];
  /** A setting that is not there is a mistake. Default false: it has its default of the cloud. */
  readonly isComplete?: boolean;
  /** What a person does about a variable that is missing or wrong. Default: `pulumi up`. */
  readonly next?: string;
}

/** Hosts that may be spoken to without TLS: nobody else hears it. */
const LOOPBACK = '127.0.0.1';

/**
 * Reads the variables of a process that works in the cloud: a function app, or a person's process that mines into a stack.
 * @throws BadInput with every mistake at once. A secret is in none of them.
 */
export function readCloud(variables: Variables, options: ReadCloudOptions = {}): CloudConfig {
  const environment = readEnvironment(variables);
  const errors = environment.unknown.map((variable) => `${variable}: there is no such setting`);
  const read = readSettings('cloud', [...environment.assignments, ...(options.overrides ?? [])]);
  if (!read.ok) errors.push(...read.errors);
  if (options.isComplete === true) errors.push(...missingSettings(environment));
  const baseUrls = readBaseUrls(environment, errors);
  const bus = readBus(environment, errors);
  const storage = readStorage(environment, errors);
  const redis = readRedis(environment, errors);
  if (errors.length > 0 || !read.ok || bus === undefined || storage === undefined) {
    throw new BadInput(`${errors.join('\n')}\nNext: ${options.next ?? 'pulumi up'}`);
  }
  return { settings: read.settings, baseUrls, bus, storage, redis, environment };
}

/** Settings that a stack writes and this one has not: it was deployed before there were such settings. */
function missingSettings({ assignments }: Environment): readonly string[] {
  const present = new Set(assignments.map(({ name }) => name));
  const needed = Object.entries<SettingSpec>(SETTINGS).filter(([, { homeOnly }]) => homeOnly !== true);
  return needed
    .filter(([name]) => !present.has(name))
    .map(([name, { docs }]) => `${variableOf(name)} is missing: ${docs}`);
}

function readBus(environment: Environment, errors: string[]): BusPlace | undefined {
  const { bus, busNamespace } = environment;
  if (isBoth(environment, ['bus'], ['busNamespace'], errors)) return undefined;
  if (bus !== undefined) return { connectionString: bus };
  if (busNamespace === undefined) return isMissing('busNamespace', errors);
  if (/^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+$/i.test(busNamespace)) return { namespace: busNamespace };
  return isWrong('busNamespace', 'a host name', busNamespace, errors);
}

function readStorage(environment: Environment, errors: string[]): StoragePlace | undefined {
  const { storage, tablesUrl, lakeUrl } = environment;
  if (isBoth(environment, ['storage'], ['tablesUrl', 'lakeUrl'], errors)) return undefined;
  if (storage !== undefined) return { connectionString: storage };
  for (const [name, text] of [
    ['tablesUrl', tablesUrl],
    ['lakeUrl', lakeUrl],
  ] as const) {
    if (text === undefined) isMissing(name, errors);
    // The client sends its token nowhere without TLS, also not to this machine.
    else if (!isWebUrl(text, ['https:'])) isWrong(name, 'an https URL', text, errors);
  }
  return tablesUrl === undefined || lakeUrl === undefined ? undefined : { tablesUrl, lakeUrl };
}

function readRedis(environment: Environment, errors: string[]): RedisPlace | undefined {
  const { redisUrl, redisAddress } = environment;
  if (isBoth(environment, ['redisUrl'], ['redisAddress'], errors)) return undefined;
  if (redisUrl !== undefined) {
    const mistake = redisUrlMistake(redisUrl);
    if (mistake !== undefined) errors.push(mistake);
    return { url: redisUrl };
  }
  if (redisAddress === undefined) return undefined;
  const [, host, port] = /^([a-z0-9.-]+):(\d{1,5})$/i.exec(redisAddress) ?? [];
  if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return { host, port: Number(port) };
  return isWrong('redisAddress', 'host:port', redisAddress, errors);
}

/** What is wrong with a `REDIS_URL`; it holds a password, so the message does not repeat it. */
export function redisUrlMistake(text: string): string | undefined {
  if (['redis:', 'rediss:'].includes(URL.parse(text)?.protocol ?? '')) return undefined;
  return `REDIS_URL must be a redis:// or rediss:// URL, for example ${CONNECTIONS.redisUrl.example}`;
}

/** Where a bus is, for people. */
export function busText(bus: BusPlace): string {
  if ('namespace' in bus) return bus.namespace;
  return `${busHost(bus.connectionString) ?? 'Service Bus'} (entered with a key)`;
}

function busHost(connectionString: string): string | undefined {
  return /(?:^|;)\s*Endpoint=sb:\/\/([^;/]+)/i.exec(connectionString)?.[1];
}

/** What is wrong with a connection string of a bus; it holds a key, so the message does not repeat it. */
export function busMistake(text: string): string | undefined {
  if (busHost(text) !== undefined && /(?:^|;)\s*SharedAccessKey=[^;]/i.test(text)) return undefined;
  const { variable, example } = CONNECTIONS.bus;
  return `${variable} must be a connection string with an endpoint and a key, for example ${example}. Next: npm run adit -- broker starts a broker and prints its own; or unset the variable`;
}

function readBaseUrls(environment: Environment, errors: string[]): Readonly<Record<string, string>> {
  const text = environment.upstreamUrls;
  if (text === undefined) return isMissing('upstreamUrls', errors) ?? {};
  const urls = parseObject(text);
  if (urls === undefined) return isWrong('upstreamUrls', 'a JSON object of URLs by upstream', text, errors) ?? {};
  const { variable } = CONNECTIONS.upstreamUrls;
  const names: readonly string[] = upstreams.map(({ name }) => name);
  for (const name of Object.keys(urls)) {
    if (!names.includes(name)) errors.push(`${variable}: the catalog has no upstream ${JSON.stringify(name)}`);
  }
  return Object.fromEntries(
    names.map((name) => {
      const url = Object.hasOwn(urls, name) ? urls[name] : undefined;
      if (url === undefined) errors.push(`${variable}: the upstream ${name} has no address`);
      else if (typeof url !== 'string' || !isUpstreamUrl(url)) {
        errors.push(
          `${variable}: ${name} must be an https URL without query and credentials (http on ${LOOPBACK} only), got ${JSON.stringify(url)}`,
        );
      }
      return [name, String(url).replace(/\/+$/, '')];
    }),
  );
}

function isUpstreamUrl(text: string): boolean {
  const url = URL.parse(text);
  return isWebUrl(text, url?.hostname === LOOPBACK ? ['http:', 'https:'] : ['https:']);
}

function isWebUrl(text: string, protocols: readonly string[]): boolean {
  const url = URL.parse(text);
  if (url === null || !protocols.includes(url.protocol)) return false;
  return url.search === '' && url.hash === '' && url.username === '' && url.password === '';
}

/** Text that is no JSON is the same mistake as JSON that is no object. */
function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  const value = parseJson(text);
  return isObject(value) ? value : undefined;
}

function isBoth(
  environment: Environment,
  left: readonly ConnectionName[],
  right: readonly ConnectionName[],
  errors: string[],
): boolean {
  const present = (names: readonly ConnectionName[]): readonly string[] =>
    names.filter((name) => environment[name] !== undefined).map((name) => CONNECTIONS[name].variable);
  if (present(left).length === 0 || present(right).length === 0) return false;
  errors.push(`${[...present(left), ...present(right)].join(' and ')} say two different things: set one of them`);
  return true;
}

function isMissing(name: ConnectionName, errors: string[]): undefined {
  const { variable, docs, example } = CONNECTIONS[name];
  errors.push(`${variable} is missing: ${docs} Example: ${variable}=${example}`);
}

function isWrong(name: ConnectionName, rule: string, text: string, errors: string[]): undefined {
  const { variable, example, isSecret } = CONNECTIONS[name];
  const got = isSecret ? '' : `, got ${JSON.stringify(text)}`;
  errors.push(`${variable} must be ${rule}${got}. Example: ${variable}=${example}`);
}
