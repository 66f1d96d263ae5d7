import { canonicalText } from './canonical-json.ts';
import { parseServed, stringifyServed } from './served-json.ts';
import { isObject } from './json.ts';

/** Version of the envelope that this code writes. It reads this one and the one before. */
export const ENVELOPE_SCHEMA_VERSION = 1;

/** Content type of the messages that carry envelopes. */
export const ENVELOPE_CONTENT_TYPE = 'application/vnd.adit.envelope+json';

/** Decoded size that an envelope may have, in bytes: a bound against bombs, far above what 256 KB of Brotli holds in practice. */
export const ENVELOPE_MAX_BYTES = 64 * 1024 * 1024;

/** Ids and miner names become keys and lake names: what cannot be one would come back from the ledger for ever. */
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/;

/** Claim checks lie below `oversize/`, in segments that do not start with a dot. */
const DATA_REF_PATTERN = /^oversize(?:\/[A-Za-z0-9=_-][A-Za-z0-9=._-]*)+$/;

/** Longest name of a lake object, in characters. */
const DATA_REF_LIMIT = 512;

/** Longest version, in characters: a row holds up to 256 of them. */
const VERSION_LIMIT = 64;

/** Latest time that a date can hold, epoch in ms (ECMA-262, Time Values). */
const LATEST_MS = 8_640_000_000_000_000;

/** One mined item on its way to the lake. */
export interface EnvelopeItem {
  readonly userId: string;
  readonly runId: string;
  readonly id: string;
  /** Content hash, computed once, at mining. */
  readonly version: string;
  /** When the upstream served it, epoch in ms. */
  readonly observedAtMs: number;
  /** JSON text of the item as served; absent when `dataRef` says where it is. */
  readonly dataText?: string;
  /** Name of the lake object that holds an item too large for a message (claim check). */
  readonly dataRef?: string;
}

/** A batch of items of one miner: the unit that is sent, claimed and written. */
export interface Envelope {
  readonly schemaVersion: number;
  readonly envelopeId: string;
  readonly minerName: string;
  readonly source: 'mine' | 'capture';
  /** When it was composed, epoch in ms; decides the lake folder, so it never changes. */
  readonly composedAtMs: number;
  readonly items: readonly EnvelopeItem[];
}

/** The JSON text of an envelope. Data goes in as it was served, byte for byte. */
export function encodeEnvelope(envelope: Envelope): string {
  const { items, ...header } = envelope;
  const lines = items.map((item) => {
    const { dataText, ...meta } = item;
    const text = JSON.stringify(meta);
    return dataText === undefined ? text : `${text.slice(0, -1)},"data":${dataText}}`;
  });
  return `${JSON.stringify(header).slice(0, -1)},"items":[\n${lines.join(',\n')}\n]}`;
}

/** Why a body is not an envelope. `newer` is no fault of the message: newer code reads it. */
export class EnvelopeError extends Error {
  readonly kind: 'newer' | 'malformed';

  constructor(kind: 'newer' | 'malformed', message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EnvelopeError';
    this.kind = kind;
  }
}

/**
 * Reads an envelope.
 * @throws EnvelopeError `newer` for a schema version this code does not know, `malformed` for anything else.
 */
export function decodeEnvelope(text: string): Envelope {
  const lines = linesOf(text);
  const body = parseObject(lines === undefined ? text : `${lines.header}]}`);
  const schemaVersion = body['schemaVersion'];
  if (typeof schemaVersion !== 'number' || schemaVersion < 1) throw malformed('schemaVersion must be a number from 1');
  if (schemaVersion > ENVELOPE_SCHEMA_VERSION) {
    throw new EnvelopeError('newer', `envelope schema ${schemaVersion} is newer than ${ENVELOPE_SCHEMA_VERSION}`);
  }
  const items = lines === undefined ? body['items'] : lines.items;
  if (!Array.isArray(items) || items.length === 0) throw malformed('items must be a non-empty list');
  const source = textField(body, 'source');
  if (source !== 'mine' && source !== 'capture') throw malformed('source must be mine or capture');
  return {
    schemaVersion,
    envelopeId: nameField(body, 'envelopeId'),
    minerName: nameField(body, 'minerName'),
    source,
    composedAtMs: timeField(body, 'composedAtMs'),
    items: distinct(lines === undefined ? items.map(decodeItem) : lines.items.map(decodeLine)),
  };
}

/** Two rows for one item would both be written, because one envelope owns both. */
function distinct(items: readonly EnvelopeItem[]): readonly EnvelopeItem[] {
  const keys = new Set(items.map((item) => JSON.stringify([item.userId, item.id])));
  if (keys.size < items.length) throw malformed('an item occurs twice');
  return items;
}

/** What begins the list of items, and the data of an item, in the form that `encodeEnvelope` writes. */
const ITEMS_START = ',"items":[\n';
const ITEMS_END = '\n]}';
const DATA_START = ',"data":';

/**
 * The lines of an envelope in our own form, one item a line: its data then travels as text and is neither parsed nor written
 * again. Undefined for any other JSON. A line break inside JSON text is always escaped, so lines are items.
 */
function linesOf(text: string): { header: string; items: string[] } | undefined {
  const at = text.indexOf('\n');
  const header = text.slice(0, at);
  if (at < 0 || !`${header}\n`.endsWith(ITEMS_START) || !text.endsWith(ITEMS_END)) return undefined;
  return { header, items: text.slice(at + 1, -ITEMS_END.length).split(',\n') };
}

/** A quote inside a JSON text is always escaped, so the first unescaped `,"data":` of a flat object begins its data. */
function decodeLine(line: string): EnvelopeItem {
  const at = line.indexOf(DATA_START);
  if (at < 0) return decodeItem(parseObject(line));
  const dataText = line.slice(at + DATA_START.length, -1);
  if (!line.endsWith('}') || !isJson(dataText)) throw malformed('the data of an item is not JSON');
  return { ...itemOf(parseObject(`${line.slice(0, at)}}`)), dataText };
}

/** Only asks: the value with its rounded numbers is thrown away. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parseObject(text: string): Record<string, unknown> {
  let body: unknown;
  try {
    body = parseServed(text);
  } catch (cause) {
    throw new EnvelopeError('malformed', 'envelope is not JSON', { cause });
  }
  if (!isObject(body)) throw malformed('envelope is not an object');
  return body;
}

/** An item without its data. */
function itemOf(value: Record<string, unknown>): EnvelopeItem {
  const version = textField(value, 'version');
  if (version.length > VERSION_LIMIT) throw malformed(`version must have at most ${VERSION_LIMIT} characters`);
  return {
    userId: textField(value, 'userId'),
    runId: textField(value, 'runId'),
    id: textField(value, 'id'),
    version,
    observedAtMs: timeField(value, 'observedAtMs'),
  };
}

function decodeItem(value: unknown): EnvelopeItem {
  if (!isObject(value)) throw malformed('an item is not an object');
  const item = itemOf(value);
  if (value['dataRef'] !== undefined) return { ...item, dataRef: dataRefField(value) };
  if (!Object.hasOwn(value, 'data')) throw malformed('an item has neither data nor dataRef');
  return { ...item, dataText: stringifyServed(value['data']) };
}

function textField(object: Record<string, unknown>, name: string): string {
  const value = object[name];
  if (typeof value !== 'string' || value === '') throw malformed(`${name} must be a non-empty text`);
  return value;
}

function nameField(object: Record<string, unknown>, name: string): string {
  const value = textField(object, name);
  if (!NAME_PATTERN.test(value)) throw malformed(`${name} must match ${NAME_PATTERN.source}`);
  return value;
}

function dataRefField(item: Record<string, unknown>): string {
  const value = textField(item, 'dataRef');
  const isName = value.length <= DATA_REF_LIMIT && DATA_REF_PATTERN.test(value);
  if (!isName) throw malformed(`dataRef must match ${DATA_REF_PATTERN.source}`);
  return value;
}

function timeField(object: Record<string, unknown>, name: string): number {
  const value = object[name];
  const isTime = typeof value === 'number' && value >= 0 && value <= LATEST_MS;
  if (!isTime) throw malformed(`${name} must be a time in ms`);
  return value;
}

function malformed(message: string): EnvelopeError {
  return new EnvelopeError('malformed', message);
}

/** The text that an item's version is the hash of: equal content gives equal text, whatever the order of its keys. */
export function versionText(item: unknown): string {
  return canonicalText(item);
}
