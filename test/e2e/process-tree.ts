import { execFileSync } from 'node:child_process';
import { until } from './adit.ts';

export interface Process {
  readonly pid: number;
  readonly command: string;
}

interface Row extends Process {
  readonly parentPid: number;
}

/** Every process that is not a zombie, on Linux as on macOS. */
function processes(): readonly Row[] {
  const text = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,command='], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  return text.split('\n').flatMap((line) => {
    const [, pid, parentPid, stat, command] = /^ *(\d+) +(\d+) +(\S+) +(.*)$/.exec(line) ?? [];
    if (pid === undefined || stat === undefined || stat.startsWith('Z')) return [];
    return [{ pid: Number(pid), parentPid: Number(parentPid), command: command ?? '' }];
  });
}

/** Children of a process, and theirs, while their parent lives. */
export function descendantsOf(pid: number): readonly Process[] {
  const rows = processes();
  const found: Row[] = [];
  const parents = new Set([pid]);
  for (let before = -1; before < parents.size;) {
    before = parents.size;
    for (const row of rows) {
      if (!parents.has(row.parentPid) || parents.has(row.pid) || row.command.startsWith('ps ')) continue;
      parents.add(row.pid);
      found.push(row);
    }
  }
  return found;
}

/** Those of the processes that still run. A pid that was given to another program counts as gone. */
export function survivorsOf(wanted: readonly Process[]): readonly Process[] {
  const rows = new Map(processes().map((row) => [row.pid, row.command]));
  return wanted.filter(({ pid, command }) => rows.get(pid) === command);
}

/** Resolves when all of them are gone; fails after `limitMs` with the names of those that are not. */
export async function allGone(wanted: readonly Process[], limitMs: number): Promise<void> {
  let left = wanted;
  try {
    await until(() => (left = survivorsOf(left)).length === 0, limitMs, 'the processes to end');
  } catch (error) {
    throw new Error(`still running after ${limitMs} ms:\n${left.map(({ command }) => command).join('\n')}`, {
      cause: error,
    });
  }
}
