import type { Ledger, Random } from '../ports.ts';

const ROW = { partition: 'identity', row: 'ledger' };

/** Digits of a UUID that tell the ledgers on one Redis apart. */
const ID_DIGITS = 12;

/**
 * A name that a ledger keeps for life. Keys of a shared cache begin with it: what one ledger knows says nothing about the lake
 * of another one, or of a new one in an old place.
 */
export async function ledgerId(ledger: Ledger, random: Random): Promise<string> {
  const id = random.uuid().replaceAll('-', '').slice(0, ID_DIGITS);
  const [written] = await ledger.control.write([{ ...ROW, value: JSON.stringify({ id }), ifMatch: 'absent' }]);
  if (written?.ok === true) return id;
  const [stored] = await ledger.control.read([ROW]);
  if (stored === undefined) throw new Error('the ledger neither takes nor gives its identity');
  return (JSON.parse(stored.value) as { id: string }).id;
}
