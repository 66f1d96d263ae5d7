import { redactText } from '../runtime/core/redact.ts';

/** Longest text that is written at once, in characters: the JSON of a stack has some hundred thousand. */
const TEXT_LIMIT = 16_777_216;

/** A stream as it is, a terminal included, but for secrets: what is shaped like one is masked in every text on its way. */
export function redactedStream<T extends NodeJS.WritableStream>(stream: T): T {
  const write = (text: string): boolean => stream.write(redactText(text, undefined, TEXT_LIMIT));
  return Object.create(stream, { write: { value: write } }) as T;
}
