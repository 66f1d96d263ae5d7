// npm run preview: every resource of a stack, without the Pulumi CLI, an account or a network.
import { fileURLToPath } from 'node:url';
import { redactError } from '../../runtime/core/redact-error.ts';
import { redactedStream } from '../redacted-stream.ts';
import { preview } from './preview.ts';

const stop = new AbortController();
process.on('SIGINT', () => stop.abort());
process.on('SIGTERM', () => stop.abort());
// A reader that has seen enough, such as head, is no mistake.
process.stdout.on('error', () => process.exit());

try {
  process.exitCode = await preview(process.argv.slice(2), {
    dir: fileURLToPath(new URL('../..', import.meta.url)),
    out: redactedStream(process.stdout),
    err: redactedStream(process.stderr),
    now: () => performance.now(),
    signal: stop.signal,
  });
} catch (error) {
  // A mistake of ours keeps its stack.
  process.stderr.write(`${redactError(error)}\n`);
  process.exitCode = 1;
}
