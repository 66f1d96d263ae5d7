import { createHash } from 'node:crypto';
import { partsOfUrn } from './urn.ts';

/** Plain JSON. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Plain JSON with names, for example the inputs of a resource. */
export type JsonObject = { readonly [key: string]: Json };

/** Stands for a value that is secret; the value itself is never kept. */
export const SECRET = '[secret]';

/** Stands for a value that only Azure can give, for example an id. */
export const UNKNOWN = '[unknown]';

// The marks that the SDK puts on special values, as its own runtime/rpc.js names them (3.270.0).
const UNKNOWN_VALUE = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
const SIGNATURE_KEY = '4dabf18193072939515e22adb298388d';
const SECRET_SIGNATURE = '1b47061264138c4ac30d75fd1eb44270';
const ASSET_SIGNATURE = 'c44067f5952c0a294b673a41bacd8c17';
const ARCHIVE_SIGNATURE = '0def7320c3a5731c473e5ecbe6d01bc7';
const RESOURCE_SIGNATURE = '5cf8f73096256a8f31e491e813e4eb8e';
const OUTPUT_SIGNATURE = 'd0e6a833031e9bbcd3f4e8bde6ca49a4';

/** Input of a dynamic resource that holds its serialised code. */
const CODE_INPUT = '__provider';

/** Letters of the hash that stand for code: enough to see that it changed. */
const CODE_HASH_LENGTH = 12;

/** Names with values as a program sends them -> plain JSON with {@link SECRET}, {@link UNKNOWN} and `[code <hash>]`. */
export function readable(values: Readonly<Record<string, unknown>>): JsonObject {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [
      key,
      key === CODE_INPUT && typeof value === 'string' ? codeMark(value) : readableValue(value),
    ]),
  );
}

/** `[code <hash>]` -> `[code]`: for people, who only want to know that there is code. */
export function withoutHash(text: string): string {
  return text.replace(/^\[code [0-9a-f]+\]$/, '[code]');
}

/** True of an object that stands for something else: a secret, an asset, another resource. */
export function isSpecial(value: object): boolean {
  return SIGNATURE_KEY in value;
}

/** The other way round: what the marks stand for, in the form of the wire. A secret and code keep their mark as value. */
export function wireForm(values: JsonObject): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, wireValue(value)]));
}

function wireValue(value: Json): unknown {
  if (value === UNKNOWN) return UNKNOWN_VALUE;
  if (value === SECRET) return { [SIGNATURE_KEY]: SECRET_SIGNATURE, value };
  if (Array.isArray(value)) return (value as readonly Json[]).map(wireValue);
  return typeof value === 'object' && value !== null ? wireForm(value as JsonObject) : value;
}

function codeMark(code: string): string {
  if (code === UNKNOWN_VALUE) return UNKNOWN;
  return `[code ${createHash('sha256').update(code).digest('hex').slice(0, CODE_HASH_LENGTH)}]`;
}

function readableValue(value: unknown): Json {
  if (value === UNKNOWN_VALUE) return UNKNOWN;
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value !== 'object' || value === null) return null;
  if (Array.isArray(value)) return value.map(readableValue);
  const fields = value as Readonly<Record<string, unknown>>;
  return isSpecial(fields) ? special(fields) : readable(fields);
}

function special(fields: Readonly<Record<string, unknown>>): Json {
  switch (fields[SIGNATURE_KEY]) {
    case SECRET_SIGNATURE:
      return SECRET;
    case ASSET_SIGNATURE:
      return '[asset]';
    case ARCHIVE_SIGNATURE:
      return '[archive]';
    case RESOURCE_SIGNATURE: {
      const { type, name } = partsOfUrn(String(fields['urn']));
      return `[resource ${type} ${name}]`;
    }
    case OUTPUT_SIGNATURE:
      if (fields['secret'] === true) return SECRET;
      return 'value' in fields ? readableValue(fields['value']) : UNKNOWN;
    default:
      return '[special]';
  }
}
