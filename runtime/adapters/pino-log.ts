import { type DestinationStream, pino } from 'pino';
import type { Log } from '../ports.ts';

/** Takes the secrets out of a line. Never throws. */
export interface LogRedaction {
  readonly text: (text: string) => string;
  /** Plain data, with a limit to its depth and size. */
  readonly fields: (fields: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;
}

/** NDJSON lines in a file. Written at once, so that the last line before a crash is there. */
export function openFileLog(file: string, redaction: LogRedaction): Log & { close(): void } {
  const destination = pino.destination({ dest: file, append: true, mkdir: true, sync: true });
  // A log that cannot be written must not stop the miners; what fills the disk is reported by who needs the space.
  destination.on('error', () => undefined);
  const log = openLog(destination, redaction);
  return { ...log, close: () => destination.end() };
}

/** NDJSON lines on the console, for a host that collects what its processes say. */
export function openConsoleLog(redaction: LogRedaction): Log {
  return openLog({ write: (line) => console.log(line.trimEnd()) }, redaction);
}

function openLog(destination: DestinationStream, redaction: LogRedaction): Log {
  const lines = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return {
    info: (message, fields = {}) => lines.info(redaction.fields(fields), redaction.text(message)),
    warn: (message, fields = {}) => lines.warn(redaction.fields(fields), redaction.text(message)),
  };
}
