import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import type { User } from '../core/miner.ts';
import { BadInput } from './bad-input.ts';

/** A segment of a path that is `.` or `..` asks for another path, however it is escaped (URL Standard, "path state"). */
const PATH_STEP = /^\.\.?$/;

/** What no URL can carry (lone surrogates), and what would draw on a terminal. */
const UNUSABLE = /[\p{Cc}\p{Cs}]/u;

/** What an HTTP header can carry everywhere. */
const HEADER_TEXT = /^[\x20-\x7e]+$/;

/** Servers take headers of 8 to 32 KB in all, and a row has to hold both sealed. */
const TOKEN_LIMIT = 16_384;
const PROXY_LIMIT = 4_096;

const userLine = z.strictObject({
  userId: z
    .string()
    .min(1)
    .max(256)
    .refine((userId) => !PATH_STEP.test(userId), 'must not be . or ..')
    .refine((userId) => !UNUSABLE.test(userId), 'must have no control characters and no lone surrogates'),
  accessToken: z.string().min(1).max(TOKEN_LIMIT).regex(HEADER_TEXT, 'must be printable ASCII: it travels in a header'),
  proxyUrl: z
    .url({ protocol: /^https?$/ })
    .max(PROXY_LIMIT)
    .nullable()
    .default(null),
  allowDirect: z.boolean().default(false),
  status: z.enum(['active', 'inactive']).default('active'),
});

/** Mistakes shown at once; a file with more of them is not a users file. */
const MISTAKES_SHOWN = 20;

const EXAMPLE = '{"userId":"u1","accessToken":"...","proxyUrl":null,"status":"active"}';

/**
 * The users of an NDJSON file, one a line; empty lines are skipped.
 * @throws BadInput with every bad line and its number. A token never appears in it.
 */
export async function readUsersFile(file: string): Promise<readonly User[]> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unreadable';
    throw new BadInput(
      `users file ${file} cannot be read (${why}). Next: check the path, or import users with: npm run adit -- users import FILE`,
      {
        cause,
      },
    );
  });
  const users = new Map<string, { user: User; line: number }>();
  const mistakes: string[] = [];
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    if (line.trim() === '') continue;
    const parsed = parseLine(line);
    const number = index + 1;
    if (typeof parsed === 'string') mistakes.push(`line ${number}: ${parsed}`);
    else if (users.has(parsed.userId)) {
      mistakes.push(
        `line ${number}: userId ${JSON.stringify(parsed.userId)} is on line ${users.get(parsed.userId)?.line} already`,
      );
    } else users.set(parsed.userId, { user: parsed, line: number });
  }
  if (mistakes.length > 0) throw badFile(file, mistakes);
  if (users.size === 0)
    throw new BadInput(
      `users file ${file} has no user in it; one JSON object a line is needed, for example ${EXAMPLE}`,
    );
  return [...users.values()].map(({ user }) => user);
}

function parseLine(line: string): User | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'not JSON';
  }
  const parsed = userLine.safeParse(value);
  if (parsed.success) return parsed.data;
  return parsed.error.issues.map((issue) => `${issue.path.join('.') || 'line'}: ${issue.message}`).join('; ');
}

function badFile(file: string, mistakes: readonly string[]): BadInput {
  const shown = mistakes.slice(0, MISTAKES_SHOWN).map((mistake) => `  ${mistake}`);
  const rest = mistakes.length > MISTAKES_SHOWN ? `\n  and ${mistakes.length - MISTAKES_SHOWN} more` : '';
  return new BadInput(
    `users file ${file} has ${mistakes.length} bad line${mistakes.length === 1 ? '' : 's'}; nothing was imported:\n${shown.join('\n')}${rest}\nA line looks like ${EXAMPLE}`,
  );
}
