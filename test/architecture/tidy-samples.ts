/** A file that exists only in this table: path and text. */
type Sample = readonly [path: string, text: string];

interface Samples {
  /** Each must be found. */
  readonly bad: readonly Sample[];
  /** Each looks similar and must pass. */
  readonly good: readonly Sample[];
}

const lines = (count: number): string => Array.from({ length: count }, (_, at) => `  f(${at});`).join('\n');
const core = (...texts: string[]): readonly Sample[] => texts.map((text) => ['runtime/core/marker.ts', text]);
const spec = (...texts: string[]): readonly Sample[] => texts.map((text) => ['test/core/marker.test.ts', text]);
const named = (...paths: string[]): readonly Sample[] => paths.map((path) => [path, '']);
const manifest = (...texts: string[]): readonly Sample[] => texts.map((text) => ['test/azurite/package.json', text]);
/** Spelled in pieces, so that this file does not break the rule itself. */
const machinePath = ['', 'root', 'project'].join('/');

/** For every tidy rule what it must find and what it must leave alone. */
export const SAMPLES: Readonly<Record<string, Samples>> = {
  'effects-stay-outside-core-and-engine': {
    bad: core(
      'const now = Date.now();',
      'const now = new Date();',
      'const now = new Date;',
      'const now = Date();',
      'const clock = Date.now;',
      'const chance = Math.random();',
      'setTimeout(go, 1);',
      'globalThis.setTimeout(go, 1);',
      'await fetch(url);',
      'const home = process.env.HOME;',
      'const signal = AbortSignal.timeout(5);',
      'const id = crypto.randomUUID();',
    ).concat([['runtime/engine/mine.ts', 'setInterval(go, 1);']]),
    good: core(
      'const at = new Date(atMs).toISOString();',
      'const at = Date.parse(text);',
      '// Date.now() is read by an adapter.',
      "const text = 'Date.now()';",
      'deps.fetch(url); deps.clock.now();',
    ).concat([['runtime/adapters/system.ts', 'const now = Date.now();']]),
  },
  'environment-is-read-in-one-file': {
    bad: [
      ['runtime/host/compose.ts', 'const url = process.env.REDIS_URL;'],
      ['runtime/host/compose.ts', "const url = process.env['REDIS_URL'];"],
      ['infra/config.ts', 'const { HOME } = process.env;'],
      ['runtime/local/broker/main.ts', "import { env } from 'node:process';"],
    ],
    good: [
      ['runtime/host/config.ts', 'const url = process.env.REDIS_URL;'],
      ['test/chaos/kill.test.ts', 'const seed = process.env.SEED;'],
      ['runtime/host/compose.ts', 'const { version } = process;'],
    ],
  },
  'texts-leave-by-the-exits': {
    bad: [
      ['runtime/host/session.ts', "process.stdout.write('x');"],
      ['runtime/ops/cli.ts', 'const out = process.stderr;'],
      ['runtime/ops/cli.ts', 'const { stderr: out } = process;'],
      ['runtime/ops/cli.ts', 'console.error(error);'],
      ['runtime/engine/mine.ts', 'globalThis.console.log(run);'],
      ['infra/index.ts', 'console.warn(1);'],
      ['policies/pack.ts', 'const say = console.info;'],
      ['runtime/adapters/redis-cache.ts', "import { pino } from 'pino';"],
      ['runtime/host/home.ts', "process.emitWarning('x');"],
      ['runtime/host/home.ts', "process.report.writeReport('x');"],
    ],
    good: [
      ['runtime/host/exits.ts', "process.stdout.write('x');"],
      ['runtime/adapters/pino-log.ts', "import { pino } from 'pino';"],
      ['runtime/ops/cli.ts', "process.stdout.on('error', stop);"],
      ['runtime/host/home.ts', "import type { Logger } from 'pino';"],
      ['runtime/host/home.ts', "const text = 'process.stdout.write';"],
      ['test/chaos/main.ts', 'console.log(1);'],
    ],
  },
  'every-test-runs': {
    bad: spec("test.only('x', f);", "it.skip('x', f);", "describe.todo('x');", "describe.concurrent.only('x', f);"),
    good: spec(
      "test('only', f);",
      "test('x', ({ skip }) => skip('no Redis'));",
      'context.skip(reason);',
      'list.skip(2);',
    ),
  },
  'no-unfinished-work': {
    bad: core(
      '// TODO later',
      'f(); // FIXME',
      '/** XXX */\nconst a = 1;',
      'function f() {\n  // HACK\n}',
      'f(a /* TODO */, b);',
    ),
    good: core("const text = 'TODO';", '// todos are a data type', 'const text = `// TODO`;', 'const TODO = 1;'),
  },
  'no-silenced-compiler': {
    bad: core(
      '// @ts-ignore\nf();',
      '// @ts-nocheck',
      '// oxlint-disable-next-line no-console\nf();',
      '/* eslint-disable */',
    ),
    good: core(
      '// oxlint-disable-next-line no-console -- the launcher talks to people\nf();',
      "const text = '@ts-ignore';",
      '// @ts-expect-error: a test of the types\nf();',
    ),
  },
  'no-cast-to-any': {
    bad: core('const a = b as any;', 'f(b as any).c;'),
    good: core('const a = b as unknown as C;', "const text = 'as any';", '// as any other'),
  },
  'short-functions': {
    bad: core(
      `function f() {\n${lines(69)}\n}`,
      `const f = () => {\n${lines(69)}\n};`,
      `class C {\n  m() {\n${lines(69)}\n  }\n}`,
    ),
    good: core(`function f() {\n${lines(68)}\n}`, lines(90)).concat(spec(`function f() {\n${lines(90)}\n}`)),
  },
  'no-default-exports': {
    bad: core(
      'export default 1;',
      'export default function f() {}',
      'export default class C {}',
      'export { f as default };',
    ),
    good: core('export const a = 1;').concat([['test/vitest.config.ts', 'export default {};']]),
  },
  'no-barrels': {
    bad: core("export * from './route.ts';", "export type * from './route.ts';"),
    good: core("import * as z from 'zod';", 'export { a };'),
  },
  'exports-have-docstrings': {
    bad: [
      ['runtime/core/marker.ts', 'export function f() {}'],
      ['runtime/core/marker.ts', '// A comment is not a docstring.\nexport const A = 1;'],
      ['runtime/engine/mine.ts', 'export class Miner {}'],
      ['runtime/adapters/redis.ts', 'export interface Options {}'],
      ['runtime/ports.ts', '/** First. */\nexport type A = 1;\nexport type B = 2;'],
    ],
    good: [
      ['runtime/core/marker.ts', '/** What it is. */\nexport function f() {}\nconst inner = 1;'],
      ['runtime/core/marker.ts', '/** Both. */\nexport function f(a: 1): 1;\nexport function f(a: 2): 2 {}'],
      ['runtime/host/compose.ts', 'export const a = 1;'],
    ],
  },
  'exported-names-say-what': {
    bad: core(
      'export class QueueManager {}',
      'export interface IBus {}',
      'export const dateUtils = {};',
      'export function pageHelper() {}',
    ),
    good: core('export class Ingest {}', 'export interface Item {}', 'export const IDS = [];', 'class QueueManager {}'),
  },
  'top-level-is-fixed': {
    bad: named('vitest.config.ts', 'docs/guide.md', 'src/index.ts'),
    good: named('.oxlintrc.json', '.ci/run', 'infra/index.ts', 'Pulumi.dev.yaml', 'LICENSE'),
  },
  'names-are-kebab-case': {
    bad: named(
      'runtime/core/runMarker.ts',
      'runtime/core/Marker.ts',
      'runtime/core/run_marker.ts',
      'test/Core/marker.test.ts',
    ),
    good: named(
      'runtime/core/run-marker.ts',
      'runtime/ops/PLAYBOOK.md',
      'policies/PulumiPolicy.yaml',
      '.ci/run',
      'LICENSE',
    ),
  },
  'names-say-what': {
    bad: named('runtime/core/utils.ts', 'runtime/host/run-helpers.ts', 'runtime/managers/a.ts', 'test/helper.ts'),
    good: named('runtime/core/utility-rate.ts', 'runtime/core/route.ts'),
  },
  'short-files': {
    bad: core(`${lines(401)}\n`),
    good: core(`${lines(400)}\n`).concat(spec(lines(500))),
  },
  'versions-are-exact': {
    bad: manifest(
      '{ "dependencies": { "zod": "^4.6.0" } }',
      '{ "devDependencies": { "node": "24" } }',
      '{ "devDependencies": { "tsc7": "npm:typescript@7" } }',
      '{ "overrides": { "a": { "b": "~1.0.0" } } }',
      '{ "optionalDependencies": { "a": "latest" } }',
    ),
    good: manifest(
      '{ "dependencies": { "zod": "4.6.0" }, "engines": { "node": ">=22.19" } }',
      '{ "devDependencies": { "tsc7": "npm:typescript@7.0.2", "b": "1.0.0-rc.1" } }',
    ),
  },
  'no-unfinished-settings': {
    bad: [
      ['.github/workflows/ci.yml', '# TODO'],
      ['.ci/run', '# FIXME'],
    ],
    good: [['README.md', 'No TODO.']],
  },
  'no-place-of-one-machine': {
    bad: [['README.md', `Run ${machinePath}/start.`]],
    good: [['README.md', 'https://example.org/items and /home/site/wwwroot']],
  },
  'no-registry-of-one-network': {
    bad: [
      ['package-lock.json', '"resolved": "http://mirror.example/zod.tgz"'],
      ['test/azurite/.npmrc', 'registry=http://mirror.example'],
    ],
    good: [
      ['package-lock.json', '"resolved": "https://registry.npmjs.org/zod/-/zod-4.6.0.tgz"'],
      ['package-lock.json', '"node_modules/zod": { "version": "4.6.0" }'],
    ],
  },
};
