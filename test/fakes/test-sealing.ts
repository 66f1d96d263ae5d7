import { openAesSealing } from '../../runtime/adapters/aes-sealing.ts';
import { systemClock } from '../../runtime/adapters/system.ts';
import type { RingKey } from '../../runtime/core/key-ring.ts';

/** A key that is the same in every test. */
export function keyNamed(id: string): RingKey {
  return { id, secret: Buffer.alloc(32, id).toString('base64') };
}

/** Real sealing, with one key that never changes. */
export const testSealing = openAesSealing({ ring: [keyNamed('k1')], clock: systemClock });
