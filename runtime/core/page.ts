import type { PageRequest, ParsedPage } from './miner.ts';
import { isObject } from './json.ts';

/** Segments that ask for another path (URL Standard, "path state"). */
const PATH_STEPS: ReadonlySet<string> = new Set(['.', '..']);

/**
 * The list of one data type of one user: `/users/{userId}/{listName}`.
 * @throws URIError for a lone surrogate, RangeError for `.` and `..`, which no escape keeps from being another address.
 */
export function userList(userId: string, listName: string): PageRequest {
  if (PATH_STEPS.has(userId) || PATH_STEPS.has(listName))
    throw new RangeError('a segment of a path must not be . or ..');
  return { path: `/users/${encodeURIComponent(userId)}/${encodeURIComponent(listName)}` };
}

/**
 * The items of a body of the form `{"data":[...]}`, as they were served: what an item holds is not this check's business.
 * @throws TypeError when the body is not an object with a list in `data`.
 */
export function dataList(body: unknown): ParsedPage {
  if (!isObject(body)) throw new TypeError(`a page must be an object, got ${kindOf(body)}`);
  const data = Object.hasOwn(body, 'data') ? body['data'] : undefined;
  if (!Array.isArray(data)) throw new TypeError(`data must be a list, got ${kindOf(data)}`);
  return { items: data };
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'list' : typeof value;
}
