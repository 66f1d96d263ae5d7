import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';

/** Raw configuration of a stack, as Pulumi hands it to a program. */
export interface ConfigFile {
  /** Key with namespace, for example `adit:stage`; lists and objects are JSON text. */
  readonly values: Readonly<Record<string, string>>;
  /** Keys whose value is encrypted, and therefore not among the values. */
  readonly secrets: readonly string[];
}

/**
 * Reads `Pulumi.<stack>.yaml` in a folder, without the Pulumi CLI.
 * @throws Error that names the file when it is missing (and then the stacks that exist) or is not a stack's configuration.
 */
export function readConfigFile(dir: string, stack: string): ConfigFile {
  const file = `Pulumi.${stack}.yaml`;
  const document = parseDocument(readText(dir, stack), { prettyErrors: true });
  const [mistake] = document.errors;
  if (mistake !== undefined) throw new Error(`${file} is not YAML: ${mistake.message}`, { cause: mistake });
  // A stack without any configuration may have an empty file.
  const content: unknown = document.toJS() ?? {};
  const config = isMap(content) ? (content['config'] ?? {}) : undefined;
  if (!isMap(config)) {
    throw new Error(`${file} must hold a "config:" block with one "<namespace>:<key>: <value>" a line`);
  }
  const values: Record<string, string> = {};
  const secrets: string[] = [];
  for (const [key, value] of Object.entries(config)) {
    if (holdsSecret(value)) secrets.push(key);
    else values[key] = textOf(value);
  }
  return { values, secrets };
}

function readText(dir: string, stack: string): string {
  const file = `Pulumi.${stack}.yaml`;
  // A stack's name becomes part of a path, so it may not hold anything that leaves the folder.
  const isName = /^[\w.-]+$/.test(stack);
  try {
    if (isName) return readFileSync(join(dir, file), 'utf8');
  } catch (error) {
    if (!isObject(error) || error['code'] !== 'ENOENT') {
      throw new Error(`${file} cannot be read: ${String(error)}`, { cause: error });
    }
  }
  const stacks = stacksIn(dir);
  const known = stacks.length === 0 ? 'there is none in this folder' : `there are: ${stacks.join(', ')}`;
  throw new Error(`${file} does not exist; ${known}`);
}

function stacksIn(dir: string): readonly string[] {
  const stacks = readdirSync(dir).map((name) => /^Pulumi\.([\w.-]+)\.yaml$/.exec(name)?.[1]);
  return stacks.filter((stack) => stack !== undefined).toSorted();
}

/** Pulumi hands over text as it is, and everything else as JSON. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === null ? '' : JSON.stringify(value);
}

/** `secure: <ciphertext>`, also inside a list or an object. */
function holdsSecret(value: unknown): boolean {
  if (!isObject(value)) return false;
  if (typeof value['secure'] === 'string' && Object.keys(value).length === 1) return true;
  return Object.values(value).some(holdsSecret);
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return isObject(value) && !Array.isArray(value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
