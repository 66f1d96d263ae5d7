import { readFile } from 'node:fs/promises';
import { ProgramFault } from './program-fault.ts';
import type { PreviewJson } from './tree.ts';
import { isObject, parseJson } from '../../runtime/core/json.ts';

/**
 * Reads what `--json` wrote.
 * @throws ProgramFault when there is no such file, or it holds something else.
 */
export async function readSavedPreview(path: string): Promise<PreviewJson> {
  const text = await textOf(path);
  const mistake = (what: string): ProgramFault =>
    new ProgramFault('refused', `${path} ${what}. To write one: npm run -s preview -- --stack dev --json > ${path}`);
  const data = parseJson(text);
  if (data === undefined) throw mistake('is not JSON');
  if (!isObject(data) || !Array.isArray(data['resources']) || !isObject(data['outputs'])) {
    throw mistake('is no preview: it has no "resources" and "outputs"');
  }
  const resources: readonly unknown[] = data['resources'];
  if (!resources.every(isResource)) throw mistake('is no preview: a resource lacks "type", "name" or "inputs"');
  if (data['findings'] !== undefined && !Array.isArray(data['findings']))
    throw mistake('has findings that are no list');
  const cost = data['monthlyCost'];
  if (cost !== undefined && !isCost(cost)) throw mistake('has a "monthlyCost" without "total" and "rows"');
  // Checked above, as far as it is read.
  return data as unknown as PreviewJson;
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new ProgramFault('refused', `${path} cannot be read: ${String(error)}`, { cause: error });
  }
}

function isResource(value: unknown): boolean {
  return (
    isObject(value) &&
    typeof value['type'] === 'string' &&
    typeof value['name'] === 'string' &&
    isObject(value['inputs'])
  );
}

function isCost(value: unknown): boolean {
  if (!isObject(value) || !Array.isArray(value['rows'])) return false;
  const rows: readonly unknown[] = value['rows'];
  return (value['total'] === null || typeof value['total'] === 'number') && rows.every(isObject);
}
