import type { Box } from './box.ts';
import type { AmqpFault } from './conditions.ts';
import type { LockOwner } from './consumer.ts';
import type { Namespace, Target } from './namespace.ts';

/** One request to `<entity>/$management`. */
export interface ManagementRequest {
  readonly space: Namespace;
  readonly target: Target;
  /** Box of the path that the request went to. */
  readonly box: Box;
  /** Locks of the asking connection. */
  readonly owner: LockOwner;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Answer to a request: HTTP-like status, the body as rhea encodes it, and the condition of a failure. */
export interface ManagementReply {
  readonly status: number;
  readonly body?: unknown;
  readonly fault?: AmqpFault;
}

/** Answers once, possibly after the journal. */
export type Answer = (reply: ManagementReply) => void;

/** Handles one kind of request. @throws RequestError when fields are missing */
export type Operation = (request: ManagementRequest, answer: Answer) => void;

/** A request that does not have the fields it needs. */
export class RequestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RequestError';
  }
}

/** @throws RequestError */
export function textField(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name];
  if (typeof value !== 'string') throw new RequestError(`${name} must be a text`);
  return value;
}

/** The text of a field, `undefined` when it is no text. */
export function optionalText(body: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = body[name];
  return typeof value === 'string' ? value : undefined;
}

/** @throws RequestError */
export function numberField(body: Readonly<Record<string, unknown>>, name: string, fallback?: number): number {
  const value = body[name] ?? fallback;
  return toNumber(value, name);
}

/** @throws RequestError */
export function numbersField(body: Readonly<Record<string, unknown>>, name: string): readonly number[] {
  return listField(body, name).map((value) => toNumber(value, name));
}

/** 16-byte tokens. @throws RequestError */
export function tokensField(body: Readonly<Record<string, unknown>>, name: string): readonly Buffer[] {
  return listField(body, name).map((value) => {
    if (!Buffer.isBuffer(value) || value.length !== 16) throw new RequestError(`${name} must hold uuids`);
    return value;
  });
}

/** @throws RequestError */
export function listField(body: Readonly<Record<string, unknown>>, name: string): readonly unknown[] {
  const value = body[name];
  if (!Array.isArray(value)) throw new RequestError(`${name} must be a list`);
  return value;
}

/** A map, or an empty one when there is none. */
export function mapField(body: Readonly<Record<string, unknown>>, name: string): Readonly<Record<string, unknown>> {
  return toMap(body[name]) ?? {};
}

/** The value when it is a decoded map. */
export function toMap(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || Buffer.isBuffer(value)) return undefined;
  return { ...value };
}

/** rhea gives 64-bit integers outside the safe range as their bytes. */
function toNumber(value: unknown, name: string): number {
  if (typeof value === 'number') return value;
  if (Buffer.isBuffer(value) && value.length === 8) return Number(value.readBigInt64BE());
  throw new RequestError(`${name} must be a number`);
}
