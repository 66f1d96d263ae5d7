import { writeServed } from './served-json.ts';

/** Beyond this, sorting by insertion would be quadratic in what the upstream chose to send. */
const INSERTION_SORT_KEYS_MAX = 24;

/**
 * JSON text that is equal for equal content: object keys in code unit order, no whitespace, numbers as served (1.0 and 1
 * differ). What content hashes are taken of. Not recursive.
 * @throws TypeError when the value is not made of JSON values.
 */
export function canonicalText(value: unknown): string {
  return writeServed(value, sortedKeys);
}

/** In code unit order. By insertion while there are few keys, several times as fast as the general sort. */
function sortedKeys(value: object): readonly string[] {
  const keys = Object.keys(value);
  if (keys.length > INSERTION_SORT_KEYS_MAX) return keys.sort();
  for (let index = 1; index < keys.length; index += 1) {
    const key = keys[index] as string;
    let place = index;
    for (; place > 0 && (keys[place - 1] as string) > key; place -= 1) keys[place] = keys[place - 1] as string;
    keys[place] = key;
  }
  return keys;
}
