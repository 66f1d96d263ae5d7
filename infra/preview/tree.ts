import type { MonthlyCost } from './cost.ts';
import { inputsThatMatter, shortened } from './facts.ts';
import type { Finding } from './finding.ts';
import type { RegisteredResource } from './registered-resource.ts';
import type { ProgramRun } from './run-program.ts';
import type { StackPreview } from './stack-preview.ts';
import { partsOfUrn } from './urn.ts';
import type { JsonObject } from './wire-value.ts';

/** A resource and how deep in the tree it stands; 0 = below the stack. */
interface Placed {
  readonly resource: RegisteredResource;
  readonly depth: number;
}

/** What `--json` prints. The resources are in the order of the tree. */
export interface PreviewJson {
  readonly resources: readonly {
    readonly type: string;
    readonly name: string;
    readonly inputs: JsonObject;
    /** `<type> <name>` of its parent; null: the stack. */
    readonly parent: string | null;
  }[];
  readonly outputs: JsonObject;
  /** Absent, as the findings are: the folder has no policy pack. */
  readonly monthlyCost?: MonthlyCost;
  readonly findings?: readonly Finding[];
}

/** Width of a column at most; what is longer pushes the rest of its line to the right. */
const COLUMN_CHARS_LIMIT = 56;

/** Letters of an output at most; `--json` has all of it. */
const OUTPUT_CHARS_LIMIT = 100;

/**
 * Every resource, parents before their children, siblings by type and name: programs register in an order that no two
 * runs share.
 */
function placed(resources: readonly RegisteredResource[]): readonly Placed[] {
  const children = Map.groupBy(resources, ({ parentUrn }) => parentUrn);
  const below = (parentUrn: string | undefined, depth: number): readonly Placed[] =>
    (children.get(parentUrn) ?? [])
      .toSorted((left, right) => compare(left.type, right.type) || compare(left.name, right.name))
      .flatMap((resource) => [{ resource, depth }, ...below(resource.urn, depth + 1)]);
  return below(undefined, 0);
}

/** The tree, the outputs and the counts, a line each. */
export function treeOf({ resources, outputs }: ProgramRun): readonly string[] {
  return [...resourceLines(placed(resources)), '', ...outputLines(outputs), '', ...countLines(resources)];
}

/** The same as plain data. */
export function jsonOf({ run: { resources, outputs }, judgement }: StackPreview): PreviewJson {
  return {
    resources: placed(resources).map(({ resource: { type, name, inputs, parentUrn } }) => ({
      type,
      name,
      inputs,
      parent: parentUrn === undefined ? null : nameOf(parentUrn),
    })),
    outputs,
    ...judgement,
  };
}

/** `azure-native:servicebus:Queue` -> `servicebus:Queue`. */
function shortType(type: string): string {
  return type.replace(/^azure-native:/, '');
}

function nameOf(urn: string): string {
  const { type, name } = partsOfUrn(urn);
  return `${type} ${name}`;
}

function resourceLines(rows: readonly Placed[]): readonly string[] {
  const cells = rows.map(({ resource, depth }) => ({
    name: `${'  '.repeat(depth)}${resource.name}`,
    type: shortType(resource.type),
    rest: [...inputsThatMatter(resource), ...marksOf(resource)].join('  '),
  }));
  const nameChars = columnChars(cells.map(({ name }) => name));
  const typeChars = columnChars(cells.map(({ type }) => type));
  return cells.map(({ name, type, rest }) => `${name.padEnd(nameChars)}  ${type.padEnd(typeChars)}  ${rest}`.trimEnd());
}

function marksOf({ isRead, options }: RegisteredResource): readonly string[] {
  return [
    ...(isRead ? ['(exists already)'] : []),
    ...(options.protect ? ['protected'] : []),
    ...(options.retainOnDelete ? ['retained'] : []),
  ];
}

function outputLines(outputs: JsonObject): readonly string[] {
  const names = Object.keys(outputs).toSorted(compare);
  if (names.length === 0) return ['no outputs'];
  const chars = columnChars(names);
  return [
    'outputs',
    ...names.map((name) => {
      const value = outputs[name];
      const text = typeof value === 'string' ? value : JSON.stringify(value);
      return `  ${name.padEnd(chars)}  ${shortened(text, OUTPUT_CHARS_LIMIT)}`;
    }),
  ];
}

function countLines(resources: readonly RegisteredResource[]): readonly string[] {
  const real = resources.filter(({ isCustom }) => isCustom);
  const byType = Map.groupBy(real, ({ type }) => shortType(type));
  const components = resources.length - real.length;
  return [
    `${counted(real.length, 'resource')} in ${counted(components, 'component')}`,
    ...[...byType]
      .toSorted(([left], [right]) => compare(left, right))
      .map(([type, ofType]) => `${String(ofType.length).padStart(5)}  ${type}`),
  ];
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function columnChars(texts: readonly string[]): number {
  return Math.min(COLUMN_CHARS_LIMIT, Math.max(0, ...texts.map(({ length }) => length)));
}

/** By code unit, so that the order is the same in every language of the terminal. */
function compare(left: string, right: string): number {
  return left < right ? -1 : Number(left > right);
}
