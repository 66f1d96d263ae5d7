/** Both parts of a row's key: what Azure Tables takes everywhere, so that a key that works at home works in the cloud. */
const KEY_PATTERN = /^[A-Za-z0-9._:|-]{1,512}$/;

/** Largest value of a row, in UTF-8 bytes: below the 64 KiB of one property of Azure Tables. */
export const ROW_VALUE_LIMIT_BYTES = 60_000;

/** A character takes three bytes at most, so shorter values need no counting. */
const SURELY_SHORT_CHARACTERS = ROW_VALUE_LIMIT_BYTES / 3;

/**
 * Checks one write against the limits of the ledger's port.
 * @throws RangeError for a key that is no key, a value that is too long, or a delete on condition that the row is absent.
 */
export function assertWritable(write: {
  readonly partition: string;
  readonly row: string;
  readonly value: string | null;
  readonly ifMatch: string;
}): void {
  const { partition, row, value, ifMatch } = write;
  if (!KEY_PATTERN.test(partition) || !KEY_PATTERN.test(row)) {
    throw new RangeError(`both keys of a row must match ${KEY_PATTERN.source}, got ${partition} and ${row}`);
  }
  if (value === null) {
    if (ifMatch === 'absent') throw new RangeError(`a row cannot be deleted on condition that it is absent: ${row}`);
    return;
  }
  if (value.length <= SURELY_SHORT_CHARACTERS) return;
  const sizeBytes = new TextEncoder().encode(value).byteLength;
  if (sizeBytes > ROW_VALUE_LIMIT_BYTES) {
    throw new RangeError(`the value of a row must be 0..${ROW_VALUE_LIMIT_BYTES} bytes, got ${sizeBytes} for ${row}`);
  }
}
