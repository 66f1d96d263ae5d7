import { type DestinationStream, pino } from 'pino';
import type { Log } from '../ports.ts';

/** NDJSON lines in a file. Written at once, so that the last line before a crash is there. */
export function openFileLog(file: string): Log & { close(): void } {
  const destination = pino.destination({ dest: file, append: true, mkdir: true, sync: true });
  // A log that cannot be written must not stop the miners; what fills the disk is reported by who needs the space.
  destination.on('error', () => undefined);
  const log = openLog(destination);
  return { ...log, close: () => destination.end() };
}

/** NDJSON lines on the console, for a host that collects what its processes say. */
export function openConsoleLog(): Log {
  return openLog({ write: (line) => console.log(line.trimEnd()) });
}

function openLog(destination: DestinationStream): Log {
  const lines = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return {
    info: (message, fields = {}) => lines.info(fields, message),
    warn: (message, fields = {}) => lines.warn(fields, message),
  };
}
