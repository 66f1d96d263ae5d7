import { usdText } from '../../runtime/core/cost.ts';
import type { ChangedCost, ChangedInput, Difference } from './difference.ts';
import { shortened } from './facts.ts';
import type { Finding } from './finding.ts';
import type { Json } from './wire-value.ts';

/** Lines of a list in a comment; more of them are counted. GitHub takes 65,536 characters. */
const LIST_LIMIT = 40;

/** Inputs of one resource that are named. */
const INPUTS_LIMIT = 6;

/** Letters of one value, and of one message. */
const VALUE_CHARS_LIMIT = 60;
const MESSAGE_CHARS_LIMIT = 700;

/** The comment of a pull request on one stack, found again by its first line. */
export function markdownOf(stack: string, difference: Difference, findings: readonly Finding[]): string {
  const mandatory = findings.filter(({ level }) => level === 'mandatory').length;
  return [
    commentMark(stack),
    `### Stack \`${stack}\`: ${headline(difference)}`,
    '',
    `Compared with ${difference.against}. ${mandatory} mandatory, ${findings.length - mandatory} advisory findings.`,
    ...costTable(difference),
    ...resourceLists(difference),
    ...findingList('New findings', difference.newFindings),
    ...findingList('No longer found', difference.goneFindings),
    '',
  ].join('\n');
}

/** First line of the comment on a stack. */
export function commentMark(stack: string): string {
  return `<!-- adit preview ${stack} -->`;
}

function headline({ totalBefore, totalAfter, budget }: Difference): string {
  if (totalAfter === null) return 'not priced';
  const after = `${usdText(totalAfter)} a month`;
  const change = totalBefore === null ? '' : ` (${changeText(totalBefore, totalAfter)})`;
  return `${after}${change}${budget === null ? '' : `, budget ${usdText(budget)}`}`;
}

function costTable({ costs, totalBefore, totalAfter }: Difference): readonly string[] {
  if (costs.length === 0) return ['', 'The bill does not change.'];
  const row = ({ what, before, after }: ChangedCost): string =>
    `| ${cell(what)} | ${money(before)} | ${money(after)} | ${signed((after ?? 0) - (before ?? 0))} |`;
  return [
    '',
    '| USD a month | before | after | difference |',
    '| --- | ---: | ---: | ---: |',
    ...costs.slice(0, LIST_LIMIT).map(row),
    ...more(costs.length, (count) => `| and ${count} more | | | |`),
    `| **total** | ${money(totalBefore)} | ${money(totalAfter)} | **${signed((totalAfter ?? 0) - (totalBefore ?? 0))}** |`,
  ];
}

function resourceLists({ added, removed, changed }: Difference): readonly string[] {
  if (added.length + removed.length + changed.length === 0) return ['', 'No resource changes.'];
  const changes = changed.map(({ resource, inputs }) => `\`${shortName(resource)}\`: ${inputText(inputs)}`);
  const names = (resources: readonly string[]): readonly string[] => resources.map((one) => `\`${shortName(one)}\``);
  return [...list('Added', names(added)), ...list('Removed', names(removed)), ...list('Changed', changes)];
}

function inputText(inputs: readonly ChangedInput[]): string {
  const texts = inputs
    .slice(0, INPUTS_LIMIT)
    .map(({ path, before, after }) => `${path} ${value(before)} → ${value(after)}`);
  return [...texts, ...more(inputs.length, (count) => `and ${count} more`, INPUTS_LIMIT)].join(', ');
}

function findingList(title: string, findings: readonly Finding[]): readonly string[] {
  const lines = findings.map(
    ({ policy, level, resource, message }) =>
      `**${level}** \`${policy}\`${resource === null ? '' : ` on \`${shortName(resource)}\``}: ${plain(message)}`,
  );
  return list(title, lines);
}

function list(title: string, lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return [];
  const shown = lines.slice(0, LIST_LIMIT).map((line) => `- ${line}`);
  return ['', `**${title}** (${lines.length})`, '', ...shown, ...more(lines.length, (count) => `- and ${count} more`)];
}

function more(length: number, text: (count: number) => string, limit = LIST_LIMIT): readonly string[] {
  return length > limit ? [text(length - limit)] : [];
}

function shortName(resource: string): string {
  return resource.replace(/^azure-native:/, '');
}

/** A value from the program or the configuration must not become markup of the comment. */
function value(json: Json | undefined): string {
  if (json === undefined) return '(none)';
  return `\`${shortened(JSON.stringify(json), VALUE_CHARS_LIMIT).replaceAll('`', "'").replaceAll('|', '\\|')}\``;
}

function plain(message: string): string {
  return shortened(message.replaceAll(/\s+/g, ' '), MESSAGE_CHARS_LIMIT).replaceAll(/[<>|`@]/g, (sign) => `\\${sign}`);
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function money(usd: number | null): string {
  return usd === null ? '–' : usdText(usd);
}

function changeText(before: number, after: number): string {
  const change = signed(after - before);
  return change === UNCHANGED ? change : `${change}, was ${usdText(before)}`;
}

const UNCHANGED = 'unchanged';

function signed(usd: number): string {
  const rounded = Math.round(usd * 100) / 100;
  if (rounded === 0) return UNCHANGED;
  return `${rounded < 0 ? '−' : '+'}${usdText(Math.abs(rounded))}`;
}
