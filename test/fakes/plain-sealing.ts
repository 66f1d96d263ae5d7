import { SealingError } from '../../runtime/core/key-ring.ts';
import type { Sealing } from '../../runtime/ports.ts';

/** Seals nothing, so that the same text is sealed to the same text and no thread is needed. Knows whose secret it is. */
export const plainSealing: Sealing = {
  seal: async (text, associatedData) => ({ keyId: 'plain', iv: associatedData, data: text }),
  open: async (sealed, associatedData) => {
    if (sealed.iv !== associatedData) throw new SealingError('SEAL_BROKEN', 'the record is somebody else’s');
    return sealed.data;
  },
};
