import { openSqliteLedger } from '../../../runtime/adapters/sqlite-ledger.ts';

/** Run as a process that a test kills: inserts rows for ever and says the number of each call once it has resolved. */
const [file = ''] = process.argv.slice(2);
const ledger = openSqliteLedger({ file });
const value = 'x'.repeat(300);

const lane = async (first: number): Promise<void> => {
  for (let call = first; ; call += 4) {
    const rows = Array.from({ length: 50 }, (_, index) => `${call}-${index}`);
    await ledger.items.write(rows.map((row) => ({ partition: 'p', row, value, ifMatch: 'absent' })));
    process.stdout.write(`${call}\n`);
  }
};
await Promise.all([0, 1, 2, 3].map(lane));
