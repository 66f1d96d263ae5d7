import { parentPort } from 'node:worker_threads';
import { type Job, runJob } from './job.ts';

/** Stacks of errors that the simulated faults throw by the thousand are looked at by nobody. */
Error.stackTraceLimit = 0;

parentPort?.on('message', (job: Job) => {
  void runJob(job).then(
    (result) => parentPort?.postMessage({ result }, []),
    (error: unknown) => parentPort?.postMessage({ job, error: textOf(error) }, []),
  );
});

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message} ${error.stack ?? ''}` : String(error);
}
