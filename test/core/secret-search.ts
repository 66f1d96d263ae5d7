import { CANARY } from './secret-samples.ts';

/** Every text in which the canary turns up: as it is, in base64 at its three places, in hexadecimal, in capitals and in small. */
const TRACES: readonly string[] = [
  CANARY.toLowerCase(),
  ...[0, 1, 2].map((before) => ownBase64(before)),
  Buffer.from(CANARY).toString('hex'),
  // As UTF-16, which a pattern over bytes does not see.
  Array.from(CANARY.toLowerCase()).join('\0'),
];

/** The traces of a canary in a text, and what stands around them. Empty: none. */
export function findCanary(text: string): readonly string[] {
  const small = text.toLowerCase();
  return TRACES.flatMap((trace) => {
    const at = isBase64(trace) ? text.indexOf(trace) : small.indexOf(trace);
    return at < 0 ? [] : [`${trace}: ${JSON.stringify(text.slice(Math.max(0, at - 60), at + 60))}`];
  });
}

function ownBase64(before: number): string {
  const encoded = Buffer.from(`${'x'.repeat(before)}${CANARY}`).toString('base64');
  return encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + CANARY.length) * 8) / 6));
}

function isBase64(trace: string): boolean {
  return trace !== trace.toLowerCase();
}
