import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openFileLake } from '../../../runtime/adapters/file-lake.ts';
import { openSqliteLedger } from '../../../runtime/adapters/sqlite-ledger.ts';

/**
 * Run by a test on a tiny file system: writes until the disk is full, looks what is there, makes space and writes again.
 * Prints one line of JSON.
 */
const [what = '', dir = ''] = process.argv.slice(2);
const CALL_LIMIT = 10_000;
const filler = join(dir, 'filler');
writeFileSync(filler, Buffer.alloc(512_000, 1));

interface Store {
  write(name: string): Promise<unknown>;
  has(name: string): Promise<boolean>;
}

const store = what === 'lake' ? openLake() : openLedger();
const acknowledged: string[] = [];
let refused = '';
let code = '';
for (let call = 0; call < CALL_LIMIT && refused === ''; call += 1) {
  const name = `row-${call}`;
  try {
    await store.write(name);
    acknowledged.push(name);
  } catch (error) {
    refused = name;
    code = String((error as { code?: string }).code);
  }
}
const found = await Promise.all(acknowledged.map((name) => store.has(name)));
const isRefusedThere = await store.has(refused);
const leftOvers = what === 'lake' ? readdirSync(join(dir, 'lake', '.tmp')).length : 0;
rmSync(filler);
await store.write(refused);
const isThereLater = await store.has(refused);
const lost = found.filter((isFound) => !isFound).length;
process.stdout.write(
  `${JSON.stringify({ count: acknowledged.length, lost, code, isRefusedThere, leftOvers, isThereLater })}\n`,
);

function openLedger(): Store {
  const { items } = openSqliteLedger({ file: join(dir, 'ledger.db') });
  const value = 'x'.repeat(5_000);
  const rowsOf = (name: string): readonly { partition: string; row: string }[] =>
    [0, 1, 2, 3].map((index) => ({ partition: 'p', row: `${name}.${index}` }));
  return {
    write: (name) => items.write(rowsOf(name).map((key) => ({ ...key, value, ifMatch: 'absent' }))),
    // Half of a call there would count as there, and show as a refused call that left something.
    has: async (name) => (await items.read(rowsOf(name))).some((row) => row !== undefined),
  };
}

function openLake(): Store {
  mkdirSync(join(dir, 'lake'));
  const lake = openFileLake({ dir: join(dir, 'lake') });
  // Text that gzip cannot make small.
  const text = Array.from({ length: 2_000 }, () => crypto.randomUUID()).join('\n');
  return {
    write: (name) => lake.write(name, text),
    has: async (name) => (await lake.read(name)) === text,
  };
}
