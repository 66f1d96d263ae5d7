import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import * as z from 'zod';
import { STACK_OUTPUTS_VERSION, type StackOutputs } from '../settings.ts';
import { BadInput } from './bad-input.ts';
import { parseJson } from '../core/json.ts';

/** Where Pulumi.yaml is. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** A state backend that does not answer is given up, in ms. */
const ANSWER_LIMIT_MS = 60_000;

/** What Pulumi may write before it is given up, in characters: outputs are some thousands. */
const ANSWER_MAX_LENGTH = 1024 * 1024;

/** Name of a stack as Pulumi takes it, with the organisation and the project before it or not. */
const STACK_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(\/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){0,2}$/;

const outputsShape = z.object({
  schemaVersion: z.number(),
  stage: z.string(),
  settings: z.record(z.string(), z.string()),
  resourceGroup: z.string(),
  functionApp: z.object({ name: z.string(), hostname: z.string(), version: z.string() }),
  dashboardUrl: z.string(),
});

/**
 * What a deployed stack says about itself: `pulumi stack output --json`, with the Pulumi and the login of the person.
 * @throws BadInput when there is no Pulumi, no such stack, nothing deployed yet, or a newer version than this one reads.
 */
export async function readStackOutputs(stack: string): Promise<StackOutputs> {
  if (!STACK_NAME.test(stack)) {
    throw new BadInput(`ADIT_STACK must be the name of a stack, got ${JSON.stringify(stack)}. Example: ADIT_STACK=dev`);
  }
  const args = ['stack', 'output', '--json', '--non-interactive', `--stack=${stack}`];
  const { code, stdout, stderr } = await runPulumi(args);
  if (code !== 0) throw refused(stack, code, stderr);
  return checkStackOutputs(stack, stdout);
}

/** The outputs in what Pulumi printed. @throws BadInput */
export function checkStackOutputs(stack: string, text: string): StackOutputs {
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null) {
    throw new BadInput(
      `pulumi did not answer with the outputs of the stack ${stack}. Next: pulumi stack output --json -s ${stack}`,
    );
  }
  if (Object.keys(value).length === 0) {
    throw new BadInput(
      `the stack ${stack} has no outputs: it is not deployed, or not to its end. Next: pulumi up -s ${stack}`,
    );
  }
  // First of all, because a newer version may have any other shape.
  const { schemaVersion } = value as { schemaVersion?: unknown };
  if (typeof schemaVersion === 'number' && schemaVersion > STACK_OUTPUTS_VERSION) {
    throw new BadInput(
      `the stack ${stack} was deployed by a newer version of Adit (outputs ${schemaVersion}, this one reads ${STACK_OUTPUTS_VERSION}). Next: git pull && npm ci`,
    );
  }
  const read = outputsShape.safeParse(value);
  if (read.success) return read.data;
  const mistakes = read.error.issues.map(({ path, message }) => `  ${path.join('.') || 'outputs'}: ${message}`);
  throw new BadInput(
    `the outputs of the stack ${stack} are not those of this version:\n${mistakes.join('\n')}\nNext: pulumi up -s ${stack}`,
  );
}

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function runPulumi(args: readonly string[]): Promise<Answer> {
  const texts = { stdout: '', stderr: '' };
  try {
    // Not the option `timeout`: its timer outlives a child that never started, and this process with it.
    const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
    const child = spawn('pulumi', args, { cwd: PROJECT, stdio: ['ignore', 'pipe', 'pipe'], signal });
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        texts[name] += chunk;
        if (texts[name].length > ANSWER_MAX_LENGTH) child.kill();
      });
    }
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, ...texts };
  } catch (cause) {
    throw notRunnable(cause);
  }
}

function notRunnable(cause: unknown): BadInput {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ABORT_ERR') {
    return new BadInput(`pulumi did not answer within ${ANSWER_LIMIT_MS / 1000} s. Next: pulumi stack output`, {
      cause,
    });
  }
  // ENOTDIR: an entry of the PATH is a file, and no entry behind it has been looked at.
  if (code !== 'ENOENT' && code !== 'ENOTDIR') {
    return new BadInput(`pulumi cannot be run (${code}). Next: pulumi version`, { cause });
  }
  return new BadInput(
    'ADIT_STACK needs pulumi, which is not on the PATH. Next: install it (https://www.pulumi.com/docs/install/; macOS: brew install pulumi/tap/pulumi; Linux: curl -fsSL https://get.pulumi.com | sh), then pulumi login',
    { cause },
  );
}

/** Pulumi says what is wrong in its last line; what helps depends on it. */
function refused(stack: string, code: number | null, stderr: string): BadInput {
  const lines = stripVTControlCharacters(stderr)
    .split('\n')
    .map((line) => line.trim());
  const last = lines.findLast((line) => line !== '') ?? `it ended with ${code === null ? 'a signal' : `code ${code}`}`;
  return new BadInput(
    `pulumi has no outputs of the stack ${stack}: ${last}\nNext: ${nextOf(stack, lines.join('\n'), code)}`,
  );
}

function nextOf(stack: string, said: string, code: number | null): string {
  if (code === null) return 'pulumi stack ls, which must answer: the state backend may be out of reach';
  if (/passphrase/i.test(said)) return 'set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE';
  if (/no stack named|stack .*not found/i.test(said)) {
    return `pulumi stack ls shows the stacks there are; pulumi stack init ${stack} && pulumi up -s ${stack} makes this one`;
  }
  if (/logged in|log in|login|access token|unauthorized|credential/i.test(said)) return 'pulumi login';
  return `pulumi stack output --json -s ${stack}`;
}
