import { randomBytes } from 'node:crypto';

/** Random once per process, then a counter: unique over restarts without random bytes per message. */
const PREFIX = randomBytes(10);
let counter = 0;

/** A new lock token: 16 bytes in network order. */
export function mintToken(): Buffer {
  counter += 1;
  const token = Buffer.allocUnsafeSlow(16);
  PREFIX.copy(token);
  token.writeUIntBE(counter, 10, 6);
  return token;
}

/** A new message id as Azure's look: 32 hexadecimal digits. */
export function mintId(): string {
  return mintToken().toString('hex');
}

/** Network order to .NET Guid order and back: the first three groups are reversed. */
export function swapGuid(token: Buffer): Buffer {
  const swapped = Buffer.from(token);
  swapped.subarray(0, 4).reverse();
  swapped.subarray(4, 6).reverse();
  swapped.subarray(6, 8).reverse();
  return swapped;
}

/** Key of a token in maps. */
export function tokenKey(token: Buffer): string {
  return token.toString('latin1');
}
