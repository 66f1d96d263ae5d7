import { styleText } from 'node:util';
import { durationText } from '../core/duration.ts';
import { type Counters, equationsOf } from '../engine/completeness.ts';
import type { Progress } from '../engine/progress.ts';
import { STDERR_STYLE, type Terminal } from './exits.ts';
import type { PlaceFacts } from './place.ts';

/** Time between two looks at the progress, on a terminal and piped, in ms. */
const TERMINAL_EVERY_MS = 250;
const PIPED_EVERY_MS = 2000;

/** Users listed with their reasons. */
const LISTED = 10;

/** Writes to stderr: lines that replace themselves on a terminal, plain ones when piped. */
export class Reporter {
  readonly #stream: Terminal;
  #drawn = 0;
  #last = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: Terminal) {
    this.#stream = stream;
  }

  line(text: string): void {
    this.#erase();
    this.#stream.write(`${text}\n`);
    this.#last = '';
  }

  /** Draws again and again; `status` is a last line for a terminal only, because it always changes. */
  follow(progress: Progress, status: () => string): void {
    const draw = (): void => this.draw(progress, this.#stream.isTTY ? status() : '');
    this.#timer = setInterval(draw, this.#stream.isTTY ? TERMINAL_EVERY_MS : PIPED_EVERY_MS);
  }

  draw(progress: Progress, status = ''): void {
    const text = this.#cut(progressText(progress) + status);
    if (text === this.#last) return;
    this.#erase();
    this.#stream.write(text);
    this.#last = text;
    this.#drawn = this.#stream.isTTY ? text.split('\n').length - 1 : 0;
  }

  /** What was drawn last stays. */
  stop(): void {
    clearInterval(this.#timer);
    this.#drawn = 0;
  }

  /** A row that wraps would be two on the screen, and one of them would never be erased. */
  #cut(text: string): string {
    const { isTTY, columns } = this.#stream;
    if (!isTTY || !(columns > 0)) return text;
    return text
      .split('\n')
      .map((row) => row.slice(0, columns - 1))
      .join('\n');
  }

  #erase(): void {
    if (this.#drawn > 0) this.#stream.write(`\x1b[${this.#drawn}A\x1b[0J`);
    this.#drawn = 0;
  }
}

function progressText(progress: Progress): string {
  const rows = [...progress.miners].map(([name, miner]) => {
    const users = `${miner.usersDone}/${miner.users}`.padStart(9);
    const pages = String(miner.pages).padStart(7);
    const items = String(miner.itemsNew).padStart(8);
    // Below 80 columns, which is what a terminal has unless somebody made it wider.
    return ` ${name.padEnd(13)} users done ${users} pages ${pages} new items ${items} waiting ${miner.users - miner.usersDone}\n`;
  });
  return rows.join('');
}

/** What runs where, and how to look at the result. */
export function factsText(facts: PlaceFacts, upstream: string): string {
  const rows: readonly (readonly [string, string])[] = [
    ['upstream', upstream],
    ['broker', facts.broker],
    ['cache', facts.cache],
    ['storage', facts.storage],
    ['state', facts.stateDir],
    ['log', facts.logFile],
    ['look', facts.look],
  ];
  return rows.map(([name, text]) => `  ${styleText('dim', name.padEnd(9), STDERR_STYLE)} ${text}`).join('\n');
}

/** The figures of one `--once`, in the order of the completeness line. */
export interface OnceResult extends Counters {
  readonly quarantined: number;
  readonly paused: number;
  readonly failed: number;
  readonly durationMs: number;
  readonly pages: number;
  /** From the start of the process to the first delivered new item; 0 when there was none. */
  readonly firstItemMs: number;
  /** CPU time of the mining process, its threads included; broker, Redis and simulator have their own. */
  readonly cpuMs: number;
  readonly peakRssBytes: number;
  /** Against the ground truth of the simulator; absent for other upstreams. */
  readonly lost?: number;
  readonly duplicate?: number;
  readonly waiting?: readonly { userId: string; minerName: string; reason: string }[];
}

export function resultText(result: OnceResult): string {
  const lines = equationsOf(result).map(
    ({ text, left, right, holds }) =>
      `  ${holds ? styleText('green', 'ok  ', STDERR_STYLE) : styleText('red', 'DIFF', STDERR_STYLE)} ${text.padEnd(34)} ${left} = ${right}`,
  );
  if (result.lost !== undefined) {
    const isWhole = result.lost === 0 && result.duplicate === 0;
    const mark = isWhole ? styleText('green', 'ok  ', STDERR_STYLE) : styleText('red', 'DIFF', STDERR_STYLE);
    lines.push(`  ${mark} against what the upstream served     lost ${result.lost}, duplicate ${result.duplicate}`);
  }
  const aside = result.quarantined + result.paused + result.failed;
  const asideText = `quarantined ${result.quarantined}, paused ${result.paused}, failed ${result.failed}`;
  lines.push(`  ${aside === 0 ? 'no user set aside' : `runs set aside: ${asideText}`}`);
  const perSecond = Math.round((result.pages * 1000) / Math.max(1, result.durationMs));
  lines.push(
    `  ${result.pages} pages, ${result.new} new items in ${durationText(result.durationMs)} (${perSecond} pages/s)`,
  );
  return lines.join('\n');
}

/** A list for people, cut after a few. */
export function listText(rows: readonly { userId: string; minerName: string; reason: string }[]): string {
  const shown = rows.slice(0, LISTED).map((row) => `  ${row.userId} ${row.minerName}: ${row.reason}`);
  if (rows.length > LISTED) shown.push(`  and ${rows.length - LISTED} more`);
  return shown.join('\n');
}
