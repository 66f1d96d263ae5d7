import { describe, expect, it } from 'vitest';
import { readEnvironment } from '../../runtime/host/config.ts';
import { type ConnectionSpec, CONNECTIONS } from '../../runtime/connections.ts';
import { SETTINGS, variableOf } from '../../runtime/settings.ts';

describe('the environment', () => {
  it('gives every connection of the table by its name', () => {
    const variables = Object.fromEntries(
      Object.entries<ConnectionSpec>(CONNECTIONS).map(([name, { variable }]) => [variable, `text of ${name}`]),
    );
    const { assignments, unknown, ...connections } = readEnvironment(variables);
    expect(connections).toEqual(Object.fromEntries(Object.keys(CONNECTIONS).map((name) => [name, `text of ${name}`])));
    expect([assignments, unknown]).toEqual([[], []]);
  });

  it('gives every setting of the table as an assignment, and says where it is from', () => {
    const names = Object.keys(SETTINGS);
    const { assignments } = readEnvironment(Object.fromEntries(names.map((name) => [variableOf(name), '7'])));
    expect(assignments).toEqual(names.map((name) => ({ name, text: '7', origin: variableOf(name) })));
  });

  it('takes an empty connection for absent, an empty setting for a mistake, and names what it does not know', () => {
    const read = readEnvironment({
      REDIS_URL: '',
      ADIT_LINGER_MS: '',
      ADIT_BOGUS: 'x',
      PATH: '/bin',
      ADIT_STACK: undefined,
    });
    expect(read).toEqual({
      assignments: [{ name: 'lingerMs', text: '', origin: 'ADIT_LINGER_MS' }],
      unknown: ['ADIT_BOGUS'],
    });
  });
});
