import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { preview, type PreviewSurroundings } from '../../infra/preview/preview.ts';

const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));

const RUN_LIMIT_MS = 60_000;

interface Shown {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the command on a program of the fixtures, its output no terminal. */
async function show(
  args: readonly string[],
  surroundings: Partial<Omit<PreviewSurroundings, 'out' | 'err'>> = {},
): Promise<Shown> {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const texts = { out: '', err: '' };
  out.on('data', (chunk: Buffer) => (texts.out += chunk.toString()));
  err.on('data', (chunk: Buffer) => (texts.err += chunk.toString()));
  const fixed = { dir: FIXTURES, entry: 'small-program.ts', out, err, now: () => 0 };
  const code = await preview(args, { ...fixed, ...surroundings });
  out.end();
  err.end();
  // Colours are the terminal's business, and FORCE_COLOR is not.
  return { code, out: texts.out, err: stripVTControlCharacters(texts.err) };
}

describe('npm run preview', { timeout: RUN_LIMIT_MS }, () => {
  it('prints the tree, the outputs and the counts, and nothing else on stdout', async () => {
    const shown = await show(['--stack', 'small']);
    expect(shown.out).toBe(
      [
        'messaging    adit:test:Messaging',
        '  bus        servicebus:Namespace            sku=Standard  protected  retained',
        '  mine-fans  servicebus:Queue                lockDuration=PT1M  maxDeliveryCount=10',
        'group        resources:ResourceGroup',
        'code         pulumi-nodejs:dynamic:Resource  [code]  hash=abc123  token=[secret]',
        '',
        'outputs',
        '  busSku      [unknown]',
        '  connection  [secret]',
        '  endpoint    [unknown]',
        '  queueId     [unknown]',
        '  queueName   bus-of-tests-fans',
        '  regions     ["eastus","westus"]',
        '  tenant      00000000-0000-0000-0000-000000000000',
        '',
        '4 resources in 1 component',
        '    1  pulumi-nodejs:dynamic:Resource',
        '    1  resources:ResourceGroup',
        '    1  servicebus:Namespace',
        '    1  servicebus:Queue',
        '',
      ].join('\n'),
    );
    expect(shown.err).toBe(
      'small: running the program\nsaid by the program\nwarning: one thing to know\nsmall: 0.0 s, nothing was asked of Azure\n',
    );
    expect(shown.code).toBe(0);
  });

  it('prints exactly one JSON object with --json, parents before children', async () => {
    const { code, out } = await show(['--stack', 'small', '--json']);
    expect(code).toBe(0);
    expect(out.indexOf('\n')).toBe(out.length - 1);
    const json = JSON.parse(out) as Record<string, Record<string, unknown>[]>;
    expect(Object.keys(json)).toEqual(['resources', 'outputs']);
    expect(json['resources']?.map(({ name, parent }) => [name, parent])).toEqual([
      ['messaging', null],
      ['bus', 'adit:test:Messaging messaging'],
      ['mine-fans', 'adit:test:Messaging messaging'],
      ['group', null],
      ['code', null],
    ]);
    expect(json['resources']?.[2]).toEqual({
      type: 'azure-native:servicebus:Queue',
      name: 'mine-fans',
      inputs: {
        resourceGroupName: 'adit-dev',
        namespaceName: 'bus-of-tests',
        queueName: 'bus-of-tests-fans',
        lockDuration: 'PT1M',
        maxDeliveryCount: 10,
        forwardTo: '[unknown]',
      },
      parent: 'adit:test:Messaging messaging',
    });
    expect(JSON.stringify(json['resources']?.[4]?.['inputs'])).toMatch(/"__provider":"\[code \w{12}\]"/);
    expect(json['outputs']).toMatchObject({ connection: '[secret]', queueId: '[unknown]' });
  });

  it('says every reason of a refused configuration once, without a stack, and exits with 2', async () => {
    const { code, out, err } = await show(['--stack', 'small'], { entry: 'refusing-program.ts' });
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toBe(
      'small: running the program\nadit:stage must be dev or prod, got "test".\nadit:prefix must have 2..8 letters, got "".\n',
    );
  });

  it('prints the stack of a program that crashes, and exits with 1', async () => {
    const { code, out, err } = await show(['--stack', 'small', '--json'], { entry: 'crashing-program.ts' });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/TypeError: nothing to read here\n {4}at breakHere/);
  });

  it('ends a program that never ends, and exits with 1', async () => {
    const { code, err } = await show(['--stack', 'small'], { entry: 'endless-program.ts', limitMs: 1000 });
    expect(code).toBe(1);
    expect(err).toContain('did not end within 1 s');
  });

  it('exits with 130 when it is stopped', async () => {
    const signal = AbortSignal.abort();
    expect(await show(['--stack', 'small'], { entry: 'endless-program.ts', signal })).toMatchObject({ code: 130 });
  });

  it('explains itself', async () => {
    const { code, out } = await show(['--help']);
    expect(code).toBe(0);
    expect(out).toContain('npm run preview -- --stack <name> [--json]');
  });
});

describe('npm run preview, asked for what there is not', () => {
  it.each([
    [[], '--stack must name a stack. Example: --stack dev'],
    [['--stack'], "Option '--stack <value>' argument missing"],
    [['--stack', ''], '--stack must name a stack'],
    [['--stack', 'small', '--yaml'], "Unknown option '--yaml'"],
    [['small'], "Unexpected argument 'small'"],
    [['--stack', 'other'], 'Pulumi.other.yaml does not exist; there are: small'],
    [['--stack', '../small'], 'does not exist; there are: small'],
  ])('%j: exits with 2 and says what is wrong', async (args, message) => {
    const { code, out, err } = await show(args);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(message);
  });

  it('names a configuration that is not YAML', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'adit-preview-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    await writeFile(join(dir, 'Pulumi.torn.yaml'), 'config: [');
    const { code, err } = await show(['--stack', 'torn'], { dir });
    expect(code).toBe(2);
    expect(err).toContain('Pulumi.torn.yaml is not YAML');
  });
});
