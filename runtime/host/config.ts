import { type Assignment, SETTINGS, variableOf } from '../settings.ts';

/** What the environment says. The only place that reads it. */
export interface Environment {
  /** Settings from `ADIT_*` variables. */
  readonly assignments: readonly Assignment[];
  /** `ADIT_*` variables that name no setting. */
  readonly unknown: readonly string[];
  /** `REDIS_URL`: a Redis that is there already. A secret. */
  readonly redisUrl: string | undefined;
  /** `ADIT_STORAGE_CONNECTION_STRING`: Azure Tables and Blobs instead of SQLite and a folder. A secret. */
  readonly storage: string | undefined;
  /** `ADIT_PHASE_FD`: a file descriptor that is told when a page, a send or an ingest begins and ends (crash tests). */
  readonly phaseFd: number | undefined;
  /** Search path for programs such as redis-server. */
  readonly variables: Readonly<Record<string, string | undefined>>;
}

const OWN_VARIABLES = new Set(['ADIT_STORAGE_CONNECTION_STRING', 'ADIT_PHASE_FD']);

export function readEnvironment(variables: Readonly<Record<string, string | undefined>> = process.env): Environment {
  const names = new Map(Object.keys(SETTINGS).map((name) => [variableOf(name), name]));
  const assignments: Assignment[] = [];
  const unknown: string[] = [];
  for (const [variable, text] of Object.entries(variables)) {
    if (text === undefined || !variable.startsWith('ADIT_') || OWN_VARIABLES.has(variable)) continue;
    const name = names.get(variable);
    if (name === undefined) unknown.push(variable);
    else assignments.push({ name, text, origin: variable });
  }
  const fd = variables['ADIT_PHASE_FD'];
  return {
    assignments,
    unknown,
    redisUrl: variables['REDIS_URL'] === '' ? undefined : variables['REDIS_URL'],
    storage: variables['ADIT_STORAGE_CONNECTION_STRING'],
    phaseFd: fd === undefined ? undefined : Number(fd),
    variables,
  };
}
