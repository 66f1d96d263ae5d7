import { type Assignment, CONNECTIONS, SETTINGS, variableOf } from '../settings.ts';

/** What the environment says. The only place that reads it. */
export interface Environment {
  /** Settings from `ADIT_*` variables. */
  readonly assignments: readonly Assignment[];
  /** `ADIT_*` variables that name no setting. */
  readonly unknown: readonly string[];
  /** A Redis that is there already. A secret. */
  readonly redisUrl: string | undefined;
  /** Connection string of a storage account instead of SQLite and a folder. A secret. */
  readonly storage: string | undefined;
  /** File descriptor that is told about phases. */
  readonly phaseFd: number | undefined;
}

/** Reads the environment by the tables of `settings.ts`. */
export function readEnvironment(variables: Readonly<Record<string, string | undefined>> = process.env): Environment {
  const names = new Map(Object.keys(SETTINGS).map((name) => [variableOf(name), name]));
  const connections = new Set<string>(Object.values(CONNECTIONS).map(({ variable }) => variable));
  const assignments: Assignment[] = [];
  const unknown: string[] = [];
  for (const [variable, text] of Object.entries(variables)) {
    if (text === undefined || !variable.startsWith('ADIT_') || connections.has(variable)) continue;
    const name = names.get(variable);
    if (name === undefined) unknown.push(variable);
    else assignments.push({ name, text, origin: variable });
  }
  const connection = (name: keyof typeof CONNECTIONS): string | undefined => {
    const text = variables[CONNECTIONS[name].variable];
    return text === '' ? undefined : text;
  };
  const phaseFd = connection('phaseFd');
  return {
    assignments,
    unknown,
    redisUrl: connection('redisUrl'),
    storage: connection('storage'),
    phaseFd: phaseFd === undefined ? undefined : Number(phaseFd),
  };
}
