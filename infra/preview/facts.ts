import type { RegisteredResource } from './registered-resource.ts';
import { type Json, type JsonObject, UNKNOWN, withoutHash } from './wire-value.ts';

/** Facts about a resource that fit on its line. */
const FACTS_LIMIT = 3;

/** Letters of one fact's value at most. */
const VALUE_CHARS_LIMIT = 40;

/** Inputs that decide what a resource costs or does, the telling ones first. */
const TELLING = [
  'sku',
  'properties.sku',
  'highAvailability',
  'clusteringPolicy',
  'port',
  'functionAppConfig.runtime.version',
  'functionAppConfig.scaleAndConcurrency.instanceMemoryMB',
  'functionAppConfig.scaleAndConcurrency.maximumInstanceCount',
  'lockDuration',
  'maxDeliveryCount',
  'requiresDuplicateDetection',
  'requiresSession',
  'forwardTo',
  'severity',
  'criteria.allOf.0.metricName',
  'criteria.allOf.0.threshold',
  'amount',
  'workspaceCapping.dailyQuotaGb',
  'retentionInDays',
  'accessPolicyName',
  'roleDefinitionId',
  'principalType',
  'allowSharedKeyAccess',
  'disableLocalAuth',
  'publicAccess',
  'kind',
] as const;

/** What is off is no news, but for these. */
const TELLING_WHEN_OFF = new Set(['allowSharedKeyAccess']);

/** Says where a resource is, or repeats its name; never what is special about it. */
const UNTELLING = /^(tags|type|scope|resourceGroupName|.*(Name|Id)|name)$/;

/**
 * The two or three inputs that matter, as `key=value`: those known to, and else the first short ones. Code of a dynamic
 * resource is `[code]`.
 */
export function inputsThatMatter({ inputs, isCustom }: RegisteredResource): readonly string[] {
  if (!isCustom) return [];
  const code = inputs['__provider'];
  const known = TELLING.flatMap((path) => fact(path, at(inputs, path)));
  const others = Object.entries(inputs).flatMap(([key, value]) =>
    key === '__provider' || UNTELLING.test(key) || typeof value === 'object' ? [] : fact(key, value),
  );
  const facts = (known.length > 0 ? known : others).slice(0, FACTS_LIMIT);
  return typeof code === 'string' ? [withoutHash(code), ...facts] : facts;
}

/** `text`, or its beginning when it is longer than `limit` letters. */
export function shortened(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}

function at(inputs: JsonObject, path: string): Json | undefined {
  const field = (value: Json | undefined, key: string): Json | undefined => {
    if (isObject(value)) return value[key];
    return Array.isArray(value) ? (value as readonly Json[])[Number(key)] : undefined;
  };
  return path.split('.').reduce<Json | undefined>(field, inputs);
}

function fact(path: string, value: Json | undefined): readonly string[] {
  if (value === undefined || value === null || value === UNKNOWN || value === '') return [];
  const key = path.slice(path.lastIndexOf('.') + 1);
  if (value === false && !TELLING_WHEN_OFF.has(key)) return [];
  const text = key === 'sku' ? skuText(value) : plainText(value);
  return [`${key}=${shortened(text, VALUE_CHARS_LIMIT)}`];
}

/** `Standard C3` of a cache, and the name alone of everything else. */
function skuText(value: Json): string {
  if (!isObject(value)) return plainText(value);
  const { name, family, capacity } = value;
  const size = typeof family === 'string' && typeof capacity === 'number' ? ` ${family}${capacity}` : '';
  return `${plainText(name ?? null)}${size}`;
}

function plainText(value: Json): string {
  if (value === null) return '';
  // The id of a role or a resource ends in what tells it apart.
  if (typeof value === 'string' && value.startsWith('/')) return value.slice(value.lastIndexOf('/') + 1);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
