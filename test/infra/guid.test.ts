import { describe, expect, it } from 'vitest';
import { guidOf } from '../../infra/guid.ts';

describe('guidOf', () => {
  it('is always the same for the same parts, in the form of a GUID', () => {
    expect(guidOf('role', 'adit-dev')).toBe(guidOf('role', 'adit-dev'));
    const form = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
    for (let at = 0; at < 100; at += 1) expect(guidOf('role', String(at))).toMatch(form);
  });

  it('is another one for other parts, also where their text together is the same', () => {
    expect(guidOf('a', 'bc')).not.toBe(guidOf('ab', 'c'));
    expect(guidOf('a', 'b')).not.toBe(guidOf('b', 'a'));
  });
});
