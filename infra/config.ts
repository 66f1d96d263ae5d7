import { upstreams } from '../runtime/catalog.ts';
import type { Workload } from '../runtime/core/workload-fields.ts';
import { readWorkload } from '../runtime/core/workload.ts';
import type { SettingSpec, Settings } from '../runtime/settings.ts';
import { readSettings, SETTINGS } from '../runtime/settings.ts';
import type { KeyName, KeySpec, KeyValue } from './config-keys.ts';
import { KEYS } from './config-keys.ts';
import { readPolicyExceptions, readSkuReasons } from './exceptions.ts';
import { nameErrors, namesOf } from './names.ts';
import { nearestOf } from '../runtime/core/nearest.ts';
import type { ReadStackConfig, RedisKind, StackConfig } from './stack-config.ts';

/** The configuration while it is read: what could not be read is undefined. */
type Draft = { readonly [Field in keyof StackConfig]: StackConfig[Field] | undefined };

/**
 * Reads the raw configuration of a stack: namespaced keys, lists and objects as JSON text (`pulumi.runtime.allConfig()`,
 * or a file read by `config-file.ts`). Keys of other namespaces than `adit` are left to their owners, but for the region.
 */
export function readStackConfig(stack: string, values: Readonly<Record<string, string>>): ReadStackConfig {
  const errors: string[] = [...unknownKeys(values)];
  const stage = readKey('adit:stage', values, errors);
  const read = <Name extends KeyName>(name: Name): KeyValue<Name> | undefined => {
    const { fallback }: KeySpec<unknown> = KEYS[name];
    const isAbsent = (values[name] ?? '') === '';
    if (isAbsent && fallback !== undefined) return fallback[stage ?? 'dev'] as KeyValue<Name>;
    return readKey(name, values, errors);
  };
  const draft: Draft = {
    stack: readStack(stack, errors),
    stage,
    prefix: read('adit:prefix'),
    location: read('azure-native:location'),
    owner: read('adit:owner'),
    costCenter: read('adit:costCenter'),
    alertEmails: read('adit:alertEmails'),
    monthlyBudgetUsd: read('adit:monthlyBudgetUsd'),
    redis: read('adit:redis'),
    instanceMemoryMb: read('adit:instanceMemoryMb'),
    instanceLimit: read('adit:instanceLimit'),
    listener: readListener(values['adit:listener'], errors) ? read('adit:listener') : undefined,
    upstreamUrls: readUpstreamUrls(read('adit:upstreamUrls'), errors),
    developers: read('adit:developers'),
    logDailyCapGb: read('adit:logDailyCapGb'),
    logRetentionDays: read('adit:logRetentionDays'),
    settings: readSettingValues(read('adit:settings'), errors),
    workload: readWorkloadFields(read('adit:workload'), errors),
    skuReasons: readSkuReasons(read('adit:skuReasons'), errors),
    exceptions: readPolicyExceptions(read('adit:exceptions'), errors),
  };
  errors.push(...contradictions(draft));
  return errors.length === 0 && isComplete(draft) ? { ok: true, config: draft } : { ok: false, errors };
}

function isComplete(draft: Draft): draft is StackConfig {
  return Object.values(draft).every((value) => value !== undefined);
}

function readKey<Name extends KeyName>(
  name: Name,
  values: Readonly<Record<string, string>>,
  errors: string[],
): KeyValue<Name> | undefined {
  const { rule, example, parse }: KeySpec<unknown> = KEYS[name];
  const text = values[name] ?? '';
  if (text === '') {
    errors.push(`${name} is missing; it must be ${rule}. Example: ${name}: ${example}`);
    return undefined;
  }
  const parsed = parse(text);
  if ('value' in parsed) return parsed.value as KeyValue<Name>;
  for (const wrong of parsed.wrong) {
    errors.push(`${name} must be ${rule}, got ${JSON.stringify(wrong)}. Example: ${name}: ${example}`);
  }
  return undefined;
}

/** The value of an unknown key is never shown: nobody knows what it was meant to be. */
function unknownKeys(values: Readonly<Record<string, string>>): readonly string[] {
  const unknown = Object.keys(values).filter((key) => key.startsWith('adit:') && !Object.hasOwn(KEYS, key));
  // Compared without the namespaces, because a wrong one is a frequent slip.
  const shortNames = new Map((Object.keys(KEYS) as KeyName[]).map((key) => [shortName(key), key]));
  return unknown.map((key) => {
    const near = shortNames.get(nearestOf(shortName(key), [...shortNames.keys()]) ?? '') ?? 'adit:stage';
    return `${key} is not a key of a stack; did you mean ${near}? Example: ${near}: ${KEYS[near].example}`;
  });
}

function shortName(key: string): string {
  return key.slice(key.indexOf(':') + 1);
}

function readStack(stack: string, errors: string[]): string | undefined {
  if (/^[a-z0-9]+(?:-[a-z0-9]+)*$/i.test(stack)) return stack;
  errors.push(
    'the name of a stack must be letters, digits and single hyphens between them, because it is part of every name in ' +
      `Azure, got ${JSON.stringify(stack)}. Example: pulumi stack init dev`,
  );
  return undefined;
}

/** Hosts that are planned for the time when something captures; prices are in `Pulumi.prod.yaml`. */
const FUTURE_LISTENERS: readonly string[] = ['app-service-b1', 'container-app'];

function readListener(text: string | undefined, errors: string[]): boolean {
  if (text === undefined || !FUTURE_LISTENERS.includes(text)) return true;
  errors.push(
    `adit:listener must be none, because nothing captures yet and ${text} would be paid for nothing, ` +
      `got ${JSON.stringify(text)}. Example: adit:listener: none`,
  );
  return false;
}

function readUpstreamUrls(
  urls: Readonly<Record<string, string>> | undefined,
  errors: string[],
): Readonly<Record<string, string>> | undefined {
  if (urls === undefined) return undefined;
  const example = `Example: adit:upstreamUrls: ${KEYS['adit:upstreamUrls'].example}`;
  const names = upstreams.map(({ name }) => name);
  for (const name of names.filter((known) => !Object.hasOwn(urls, known))) {
    errors.push(`adit:upstreamUrls must name every upstream of the catalog, ${name} is missing. ${example}`);
  }
  for (const [name, url] of Object.entries(urls)) {
    const near = nearestOf(name, names) ?? 'none';
    const mistake = names.includes(name) ? urlMistake(url) : `is not an upstream of the catalog; did you mean ${near}?`;
    if (mistake !== undefined) errors.push(`adit:upstreamUrls: ${name} ${mistake} ${example}`);
  }
  return Object.fromEntries(Object.entries(urls).map(([name, url]) => [name, url.replace(/\/+$/, '')]));
}

function urlMistake(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.protocol !== 'https:') return `must be an https URL, got ${JSON.stringify(text)}.`;
  // What stands before the @ may be a password, so the value is not shown.
  if (url.username !== '' || url.password !== '') return 'must be a URL without credentials, got one with them.';
  if (url.search === '' && url.hash === '') return undefined;
  return `must be a URL without query and fragment, got ${JSON.stringify(text)}.`;
}

function readSettingValues(
  given: Readonly<Record<string, string>> | undefined,
  errors: string[],
): Settings | undefined {
  if (given === undefined) return undefined;
  const specOf = (name: string): SettingSpec | undefined => (SETTINGS as Readonly<Record<string, SettingSpec>>)[name];
  const isHomeOnly = (name: string): boolean => specOf(name)?.homeOnly === true;
  const names = Object.keys(given);
  for (const name of names.filter(isHomeOnly)) {
    errors.push(
      `adit:settings: ${name} must not be set, because it means something on this machine only, ` +
        `got ${JSON.stringify(given[name])}. Example: npm start -- --set ${name}=${given[name]}`,
    );
  }
  for (const name of names.filter((name) => specOf(name)?.fromStack === true)) {
    errors.push(
      `adit:settings: ${name} must not be set, because the stack derives it from adit:instanceLimit and the catalog, ` +
        `got ${JSON.stringify(given[name])}. Example: adit:instanceLimit: 40`,
    );
  }
  const inCloud = names.filter((name) => !isHomeOnly(name));
  const assignments = inCloud.map((name) => ({ name, text: given[name] ?? '', origin: 'adit:settings' }));
  const result = readSettings('cloud', assignments);
  if (result.ok) return result.settings;
  // The shared text ends in an example for the command line; here the same value belongs into the file.
  const toFile = (error: string): string => error.replace(/--set (\w+)=(\S+)$/, 'adit:settings: { $1: $2 }');
  errors.push(...result.errors.map(toFile));
  return undefined;
}

function readWorkloadFields(
  given: Readonly<Record<string, string>> | undefined,
  errors: string[],
): Workload | undefined {
  if (given === undefined) return undefined;
  const result = readWorkload(given, 'key');
  if (result.ok) return result.workload;
  errors.push(...result.errors);
  return undefined;
}

/** Burstable: fast until the credits are spent, then slow for as long as the load lasts. */
const BURSTABLE: readonly RedisKind[] = ['managed-b0', 'managed-b1'];

/** What is right by itself and wrong together. */
function contradictions({ stack, stage, prefix, redis, developers }: Draft): readonly string[] {
  const errors: string[] = [];
  if (stage === 'prod' && developers !== undefined && developers.length > 0) {
    errors.push(
      'adit:developers must be empty when adit:stage is prod, because nobody mines into prod from a desk, ' +
        `got ${developers.length}. Example: adit:developers: []`,
    );
  }
  if (stage === 'prod' && redis !== undefined && BURSTABLE.includes(redis)) {
    errors.push(
      'adit:redis must not be burstable when adit:stage is prod, because it slows down under a load that lasts, ' +
        `got ${JSON.stringify(redis)}. Example: adit:redis: managed-b5`,
    );
  }
  if (stack !== undefined && prefix !== undefined) {
    const advice = `Example: adit:prefix: ${prefix.slice(0, 3)}, or a shorter name of the stack`;
    errors.push(
      ...nameErrors(namesOf(prefix, stack)).map(
        (error) => `adit:prefix ${prefix} with the stack ${stack}: ${error}. ${advice}`,
      ),
    );
  }
  return errors;
}
