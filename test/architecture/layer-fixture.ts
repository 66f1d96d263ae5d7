import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** An import statement and, where it is forbidden, the rules that must say so. */
type PlantedImport = readonly [statement: string, ...brokenRules: string[]];

/** A house in miniature: one violation per rule, beside imports that look alike and are allowed. */
const FIXTURE: Readonly<Record<string, readonly PlantedImport[]>> = {
  'runtime/core/route.ts': [],
  'runtime/core/marker.ts': [
    ["import './route.ts'"],
    ["import 'node:fs'", 'core-imports-core-only'],
    ["import 'zod'", 'core-imports-core-only'],
    ["import type { P } from '../ports.ts'", 'core-imports-core-only'],
  ],
  'runtime/core/first.ts': [["import type { S } from './second.ts'", 'no-cycles']],
  // A cycle is reported once, at its first module.
  'runtime/core/second.ts': [["import type { F } from './first.ts'"]],
  'runtime/miners/chats.ts': [
    ["import 'zod'"],
    ["import '../core/route.ts'"],
    ["import './fans.ts'", 'miners-import-core-and-zod'],
  ],
  'runtime/miners/fans.ts': [],
  'runtime/upstreams/graph.ts': [["import '../core/route.ts'"], ["import 'zod'", 'upstreams-import-core-only']],
  'runtime/catalog.ts': [
    ["import './miners/chats.ts'"],
    ["import './upstreams/graph.ts'"],
    ["import './settings.ts'", 'catalog-imports-declarations-only'],
  ],
  'runtime/ports.ts': [["import type { S } from './settings.ts'", 'ports-import-core-only']],
  'runtime/settings.ts': [["import './core/route.ts'"]],
  'runtime/prices.ts': [["import './settings.ts'", 'tables-import-core-only']],
  'runtime/engine/mine.ts': [
    ["import type { P } from '../ports.ts'"],
    ["import type { S } from '../settings.ts'"],
    ["import 'node:timers/promises'", 'engine-imports-core-and-ports'],
    ["import '../catalog.ts'", 'engine-imports-core-and-ports'],
  ],
  'runtime/engine/pack.ts': [["import { s } from '../settings.ts'", 'engine-takes-types-of-settings']],
  'runtime/adapters/service-bus.ts': [
    ["import 'rhea'"],
    ["import 'node:net'"],
    ["import type { P } from '../ports.ts'"],
    ["import './service-bus-depths.ts'"],
    ["import './redis.ts'", 'adapters-do-not-mix'],
  ],
  'runtime/adapters/service-bus-depths.ts': [["import './service-bus-names.ts'"]],
  'runtime/adapters/service-bus-names.ts': [["import '../settings.ts'", 'adapters-import-ports-and-their-sdk']],
  'runtime/adapters/redis.ts': [],
  'runtime/host/compose.ts': [
    ["import '../adapters/service-bus.ts'"],
    ["import '../catalog.ts'"],
    ["import '../core/marker.ts'"],
    ["import '../core/first.ts'"],
    ["import '../engine/mine.ts'"],
    ["import '../engine/pack.ts'"],
    ["import '../prices.ts'"],
    ["import '../missing.ts'", 'imports-resolve'],
  ],
  'runtime/host/launch.mjs': [["await import('../ops/cli.ts')"]],
  'runtime/host/functions.ts': [
    ["import 'vitest'", 'runtime-uses-dependencies-only'],
    ["import '../../infra/plan.ts'", 'runtime-stays-in-runtime'],
    ["import '../../test/fakes/bus.ts'", 'nobody-imports-test'],
  ],
  'runtime/ops/cli.ts': [
    ["import 'commander'"],
    ["import '../host/compose.ts'"],
    ["import '../engine/mine.ts'", 'ops-goes-through-host'],
  ],
  'runtime/ops/dead.ts': [],
  'runtime/local/broker/main.ts': [
    ["import 'rhea'"],
    ["import 'node:sqlite'"],
    ["import '../../core/route.ts'"],
    ["import '../../ports.ts'", 'local-imports-catalog-and-core'],
    ["import '../../adapters/redis.ts'", 'local-imports-catalog-and-core', 'only-host-sees-adapters'],
  ],
  'infra/index.ts': [["import './plan.ts'"]],
  'infra/plan.ts': [
    ["import '@pulumi/pulumi'"],
    ["import '../runtime/prices.ts'"],
    ["import '../runtime/engine/mine.ts'", 'infra-imports-shared-tables'],
  ],
  'policies/pack.ts': [
    ["import '@pulumi/pulumi'"],
    ["import 'node:fs'"],
    ["import '../infra/plan.ts'", 'policies-import-shared-tables'],
  ],
  'test/fakes/bus.ts': [],
};

/** Violations of rules that judge a module by who does not import it. */
const UNREACHED: readonly string[] = [
  'catalog-lists-everything: runtime/miners/unlisted.ts',
  'no-orphans-in-infra: infra/dead.ts',
  'no-orphans: runtime/miners/unlisted.ts',
  'no-orphans: runtime/ops/dead.ts',
];

const PACKAGES = ['zod', 'rhea', 'commander', 'vitest', '@pulumi/pulumi'] as const;

/** Violations that a cruise of the fixture must find, as sorted `rule: module` lines. */
export function plantedViolations(): readonly string[] {
  const lines = Object.entries(FIXTURE).flatMap(([file, imports]) =>
    imports.flatMap(([, ...rules]) => rules.map((rule) => `${rule}: ${file}`)),
  );
  return [...lines, ...UNREACHED].toSorted();
}

/** Writes the fixture and the packages it names below `root`, an empty folder. */
export function plantFixture(root: string): void {
  const write = (path: string, text: string): void => {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  };
  for (const [file, imports] of Object.entries(FIXTURE)) {
    write(file, `${imports.map(([statement]) => `${statement};\n`).join('')}export const s = 1;\n`);
  }
  write('runtime/miners/unlisted.ts', 'export const s = 1;\n');
  write('infra/dead.ts', 'export const s = 1;\n');
  for (const name of PACKAGES) {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.js' }));
    write(`node_modules/${name}/index.js`, '');
  }
  const dependencies = Object.fromEntries(PACKAGES.filter((name) => name !== 'vitest').map((name) => [name, '1.0.0']));
  write('package.json', JSON.stringify({ type: 'module', dependencies, devDependencies: { vitest: '1.0.0' } }));
}
