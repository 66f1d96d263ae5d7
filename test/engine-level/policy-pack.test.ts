import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { damage } from '../e2e/product-copy.ts';
import { type EngineEvents, readEvents } from './engine-events.ts';
import { Lab } from './lab.ts';
import { cliOrNotice, type Ended, onPath, runCli } from './pulumi-cli.ts';

const cli = cliOrNotice();

/** The language host, as the engine looks for it. */
const HOST = 'pulumi-language-nodejs';

/** With a preview first, as `pulumi up` is without further flags. */
const AS_A_PERSON = ['--yes'];

/** Without the preview, so that the update itself is judged first. */
const AT_ONCE = ['--yes', '--skip-preview'];

/** A policy that could not do its work is no policy. */
const CRASH = /can't run policy|Error validating|failed to start|UnknownValueError|could not read plugin/;

/** A program whose expired messages are lost. */
const NO_DEAD_LETTERS = [
  'infra/messaging.ts',
  /deadLetteringOnMessageExpiration: entity.deadLetterOnExpiry/,
  'deadLetteringOnMessageExpiration: false',
] as const;

/** What a policy said to the engine. */
interface PolicyWord {
  readonly policyName: string;
  readonly enforcementLevel: string;
  readonly resourceUrn?: string;
  readonly message: string;
}

type Judged = Ended & EngineEvents & { readonly words: readonly PolicyWord[] };

// The steps build on each other, as the days of a stack do.
describe.runIf(cli !== undefined)('the policy pack, by the real engine', () => {
  let lab: Lab;
  let folder: string;
  let commands = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'adit-policy-'));
    lab = await Lab.open(cli ?? '');
    if (onPath(HOST, process.env) === undefined) await standIn(join(folder, HOST));
    for (const stack of ['dev', 'prod']) expect((await lab.pulumi(['stack', 'init', stack])).code).toBe(0);
  });

  afterAll(async () => {
    await lab.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** A command with `--policy-pack policies`. */
  const run = async (command: 'preview' | 'up', stack: string, flags: readonly string[]): Promise<Judged> => {
    const log = join(folder, `events-${(commands += 1)}.jsonl`);
    const env = { ...lab.env, PATH: [folder, lab.env['PATH'] ?? ''].join(delimiter) };
    const args = [command, '--stack', stack, '--policy-pack', 'policies', '--event-log', log, ...flags];
    const ended = await runCli({ cli: cli ?? '', folder: lab.root, env }, args);
    return { ...ended, ...readEvents(log), words: wordsIn(await readFile(log, 'utf8')) };
  };

  /** A command in which the pack has done its work. */
  const judged = async (...command: Parameters<typeof run>): Promise<Judged> => {
    const ended = await run(...command);
    expect(ended.text).not.toMatch(CRASH);
    expect(ended.text).toMatch(/ adit@v\d+\.\d+\.\d+ \(local: policies\)/);
    return ended;
  };

  /** A change of the copy, as long as `during` runs. */
  const changed = async <T>(path: string, what: RegExp, by: string, during: () => Promise<T>): Promise<T> => {
    const file = join(lab.root, path);
    const right = await readFile(file, 'utf8');
    await damage(lab.root, path, what, by);
    try {
      return await during();
    } finally {
      await writeFile(file, right);
    }
  };

  /** A `pulumi up` that must be refused by exactly these policies, before it touches Azure. */
  const refusedBy = async (stack: string, policies: readonly string[]): Promise<Judged> => {
    const before = lab.azure.all();
    lab.azure.requests.length = 0;
    const refused = await judged('up', stack, AS_A_PERSON);
    expect(refused.code).not.toBe(0);
    expect(mandatory(refused)).toEqual(policies);
    for (const policy of policies) expect(refused.text).toContain(`[mandatory]  ${policy}`);
    expect(lab.azure.requests).toEqual([]);
    expect(lab.azure.all()).toEqual(before);
    return refused;
  };

  it('lets dev pass a preview, in which what only Azure knows is unknown', async () => {
    const preview = await judged('preview', 'dev', []);
    expect(preview.code, preview.text).toBe(0);
    expect(mandatory(preview)).toEqual([]);
    expect(preview.text).toMatch(/functionApp *: *(\[unknown\]|output<)/);
    expect(lab.azure.requests).toEqual([]);
  });

  it('does nothing without its judge: a pack that does not start stops the command', async () => {
    const broken = ['policies/pack.ts', /void new PolicyPack\(/, "throw new Error('broken'); new PolicyPack("] as const;
    const up = await changed(...broken, () => run('up', 'dev', AS_A_PERSON));
    expect(up.code).not.toBe(0);
    expect(up.text).toContain('Error: broken');
    expect(lab.azure.requests).toEqual([]);
  });

  it('refuses a new dev stack with open doors, before anything is there', async () => {
    const keys = ['infra/storage.ts', /allowSharedKeyAccess: false/, 'allowSharedKeyAccess: true'] as const;
    const refused = await changed(...keys, () => refusedBy('dev', ['no-shared-keys']));
    expect(refused.text).toContain('Turn the keys off and give the identity a data role or an access policy.');
    expect(lab.azure.all()).toEqual([]);
  });

  it('lets dev be made', async () => {
    const up = await judged('up', 'dev', AT_ONCE);
    expect(up.code, up.text).toBe(0);
    expect(mandatory(up)).toEqual([]);
    expect(lab.azure.all().length).toBeGreaterThan(50);
  });

  it('refuses what an existing stack must not become, and leaves it as it is', async () => {
    await changed(...NO_DEAD_LETTERS, () => refusedBy('dev', ['queue-dead-letters']));
  });

  it('refuses a stack that costs more than its budget, by its configuration', async () => {
    const budget = () => refusedBy('dev', ['stack-within-budget']);
    const refused = await changed('Pulumi.dev.yaml', /adit:monthlyBudgetUsd: .*/, 'adit:monthlyBudgetUsd: 7', budget);
    expect(refused.text).toMatch(/it costs \$\d+\.\d\d a month, the budget is \$7\.00/);
  });

  it('says an accepted finding, and lets the change pass', async () => {
    const until = new Date(Date.now() + 30 * DAY_MS).toISOString().slice(0, 10);
    // Without quotes the CLI reads the day as a time, and hands on "2027-01-31 00:00:00 +0000 UTC".
    const accepted = `{ policy: queue-dead-letters, owner: data-platform, reason: a test, expires: '${until}' }`;
    const exceptions = ['Pulumi.dev.yaml', /config:\n/, `config:\n  adit:exceptions: [${accepted}]\n`] as const;
    const upWithout = () => changed(...NO_DEAD_LETTERS, () => judged('up', 'dev', AT_ONCE));
    const up = await changed(...exceptions, upWithout);
    expect(up.code, up.text).toBe(0);
    expect(mandatory(up)).toEqual([]);
    expect(up.text).toContain('[advisory]  queue-dead-letters');
    expect(up.text).toContain(`Accepted until ${until} by data-platform: a test`);
    expect(up.changes.filter((change) => change.startsWith('update azure-native:servicebus:'))).not.toEqual([]);
  });

  it('lets prod pass a preview and be made', async () => {
    const up = await judged('up', 'prod', AS_A_PERSON);
    expect(up.code, up.text).toBe(0);
    expect(mandatory(up)).toEqual([]);
    expect(up.changes.length).toBeGreaterThan(50);
  });
});

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * The engine starts a pack by the language host only where it finds one on the PATH, even when another one is attached. This
 * one is found; it is the attached one that is asked.
 */
async function standIn(path: string): Promise<void> {
  await writeFile(path, '#!/bin/sh\necho "the engine must ask the attached language host" >&2\nexit 1\n');
  await chmod(path, 0o755);
}

function wordsIn(log: string): readonly PolicyWord[] {
  const events = log
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as { policyEvent?: PolicyWord }]));
  return events.flatMap(({ policyEvent }) => (policyEvent === undefined ? [] : [policyEvent]));
}

/** Names of the policies that refuse, in order of the alphabet. */
function mandatory({ words }: Judged): readonly string[] {
  const names = words.filter(({ enforcementLevel }) => enforcementLevel === 'mandatory').map((word) => word.policyName);
  return [...new Set(names)].sort();
}
