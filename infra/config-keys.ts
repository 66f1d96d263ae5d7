import type { StackStage } from './stack-config.ts';
import { EXCEPTION_EXAMPLE } from './exceptions.ts';
import { REDIS_KINDS } from './stack-config.ts';
import { parseJson } from '../runtime/core/json.ts';

/** A value, or the parts of what was written that break the rule. */
export type ParsedValue<T> = { readonly value: T } | { readonly wrong: readonly unknown[] };

/** One key of a stack's configuration. Lists and objects arrive as JSON text. */
export interface KeySpec<T> {
  readonly docs: string;
  /** Continues "<key> must be ...". */
  readonly rule: string;
  /** A valid value as it stands in `Pulumi.<stack>.yaml`. */
  readonly example: string;
  /** Counts when the key is absent; a key without it is required. */
  readonly fallback?: Readonly<Record<StackStage, T>>;
  readonly parse: (text: string) => ParsedValue<T>;
}

const both = <T>(value: T): Readonly<Record<StackStage, T>> => ({ dev: value, prod: value });

const STAGES: readonly StackStage[] = ['dev', 'prod'];
const INSTANCE_MEMORIES = [512, 2048, 4096] as const;
const GUID = /^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/i;
/** Only gross slips are caught: whether mail arrives is seen by the test mail of the action group. */
const EMAIL = /^[^\s@,;<>"]+@[^\s@,;<>".]+(?:\.[^\s@,;<>".]+)+$/;
/** Azure takes 256 characters as the value of a tag. */
const TAG_VALUE = /^[^\p{Cc}]{1,256}$/u;

/** THE table of the keys in `Pulumi.<stack>.yaml`. */
export const KEYS = {
  'azure-native:location': {
    docs: 'Region of every resource. Whether it has Flex Consumption is asked by "npm run preflight".',
    rule: 'the short name of a region, lower-case letters and digits without spaces',
    example: 'eastus',
    parse: matching(/^[a-z][a-z0-9]{2,30}$/),
  },
  'adit:stage': {
    docs: 'Service class: dev is small and leaves nothing behind, prod keeps its data and survives the loss of a zone.',
    rule: 'dev or prod',
    example: 'dev',
    parse: oneOf(STAGES),
  },
  'adit:prefix': {
    docs: 'Begins every name; with the name of the stack it must be unique in all of Azure.',
    rule: '3 to 9 lower-case letters and digits, a letter first',
    example: 'adit7',
    parse: matching(/^[a-z][a-z0-9]{2,8}$/),
  },
  'adit:owner': {
    docs: 'Tag on every resource: whom to ask.',
    rule: 'text of 1 to 256 characters',
    example: 'data-platform',
    parse: matching(TAG_VALUE),
  },
  'adit:costCenter': {
    docs: 'Tag on every resource: who pays.',
    rule: 'text of 1 to 256 characters',
    example: 'cc-1042',
    parse: matching(TAG_VALUE),
  },
  'adit:alertEmails': {
    docs: 'Who is told by alerts and by the budget. A budget takes 50 addresses.',
    rule: 'a list of 1 to 50 different e-mail addresses',
    example: '[oncall@example.com]',
    parse: listOf(EMAIL, 1, 50),
  },
  'adit:monthlyBudgetUsd': {
    docs: 'Mails are sent at 50, 80 and 100 % of it, and when the forecast passes it. It stops nothing by itself.',
    rule: 'a number 1..1000000 (USD)',
    example: '400',
    parse: numberIn(1, 1_000_000),
  },
  'adit:upstreamUrls': {
    docs: 'Base URL of every upstream of the catalog.',
    rule: 'an object with the https URL of every upstream',
    example: '{ graph: https://graph.example.com }',
    parse: textByName,
  },
  'adit:redis': {
    docs: 'The cache: managed-b* is Azure Managed Redis, standard-c3 is Azure Cache for Redis (retires 2028-09-30).',
    rule: `one of ${REDIS_KINDS.join(', ')}`,
    example: 'managed-b5',
    fallback: { dev: 'managed-b0', prod: 'standard-c3' },
    parse: oneOf(REDIS_KINDS),
  },
  'adit:instanceMemoryMb': {
    // 512 would be cheaper, but Azure has refused it although its documentation lists it (azure-rest-api-specs #40898,
    // 2026-03-01), so nobody's first deployment should depend on it.
    docs: 'Memory of an instance; 512 is cheaper where Azure accepts it.',
    rule: `${INSTANCE_MEMORIES.join(', ')} (MB)`,
    example: '2048',
    fallback: both<(typeof INSTANCE_MEMORIES)[number]>(2048),
    parse: oneOf(INSTANCE_MEMORIES),
  },
  'adit:instanceLimit': {
    // The official sample still enforces 40 as the floor (azure-functions-flex-consumption-samples, 2025-12-17); whether
    // Azure itself does is not known, so a lower limit is left to Azure to judge.
    docs: 'Instances of one function at most; Azure may refuse fewer than 40.',
    rule: 'a whole number 1..1000',
    example: '40',
    fallback: { dev: 40, prod: 100 },
    parse: wholeNumberIn(1, 1000),
  },
  'adit:listener': {
    docs: 'Always-on host of the sockets. Nothing captures yet, so there is none to pay for.',
    rule: 'none',
    example: 'none',
    fallback: both<'none'>('none'),
    parse: oneOf(['none']),
  },
  'adit:developers': {
    docs: 'Object ids of people who may mine into the stack from their own machine; dev only.',
    rule: 'a list of at most 20 different object ids',
    example: '[00000000-0000-0000-0000-000000000000]',
    fallback: both<readonly string[]>([]),
    parse: listOf(GUID, 0, 20),
  },
  'adit:logDailyCapGb': {
    docs: 'Logs and traces above it are dropped until the next day. 5 GB a month are free, then $2.30 each.',
    rule: 'a number 0.05..100 (GB)',
    example: '0.2',
    fallback: { dev: 0.2, prod: 1 },
    parse: numberIn(0.05, 100),
  },
  'adit:logRetentionDays': {
    docs: 'How long logs and traces are kept.',
    rule: 'a whole number 30..730 (days)',
    example: '30',
    fallback: both(30),
    parse: wholeNumberIn(30, 730),
  },
  'adit:settings': {
    docs: 'Settings of the runtime that differ from their default in the cloud ("npm start -- --help" lists them).',
    rule: 'an object with a number by setting',
    example: '{ userCallsPerSecond: 2 }',
    fallback: both<Readonly<Record<string, string>>>({}),
    parse: textByName,
  },
  'adit:workload': {
    docs: 'What the stack is expected to mine; its bill and the sizes it needs are computed from it ("npm run adit -- size --help" lists the fields).',
    rule: 'an object with a number by field',
    example: '{ users: 500, callsPerDay: 2000000 }',
    fallback: both<Readonly<Record<string, string>>>({}),
    parse: textByName,
  },
  'adit:skuReasons': {
    docs: 'Why a SKU is larger than the workload needs, by service (serviceBus, redis, functions); policies ask for it.',
    rule: 'an object with a reason by service',
    example: '{ redis: bought before the move to managed Redis }',
    fallback: both<Readonly<Record<string, string>>>({}),
    parse: textByName,
  },
  'adit:exceptions': {
    docs: 'Findings of policies that are accepted until a day; level: advisory (said) or off. An expired one is a finding.',
    rule: 'a list of objects',
    example: EXCEPTION_EXAMPLE,
    fallback: both<readonly Readonly<Record<string, unknown>>[]>([]),
    parse: objectList,
  },
} as const satisfies Record<string, KeySpec<unknown>>;

export type KeyName = keyof typeof KEYS;

/** What a key means once it is read. */
export type KeyValue<Name extends KeyName> = Extract<
  ReturnType<(typeof KEYS)[Name]['parse']>,
  { value: unknown }
>['value'];

function matching(form: RegExp): (text: string) => ParsedValue<string> {
  return (text) => (form.test(text) ? { value: text } : { wrong: [text] });
}

function oneOf<const T extends string | number>(choices: readonly T[]): (text: string) => ParsedValue<T> {
  return (text) => {
    const value = choices.find((choice) => String(choice) === text);
    return value === undefined ? { wrong: [text] } : { value };
  };
}

function numberIn(min: number, max: number): (text: string) => ParsedValue<number> {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    return value >= min && value <= max ? { value } : { wrong: [text] };
  };
}

function wholeNumberIn(min: number, max: number): (text: string) => ParsedValue<number> {
  const inRange = numberIn(min, max);
  return (text) => {
    const parsed = inRange(text);
    return 'value' in parsed && !Number.isInteger(parsed.value) ? { wrong: [text] } : parsed;
  };
}

function listOf(form: RegExp, min: number, max: number): (text: string) => ParsedValue<readonly string[]> {
  return (text) => {
    const list = parseJson(text);
    if (!Array.isArray(list)) return { wrong: [text] };
    const items: readonly unknown[] = list;
    if (items.length < min || items.length > max) return { wrong: [items] };
    const isGood = (item: unknown): item is string => typeof item === 'string' && form.test(item);
    const texts = items.filter(isGood).map((item) => item.toLowerCase());
    const repeated = texts.filter((item, at) => texts.indexOf(item) !== at);
    const wrong = [...items.filter((item) => !isGood(item)), ...repeated];
    return wrong.length > 0 ? { wrong } : { value: items.filter(isGood) };
  };
}

/** An object; its values stay text, because each name has a rule of its own. */
function textByName(text: string): ParsedValue<Readonly<Record<string, string>>> {
  const object = parseJson(text);
  if (typeof object !== 'object' || object === null || Array.isArray(object)) return { wrong: [text] };
  const toText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
  return { value: Object.fromEntries(Object.entries(object).map(([name, value]) => [name, toText(value)])) };
}

function objectList(text: string): ParsedValue<readonly Readonly<Record<string, unknown>>[]> {
  const list = parseJson(text);
  if (!Array.isArray(list)) return { wrong: [text] };
  const items: readonly unknown[] = list;
  const wrong = items.filter((item) => typeof item !== 'object' || item === null || Array.isArray(item));
  return wrong.length > 0 ? { wrong } : { value: items as readonly Readonly<Record<string, unknown>>[] };
}
