import type { IForbiddenRuleType } from 'dependency-cruiser';

/** Start of every reachability question: a module of `runtime/` that none of these needs is dead. */
const ENTRIES = ['^runtime/host/[^/]+\\.(ts|mjs)$', '^runtime/local/.+/main\\.ts$'];

/** What Pulumi or a person starts in infra, and the module that the dynamic provider loads by name. */
const INFRA_ENTRIES = ['^infra/index\\.ts$', '^infra/(preview|preflight)/main\\.ts$', '^infra/publish-archive\\.ts$'];

/** The shared tables that infra and policies may read beside the pure core. */
const SHARED_TABLES = ['^runtime/(catalog|settings|connections|prices)\\.(ts|json)$', '^runtime/core/'];

interface Layer {
  readonly name: string;
  readonly why: string;
  /** Modules of the layer, as a regular expression over paths from the root of the repository. */
  readonly from: string;
  /** Everything that they may import; packages by their folder in `node_modules/`. */
  readonly mayImport: readonly string[];
  /** Node's own modules are allowed. Default: they are not. */
  readonly builtins?: true;
}

const LAYERS: readonly Layer[] = [
  {
    name: 'core-imports-core-only',
    why: 'core/ decides over plain data: no package, no Node module, nothing of the rest.',
    from: '^runtime/core/',
    mayImport: ['^runtime/core/'],
  },
  {
    name: 'miners-import-core-and-zod',
    why: 'A miner is a declaration. It knows neither the engine nor another miner.',
    from: '^runtime/miners/',
    mayImport: ['^runtime/core/', 'node_modules/zod/'],
  },
  {
    name: 'upstreams-import-core-only',
    why: 'An upstream describes an API as pure functions.',
    from: '^runtime/upstreams/',
    mayImport: ['^runtime/core/'],
  },
  {
    name: 'catalog-imports-declarations-only',
    why: 'The catalog is read by infra and policies too, so it may pull in nothing that runs.',
    from: '^runtime/catalog\\.ts$',
    mayImport: ['^runtime/(miners|upstreams|core)/'],
  },
  {
    name: 'ports-import-core-only',
    why: 'Ports are types of the outside world and know no implementation.',
    from: '^runtime/ports\\.ts$',
    mayImport: ['^runtime/core/'],
  },
  {
    name: 'tables-import-core-only',
    why: 'settings, connections and prices are tables that infra, policies and runtime share.',
    from: '^runtime/(settings|connections|prices)\\.ts$',
    mayImport: ['^runtime/core/', '^runtime/prices\\.json$'],
  },
  {
    name: 'engine-imports-core-and-ports',
    why: 'The engine does not know whether it is at home or in the cloud.',
    from: '^runtime/engine/',
    mayImport: ['^runtime/(engine|core)/', '^runtime/ports\\.ts$', '^runtime/settings\\.ts$'],
  },
  {
    name: 'adapters-import-ports-and-their-sdk',
    why: 'An adapter implements one port with one SDK and asks nobody else.',
    from: '^runtime/adapters/',
    mayImport: ['^runtime/(adapters|core)/', '^runtime/ports\\.ts$', 'node_modules/'],
    builtins: true,
  },
  {
    name: 'ops-goes-through-host',
    why: 'The commands use what host composes, so that they work at home and in the cloud alike.',
    from: '^runtime/ops/',
    mayImport: ['^runtime/(ops|host|core)/', 'node_modules/commander/'],
    builtins: true,
  },
  {
    name: 'local-imports-catalog-and-core',
    why: 'The cloud on one machine must not share code with what it is there to test.',
    from: '^runtime/local/',
    mayImport: ['^runtime/(local|core)/', '^runtime/catalog\\.ts$', 'node_modules/(rhea|ws)/'],
    builtins: true,
  },
  {
    name: 'infra-imports-shared-tables',
    why: 'Infrastructure is derived from the catalog and never loads what it deploys.',
    from: '^infra/',
    mayImport: ['^infra/', ...SHARED_TABLES, 'node_modules/(@pulumi/|@azure/identity/|esbuild/|fflate/|yaml/)'],
    builtins: true,
  },
  {
    name: 'policies-import-shared-tables',
    why: 'Policies are an independent second reading: they never reuse what infra computed.',
    from: '^policies/',
    mayImport: ['^policies/', ...SHARED_TABLES, 'node_modules/(@pulumi/|yaml/)'],
    builtins: true,
  },
];

function ruleOf({ name, why, from, mayImport, builtins }: Layer): IForbiddenRuleType {
  // What cannot be resolved has a rule of its own; counting it here as well would only double the message.
  const dependencyTypesNot = builtins === true ? (['core', 'unknown'] as const) : (['unknown'] as const);
  return {
    name,
    comment: why,
    severity: 'error',
    from: { path: from },
    to: { pathNot: [...mayImport], dependencyTypesNot: [...dependencyTypesNot] },
  };
}

const SPECIAL_RULES: readonly IForbiddenRuleType[] = [
  {
    name: 'engine-takes-types-of-settings',
    comment: 'Settings are read in host/ and handed to the engine as arguments.',
    severity: 'error',
    from: { path: '^runtime/engine/' },
    to: { path: '^runtime/settings\\.ts$', dependencyTypesNot: ['type-only'] },
  },
  {
    name: 'adapters-do-not-mix',
    comment: 'Only files of one adapter, which share the first word of their names, import each other.',
    severity: 'error',
    from: { path: '^runtime/adapters/([a-z0-9]+)[^/]*$' },
    to: { path: '^runtime/adapters/', pathNot: '^runtime/adapters/$1[-.]' },
  },
  {
    name: 'only-host-sees-adapters',
    comment: 'Everything meets in host/ and nowhere else.',
    severity: 'error',
    from: { pathNot: '^(runtime/(host|adapters)/|test/)' },
    to: { path: '^runtime/adapters/' },
  },
  {
    name: 'nobody-imports-test',
    comment: 'What is deployed must not depend on what is not.',
    severity: 'error',
    from: { pathNot: '^test/' },
    to: { path: '^test/' },
  },
  {
    name: 'runtime-stays-in-runtime',
    comment: 'The runtime is deployed without infra and policies.',
    severity: 'error',
    from: { path: '^runtime/' },
    to: { path: '^(infra|policies)/' },
  },
  {
    name: 'no-cycles',
    comment: 'A cycle has no first module, so it cannot be read, tested or replaced by itself. Types count.',
    severity: 'error',
    from: {},
    to: { circular: true },
  },
  {
    name: 'no-orphans',
    comment: 'Every module of runtime/ is needed by a process that somebody can start.',
    severity: 'error',
    from: { path: ENTRIES },
    to: { path: '^runtime/', pathNot: ENTRIES, reachable: false },
  },
  {
    name: 'no-orphans-in-infra',
    comment: 'Every module of infra/ is needed by the program or by a command.',
    severity: 'error',
    from: { path: INFRA_ENTRIES },
    to: { path: '^infra/', pathNot: INFRA_ENTRIES, reachable: false },
  },
  {
    name: 'catalog-lists-everything',
    comment: 'A file in miners/ or upstreams/ without its line in catalog.ts is mined by nobody.',
    severity: 'error',
    from: { path: '^runtime/catalog\\.ts$' },
    to: { path: '^runtime/(miners|upstreams)/', reachable: false },
  },
  {
    name: 'imports-resolve',
    comment: 'Every import names a file or an installed package.',
    severity: 'error',
    from: {},
    to: { couldNotResolve: true },
  },
  {
    name: 'runtime-uses-dependencies-only',
    comment: 'A package used at run time is in "dependencies", so that it is also there after npm ci --omit=dev.',
    severity: 'error',
    from: { path: '^runtime/' },
    to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
  },
];

/** Layer rules of the house, for dependency-cruiser. */
export const RULES: readonly IForbiddenRuleType[] = [...LAYERS.map(ruleOf), ...SPECIAL_RULES];
