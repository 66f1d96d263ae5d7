import { type ConnectionName, CONNECTIONS } from '../connections.ts';
import { type Assignment, SETTINGS, variableOf } from '../settings.ts';
import { keepSecret } from './redaction.ts';

/** Variables of a process, or what stands for them: the settings of a function app, the outputs of a stack. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** The connections that are there, by their names in `CONNECTIONS`. An empty variable counts as absent. */
export type Connections = { readonly [Name in ConnectionName]?: string };

/** What the environment says. The only place that reads it. */
export interface Environment extends Connections {
  /** Settings from `ADIT_*` variables. */
  readonly assignments: readonly Assignment[];
  /** `ADIT_*` variables that name neither a setting nor a connection. */
  readonly unknown: readonly string[];
}

/** The variables of this process. */
export function processVariables(): Variables {
  return process.env;
}

/** Reads variables, by default those of this process, by the tables of `settings.ts`. */
export function readEnvironment(variables: Variables = processVariables()): Environment {
  const names = new Map(Object.keys(SETTINGS).map((name) => [variableOf(name), name]));
  const connections = new Map<string, string>(
    Object.entries(CONNECTIONS).map(([name, { variable }]) => [variable, name]),
  );
  const assignments: Assignment[] = [];
  const unknown: string[] = [];
  const found: { [Name in ConnectionName]?: string } = {};
  for (const [variable, text] of Object.entries(variables)) {
    const connection = connections.get(variable) as ConnectionName | undefined;
    if (text === undefined || (connection !== undefined && text === '')) continue;
    if (connection !== undefined) {
      found[connection] = text;
      if (CONNECTIONS[connection].isSecret) keepSecret(text);
    } else if (variable.startsWith('ADIT_')) {
      const name = names.get(variable);
      if (name === undefined) unknown.push(variable);
      else assignments.push({ name, text, origin: variable });
    }
  }
  return { ...found, assignments, unknown };
}
