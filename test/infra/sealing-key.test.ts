import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const PROGRAM = fileURLToPath(new URL('fixtures/serialised-sealing-key.ts', import.meta.url));

interface Printed {
  readonly text: string;
  readonly keys: readonly { readonly id: string; readonly outs: { readonly value: string } }[];
}

// In a process of its own, because the text of a function that a test runner has transformed is not the text that Pulumi stores.
function printed(): Printed {
  const args = ['--disable-warning=ExperimentalWarning', PROGRAM];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as Printed;
}

describe('the provider of the sealing key, as Pulumi stores it', () => {
  const { text, keys } = printed();

  it('makes 32 random bytes under the id k1, other ones each time', () => {
    const values = keys.map(({ outs }) => outs.value);
    for (const value of values) {
      expect(value).toMatch(/^k1:[A-Za-z0-9+/]{43}=$/);
      expect(Buffer.from(value.slice(3), 'base64')).toHaveLength(32);
    }
    expect(new Set(values).size).toBe(2);
  });

  it('carries no path of the machine and loads no module', () => {
    expect(text).not.toContain(process.cwd());
    expect(text).not.toMatch(/require\(|import\(/);
  });
});
