import { randomBytes } from 'node:crypto';
import { chmod, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openAesSealing } from '../adapters/aes-sealing.ts';
import { systemClock } from '../adapters/system.ts';
import { type KeyRing, keyRingText, nextKeyId, parseKeyRing, type RingKey } from '../core/key-ring.ts';
import type { Sealing } from '../ports.ts';
import { CONNECTIONS } from '../connections.ts';
import { BadInput } from './bad-input.ts';
import { keepSecret } from './redaction.ts';
import { type Login, openVaultSecret } from './vault-secret.ts';

/** Name of the key file in the state folder. */
export const KEY_FILE = 'sealing-keys';

/** Only the user may read the keys. */
const KEY_FILE_MODE = 0o600;

const KEY_BYTES = 32;

/** Random bytes in a key's id, beside its number. */
const KEY_SALT_BYTES = 3;

/** What an app setting holds when the platform could not follow its reference to the vault. */
const UNRESOLVED_REFERENCE = /^@Microsoft\.KeyVault\(/i;

/** Where the sealing keys are kept. */
export interface KeySource {
  /** For people, without a secret. */
  readonly text: string;
  /** Whether other processes may change these keys while this one works. */
  readonly isShared: boolean;
  /** The keys, and since when they are as they are (epoch in ms). @throws BadInput */
  load(): Promise<{ readonly ring: KeyRing; readonly changedAtMs: number }>;
  /** Absent: the keys can only be changed by a person. Durable when it resolves. */
  readonly save?: (ring: KeyRing) => Promise<void>;
}

/** What the environment says about the keys. */
export interface SealingVariables {
  /** A ring as text. A secret. */
  readonly sealingKeys?: string | undefined;
  /** The secret of a vault that holds such a text. */
  readonly sealingKeysUrl?: string | undefined;
}

/** Where a deployed stack has its keys, and the login that may read them; one that is a function is asked when it is needed. */
export interface CloudSealingOptions extends SealingVariables {
  readonly credential: Login;
}

/** Sealing with the keys of a source, which is asked now, and again when the keys may have changed. @throws BadInput */
export async function openSealing(source: KeySource): Promise<Sealing> {
  const load = async (): Promise<KeyRing> => (await source.load()).ring;
  return openAesSealing({ ring: await load(), load, isFresh: true, clock: systemClock });
}

/**
 * Sealing with the keys of the environment when it gives some, else with the key file of a state folder, which is made at first
 * use. The caller holds the folder's lock.
 * @throws BadInput when the keys cannot be read.
 */
export function openHomeSealing(stateDir: string, variables: SealingVariables = {}): Promise<Sealing> {
  return openSealing(homeKeys(stateDir, variables));
}

/** Where a state folder's keys are. */
export function homeKeys(stateDir: string, { sealingKeys }: SealingVariables): KeySource {
  return sealingKeys === undefined ? fileKeys(join(stateDir, KEY_FILE)) : variableKeys(sealingKeys);
}

/**
 * Sealing with the keys of a stack. The text of the environment serves first, so that a start needs no vault; the vault is asked
 * when a record names a key that is not known yet, and before anything is sealed with keys older than a minute.
 * @throws BadInput when there are no keys, or they cannot be read.
 */
export async function openCloudSealing(options: CloudSealingOptions): Promise<Sealing> {
  const { sealingKeys, sealingKeysUrl } = options;
  const source = cloudKeys(options);
  const hasText = sealingKeys !== undefined && !UNRESOLVED_REFERENCE.test(sealingKeys);
  if (sealingKeysUrl === undefined || !hasText) return openSealing(source);
  const load = async (): Promise<KeyRing> => (await source.load()).ring;
  return openAesSealing({ ring: ringOf(sealingKeys, CONNECTIONS.sealingKeys.variable), load, clock: systemClock });
}

/** Where a stack's keys are kept: the vault when its address is known. @throws BadInput */
export function cloudKeys({ sealingKeys, sealingKeysUrl, credential }: CloudSealingOptions): KeySource {
  if (sealingKeysUrl !== undefined) return vaultKeys(sealingKeysUrl, credential);
  if (sealingKeys !== undefined) return variableKeys(sealingKeys);
  throw new BadInput(
    `there are no sealing keys: set ${CONNECTIONS.sealingKeysUrl.variable}, for example ${CONNECTIONS.sealingKeysUrl.example}, or ${CONNECTIONS.sealingKeys.variable}`,
  );
}

/** A new key to stand before those of a ring (empty for the first). */
export function newKey(ring: readonly RingKey[]): RingKey {
  const id = nextKeyId(ring, randomBytes(KEY_SALT_BYTES).toString('hex'));
  const secret = randomBytes(KEY_BYTES).toString('base64');
  keepSecret(secret);
  return { id, secret };
}

function variableKeys(text: string): KeySource {
  const { variable } = CONNECTIONS.sealingKeys;
  return {
    text: `the variable ${variable}`,
    isShared: false,
    load: async () => ({ ring: ringOf(text, variable), changedAtMs: 0 }),
  };
}

function vaultKeys(url: string, credential: Login): KeySource {
  const secret = openVaultSecret(url, credential);
  return {
    text: `the secret ${url}`,
    isShared: true,
    load: async () => {
      const { value, changedAtMs } = await secret.read();
      return { ring: ringOf(value, `the secret ${url}`), changedAtMs };
    },
    save: (ring) => secret.write(keyRingText(ring)),
  };
}

function fileKeys(file: string): KeySource {
  const save = (ring: KeyRing): Promise<void> => writeDurably(file, `${keyRingText(ring)}\n`);
  return {
    text: `the file ${file}`,
    isShared: false,
    load: async () => {
      const found = await readIfThere(file);
      const ring: KeyRing = found === undefined ? [newKey([])] : ringOf(found, `the key file ${file}`);
      if (found === undefined) await save(ring);
      return { ring, changedAtMs: 0 };
    },
    save,
  };
}

function ringOf(text: string, origin: string): KeyRing {
  const read = parseKeyRing(text.trim());
  if (read.ok) {
    for (const { secret } of read.ring) keepSecret(secret);
    return read.ring;
  }
  if (UNRESOLVED_REFERENCE.test(text)) {
    throw new BadInput(
      `${origin} is a reference that was not resolved: the function app's identity may not read that secret, or it is gone. Next: pulumi up`,
    );
  }
  const example = CONNECTIONS.sealingKeys.example;
  throw new BadInput(
    `${origin} holds no sealing keys, the current one first, separated by commas (${example}):\n${read.errors.map((error) => `  ${error}`).join('\n')}\nNext: give the keys back from a copy; without them the sealed tokens stay shut and the users must be imported again`,
  );
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    // A copy that was restored may have lost its mode.
    await chmod(file, KEY_FILE_MODE);
    return await readFile(file, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new BadInput(`the key file ${file} cannot be read (${code}). Next: make it readable for you alone`, {
      cause,
    });
  }
}

/** All or nothing, and on the disk before anything is sealed with it: a key that is lost takes every token with it. */
async function writeDurably(file: string, text: string): Promise<void> {
  const temporary = `${file}.tmp`;
  try {
    await rm(temporary, { force: true });
    await writeAndSync(temporary, text);
    await rename(temporary, file);
    await syncFolder(dirname(file));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new BadInput(
      `the key file ${file} cannot be written (${code}). Next: make its folder writable, then try again`,
      {
        cause,
      },
    );
  }
}

async function writeAndSync(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', KEY_FILE_MODE);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A rename is on the disk only when its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
