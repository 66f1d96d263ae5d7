import type { PageRequest, ParsedPage } from './miner.ts';
import { isObject } from './json.ts';

/** The list of one data type of one user: `/users/{userId}/{listName}`. */
export function userList(userId: string, listName: string): PageRequest {
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
