/** A finding that is known and accepted until a date. */
export interface PolicyException {
  /** Name of the rule. */
  readonly policy: string;
  /** Name of the resource in the program; undefined: every resource. */
  readonly resource: string | undefined;
  /** `advisory`: it is still said · `off`: it is not. */
  readonly level: 'advisory' | 'off';
  readonly owner: string;
  readonly reason: string;
  /** Last day on which it counts, `YYYY-MM-DD`. */
  readonly expires: string;
}

/** The exceptions of a stack, and what is wrong with those that are none. */
export interface ExceptionReading {
  readonly exceptions: readonly PolicyException[];
  readonly exceptionMistakes: readonly string[];
}

const FIELDS = ['policy', 'resource', 'level', 'owner', 'reason', 'expires'];
const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** Reads the JSON text of `adit:exceptions`; undefined or empty means none. */
export function readExceptions(text: string | undefined): ExceptionReading {
  if (text === undefined || text === '') return { exceptions: [], exceptionMistakes: [] };
  const list = parseList(text);
  if (list === undefined) return { exceptions: [], exceptionMistakes: ['adit:exceptions must be a list'] };
  const readings = list.map(readException);
  return {
    exceptions: readings.filter((reading) => typeof reading !== 'string'),
    exceptionMistakes: readings.filter((reading) => typeof reading === 'string'),
  };
}

function readException(item: unknown, at: number): PolicyException | string {
  const where = `adit:exceptions, entry ${at + 1}`;
  if (typeof item !== 'object' || item === null) return `${where} must be an object`;
  const fields = item as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(fields).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) return `${where} has the unknown field ${unknown}; there are ${FIELDS.join(', ')}`;
  const { policy, resource, level = 'advisory', owner, reason, expires } = fields;
  for (const [field, value] of Object.entries({ policy, owner, reason })) {
    if (typeof value !== 'string' || value.trim() === '') return `${where} must have ${field}`;
  }
  if (typeof expires !== 'string' || !isDate(expires))
    return `${where} must expire: YYYY-MM-DD, got ${String(expires)}`;
  if (level !== 'advisory' && level !== 'off') return `${where}: level must be advisory or off, got ${String(level)}`;
  if (resource !== undefined && typeof resource !== 'string') return `${where}: resource must be a name`;
  return { policy: String(policy), resource, level, owner: String(owner), reason: String(reason), expires };
}

/** A day of the calendar: `2027-02-30` is none. */
function isDate(text: string): boolean {
  const date = new Date(`${text}T00:00:00Z`);
  return DATE.test(text) && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

function parseList(text: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
